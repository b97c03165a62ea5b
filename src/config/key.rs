//! The keys of a network that a sweep file may set, one table row each, and the values they take.

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

impl Key {
    /// Every key, in the order of columns.
    pub const ALL: [Key; 23] = [
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
    /// As it stands in a sweep file.
    pub fn name(self) -> &'static str {
        [
            "architecture",
            "depth",
            "width",
            "batch_size",
            "input_size",
            "output_size",
            "activation",
            "init",
            "gain",
            "sigma_w",
            "sigma_b",
            "bias",
            "norm",
            "norm_eps",
            "norm_affine",
            "final_norm",
            "residual",
            "residual_scale",
            "residual_every",
            "loss",
            "input",
            "target",
            "steps",
        ][self as usize]
    }
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
