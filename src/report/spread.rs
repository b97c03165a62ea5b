//! The spread of a number over the seeds of one configuration: median and quantiles in which an exact zero counts as
//! lower than every number, so that dead networks pull the median down instead of dropping out of it.

use serde::{Serialize, Serializer};

/// Quantiles of the band around a median.
pub const BAND: (f64, f64) = (0.1, 0.9);

/// Below this a logarithm, or what is fitted to logarithms, is the noise of a zero: elements are float32 numbers, known to
/// 2^-24 of their size, which is 2.6e-8 of log10, and what theory says of them is no finer. (Predictions that are no
/// logarithms, as of q*, keep their size.)
const NOISE: f64 = 5e-9;

/// A number as the page holds it: six significant digits, `null` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub Option<f64>);

impl Number {
    /// A logarithm, or what is fitted to some, without the noise of a zero.
    pub fn settled(number: Option<f64>) -> Self {
        Number(number.map(|x| if x.abs() < NOISE { 0.0 } else { x }))
    }

    /// A point of a curve of logarithms: four decimals, 0.02 %, which is less than a pixel and less than a seed.
    pub fn of_curve(self) -> Self {
        Number(self.0.map(|x| (x * 1e4).round() / 1e4))
    }

    /// The logarithm of a quantile: three decimals, because histograms with four bins per octave know it to 0.05.
    pub fn of_histogram(self) -> Self {
        Number(self.0.map(|x| (x * 1e3).round() / 1e3))
    }

    pub fn get(self) -> Option<f64> {
        self.0
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(x) if x == x.trunc() && x.abs() < 1e9 => serializer.serialize_i64(x as i64),
            Some(x) if x.is_finite() => serializer.serialize_f64(rounded(x)),
            _ => serializer.serialize_none(),
        }
    }
}

/// To six significant digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

/// What the seeds of one configuration say of one number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// `None` where the quantile falls on an exact zero, or nothing is known.
    pub low: Number,
    pub median: Number,
    pub high: Number,
    /// Networks with a number.
    pub known: u32,
    /// Networks whose value is exactly zero: the logarithm is minus infinity.
    pub zeros: u32,
}

/// Short in the page: `null` without a value, the number of one network, else low, median, high, known, zeros.
impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.known, self.zeros) {
            (0, 0) => serializer.serialize_none(),
            (1, 0) => self.median.serialize(serializer),
            (known, zeros) => (self.low, self.median, self.high, known, zeros).serialize(serializer),
        }
    }
}

/// Values of one number over the seeds, as they are read.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    values: Vec<f64>,
    zeros: u32,
}

impl Samples {
    pub fn push(&mut self, value: Option<f64>) {
        self.values.extend(value);
    }

    /// An exact zero, of which there is no logarithm.
    pub fn push_zero(&mut self) {
        self.zeros += 1;
    }

    /// The median as it is.
    pub fn median(mut self) -> Number {
        self.values.sort_by(f64::total_cmp);
        Number(quantile(&self.values, self.zeros as usize, 0.5))
    }

    pub fn spread(mut self) -> Spread {
        self.values.sort_by(f64::total_cmp);
        let quantile = |q| Number::settled(quantile(&self.values, self.zeros as usize, q));
        Spread {
            low: quantile(BAND.0),
            median: quantile(0.5),
            high: quantile(BAND.1),
            known: self.values.len() as u32,
            zeros: self.zeros,
        }
    }
}

/// The quantile of `zeros` minus infinities and `sorted`, interpolated linearly between order statistics (Hyndman and
/// Fan's type 7, the default of R and numpy).
fn quantile(sorted: &[f64], zeros: usize, q: f64) -> Option<f64> {
    let n = sorted.len() + zeros;
    let place = q * n.checked_sub(1)? as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let at = |i: usize| i.checked_sub(zeros).and_then(|i| sorted.get(i)).copied();
    let low = at(below)?;
    if part == 0.0 {
        return Some(low);
    }
    Some(low + part * (at(below + 1)? - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64], zeros: u32) -> Samples {
        Samples { values: values.to_vec(), zeros }
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([3, -1, 7, 2.5], [0.1, 0.5, 0.9])
        let spread = samples(&[3.0, -1.0, 7.0, 2.5], 0).spread();
        let numbers = [spread.low, spread.median, spread.high].map(|n| n.get().unwrap());
        for (got, expected) in numbers.iter().zip([0.05, 2.75, 5.8]) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }

    #[test]
    fn dead_networks_pull_the_median_down_and_never_drop_out() {
        assert_eq!(samples(&[1.0, 2.0, 3.0], 0).spread().median.get(), Some(2.0));
        assert_eq!(samples(&[1.0, 2.0, 3.0], 2).spread().median.get(), Some(1.0));
        assert_eq!(samples(&[1.0, 2.0, 3.0], 3).spread().median.get(), None);
        let half = samples(&[1.0, 2.0, 3.0], 3).spread();
        assert_eq!((half.known, half.zeros, half.high.get()), (3, 3, Some(2.5)));
        assert_eq!(samples(&[], 4).spread().high.get(), None);
        assert_eq!(samples(&[], 0).spread(), Spread::default());
    }

    #[test]
    fn the_noise_of_a_zero_is_zero_and_small_predictions_are_not() {
        // The median of two slopes that are 0 but for rounding.
        let noise = || samples(&[-2.220_446e-16, 1.110_223e-16], 0);
        let text = |number: Number| serde_json::to_string(&number).unwrap();
        assert_eq!(text(noise().spread().median), "0");
        assert_eq!(text(noise().median()), "-5.55112e-17");
        assert_eq!(text(samples(&[3.0e-8], 0).spread().median), "3e-8");
        assert_eq!(text(Number::settled(Some(1e300))), "1e+300");
        assert_eq!(text(Number(Some(-1.234_56)).of_histogram()), "-1.235");
        assert_eq!(text(Number(Some(-0.123_456)).of_curve()), "-0.1235");
        assert_eq!(text(Number(Some(-5.551e-17)).of_curve()), "0");
        assert_eq!(text(Number(Some(-5.551e-17)).of_histogram()), "0");
        assert_eq!(text(Number(None).of_histogram()), "null");
    }

    #[test]
    fn numbers_of_the_page_are_short() {
        let text = |x| serde_json::to_string(&Number(x)).unwrap();
        assert_eq!(text(Some(-12.345_678_9)), "-12.3457");
        assert_eq!([text(Some(3.0)), text(Some(1.0e-9 / 3.0)), text(None)], ["3", "3.33333e-10", "null"]);
        assert_eq!(text(Some(f64::INFINITY)), "null");
    }
}
