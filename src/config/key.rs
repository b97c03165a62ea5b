//! The keys of a network that a sweep file may set, one table row each, and the values they take. Parsing, filters,
//! canonical form, `list` and the columns of results all read this table.

use super::setting::{
    ACTIVATION, ARCHITECTURE, INIT, INPUT, LOSS, NORM, RESIDUAL, ResidualScale, Setting, TARGET, Vocabulary,
    residual_in_range, scale_in_range,
};
use crate::data;
use crate::network::{InitKind, NetworkSpec, Norm, Residual};

/// A key of a network, in the order of the interface's table (also the order of columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Key {
    Architecture,
    Depth,
    Width,
    BatchSize,
    InputSize,
    OutputSize,
    Activation,
    Init,
    Gain,
    SigmaW,
    SigmaB,
    Bias,
    Norm,
    NormEps,
    NormAffine,
    FinalNorm,
    Residual,
    ResidualScale,
    ResidualEvery,
    Loss,
    Input,
    Target,
    Steps,
}

/// A value as it stands in a configuration: canonical spelling, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(u64),
    Float(f64),
    Bool(bool),
    /// A word of a vocabulary, canonical, with its parameter where it has one: `leaky_relu(0.2)`.
    Word(String),
}

/// What a key's values are.
pub enum Kind {
    Int {
        min: u32,
        max: u32,
    },
    /// A finite number of at least `min`; with `scale`, also within the range of scales.
    Float {
        min: f64,
        max: f64,
        scale: bool,
    },
    Bool,
    Word(&'static Vocabulary),
    /// A number, `"1/sqrt(depth)"` or `"1/depth"`.
    ResidualScale,
}

/// Whether a key means anything for a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// It does not: a given value is dropped, and the column is empty.
    No,
    /// The network has a value that something else decides: a given value is dropped, and the column shows that one.
    Fixed,
    Yes,
}

/// One row of the table of keys.
pub struct KeyRow {
    pub key: Key,
    pub name: &'static str,
    pub kind: Kind,
    /// The default as the documentation shows it.
    pub default: &'static str,
    pub applies: fn(&NetworkSpec) -> Applies,
    /// Why it does not apply where it does not: "applies to `init = \"mean_field\"` only".
    pub where_it_applies: &'static str,
    pub doc: &'static str,
}

fn when(condition: bool) -> Applies {
    if condition { Applies::Yes } else { Applies::No }
}
fn always(_: &NetworkSpec) -> Applies {
    Applies::Yes
}
fn set_by_data(spec: &NetworkSpec) -> Applies {
    if data::info(spec.input).is_some() { Applies::Fixed } else { Applies::Yes }
}
fn has_any_bias(spec: &NetworkSpec) -> bool {
    let last = spec.depth + u32::from(spec.loss.has_readout());
    spec.layer_has_bias(1) || spec.layer_has_bias(last)
}

const SIZE: Kind = Kind::Int { min: 1, max: 4096 };
const SCALE: Kind = Kind::Float { min: 0.0, max: f64::MAX, scale: true };
const EVERYWHERE: &str = "every network";

macro_rules! row {
    ($key:ident, $name:literal, $kind:expr, $default:literal, $applies:expr, $where:expr, $doc:literal) => {
        KeyRow {
            key: Key::$key,
            name: $name,
            kind: $kind,
            default: $default,
            applies: $applies,
            where_it_applies: $where,
            doc: $doc,
        }
    };
}

/// The keys, indexed by [`Key`].
#[rustfmt::skip]
pub static KEYS: [KeyRow; Key::COUNT] = [
    row!(Architecture, "architecture", Kind::Word(&ARCHITECTURE), "mlp", always, EVERYWHERE,
        "kind of network"),
    row!(Depth, "depth", Kind::Int { min: 1, max: 1024 }, "16", always, EVERYWHERE,
        "number of hidden layers"),
    row!(Width, "width", Kind::Int { min: 1, max: 2048 }, "128", always, EVERYWHERE,
        "units of every hidden layer"),
    row!(BatchSize, "batch_size", Kind::Int { min: 1, max: 4096 }, "64", always, EVERYWHERE,
        "samples that are run and averaged over"),
    row!(InputSize, "input_size", SIZE, "width", set_by_data, "inputs that are not a data set",
        "features of a sample; a data set sets it"),
    row!(OutputSize, "output_size", SIZE, "10",
        |s| if s.loss.has_readout() { set_by_data(s) } else { Applies::No },
        "networks with a readout (loss `mse` or `cross_entropy`) whose input is not a data set",
        "units of the readout; a data set sets it"),
    row!(Activation, "activation", Kind::Word(&ACTIVATION), "tanh", always, EVERYWHERE,
        "nonlinearity of every hidden layer"),
    row!(Init, "init", Kind::Word(&INIT), "he_normal", always, EVERYWHERE,
        "how weights are drawn"),
    row!(Gain, "gain", SCALE, "1.0", |s| when(s.init.kind != InitKind::Zeros), "every init but `zeros`",
        "multiplies the standard deviation of the weights"),
    row!(SigmaW, "sigma_w", SCALE, "1.0",
        |s| match s.init.kind {
            InitKind::MeanField => Applies::Yes,
            InitKind::Critical => Applies::Fixed,
            _ => Applies::No,
        },
        "`init = \"mean_field\"`",
        "weights have the standard deviation sigma_w/sqrt(fan_in); `critical` computes it"),
    row!(SigmaB, "sigma_b", SCALE, "0.0", |s| when(has_any_bias(s)), "networks with a bias",
        "standard deviation of every bias"),
    row!(Bias, "bias", Kind::Bool, "true",
        |s| when(has_any_bias(&NetworkSpec { bias: true, ..s.clone() })),
        "networks with a layer that is not directly before batch norm",
        "layers have a bias"),
    row!(Norm, "norm", Kind::Word(&NORM), "none", always, EVERYWHERE,
        "normalisation before the activation"),
    row!(NormEps, "norm_eps", Kind::Float { min: 0.0, max: 1e6, scale: true }, "1e-5",
        |s| when(s.norm != Norm::None), "networks with a norm",
        "added to the variance inside the root"),
    row!(NormAffine, "norm_affine", Kind::Bool, "false", |s| when(s.norm != Norm::None), "networks with a norm",
        "the norm has a learnable scale and shift"),
    row!(FinalNorm, "final_norm", Kind::Bool, "false", |s| when(s.norm != Norm::None && s.loss.has_readout()),
        "networks with a norm and a readout",
        "the last hidden layer is normalised before the readout"),
    row!(Residual, "residual", Kind::Word(&RESIDUAL), "none", always, EVERYWHERE,
        "residual form"),
    row!(ResidualScale, "residual_scale", Kind::ResidualScale, "1.0", |s| when(s.residual != Residual::None),
        "residual networks",
        "factor of the branch: a number, \"1/sqrt(depth)\" or \"1/depth\""),
    row!(ResidualEvery, "residual_every", Kind::Int { min: 1, max: 1024 }, "1",
        |s| when(s.residual == Residual::PostAct), "`residual = \"post_act\"`",
        "layers that one skip spans"),
    row!(Loss, "loss", Kind::Word(&LOSS), "mse", always, EVERYWHERE,
        "where the backward pass starts; cross_entropy is the default for labelled data"),
    row!(Input, "input", Kind::Word(&INPUT), "gaussian", always, EVERYWHERE,
        "what the network sees"),
    row!(Target, "target", Kind::Word(&TARGET), "gaussian", |s| when(s.loss.has_readout()),
        "networks with a readout (loss `mse` or `cross_entropy`)",
        "what the loss compares with; classes is the default for cross_entropy"),
    row!(Steps, "steps", Kind::Int { min: 0, max: 0 }, "0", always, EVERYWHERE,
        "training steps; only 0 is built"),
];

/// Keys of the interface that later versions will read, and what they belong to.
pub const NOT_BUILT: [(&str, &str); 6] = [
    ("sequence_length", "recurrent networks, which are not built yet"),
    ("optimizer", "training, which is not built yet: networks are measured at initialisation"),
    ("learning_rate", "training, which is not built yet: networks are measured at initialisation"),
    ("momentum", "training, which is not built yet: networks are measured at initialisation"),
    ("weight_decay", "training, which is not built yet: networks are measured at initialisation"),
    ("clip", "training, which is not built yet: networks are measured at initialisation"),
];

impl Key {
    pub const COUNT: usize = 23;
    /// Every key, in the order of columns.
    pub const ALL: [Key; Key::COUNT] = [
        Key::Architecture,
        Key::Depth,
        Key::Width,
        Key::BatchSize,
        Key::InputSize,
        Key::OutputSize,
        Key::Activation,
        Key::Init,
        Key::Gain,
        Key::SigmaW,
        Key::SigmaB,
        Key::Bias,
        Key::Norm,
        Key::NormEps,
        Key::NormAffine,
        Key::FinalNorm,
        Key::Residual,
        Key::ResidualScale,
        Key::ResidualEvery,
        Key::Loss,
        Key::Input,
        Key::Target,
        Key::Steps,
    ];

    pub fn row(self) -> &'static KeyRow {
        &KEYS[self as usize]
    }
    /// The spelling in sweep files, and the column's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }
    pub fn from_name(name: &str) -> Option<Key> {
        KEYS.iter().find(|row| row.name == name).map(|row| row.key)
    }
    /// Keys that only change what happens after initialisation: they do not enter the seed.
    pub fn is_training(self) -> bool {
        self == Key::Steps
    }
}

impl KeyRow {
    /// The values a user may write, for documentation.
    pub fn values(&self) -> String {
        match &self.kind {
            Kind::Int { min, max } if min == max => format!("{min}"),
            Kind::Int { min, max } => format!("integer, {min} to {max}"),
            Kind::Float { max, .. } if *max < f64::MAX => format!("number, 0 to {max:e}"),
            Kind::Float { .. } => "number, 0 or 1e-100 to 1e100".to_string(),
            Kind::Bool => "true, false".to_string(),
            Kind::Word(vocabulary) => vocabulary.words().join(", "),
            Kind::ResidualScale => {
                let words: Vec<_> = ResidualScale::WORDS.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                format!("number, 0 or 1e-100 to 1e100, {}", words.join(", "))
            }
        }
    }

    /// Checks a whole number.
    pub fn int(&self, v: i64) -> Result<Setting, String> {
        match self.kind {
            Kind::Int { min, max } => match u32::try_from(v) {
                Ok(small) if (min..=max).contains(&small) => Ok(Setting::Int(small)),
                _ if self.key == Key::Steps => {
                    Err(format!("training is not built yet: `steps` must be 0 (networks at initialisation), not {v}"))
                }
                _ => Err(format!("`{}` must be between {min} and {max}, not {v}", self.name)),
            },
            Kind::Float { .. } | Kind::ResidualScale => self.float(v as f64),
            _ => Err(format!("`{}` takes {}, not the integer {v}", self.name, self.kind_name())),
        }
    }

    /// Checks a number with a fraction.
    pub fn float(&self, v: f64) -> Result<Setting, String> {
        let name = self.name;
        let (min, max, scale) = match self.kind {
            Kind::Float { min, max, scale } => (min, max, scale),
            Kind::ResidualScale => (0.0, f64::MAX, true),
            _ => return Err(format!("`{name}` takes {}, not the number {v:?}", self.kind_name())),
        };
        if !v.is_finite() {
            return Err(format!("`{name}` must be a finite number, not {v:?}"));
        }
        if v < min {
            return Err(if min == 0.0 {
                format!("`{name}` must not be negative, but is {v:?}")
            } else {
                format!("`{name}` must be at least {min:?}, not {v:?}")
            });
        }
        if v > max {
            return Err(format!("`{name}` must be at most {max:?}, not {v:?}"));
        }
        let in_range = match self.kind {
            Kind::ResidualScale => residual_in_range(v),
            _ if scale => scale_in_range(v),
            _ => Ok(()),
        };
        in_range.map_err(|e| format!("`{name}` {e}"))?;
        // -0.0 is written as 0.0.
        let v = v + 0.0;
        Ok(match self.kind {
            Kind::ResidualScale => Setting::Scale(ResidualScale::Number(v)),
            _ => Setting::Float(v),
        })
    }

    pub fn bool(&self, v: bool) -> Result<Setting, String> {
        match self.kind {
            Kind::Bool => Ok(Setting::Bool(v)),
            _ => Err(format!("`{}` takes {}, not `{v}`", self.name, self.kind_name())),
        }
    }

    pub fn word(&self, text: &str) -> Result<Setting, String> {
        match &self.kind {
            Kind::Word(vocabulary) => (vocabulary.parse)(text),
            Kind::ResidualScale => {
                let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let found = ResidualScale::WORDS.iter().find(|(name, _)| *name == bare);
                found.map(|&(_, scale)| Setting::Scale(scale)).ok_or_else(|| {
                    format!("`residual_scale` takes a number, \"1/sqrt(depth)\" or \"1/depth\", not \"{text}\"")
                })
            }
            _ => Err(format!("`{}` takes {}, not the string \"{text}\"", self.name, self.kind_name())),
        }
    }

    /// "an integer", for messages.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Int { .. } => "an integer",
            Kind::Float { .. } => "a number",
            Kind::Bool => "true or false",
            Kind::Word(_) => "a word in quotes",
            Kind::ResidualScale => "a number or a word in quotes",
        }
    }

    /// Ranges make numbers; these keys take them.
    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, Kind::Int { .. } | Kind::Float { .. } | Kind::ResidualScale)
    }
    pub fn is_integer(&self) -> bool {
        matches!(self.kind, Kind::Int { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_key_and_names_are_columns() {
        for (i, row) in KEYS.iter().enumerate() {
            assert_eq!(row.key as usize, i, "{}", row.name);
            assert!(row.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", row.name);
            assert_eq!(Key::from_name(row.name), Some(row.key));
            assert!(!row.values().is_empty() && !row.doc.is_empty());
        }
        assert_eq!(Key::from_name("learning_rate"), None);
    }

    #[test]
    fn every_key_refuses_what_is_not_of_its_kind() {
        for row in &KEYS {
            let accepted = [
                row.int(1).is_ok() || row.key == Key::Steps,
                row.float(0.5).is_ok(),
                row.bool(true).is_ok(),
                row.word("no such word").is_ok(),
            ];
            let expected = match row.kind {
                Kind::Int { .. } => [true, false, false, false],
                Kind::Float { .. } | Kind::ResidualScale => [true, true, false, false],
                Kind::Bool => [false, false, true, false],
                Kind::Word(_) => [row.key == Key::Steps, false, false, false],
            };
            assert_eq!(accepted, expected, "{}", row.name);
            for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e200, 1e-200] {
                assert!(row.float(wrong).is_err(), "{} takes {wrong}", row.name);
            }
            assert!(row.int(-1).is_err() && row.int(i64::MIN).is_err());
            assert!(row.int(i64::MAX).is_err() || !row.is_integer());
        }
    }

    #[test]
    fn sizes_end_where_the_documentation_says() {
        for (key, largest) in [(Key::Depth, 1024), (Key::Width, 2048), (Key::BatchSize, 4096), (Key::InputSize, 4096)] {
            assert!(key.row().int(0).is_err());
            assert_eq!(key.row().int(1), Ok(Setting::Int(1)));
            assert_eq!(key.row().int(largest), Ok(Setting::Int(largest as u32)));
            assert!(key.row().int(largest + 1).is_err());
        }
    }
}
