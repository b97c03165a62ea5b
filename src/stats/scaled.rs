//! Arithmetic on [`Scaled`] numbers: products, quotients and roots that keep their power of two, so that a formula
//! over records loses nothing before its result is asked for as f64 or as a logarithm.

use std::f64::consts::LOG10_2;

use super::record::Scaled;

impl Scaled {
    /// Neither absent nor infinite.
    pub fn is_finite(self) -> bool {
        self.mantissa.is_finite()
    }
    /// Exactly zero (absent is not).
    pub fn is_zero(self) -> bool {
        self.mantissa == 0.0
    }
    /// The same number with its mantissa in [0.5, 1), where it is finite and not zero.
    fn normalised(self) -> Scaled {
        if !self.is_finite() || self.is_zero() {
            return self;
        }
        let (mantissa, shift) = libm::frexp(self.mantissa);
        Scaled::new(mantissa, self.exponent.saturating_add(shift))
    }
    pub fn times(self, other: Scaled) -> Scaled {
        let (a, b) = (self.normalised(), other.normalised());
        Scaled::new(a.mantissa * b.mantissa, a.exponent.saturating_add(b.exponent))
    }
    /// The quotient; absent where `other` is zero.
    pub fn over(self, other: Scaled) -> Scaled {
        if other.is_zero() {
            return Scaled::ABSENT;
        }
        let (a, b) = (self.normalised(), other.normalised());
        Scaled::new(a.mantissa / b.mantissa, a.exponent.saturating_sub(b.exponent))
    }
    /// The mean of `count` terms whose sum this is; absent where there are none.
    pub fn mean_of(self, count: u64) -> Scaled {
        self.over(Scaled::from(count as f64))
    }
    pub fn sqrt(self) -> Scaled {
        let odd = self.exponent.rem_euclid(2);
        Scaled::new(libm::scalbn(self.mantissa, odd).sqrt(), (self.exponent - odd) / 2)
    }
    /// log10 |self / other|, free of the cancellation of two large logarithms; `None` where either is zero or not
    /// finite.
    pub fn log10_ratio(self, other: Scaled) -> Option<f64> {
        let (a, b) = (self.normalised(), other.normalised());
        let (x, y) = (a.mantissa.abs(), b.mantissa.abs());
        let defined = x.is_finite() && y.is_finite() && x > 0.0 && y > 0.0;
        let octaves = f64::from(a.exponent) - f64::from(b.exponent);
        defined.then(|| (x / y).log10() + octaves * LOG10_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_agrees_with_f64_where_f64_can_hold_it() {
        for (a, b) in [(3.0, 7.0), (1e120, 1e-150), (2.5e-290, 4.0)] {
            let (x, y) = (Scaled::new(a, 3), Scaled::new(b, -5));
            assert!((x.times(y).value().unwrap() / (a * b * 0.25) - 1.0).abs() < 1e-15);
            assert!((x.over(y).over(Scaled::new(1.0, 8)).value().unwrap_or(f64::NAN) / (a / b) - 1.0).abs() < 1e-15);
            assert!((x.sqrt().value().unwrap() / (a * 8.0).sqrt() - 1.0).abs() < 1e-15);
            assert!((y.sqrt().value().unwrap() / (b / 32.0).sqrt() - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn results_far_outside_f64_keep_their_logarithm() {
        let x = Scaled::new(3.0, -90_000);
        let squared = x.times(x);
        assert_eq!(squared.value(), None);
        assert!((squared.log10_abs().unwrap() - (2.0 * 3f64.log10() - 180_000.0 * LOG10_2)).abs() < 1e-9);
        assert_eq!(squared.sqrt(), Scaled::new(squared.sqrt().mantissa, squared.sqrt().exponent));
        assert!((squared.sqrt().over(x).value().unwrap() - 1.0).abs() < 1e-15);
        assert!((squared.log10_ratio(x).unwrap() - x.log10_abs().unwrap()).abs() < 1e-9);
    }

    #[test]
    fn nothing_divided_by_zero_or_absent_is_a_number() {
        assert!(!Scaled::from(1.0).over(Scaled::ZERO).is_finite());
        assert!(!Scaled::ZERO.over(Scaled::ZERO).is_finite());
        assert!(!Scaled::ABSENT.mean_of(3).is_finite());
        assert!(!Scaled::from(1.0).mean_of(0).is_finite());
        assert_eq!(Scaled::from(1.0).log10_ratio(Scaled::ZERO), None);
        assert_eq!(Scaled::ZERO.log10_ratio(Scaled::from(1.0)), None);
        assert_eq!(Scaled::ZERO.over(Scaled::from(2.0)).value(), Some(0.0));
    }
}
