//! What an engine reports of one row (network x step x layer): moments of each quantity, sums and counts, all carried
//! with powers of two so that no range is lost. Named statistics are formulas over these.

/// `mantissa * 2^exponent`. A NaN mantissa means "absent or undefined", never zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    pub mantissa: f64,
    pub exponent: i32,
}

impl Scaled {
    pub const ABSENT: Scaled = Scaled { mantissa: f64::NAN, exponent: 0 };
    pub const ZERO: Scaled = Scaled { mantissa: 0.0, exponent: 0 };

    pub fn new(mantissa: f64, exponent: i32) -> Self {
        Scaled { mantissa, exponent }
    }
    /// The value as f64, or `None` where it is absent, not finite, or outside f64's normal range (a true zero stays).
    pub fn value(self) -> Option<f64> {
        let v = libm::scalbn(self.mantissa, self.exponent);
        let lost = self.mantissa != 0.0 && v.abs() < f64::MIN_POSITIVE;
        (v.is_finite() && !lost).then_some(v)
    }
    /// log10 |x|, defined for any exponent; `None` for zero and for absent or non-finite mantissas.
    pub fn log10_abs(self) -> Option<f64> {
        let m = self.mantissa.abs();
        (m.is_finite() && m > 0.0).then(|| m.log10() + f64::from(self.exponent) * std::f64::consts::LOG10_2)
    }
}

impl From<f64> for Scaled {
    fn from(mantissa: f64) -> Self {
        Scaled { mantissa, exponent: 0 }
    }
}

/// A tensor of a layer whose distribution is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Quantity {
    /// z_l, [batch, fan_out].
    Preact,
    /// h_l, [batch, width]; x in row 0. Not recorded for the readout.
    Act,
    /// delta_l = dLoss/dz_l.
    PreactGrad,
    /// dLoss/dh_l; dLoss/dx in row 0. Not recorded for the readout.
    ActGrad,
    /// W_l, [fan_out, fan_in].
    Weight,
    /// dLoss/dW_l.
    WeightGrad,
    /// dLoss/db_l, only where the layer has a bias.
    BiasGrad,
    /// The optimiser's step (training only).
    WeightUpdate,
}

impl Quantity {
    pub const COUNT: usize = 8;
    pub const ALL: [Quantity; Quantity::COUNT] = [
        Quantity::Preact,
        Quantity::Act,
        Quantity::PreactGrad,
        Quantity::ActGrad,
        Quantity::Weight,
        Quantity::WeightGrad,
        Quantity::BiasGrad,
        Quantity::WeightUpdate,
    ];
    pub fn name(self) -> &'static str {
        ["preact", "act", "preact_grad", "act_grad", "weight", "weight_grad", "bias_grad", "weight_update"]
            [self as usize]
    }
}

/// Mergeable moments of the stored values x', where x = x' * 2^exponent. `count == 0` means "not recorded".
/// `mean`, `m2`, `m3`, `m4` run over the finite elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub exponent: i32,
    /// Number of elements, finite or not.
    pub count: u64,
    /// Elements that are infinite or NaN.
    pub nonfinite: u64,
    /// Elements that are exactly zero.
    pub zeros: u64,
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
    /// Sums of third and fourth powers of the deviations; NaN unless [`RecordMask::KURTOSIS`].
    pub m3: f64,
    pub m4: f64,
    /// Largest |x'| over the finite elements.
    pub abs_max: f64,
    /// Quantiles 5, 25, 50, 75, 95 % of |x'|; NaN unless [`RecordMask::QUANTILES`].
    pub abs_quantiles: [f64; 5],
}

impl Moments {
    pub const NONE: Moments = Moments {
        exponent: 0,
        count: 0,
        nonfinite: 0,
        zeros: 0,
        mean: f64::NAN,
        m2: f64::NAN,
        m3: f64::NAN,
        m4: f64::NAN,
        abs_max: f64::NAN,
        abs_quantiles: [f64::NAN; 5],
    };

    /// Finite elements.
    pub fn finite(&self) -> u64 {
        self.count - self.nonfinite
    }

    /// Sum of squares over the finite elements.
    pub fn sum_of_squares(&self) -> Scaled {
        let n = self.finite() as f64;
        Scaled::new(self.m2 + n * self.mean * self.mean, 2 * self.exponent)
    }

    /// Joins two disjoint parts of one tensor that are stored at the same exponent (Chan et al. 1979, Pebay 2008).
    /// Quantiles are not joined.
    pub fn merge(&self, other: &Moments) -> Moments {
        if self.count == 0 {
            return *other;
        }
        if other.count == 0 {
            return *self;
        }
        debug_assert_eq!(self.exponent, other.exponent, "parts of one tensor share its exponent");
        let (na, nb) = (self.finite() as f64, other.finite() as f64);
        let n = na + nb;
        let mut out = Moments {
            exponent: self.exponent,
            count: self.count + other.count,
            nonfinite: self.nonfinite + other.nonfinite,
            zeros: self.zeros + other.zeros,
            abs_max: self.abs_max.max(other.abs_max),
            ..Moments::NONE
        };
        let (a, b) = match (na > 0.0, nb > 0.0) {
            (true, true) => (self, other),
            (true, false) => {
                (out.mean, out.m2, out.m3, out.m4) = (self.mean, self.m2, self.m3, self.m4);
                return out;
            }
            _ => {
                (out.mean, out.m2, out.m3, out.m4) = (other.mean, other.m2, other.m3, other.m4);
                return out;
            }
        };
        let d = b.mean - a.mean;
        out.mean = a.mean + d * nb / n;
        out.m2 = a.m2 + b.m2 + d * d * na * nb / n;
        out.m3 = a.m3 + b.m3 + d * d * d * na * nb * (na - nb) / (n * n) + 3.0 * d * (na * b.m2 - nb * a.m2) / n;
        out.m4 = a.m4
            + b.m4
            + d.powi(4) * na * nb * (na * na - na * nb + nb * nb) / (n * n * n)
            + 6.0 * d * d * (na * na * b.m2 + nb * nb * a.m2) / (n * n)
            + 4.0 * d * (na * b.m3 - nb * a.m3) / n;
        out
    }
}

macro_rules! indexed {
    ($(#[$meta:meta])* $type:ident: $($(#[$doc:meta])* $variant:ident),+ $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum $type { $($(#[$doc])* $variant),+ }
        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),+];
            pub const COUNT: usize = Self::ALL.len();
        }
    };
}

indexed!(/// Sums of a row. A sum that a row does not have is [`Scaled::ABSENT`].
    Sum:
    /// Sum of phi'(u_l) over batch and units.
    PhiGrad,
    /// Sum of phi'(u_l)^2.
    PhiGradSquare,
    /// Sum over (i, j, b) of `f = |W_{l+1}[i,j] phi'(u_l[b,j])|`; under `pre_act`, `|a W_l[i,j] phi'(u_l[b,j])|`.
    /// Number of terms: [`Count::Paths`].
    PathAbs,
    /// Sum of f^2.
    PathSquare,
    /// Largest f.
    PathMax,
    /// Sum over sample pairs of the cosine of z_l (pairs: [`Count::PreactPairs`]).
    PreactCos,
    /// Sum over the same pairs of 1 - cosine, computed from differences of unit vectors.
    PreactCosGap,
    /// Sum over sample pairs of the cosine of h_l (pairs: [`Count::ActPairs`]).
    ActCos,
    /// Sum over sample pairs of the cosine of delta_l (pairs: [`Count::GradPairs`]).
    GradCos,
    /// Sum over samples with a non-zero delta_l(b) of (log10 |delta_l(b)| - mean)^2 (samples: [`Count::GradSamples`]).
    SampleLogGradDeviation,
    /// <W_l, dLoss/dW_l>.
    WeightDotGrad,
    /// |a * branch|^2 of the residual sum.
    BranchSquare,
    /// |skip|^2.
    SkipSquare,
);

indexed!(/// Counts of a row.
    Count:
    /// Elements of u_l (batch * size); 0 where the layer has no activation.
    PhiElements,
    /// Elements with |phi'(u)| < 0.01 sup|phi'| and u beyond the knee (`u <= knee[0]` or `u >= knee[1]`).
    Saturated,
    /// Elements with u > 0.
    Active,
    /// Units (columns of u_l).
    Units,
    /// Units whose u lies in the exactly flat set on every sample.
    DeadUnits,
    /// Terms of [`Sum::PathAbs`].
    Paths,
    /// Paths with f > 1 (only with [`RecordMask::PATH_ABOVE_ONE`]).
    PathsAboveOne,
    /// Sample pairs whose two vectors are both non-zero and finite.
    PreactPairs,
    ActPairs,
    GradPairs,
    /// Samples with a non-zero finite delta_l(b).
    GradSamples,
);

/// Which parts of a record are wanted. An engine may compute more, never less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordMask(pub u32);

impl RecordMask {
    pub const KURTOSIS: RecordMask = RecordMask(1 << 8);
    pub const QUANTILES: RecordMask = RecordMask(1 << 9);
    /// Phi', saturation, activity, dead units.
    pub const PHI_GRAD: RecordMask = RecordMask(1 << 10);
    pub const PATH: RecordMask = RecordMask(1 << 11);
    pub const PATH_ABOVE_ONE: RecordMask = RecordMask(1 << 12);
    pub const COS: RecordMask = RecordMask(1 << 13);
    pub const SAMPLE_SPREAD: RecordMask = RecordMask(1 << 14);
    pub const WEIGHT_DOT_GRAD: RecordMask = RecordMask(1 << 15);
    pub const BRANCH: RecordMask = RecordMask(1 << 16);
    /// Singular values of dh_L/dh_0: the float64 CPU engine alone, and in no set.
    pub const JACOBIAN: RecordMask = RecordMask(1 << 17);
    /// Everything that is cheap: the `basic` statistics.
    pub const BASIC: RecordMask = RecordMask(0x1_ffff & !(1 << 8) & !(1 << 9) & !(1 << 12));
    /// Everything but the Jacobian: the `full` statistics.
    pub const FULL: RecordMask = RecordMask(0x1_ffff);

    /// The bit of one quantity's moments.
    pub const fn quantity(q: Quantity) -> RecordMask {
        RecordMask(1 << q as u32)
    }
    pub const fn contains(self, other: RecordMask) -> bool {
        self.0 & other.0 == other.0
    }
    pub const fn union(self, other: RecordMask) -> RecordMask {
        RecordMask(self.0 | other.0)
    }
}

/// Singular values s of dh_L/dh_0, in the row of layer L. Absent unless [`RecordMask::JACOBIAN`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spectrum {
    pub min: Scaled,
    /// Mean of s^2.
    pub mean_square: Scaled,
    pub max: Scaled,
    /// Mean of s^4 over the square of the mean of s^2.
    pub m4_ratio: Scaled,
}

impl Spectrum {
    pub const ABSENT: Spectrum =
        Spectrum { min: Scaled::ABSENT, mean_square: Scaled::ABSENT, max: Scaled::ABSENT, m4_ratio: Scaled::ABSENT };
}

/// Everything an engine reports of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    pub moments: [Moments; Quantity::COUNT],
    pub sums: [Scaled; Sum::COUNT],
    pub counts: [u64; Count::COUNT],
    pub spectrum: Spectrum,
}

impl Record {
    pub const EMPTY: Record = Record {
        moments: [Moments::NONE; Quantity::COUNT],
        sums: [Scaled::ABSENT; Sum::COUNT],
        counts: [0; Count::COUNT],
        spectrum: Spectrum::ABSENT,
    };

    pub fn moments(&self, q: Quantity) -> &Moments {
        &self.moments[q as usize]
    }
    pub fn sum(&self, s: Sum) -> Scaled {
        self.sums[s as usize]
    }
    pub fn count(&self, c: Count) -> u64 {
        self.counts[c as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(x: &[f64]) -> Moments {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let power = |k: i32| x.iter().map(|v| (v - mean).powi(k)).sum::<f64>();
        Moments {
            exponent: 0,
            count: x.len() as u64,
            nonfinite: 0,
            zeros: 0,
            mean,
            m2: power(2),
            m3: power(3),
            m4: power(4),
            abs_max: x.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
            abs_quantiles: [f64::NAN; 5],
        }
    }

    #[test]
    fn merging_parts_equals_the_whole() {
        let x: Vec<f64> = (0..37).map(|i| f64::from(i * i % 23) - 4.0 + 0.1 * f64::from(i)).collect();
        let whole = moments(&x);
        let joined = moments(&x[..5]).merge(&moments(&x[5..30])).merge(&moments(&x[30..]));
        for (a, b) in [(whole.mean, joined.mean), (whole.m2, joined.m2), (whole.m3, joined.m3), (whole.m4, joined.m4)] {
            assert!((a - b).abs() < 1e-9 * a.abs().max(1.0), "{a} {b}");
        }
        assert_eq!(whole.abs_max, joined.abs_max);
    }

    #[test]
    fn scaled_values_keep_their_logarithm_outside_f64() {
        let tiny = Scaled::new(1.0, -5000);
        assert_eq!(tiny.value(), None);
        assert!((tiny.log10_abs().unwrap() + 1505.149978).abs() < 1e-5);
        assert_eq!(Scaled::ZERO.value(), Some(0.0));
        assert_eq!(Scaled::ZERO.log10_abs(), None);
        assert_eq!(Scaled::ABSENT.value(), None);
    }
}
