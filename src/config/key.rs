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

/// A value as it stands in a configuration: canonical spelling, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(u64),
    Float(f64),
    Bool(bool),
    /// A word of a vocabulary, canonical, with its parameter where it has one: `leaky_relu(0.2)`.
    Word(String),
}
