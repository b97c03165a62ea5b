//! The values that a key may take, parsed into types that cannot be wrong, and written back in canonical spelling.

use super::error::did_you_mean;
use super::key::Value;
use crate::network::words::WordRow;
use crate::network::{Activation, Architecture, InitKind, Input, Loss, Norm, Residual, Target, activation, init};

/// A checked value of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    Int(u32),
    Float(f64),
    Bool(bool),
    Architecture(Architecture),
    Activation(Activation),
    /// With the number in parentheses, else 0.
    Init(InitKind, f64),
    Norm(Norm),
    Residual(Residual),
    Scale(ResidualScale),
    Loss(Loss),
    /// With the number in parentheses, else 0.
    Input(Input, f64),
    Target(Target),
}

/// The factor of a residual branch, as a sweep file gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResidualScale {
    Number(f64),
    InverseSqrtDepth,
    InverseDepth,
}

impl ResidualScale {
    pub const WORDS: [(&'static str, ResidualScale); 2] =
        [("1/sqrt(depth)", ResidualScale::InverseSqrtDepth), ("1/depth", ResidualScale::InverseDepth)];

    pub fn resolve(self, depth: u32) -> f64 {
        match self {
            ResidualScale::Number(a) => a,
            ResidualScale::InverseSqrtDepth => 1.0 / f64::from(depth).sqrt(),
            ResidualScale::InverseDepth => 1.0 / f64::from(depth),
        }
    }
}

/// The words of one vocabulary: canonical spellings first, aliases, and the parser.
pub struct Vocabulary {
    /// "activation", for messages.
    pub noun: &'static str,
    /// The table that `gradsweep list` prints for it.
    pub list: &'static str,
    pub parse: fn(&str) -> Result<Setting, String>,
    pub spellings: fn() -> Vec<Spelling>,
}

/// How a word may be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spelling {
    /// Canonical.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub number: Number,
    pub bounds: Bounds,
}

/// What the number in parentheses may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    None,
    NotNegative,
    Positive,
    /// -1 to 1.
    Unit,
}

/// The number in parentheses behind a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    None,
    /// With its default.
    Optional(f64),
    /// With its name.
    Required(&'static str),
}

impl Vocabulary {
    /// Canonical spellings, with the parameter's default or name in parentheses where there is one.
    pub fn words(&self) -> Vec<String> {
        let word = |spelling: Spelling| match spelling.number {
            Number::None => spelling.name.to_string(),
            Number::Optional(default) => format!("{}({default})", spelling.name),
            Number::Required(name) => format!("{}({name})", spelling.name),
        };
        (self.spellings)().into_iter().map(word).collect()
    }
}

fn plain<T>(row: &'static WordRow<T>) -> Spelling {
    Spelling { name: row.name, aliases: row.aliases, number: Number::None, bounds: Bounds::None }
}

macro_rules! plain_vocabulary {
    ($constant:ident, $type:ident, $noun:literal, $list:literal) => {
        pub const $constant: Vocabulary = Vocabulary {
            noun: $noun,
            list: $list,
            parse: |text| {
                let word = lookup($noun, $list, text, $type::TABLE)?;
                Ok(Setting::$type(word))
            },
            spellings: || $type::TABLE.iter().map(plain).collect(),
        };
    };
}
plain_vocabulary!(NORM, Norm, "norm", "norms");
plain_vocabulary!(RESIDUAL, Residual, "residual form", "residuals");
plain_vocabulary!(LOSS, Loss, "loss", "losses");
plain_vocabulary!(TARGET, Target, "target", "targets");

pub const ARCHITECTURE: Vocabulary = Vocabulary {
    noun: "architecture",
    list: "architectures",
    parse: |text| {
        if ["rnn", "lstm", "gru"].contains(&text.trim().to_lowercase().as_str()) {
            return Err(format!("architecture `{text}` is not built yet; accepted: `mlp`"));
        }
        lookup("architecture", "architectures", text, Architecture::TABLE).map(Setting::Architecture)
    },
    spellings: || Architecture::TABLE.iter().map(plain).collect(),
};

pub const ACTIVATION: Vocabulary = Vocabulary {
    noun: "activation",
    list: "activations",
    parse: |text| parse_activation(text).map(Setting::Activation),
    spellings: || {
        let number = |param: Option<activation::ParamRow>| param.map_or(Number::None, |p| Number::Optional(p.default));
        let bounds = |param: Option<activation::ParamRow>| match param {
            Some(param) if param.min == 0.0 => Bounds::NotNegative,
            Some(_) => Bounds::Positive,
            None => Bounds::None,
        };
        let spelling = |row: &activation::ActivationRow| Spelling {
            name: row.name,
            aliases: row.aliases,
            number: number(row.param),
            bounds: bounds(row.param),
        };
        activation::TABLE.iter().map(spelling).collect()
    },
};

pub const INIT: Vocabulary = Vocabulary {
    noun: "init",
    list: "inits",
    parse: parse_init,
    spellings: || {
        let number = |param: Option<&'static str>| param.map_or(Number::None, Number::Required);
        // Only `constant` has a sign.
        let bounds = |kind| if kind == InitKind::Constant { Bounds::None } else { Bounds::NotNegative };
        let spelling = |row: &init::InitRow| Spelling {
            name: row.name,
            aliases: row.aliases,
            number: number(row.param),
            bounds: bounds(row.kind),
        };
        init::TABLE.iter().map(spelling).collect()
    },
};

pub const INPUT: Vocabulary = Vocabulary {
    noun: "input",
    list: "inputs",
    parse: parse_input,
    spellings: || {
        let spelling = |row| match plain(row) {
            pairs if row.word == Input::CorrelatedPairs => {
                Spelling { number: Number::Required("c"), bounds: Bounds::Unit, ..pairs }
            }
            other => other,
        };
        Input::TABLE.iter().map(spelling).collect()
    },
};

/// Largest activation parameter, and largest and smallest non-zero scale of weights and biases.
const LARGEST_PARAM: f64 = 1e6;
pub const LARGEST_SCALE: f64 = 1e100;
pub const SMALLEST_SCALE: f64 = 1e-100;
/// The same of branches: they are multiplied by it in the precision of the engine.
pub const LARGEST_RESIDUAL: f64 = 1e30;
pub const SMALLEST_RESIDUAL: f64 = 1e-30;

/// `name`, `name(number)` or `name()` as name and number.
fn split(text: &str) -> Result<(&str, Option<f64>), String> {
    let text = text.trim();
    let Some(open) = text.find('(') else {
        return Ok((text, None));
    };
    let name = text[..open].trim_end();
    let Some(inside) = text[open + 1..].strip_suffix(')') else {
        return Err(format!("`{text}` lacks its closing parenthesis"));
    };
    let inside = inside.trim();
    match inside.parse::<f64>() {
        _ if inside.is_empty() => Ok((name, None)),
        Ok(number) if number.is_finite() => Ok((name, Some(number + 0.0))),
        _ => Err(format!("`{inside}` in `{text}` is not a finite number")),
    }
}

/// `unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)`.
fn unknown<'a>(noun: &str, list: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let hint = did_you_mean(name, known);
    format!("unknown {noun} `{name}`{hint} (gradsweep list {list})")
}

fn lookup<T: Copy>(noun: &str, list: &str, text: &str, table: &'static [WordRow<T>]) -> Result<T, String> {
    let (name, number) = split(text)?;
    let row = table.iter().find(|row| row.name == name || row.aliases.contains(&name)).ok_or_else(|| {
        unknown(
            noun,
            list,
            name,
            table.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied())),
        )
    })?;
    match number {
        Some(_) => Err(format!("{noun} `{name}` takes no parameter")),
        None => Ok(row.word),
    }
}

/// An activation as a sweep file names it: `tanh`, `leaky_relu(0.2)`.
pub fn parse_activation(text: &str) -> Result<Activation, String> {
    let (name, number) = split(text)?;
    let names = activation::TABLE.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
    let row = activation::TABLE
        .iter()
        .find(|row| row.name == name || row.aliases.contains(&name))
        .ok_or_else(|| unknown("activation", "activations", name, names))?;
    let mut activation = Activation::from(row.kind);
    match (number, row.param) {
        (Some(_), None) => return Err(format!("activation `{name}` takes no parameter")),
        (Some(v), Some(param)) => {
            if !(param.min..=LARGEST_PARAM).contains(&v) {
                return Err(format!(
                    "{} of `{name}` must be between {:?} and {LARGEST_PARAM:e}, not {v:?}",
                    param.name, param.min
                ));
            }
            activation.param = v;
        }
        (None, _) => {}
    }
    Ok(activation)
}

fn parse_init(text: &str) -> Result<Setting, String> {
    let (name, number) = split(text)?;
    let names = init::TABLE.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
    let row = init::TABLE
        .iter()
        .find(|row| row.name == name || row.aliases.contains(&name))
        .ok_or_else(|| unknown("init", "inits", name, names))?;
    match (number, row.param) {
        (Some(_), None) => Err(format!("init `{name}` takes no parameter")),
        (None, Some(param)) => Err(format!("init `{name}` needs its {param}: `{name}(0.02)`")),
        (None, None) => Ok(Setting::Init(row.kind, 0.0)),
        (Some(v), Some(param)) => {
            if v < 0.0 && row.kind != InitKind::Constant {
                return Err(format!("{param} of `{name}` must not be negative, but is {v}"));
            }
            scale_in_range(v.abs()).map_err(|e| format!("{param} of `{name}` {e}"))?;
            Ok(Setting::Init(row.kind, v))
        }
    }
}

fn parse_input(text: &str) -> Result<Setting, String> {
    let (name, number) = split(text)?;
    let word = lookup("input", "inputs", name, Input::TABLE)?;
    match (word, number) {
        (Input::CorrelatedPairs, None) => {
            Err("input `correlated_pairs` needs its correlation: `correlated_pairs(0.5)`".to_string())
        }
        (Input::CorrelatedPairs, Some(c)) if !(-1.0..=1.0).contains(&c) => {
            Err(format!("the correlation of `correlated_pairs` must lie in [-1, 1], not {c}"))
        }
        (Input::CorrelatedPairs, Some(c)) => Ok(Setting::Input(word, c)),
        (_, Some(_)) => Err(format!("input `{name}` takes no parameter")),
        (_, None) => Ok(Setting::Input(word, 0.0)),
    }
}

/// Checks that a scale of weights, biases or eps is zero or of a size that no arithmetic loses.
pub fn scale_in_range(v: f64) -> Result<(), String> {
    zero_or_between(v, SMALLEST_SCALE, LARGEST_SCALE)
}

/// The same of a scale of residual branches.
pub fn residual_in_range(v: f64) -> Result<(), String> {
    zero_or_between(v, SMALLEST_RESIDUAL, LARGEST_RESIDUAL)
}

fn zero_or_between(v: f64, smallest: f64, largest: f64) -> Result<(), String> {
    if v == 0.0 || (smallest..=largest).contains(&v) {
        Ok(())
    } else {
        Err(format!("must be 0 or between {smallest:e} and {largest:e}, not {v:?}"))
    }
}

impl Setting {
    /// The value as it is written into results.
    pub fn value(&self) -> Value {
        let with = |name: &str, number: f64| Value::Word(format!("{name}({number})"));
        match *self {
            Setting::Int(v) => Value::Int(u64::from(v)),
            Setting::Float(v) | Setting::Scale(ResidualScale::Number(v)) => Value::Float(v),
            Setting::Bool(v) => Value::Bool(v),
            Setting::Activation(a) => Value::Word(a.canonical()),
            Setting::Init(kind, number) if self.word().is_none() => with(init::TABLE[kind as usize].name, number),
            Setting::Input(word, number) if self.word().is_none() => with(word.name(), number),
            _ => Value::Word(self.word().unwrap_or_default().to_string()),
        }
    }

    /// The value of a setting that is a word without a number.
    pub fn word(&self) -> Option<&'static str> {
        match *self {
            Setting::Int(_) | Setting::Float(_) | Setting::Bool(_) | Setting::Scale(ResidualScale::Number(_)) => None,
            Setting::Architecture(w) => Some(w.name()),
            Setting::Activation(a) => a.row().param.is_none().then(|| a.row().name),
            Setting::Init(kind, _) => {
                let row = &init::TABLE[kind as usize];
                row.param.is_none().then_some(row.name)
            }
            Setting::Norm(w) => Some(w.name()),
            Setting::Residual(w) => Some(w.name()),
            Setting::Scale(scale) => ResidualScale::WORDS.iter().find(|(_, s)| *s == scale).map(|(name, _)| *name),
            Setting::Loss(w) => Some(w.name()),
            Setting::Input(Input::CorrelatedPairs, _) => None,
            Setting::Input(w, _) => Some(w.name()),
            Setting::Target(w) => Some(w.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_every_vocabulary_parses_to_its_canonical_spelling() {
        for row in &activation::TABLE {
            for name in [row.name].iter().chain(row.aliases) {
                let Ok(a) = parse_activation(name) else { panic!("{name}") };
                assert_eq!(a.kind, row.kind);
                assert_eq!(parse_activation(&a.canonical()), Ok(a));
            }
        }
        for row in init::TABLE {
            for name in [row.name].iter().chain(row.aliases) {
                let text = if row.param.is_some() { format!("{name}(0.25)") } else { (*name).to_string() };
                let setting = parse_init(&text).unwrap();
                let Value::Word(canonical) = setting.value() else { panic!("{name}") };
                assert!(canonical.starts_with(row.name), "{canonical}");
                assert_eq!(parse_init(&canonical), Ok(setting));
            }
        }
        for row in Input::TABLE {
            let text = if row.word == Input::CorrelatedPairs { "correlated_pairs( -0.5 )" } else { row.name };
            let setting = parse_input(text).unwrap();
            let Value::Word(canonical) = setting.value() else { panic!("{text}") };
            assert_eq!(parse_input(&canonical), Ok(setting));
        }
        for vocabulary in [ARCHITECTURE, NORM, RESIDUAL, LOSS, TARGET] {
            for word in vocabulary.words() {
                assert_eq!((vocabulary.parse)(&word).unwrap().value(), Value::Word(word.clone()));
            }
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for text in ["leaky_relu(-0.1)", "elu(0)", "elu(1e300)", "softplus(nan)", "elu(inf)", "tanh(1)", "elu(1"] {
            assert!(parse_activation(text).is_err(), "{text}");
        }
        for text in ["normal", "normal()", "normal(-1)", "uniform(1e-200)", "constant(1e200)", "he_normal(2)"] {
            assert!(parse_init(text).is_err(), "{text}");
        }
        assert!(parse_init("constant(-2)").is_ok());
        for text in ["correlated_pairs", "correlated_pairs(1.5)", "gaussian(1)", "sphere("] {
            assert!(parse_input(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_words_name_the_nearest_and_the_list() {
        let message = parse_activation("rleu").unwrap_err();
        assert_eq!(message, "unknown activation `rleu`; did you mean `relu`? (gradsweep list activations)");
        assert!((ARCHITECTURE.parse)("lstm").unwrap_err().contains("not built yet"));
    }
}
