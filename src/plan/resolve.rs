//! From the keys that a sweep file gives to one network: defaults filled in, keys that do not apply dropped, and the
//! canonical configuration that identities are made of.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::config::{Applies, KEYS, Key, Operand, ResidualScale, Setting, Value, Variable};
use crate::data;
use crate::network::{
    Activation, ActivationKind, Architecture, InitKind, Input, Loss, NetworkSpec, Norm, Residual, Target,
};
use crate::theory;

/// One optional setting per key, indexed by [`Key`].
pub type Settings = [Option<Setting>; Key::COUNT];

/// A set of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeySet(pub u32);

impl KeySet {
    pub fn insert(&mut self, key: Key) {
        self.0 |= 1 << key as u32;
    }
    pub fn contains(self, key: Key) -> bool {
        self.0 & (1 << key as u32) != 0
    }
}

/// A point of a sweep, resolved.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Without its seed.
    pub spec: NetworkSpec,
    /// The value in force of every key, also of those that do not apply; `sigma_b` may have none.
    pub settings: Settings,
    /// Keys whose value is shown: they apply, or something else decides them.
    pub shown: KeySet,
    /// Keys that were given and do not apply.
    pub dropped: KeySet,
    /// Keys that were given, apply and differ from their default: the canonical configuration.
    pub written: KeySet,
}

/// Default of `key` in the company of the other keys. `None`: no value (`sigma_b` where the init has its own).
fn default(key: Key, spec: &NetworkSpec) -> Option<Setting> {
    Some(match key {
        Key::Architecture => Setting::Architecture(Architecture::Mlp),
        Key::Depth => Setting::Int(16),
        Key::Width => Setting::Int(128),
        Key::BatchSize => Setting::Int(64),
        Key::InputSize => Setting::Int(data::info(spec.input).map_or(spec.width, |set| set.input_size)),
        Key::OutputSize => Setting::Int(data::info(spec.input).map_or(10, |set| set.classes)),
        Key::Activation => Setting::Activation(Activation::from(ActivationKind::Tanh)),
        Key::Init => Setting::Init(InitKind::HeNormal, 0.0),
        Key::Gain | Key::SigmaW => Setting::Float(1.0),
        Key::SigmaB => match spec.init.kind {
            InitKind::PytorchDefault | InitKind::Critical => return None,
            _ => Setting::Float(0.0),
        },
        Key::Bias => Setting::Bool(true),
        Key::Norm => Setting::Norm(Norm::None),
        Key::NormEps => Setting::Float(1e-5),
        Key::NormAffine | Key::FinalNorm => Setting::Bool(false),
        Key::Residual => Setting::Residual(Residual::None),
        Key::ResidualScale => Setting::Scale(ResidualScale::Number(1.0)),
        Key::ResidualEvery => Setting::Int(1),
        Key::Loss if data::info(spec.input).is_some() => Setting::Loss(Loss::CrossEntropy),
        Key::Loss => Setting::Loss(Loss::Mse),
        Key::Input => Setting::Input(Input::Gaussian, 0.0),
        Key::Target if spec.loss == Loss::CrossEntropy => Setting::Target(Target::Classes),
        Key::Target => Setting::Target(Target::Gaussian),
        Key::Steps => Setting::Int(0),
    })
}

/// Keys in the order in which their defaults depend on one another: a data set decides sizes, loss and target.
fn order() -> impl Iterator<Item = Key> {
    std::iter::once(Key::Input).chain(Key::ALL)
}

/// Puts a setting into a network. The table of keys has made sure that kinds fit.
fn put(spec: &mut NetworkSpec, key: Key, setting: Setting) {
    match (key, setting) {
        (Key::Architecture, Setting::Architecture(v)) => spec.architecture = v,
        (Key::Depth, Setting::Int(v)) => spec.depth = v,
        (Key::Width, Setting::Int(v)) => spec.width = v,
        (Key::BatchSize, Setting::Int(v)) => spec.batch_size = v,
        (Key::InputSize, Setting::Int(v)) => spec.input_size = v,
        (Key::OutputSize, Setting::Int(v)) => spec.output_size = v,
        (Key::Activation, Setting::Activation(v)) => spec.activation = v,
        (Key::Init, Setting::Init(kind, param)) => (spec.init.kind, spec.init.param) = (kind, param),
        (Key::Gain, Setting::Float(v)) => spec.init.gain = v,
        (Key::SigmaW, Setting::Float(v)) => spec.init.sigma_w = v,
        (Key::SigmaB, Setting::Float(v)) => spec.init.sigma_b = Some(v),
        (Key::Bias, Setting::Bool(v)) => spec.bias = v,
        (Key::Norm, Setting::Norm(v)) => spec.norm = v,
        (Key::NormEps, Setting::Float(v)) => spec.norm_eps = v,
        (Key::NormAffine, Setting::Bool(v)) => spec.norm_affine = v,
        (Key::FinalNorm, Setting::Bool(v)) => spec.final_norm = v,
        (Key::Residual, Setting::Residual(v)) => spec.residual = v,
        (Key::ResidualScale, Setting::Scale(v)) => spec.residual_scale = v.resolve(spec.depth),
        (Key::ResidualEvery, Setting::Int(v)) => spec.residual_every = v,
        (Key::Loss, Setting::Loss(v)) => spec.loss = v,
        (Key::Input, Setting::Input(v, c)) => (spec.input, spec.input_param) = (v, c),
        (Key::Target, Setting::Target(v)) => spec.target = v,
        (Key::Steps, Setting::Int(v)) => spec.training.steps = v,
        (key, setting) => unreachable!("{key:?} holds {setting:?}: the table of keys parses each key to its kind"),
    }
}

/// Resolves everything but `critical`, which costs mathematics: see [`solve_critical`].
pub fn resolve(given: &Settings) -> Resolved {
    let mut spec = NetworkSpec::plain(1, 1, 1);
    spec.init.sigma_b = None;
    let mut settings: Settings = [None; Key::COUNT];
    let mut defaults: Settings = [None; Key::COUNT];
    for key in order() {
        let fallback = default(key, &spec);
        let fixed = matches!(key, Key::InputSize | Key::OutputSize) && data::info(spec.input).is_some();
        let setting = if fixed { fallback } else { given[key as usize].or(fallback) };
        if let Some(setting) = setting {
            put(&mut spec, key, setting);
        }
        (settings[key as usize], defaults[key as usize]) = (setting, fallback);
    }
    let mut resolved = Resolved { spec, settings, shown: KeySet(0), dropped: KeySet(0), written: KeySet(0) };
    for row in &KEYS {
        let i = row.key as usize;
        match (row.applies)(&resolved.spec) {
            Applies::Yes => {
                resolved.shown.insert(row.key);
                if given[i].is_some() && given[i] != defaults[i] {
                    resolved.written.insert(row.key);
                }
                continue;
            }
            Applies::Fixed => resolved.shown.insert(row.key),
            Applies::No => {}
        }
        if given[i].is_some() {
            resolved.dropped.insert(row.key);
        }
    }
    drop_from_spec(&mut resolved);
    resolved
}

/// Engines see the neutral value of a key that does not apply, whatever was given.
fn drop_from_spec(resolved: &mut Resolved) {
    let shown = resolved.shown;
    let spec = &mut resolved.spec;
    for key in [
        Key::Gain,
        Key::SigmaW,
        Key::NormEps,
        Key::NormAffine,
        Key::FinalNorm,
        Key::ResidualScale,
        Key::ResidualEvery,
        Key::Bias,
        Key::OutputSize,
        Key::Target,
    ] {
        if !shown.contains(key)
            && let Some(setting) = default(key, spec)
        {
            put(spec, key, setting);
        }
    }
    if !shown.contains(Key::SigmaB) {
        spec.init.sigma_b = Some(0.0);
    }
}

/// Fills in the critical point where the init asks for one.
pub fn solve_critical(resolved: &mut Resolved) -> Result<(), String> {
    let biased = resolved.shown.contains(Key::SigmaB);
    let (activation, init) = (&resolved.spec.activation, &mut resolved.spec.init);
    if init.kind != InitKind::Critical {
        return Ok(());
    }
    let without_biases = |reason| match theory::critical(activation, None) {
        Ok(pair) if !biased => format!(
            "{} has no critical point without biases, and this network has none (`bias = false`, or batch norm behind \
             every layer): its half-stable pair is sigma_w = {:.6}, sigma_b = {:.6}",
            activation.canonical(),
            pair.sigma_w,
            pair.sigma_b
        ),
        _ => reason,
    };
    let point = theory::critical(activation, init.sigma_b).map_err(without_biases)?;
    init.sigma_w = point.sigma_w;
    init.sigma_b = Some(point.sigma_b);
    resolved.settings[Key::SigmaW as usize] = Some(Setting::Float(point.sigma_w));
    resolved.settings[Key::SigmaB as usize] = Some(Setting::Float(point.sigma_b));
    Ok(())
}

impl Resolved {
    /// The value that results show for `key`.
    pub fn shown(&self, key: Key) -> Option<Setting> {
        if self.shown.contains(key) { self.settings[key as usize] } else { None }
    }

    /// The value by which keys are found to vary: the one shown, but an `input_size` that just follows the width counts
    /// as one value, "the width".
    pub fn stated(&self, key: Key) -> Option<Setting> {
        let follows = key == Key::InputSize && !self.written.contains(key) && data::info(self.spec.input).is_none();
        if follows { Some(Setting::Bool(true)) } else { self.shown(key) }
    }

    /// What a filter reads.
    pub fn operand(&self, variable: Variable) -> Operand {
        let key = match variable {
            Variable::Params => return Operand::Number(self.spec.params()),
            Variable::Flops => return Operand::Number(self.spec.flops()),
            Variable::Key(key) => key,
        };
        match self.settings[key as usize] {
            None => Operand::Number(0.0),
            Some(Setting::Int(v)) => Operand::Number(f64::from(v)),
            Some(Setting::Scale(scale)) => Operand::Number(scale.resolve(self.spec.depth)),
            Some(setting) => match setting.value() {
                Value::Int(v) => Operand::Number(v as f64),
                Value::Float(v) => Operand::Number(v),
                Value::Bool(v) => Operand::Bool(v),
                Value::Word(word) => Operand::Word(word),
            },
        }
    }

    /// Appends the canonical configuration: JSON of the given keys that apply and differ from their default, sorted.
    /// Without the keys of training if `start_only`.
    pub fn write_canonical(&self, out: &mut String, start_only: bool) {
        out.push('{');
        let mut first = true;
        for &key in SORTED.iter() {
            if !self.written.contains(key) || (start_only && key.is_training()) {
                continue;
            }
            let Some(setting) = self.settings[key as usize] else { continue };
            out.push_str(if first { "\"" } else { ",\"" });
            first = false;
            out.push_str(key.name());
            out.push_str("\":");
            write_json(setting, out);
        }
        out.push('}');
    }
}

/// Keys by name.
static SORTED: LazyLock<[Key; Key::COUNT]> = LazyLock::new(|| {
    let mut keys = Key::ALL;
    keys.sort_unstable_by_key(|key| key.name());
    keys
});

/// A number as its shortest text, a word in quotes (no word has a character that JSON escapes).
fn write_json(setting: Setting, out: &mut String) {
    let mut quoted = |word: &str| {
        out.push('"');
        out.push_str(word);
        out.push('"');
    };
    if let Some(word) = setting.word() {
        return quoted(word);
    }
    match setting.value() {
        Value::Word(word) => quoted(&word),
        // Writing to a string cannot fail.
        Value::Int(v) => write!(out, "{v}").unwrap_or_default(),
        // Part of every id: this text never changes.
        Value::Float(v) => out.push_str(ryu::Buffer::new().format(v)),
        Value::Bool(v) => out.push_str(if v { "true" } else { "false" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_table_of_keys() {
        let resolved = resolve(&[None; Key::COUNT]);
        for row in &KEYS {
            let shown = match resolved.settings[row.key as usize].map(|s| s.value()) {
                Some(Value::Int(v)) => v.to_string(),
                Some(Value::Float(v)) if row.default.parse() == Ok(v) => row.default.to_string(),
                Some(Value::Float(v)) => v.to_string(),
                Some(Value::Bool(v)) => v.to_string(),
                Some(Value::Word(word)) => word,
                None => String::new(),
            };
            let expected = if row.default == "width" { "128" } else { row.default };
            assert_eq!(shown, expected, "{}", row.name);
        }
        let mut json = String::new();
        resolved.write_canonical(&mut json, false);
        assert_eq!(json, "{}");
    }
}
