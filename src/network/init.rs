//! Initialisations: one table row each, and the law of a layer's weights and biases that follows from it.

/// An initialisation with its parameters (those that its row does not use are 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    pub kind: InitKind,
    /// The parameter in parentheses: std of `normal` and `truncated_normal`, bound of `uniform`, c of `constant`.
    pub param: f64,
    /// Multiplies the standard deviation of the weights.
    pub gain: f64,
    /// Weight scale of `mean_field` and, resolved by the planner, of `critical`.
    pub sigma_w: f64,
    /// Standard deviation of every bias; `None` for `pytorch_default` when the sweep file gives none.
    pub sigma_b: Option<f64>,
}

macro_rules! inits {
    ($($kind:ident = $name:literal $aliases:tt $param:expr, $doc:literal, $source:literal);+ $(;)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum InitKind { $($kind),+ }
        /// The initialisations, indexed by [`InitKind`].
        pub static TABLE: &[InitRow] = &[$(InitRow { kind: InitKind::$kind, name: $name, aliases: &$aliases, param: $param, doc: $doc, source: $source }),+];
    };
}

/// One row of the table of initialisations.
pub struct InitRow {
    pub kind: InitKind,
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// Name of the parameter in parentheses, if there is one (it has no default).
    pub param: Option<&'static str>,
    pub doc: &'static str,
    pub source: &'static str,
}

inits!(
    HeNormal = "he_normal" ["kaiming_normal"] None, "N(0, 2/fan_in)", "He et al. 2015";
    HeUniform = "he_uniform" ["kaiming_uniform"] None, "uniform, variance 2/fan_in", "He et al. 2015";
    XavierNormal = "xavier_normal" ["glorot_normal"] None, "N(0, 2/(fan_in + fan_out))", "Glorot & Bengio 2010";
    XavierUniform = "xavier_uniform" ["glorot_uniform"] None, "uniform, variance 2/(fan_in + fan_out)", "Glorot & Bengio 2010";
    LecunNormal = "lecun_normal" [] None, "N(0, 1/fan_in)", "LeCun et al. 1998";
    LecunUniform = "lecun_uniform" [] None, "uniform, variance 1/fan_in", "LeCun et al. 1998";
    PytorchDefault = "pytorch_default" ["pytorch"] None, "W and b from U(+-1/sqrt(fan_in)); b from N(0, sigma_b^2) if sigma_b is given", "torch.nn.Linear";
    Orthogonal = "orthogonal" [] None, "Haar orthogonal (semi-orthogonal if rectangular)", "Saxe et al. 2013";
    MeanField = "mean_field" [] None, "N(0, sigma_w^2/fan_in)", "Poole et al. 2016";
    Normal = "normal" [] Some("std"), "N(0, std^2)", "";
    Uniform = "uniform" [] Some("bound"), "U(-bound, bound)", "";
    TruncatedNormal = "truncated_normal" ["trunc_normal"] Some("std"), "normal cut at 2 parent standard deviations; std is the result's", "";
    Identity = "identity" ["eye"] None, "ones on the diagonal", "Le et al. 2015";
    Zeros = "zeros" [] None, "all weights 0", "";
    Constant = "constant" [] Some("c"), "all weights c", "";
    Critical = "critical" [] None, "N(0, sigma_w^2/fan_in) with chi_1 = 1 at the given sigma_b, or the half-stable pair", "Schoenholz et al. 2017";
);

/// Standard deviation of a unit normal cut at +-2: sqrt(1 - 4 phi(2)/(2 Phi(2) - 1)).
pub const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// How one weight matrix is drawn. Every w is `fl32(draw * fl32(scale))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightLaw {
    /// Normal draws times `std`.
    Normal { std: f64 },
    /// Uniform draws on (-1, 1) times `bound`.
    Uniform { bound: f64 },
    /// Normal draws cut at +-2, times `parent_std`.
    TruncatedNormal { parent_std: f64 },
    /// Haar (semi-)orthogonal times `gain`.
    Orthogonal { gain: f64 },
    /// `value` on the main diagonal, 0 elsewhere.
    Diagonal { value: f64 },
    /// Every element is `value` (0 for `zeros`).
    Constant { value: f64 },
}

/// How one bias vector is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BiasLaw {
    /// No bias, or a bias that is exactly zero but has a gradient (see `NetworkSpec::bias`).
    Zero,
    Normal {
        std: f64,
    },
    Uniform {
        bound: f64,
    },
}

impl Init {
    pub fn row(&self) -> &'static InitRow {
        &TABLE[self.kind as usize]
    }

    /// The law of a `[fan_out, fan_in]` weight matrix.
    pub fn weight_law(&self, fan_in: u32, fan_out: u32) -> WeightLaw {
        let (i, o) = (f64::from(fan_in), f64::from(fan_out));
        let normal = |variance: f64| WeightLaw::Normal { std: self.gain * variance.sqrt() };
        let uniform = |variance: f64| WeightLaw::Uniform { bound: self.gain * (3.0 * variance).sqrt() };
        match self.kind {
            InitKind::HeNormal => normal(2.0 / i),
            InitKind::HeUniform => uniform(2.0 / i),
            InitKind::XavierNormal => normal(2.0 / (i + o)),
            InitKind::XavierUniform => uniform(2.0 / (i + o)),
            InitKind::LecunNormal => normal(1.0 / i),
            InitKind::LecunUniform => uniform(1.0 / i),
            InitKind::PytorchDefault => uniform(1.0 / (3.0 * i)),
            InitKind::Orthogonal => WeightLaw::Orthogonal { gain: self.gain },
            InitKind::MeanField | InitKind::Critical => WeightLaw::Normal { std: self.gain * self.sigma_w / i.sqrt() },
            InitKind::Normal => WeightLaw::Normal { std: self.gain * self.param },
            InitKind::Uniform => WeightLaw::Uniform { bound: self.gain * self.param },
            InitKind::TruncatedNormal => {
                WeightLaw::TruncatedNormal { parent_std: self.gain * self.param / TRUNCATED_STD }
            }
            InitKind::Identity => WeightLaw::Diagonal { value: self.gain },
            InitKind::Zeros => WeightLaw::Constant { value: 0.0 },
            InitKind::Constant => WeightLaw::Constant { value: self.gain * self.param },
        }
    }

    /// The law of the bias that follows a weight matrix with this `fan_in`.
    pub fn bias_law(&self, fan_in: u32) -> BiasLaw {
        match (self.kind, self.sigma_b) {
            (InitKind::PytorchDefault, None) => BiasLaw::Uniform { bound: 1.0 / f64::from(fan_in).sqrt() },
            (_, Some(std)) if std != 0.0 => BiasLaw::Normal { std },
            _ => BiasLaw::Zero,
        }
    }
}

impl WeightLaw {
    /// Whether an element depends on its own draw alone, not on its place or on other elements.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self, WeightLaw::Orthogonal { .. } | WeightLaw::Diagonal { .. })
    }

    /// The number that scales the draws.
    pub fn scale(&self) -> f64 {
        match *self {
            WeightLaw::Normal { std } => std,
            WeightLaw::Uniform { bound } => bound,
            WeightLaw::TruncatedNormal { parent_std } => parent_std,
            WeightLaw::Orthogonal { gain } => gain,
            WeightLaw::Diagonal { value } | WeightLaw::Constant { value } => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_kind() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, i, "{}", row.name);
        }
    }

    #[test]
    fn the_truncated_standard_deviation_is_the_closed_form() {
        let phi2 = libm::exp(-2.0) / (2.0 * std::f64::consts::PI).sqrt();
        let mass = libm::erf(std::f64::consts::SQRT_2);
        assert!((TRUNCATED_STD - (1.0 - 4.0 * phi2 / mass).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn fan_in_and_fan_out_are_not_exchanged() {
        let init = Init { kind: InitKind::HeNormal, param: 0.0, gain: 1.0, sigma_w: 1.0, sigma_b: Some(0.0) };
        assert_eq!(init.weight_law(50, 7), WeightLaw::Normal { std: 0.2 });
    }
}
