//! What theory takes of a network's input: the mean squares of its samples, and how two of them lie to each other. Random
//! inputs are alike; images are not, so a data set is described by groups of samples and of pairs.

use std::f64::consts::FRAC_PI_2;
use std::sync::LazyLock;

use crate::network::{Input, NetworkSpec};

/// Random inputs of so few features are described by groups too: the squares of more are alike to a quarter.
const FEW: u32 = 24;

/// Groups of samples, by their mean square, and of pairs, by their cosine.
const GROUPS: usize = 12;
const PAIR_GROUPS: usize = 24;
/// Every sample is paired with this many others, 29 rows apart: the digits lie about in the order 0 to 9, and 29 meets
/// every one of them equally often.
const PARTNERS: usize = 60;
const STRIDE: usize = 29;

/// Two samples: the geometric mean of their mean squares, and their cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Couple {
    pub square: f64,
    pub cosine: f64,
}

/// The samples of an input.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// |x|^2 / input_size, each equally often.
    pub squares: Vec<f64>,
    /// Cosine of two samples (the two of a pair, with `correlated_pairs`) where they are alike.
    pub cosine: f64,
    /// Pairs of samples, each equally often; empty where all are alike.
    pub couples: Vec<Couple>,
}

static DIGITS: LazyLock<Inputs> = LazyLock::new(|| digits().unwrap_or_else(|| Inputs::alike(1.0, 0.0)));

impl Inputs {
    /// Samples of one size at one cosine.
    pub fn alike(square: f64, cosine: f64) -> Self {
        Inputs { squares: vec![square], cosine, couples: Vec::new() }
    }

    /// Those that a network sees.
    pub fn of(spec: &NetworkSpec) -> Self {
        match spec.input {
            Input::Digits => DIGITS.clone(),
            _ if spec.input_size <= FEW => Inputs::of_few_features(spec),
            Input::CorrelatedPairs => Inputs::alike(1.0, spec.input_param),
            Input::Gaussian | Input::Sphere => Inputs::alike(1.0, 0.0),
        }
    }

    /// Gaussian samples of a few features differ in size, and random directions lie at any angle to each other.
    fn of_few_features(spec: &NetworkSpec) -> Self {
        let k = f64::from(spec.input_size);
        // The length t of k normal numbers over sqrt(k), and the sine t of the angle to a plane.
        let power = |t: f64, n: f64| if n == 0.0 { 1.0 } else { t.powf(n) };
        let reach = 1.0 + 8.0 / k.sqrt();
        let squares = match spec.input {
            Input::Sphere => vec![1.0],
            _ => {
                equal_parts(GROUPS, [0.0, reach], |t| power(t, k - 1.0) * libm::exp(0.5 * k * (1.0 - t * t)), |t| t * t)
            }
        };
        if spec.input == Input::CorrelatedPairs {
            return Inputs { squares, cosine: spec.input_param, couples: Vec::new() };
        }
        let cosines = match spec.input_size {
            1 => (0..PAIR_GROUPS).map(|i| if i < PAIR_GROUPS / 2 { -1.0 } else { 1.0 }).collect(),
            _ => equal_parts(PAIR_GROUPS, [-FRAC_PI_2, FRAC_PI_2], |a| power(libm::cos(a), k - 2.0), libm::sin),
        };
        // Every size meets many others, and all angles.
        let size = |i: usize| squares[i % squares.len()];
        let couple = |(i, &cosine)| Couple { square: (size(5 * i) * size(7 * i + i / GROUPS)).sqrt(), cosine };
        let couples = cosines.iter().enumerate().map(couple).collect();
        Inputs { squares, cosine: 0.0, couples }
    }
}

/// Means of `value` over parts of equal probability, of a density between two ends.
fn equal_parts(
    count: usize,
    [from, to]: [f64; 2],
    density: impl Fn(f64) -> f64,
    value: impl Fn(f64) -> f64,
) -> Vec<f64> {
    const STEPS: usize = 6000;
    let points: Vec<(f64, f64)> = (0..STEPS)
        .map(|i| from + (to - from) * (i as f64 + 0.5) / STEPS as f64)
        .map(|t| (density(t), value(t)))
        .collect();
    let whole: f64 = points.iter().map(|point| point.0).sum::<f64>() / count as f64;
    let mut means = vec![0.0; count];
    let (mut part, mut room) = (0, whole);
    for (mut mass, value) in points {
        while part + 1 < count && mass > room {
            means[part] += room * value;
            mass -= room;
            (part, room) = (part + 1, whole);
        }
        means[part] += mass * value;
        room -= mass;
    }
    means.iter().map(|sum| sum / whole).collect()
}

/// The digits, whose sizes differ by more than those of gaussian inputs, and whose cosines reach from opposite to alike.
fn digits() -> Option<Inputs> {
    let set = crate::data::load(Input::Digits)?;
    let n = set.info.input_size as usize;
    let rows: Vec<&[f32]> = set.features.chunks_exact(n).collect();
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() / n as f64;
    let mut squares: Vec<f64> = rows.iter().map(|x| product(x, x)).collect();
    let mut couples = Vec::with_capacity(rows.len() * PARTNERS);
    for (i, a) in rows.iter().enumerate() {
        for k in 1..=PARTNERS {
            let j = (i + k * STRIDE) % rows.len();
            let square = (squares[i] * squares[j]).sqrt();
            if square > 0.0 {
                couples.push(Couple { square, cosine: product(a, rows[j]) / square });
            }
        }
    }
    squares.sort_by(f64::total_cmp);
    couples.sort_by(|a, b| a.cosine.total_cmp(&b.cosine));
    let mean = |group: &[Couple], of: fn(&Couple) -> f64| group.iter().map(of).sum::<f64>() / group.len() as f64;
    let squares = groups(&squares, GROUPS).map(|group| group.iter().sum::<f64>() / group.len() as f64).collect();
    let couples = groups(&couples, PAIR_GROUPS)
        .map(|group| Couple { square: mean(group, |c| c.square), cosine: mean(group, |c| c.cosine) })
        .collect();
    Some(Inputs { squares, cosine: 0.0, couples })
}

/// Equally large pieces.
fn groups<T>(all: &[T], count: usize) -> impl Iterator<Item = &[T]> {
    (0..count).map(move |g| &all[g * all.len() / count..(g + 1) * all.len() / count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_stand_for_all_pairs_of_digits() {
        let set = crate::data::load(Input::Digits).unwrap();
        let rows: Vec<&[f32]> = set.features.chunks_exact(64).collect();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        // Mean, mean square and mean cube of the cosines.
        let (mut all, mut count) = ([0.0; 3], 0.0);
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[..i] {
                let c = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                (all[0], all[1], all[2], count) = (all[0] + c, all[1] + c * c, all[2] + c * c * c, count + 1.0);
            }
        }
        let couples = &DIGITS.couples;
        for (k, all) in all.iter().enumerate() {
            let grouped = couples.iter().map(|c| c.cosine.powi(k as i32 + 1)).sum::<f64>() / couples.len() as f64;
            assert!((grouped - all / count).abs() < 2e-3, "power {}: {grouped}, not {}", k + 1, all / count);
        }
        assert!(all[1] / count > 0.03, "they are far from alike");
        // 61 of 64 pixels vary, each with variance 1.
        let mean = DIGITS.squares.iter().sum::<f64>() / DIGITS.squares.len() as f64;
        assert!((mean - 61.0 / 64.0).abs() < 1e-3, "{mean}");
    }
}
