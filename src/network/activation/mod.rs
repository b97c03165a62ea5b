//! Activations: one table row each, with the value, the derivative and the facts that the engines, the statistics and
//! the theory need. The functions here are the float64 reference; the engines carry their own arithmetic.

mod table;

pub use table::TABLE;

/// An activation with its parameter (ignored where the row has none).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    pub kind: ActivationKind,
    /// The row's parameter: negative slope of `leaky_relu`, alpha of `elu` and `celu`, beta of `softplus`; else 0.
    pub param: f64,
}

/// The parameter of a row: its name in the docs, its default and the smallest value allowed.
#[derive(Clone, Copy, Debug)]
pub struct ParamRow {
    pub name: &'static str,
    pub default: f64,
    /// Smallest value: with a smaller one the knee lies where float32 cannot tell it from a straight line.
    pub min: f64,
}

/// A straight line `slope * u + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub intercept: f64,
}

/// What is known of an activation's shape at a given parameter.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Supremum of |phi'(u)|.
    pub sup_derivative: f64,
    /// A unit can only be saturated where `u <= knee[0]` or `u >= knee[1]`; infinite where a side never saturates.
    pub knee: [f64; 2],
    /// phi' is exactly zero where `u <= flat[0]` or `u >= flat[1]`; infinite where a side is not flat.
    pub flat: [f64; 2],
    /// Asymptotes at minus and plus infinity.
    pub far: [Line; 2],
    /// phi(0).
    pub at_zero: f64,
    /// One-sided slopes at 0: from below, from above.
    pub slopes_at_zero: [f64; 2],
}

/// (u, parameter) to (factor, decay): a number factor * exp(-decay) whose size survives underflow.
pub type Parts = fn(f64, f64) -> (f64, f64);

/// One row of the activation table.
pub struct ActivationRow {
    pub kind: ActivationKind,
    /// Canonical spelling.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub param: Option<ParamRow>,
    /// phi(u; param), float64.
    pub value: fn(f64, f64) -> f64,
    /// phi'(u; param) as `(factor, decay)` with phi' = factor * exp(-decay) and decay >= 0, so that tails below the
    /// float range keep their size. phi'(0) of `relu` is 0.
    pub derivative_parts: Parts,
    /// phi(u; param) as `(factor, decay)` with phi = factor * exp(-decay), for activations with a tail that vanishes
    /// exponentially; `None` where the value keeps its size.
    pub value_parts: Option<Parts>,
    pub facts: fn(f64) -> Facts,
    /// One line for `list` and the docs.
    pub doc: &'static str,
    pub source: &'static str,
}

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// The activations, in the order of the table. The discriminant is the number the WGSL switch uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum ActivationKind { $($kind),* }
    };
}
kinds!(
    Linear,
    Sigmoid,
    Tanh,
    Relu,
    LeakyRelu,
    Elu,
    Selu,
    Celu,
    Gelu,
    GeluTanh,
    Silu,
    Mish,
    Softplus,
    Softsign,
    HardTanh,
    HardSigmoid,
    Erf,
    Relu6,
    ScaledTanh,
    Sine,
    QuickGelu
);

/// SELU's constants in full (Klambauer et al. 2017).
pub const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
pub const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// Slope inside `quick_gelu`'s sigmoid.
pub const QUICK_GELU_SLOPE: f64 = 1.702;
/// `scaled_tanh` = SCALED_TANH_AMPLITUDE * tanh(2u/3) (LeCun et al. 1998).
pub const SCALED_TANH_AMPLITUDE: f64 = 1.7159;
/// `gelu_tanh`: coefficient of the cubic term (Hendrycks & Gimpel 2016).
pub const GELU_TANH_CUBIC: f64 = 0.044_715;

impl Activation {
    pub fn row(&self) -> &'static ActivationRow {
        &TABLE[self.kind as usize]
    }
    /// phi(u) in float64.
    pub fn value(&self, u: f64) -> f64 {
        (self.row().value)(u, self.param)
    }
    /// phi'(u) in float64; underflows to 0 in far tails (see [`ActivationRow::derivative_parts`]).
    pub fn derivative(&self, u: f64) -> f64 {
        let (factor, decay) = (self.row().derivative_parts)(u, self.param);
        factor * libm::exp(-decay)
    }
    pub fn facts(&self) -> Facts {
        (self.row().facts)(self.param)
    }
    /// The canonical spelling, with the parameter where the row has one: `tanh`, `leaky_relu(0.2)`.
    pub fn canonical(&self) -> String {
        match self.row().param {
            Some(_) => format!("{}({})", self.row().name, self.param),
            None => self.row().name.to_string(),
        }
    }
}

impl From<ActivationKind> for Activation {
    fn from(kind: ActivationKind) -> Self {
        let param = TABLE[kind as usize].param.map_or(0.0, |p| p.default);
        Activation { kind, param }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{LN_2, PI};

    use super::*;

    fn all() -> Vec<Activation> {
        let mut list: Vec<_> = TABLE.iter().map(|row| Activation::from(row.kind)).collect();
        for (kind, param) in [
            (ActivationKind::LeakyRelu, 0.2),
            (ActivationKind::Elu, 0.5),
            (ActivationKind::Celu, 2.0),
            (ActivationKind::Softplus, 3.0),
        ] {
            list.push(Activation { kind, param });
        }
        list
    }

    #[test]
    fn the_table_is_indexed_by_kind() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, i, "{}", row.name);
        }
    }

    #[test]
    fn every_derivative_equals_the_central_difference() {
        for a in all() {
            for i in -160..=160 {
                let u = f64::from(i) * 0.05 + 0.013;
                let h = 1e-5;
                let difference = (a.value(u + h) - a.value(u - h)) / (2.0 * h);
                assert!(
                    (difference - a.derivative(u)).abs() < 2e-8,
                    "{} at {u}: {difference} against {}",
                    a.canonical(),
                    a.derivative(u)
                );
            }
        }
    }

    #[test]
    fn values_in_parts_equal_the_values() {
        for a in all() {
            let Some(parts) = a.row().value_parts else {
                // Without parts, the value must not vanish exponentially on either side.
                assert!(a.value(-60.0).abs() > 1e-3 || a.facts().flat[0] > -60.0, "{}", a.canonical());
                continue;
            };
            for i in -400..=400 {
                let u = f64::from(i) * 0.05;
                let (factor, decay) = parts(u, a.param);
                let (got, want) = (factor * (-decay).exp(), a.value(u));
                assert!((got - want).abs() <= 1e-12 * want.abs(), "{} at {u}: {got} {want}", a.canonical());
            }
        }
    }

    #[test]
    fn every_fact_agrees_with_the_functions() {
        for a in all() {
            let f = a.facts();
            let name = a.canonical();
            let sup = (-40_000..=40_000).map(|i| a.derivative(f64::from(i) * 5e-4).abs()).fold(0.0, f64::max);
            assert!((sup - f.sup_derivative).abs() < 2e-4 * sup, "{name}: sup {sup}");
            assert!((a.value(0.0) - f.at_zero).abs() < 1e-15, "{name}: phi(0)");
            for (side, sign) in [(0, -1.0), (1, 1.0)] {
                let tiny = sign * 1e-9;
                let got = (a.value(tiny) - a.value(0.0)) / tiny;
                assert!((got - f.slopes_at_zero[side]).abs() < 1e-6, "{name}: slope at 0 {sign}: {got}");
                if a.kind != ActivationKind::Sine {
                    let far = sign * 1e7;
                    let want = f.far[side].slope * far + f.far[side].intercept;
                    assert!((a.value(far) - want).abs() < 1e-6 * (1.0 + want.abs()), "{name}: asymptote {sign}");
                }
                if f.flat[side].is_finite() {
                    assert_eq!(a.derivative(f.flat[side]), 0.0, "{name}: flat {sign}");
                    assert_ne!(a.derivative(f.flat[side] - sign * 1e-6), 0.0, "{name}: not flat {sign}");
                }
            }
        }
    }

    #[test]
    fn tails_keep_their_size_below_the_float_range() {
        let log2 = |a: Activation, u: f64| {
            let (f, d) = (a.row().derivative_parts)(u, a.param);
            f.abs().log2() - d / LN_2
        };
        assert!((log2(ActivationKind::Sigmoid.into(), -2000.0) + 2000.0 / LN_2).abs() < 1e-9);
        assert!((log2(ActivationKind::Tanh.into(), 5000.0) - (2.0 - 10000.0 / LN_2)).abs() < 1e-9);
        // GELU: phi'(u) -> -u^2... u phi(u) dominates Phi(u): compare with the two-term Mills expansion at -60.
        let u = -60.0_f64;
        let want = ((-u * (1.0 - 1.0 / (u * u))) / (2.0 * PI).sqrt()).log2() - 0.5 * u * u / LN_2;
        assert!((log2(ActivationKind::Gelu.into(), u) - want).abs() < 1e-5);
    }
}
