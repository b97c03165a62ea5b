//! Expectations of one activation at any variance, interpolated between Chebyshev nodes in ln q, so that predicting
//! thousands of configurations is cheap. A segment of the table is made when it is first read and depends
//! on the activation alone, so results do not depend on what was asked before.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock, OnceLock, RwLock};

use super::correlation::{Blend, Maps, PowerMap, maps};
use super::expectation::{MOMENTS, Moments, homogeneous, moments};
use crate::network::{Activation, ActivationKind};

/// A segment covers a factor 4 of q: [4^s, 4^(s+1)).
const FIRST_SEGMENT: i32 = -29;
const LAST_SEGMENT: i32 = 330;
const SEGMENTS: usize = (LAST_SEGMENT - FIRST_SEGMENT + 1) as usize;
/// The functions are analytic up to |Im ln q| = pi, so an error falls like 9.2^-nodes.
const MOMENT_NODES: usize = 16;
const MAP_NODES: usize = 12;

/// Expectations over two samples at one variance q and correlation c.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// E phi(u_1) phi(u_2).
    pub value: f64,
    /// Its slope in c, q E phi'(u_1) phi'(u_2).
    pub slope: f64,
    /// E phi'(u_1)^2 phi'(u_2)^2.
    pub derivative_square: f64,
    /// E phi(u_1)^2 phi(u_2)^2 / (E phi(u)^2)^2.
    pub square_ratio: f64,
    /// E phi(u_1)^2 phi'(u_2)^2 / (E phi(u)^2 E phi'(u)^2).
    pub mixed_ratio: f64,
}

/// The correlation maps at one variance.
pub enum PairMaps {
    /// Slopes below and above 0, and q.
    Lines([f64; 2], f64),
    /// q.
    Sine(f64),
    /// The second entry multiplies the value map: beyond the table phi is a line through 0.
    Blended(Box<[Blend; 4]>, f64),
}

impl PairMaps {
    /// At correlation -1 <= c <= 1.
    pub fn at(&self, c: f64) -> Pair {
        match self {
            PairMaps::Lines(slopes, q) => lines(*slopes, *q, c),
            PairMaps::Sine(q) => sine(*q, c),
            PairMaps::Blended(maps, factor) => {
                let (value, slope) = maps[0].value_and_slope(c);
                let [derivative_square, square_ratio, mixed_ratio] = [1, 2, 3].map(|i| maps[i].value_and_slope(c).0);
                Pair { value: factor * value, slope: factor * slope, derivative_square, square_ratio, mixed_ratio }
            }
        }
    }
}

/// The arc-cosine kernels of Cho & Saul 2009, for phi a line on each side of 0.
fn lines([below, above]: [f64; 2], q: f64, c: f64) -> Pair {
    // E relu relu, and the probability that both arguments are positive.
    let both = |c: f64| (PI - libm::acos(c.clamp(-1.0, 1.0))) / (2.0 * PI);
    let kernel = |c: f64| (1.0 - c * c).max(0.0).sqrt() / (2.0 * PI) + c * both(c);
    // E relu^2 relu^2 and E relu^2 step.
    let angle = |c: f64| PI - libm::acos(c.clamp(-1.0, 1.0));
    let sine = (1.0 - c * c).max(0.0).sqrt();
    let squares = |c: f64| (3.0 * sine * c + angle(c) * (1.0 + 2.0 * c * c)) / (2.0 * PI);
    let half = |c: f64| (angle(c) + sine * c) / (2.0 * PI);
    let (same, mixed) = (below * below + above * above, 2.0 * below * above);
    let (fourth, crossed) = (below.powi(4) + above.powi(4), 0.5 * mixed * mixed);
    let norm = 4.0 / (same * same);
    Pair {
        value: q * (same * kernel(c) - mixed * kernel(-c)),
        slope: q * (same * both(c) + mixed * both(-c)),
        derivative_square: fourth * both(c) + crossed * both(-c),
        square_ratio: norm * (fourth * squares(c) + crossed * squares(-c)),
        mixed_ratio: norm * (fourth * half(c) + crossed * half(-c)),
    }
}

fn sine(q: f64, c: f64) -> Pair {
    let (near, far) = (libm::exp(-q * (1.0 - c)), libm::exp(-q * (1.0 + c)));
    let doubled = 0.5 * (libm::exp(-4.0 * q * (1.0 - c)) + libm::exp(-4.0 * q * (1.0 + c)));
    // Covariance of sin^2 = (1 - cos 2u)/2, and of cos^2 = (1 + cos 2u)/2, between the samples.
    let shared = 0.25 * (doubled - libm::exp(-4.0 * q));
    let (square, derivative) = (-0.5 * libm::expm1(-2.0 * q), 0.5 * (1.0 + libm::exp(-2.0 * q)));
    Pair {
        value: 0.5 * (near - far),
        slope: 0.5 * q * (near + far),
        derivative_square: 0.25 * (1.0 + 2.0 * libm::exp(-2.0 * q) + doubled),
        square_ratio: 1.0 + shared / (square * square),
        mixed_ratio: 1.0 - shared / (square * derivative),
    }
}

/// Expectations of one activation.
pub struct Tabulated {
    activation: Activation,
    moments: Vec<OnceLock<[[f64; MOMENTS]; MOMENT_NODES]>>,
    maps: Vec<OnceLock<Vec<Maps>>>,
}

type Key = (u32, u64);
static TABLES: LazyLock<RwLock<HashMap<Key, Arc<Tabulated>>>> = LazyLock::new(RwLock::default);
/// Activations kept; an axis over a parameter may have more.
const KEPT: usize = 64;

/// The table of an activation. Tables are remembered.
pub fn tabulated(activation: &Activation) -> Arc<Tabulated> {
    let key = (activation.kind as u32, activation.param.to_bits());
    if let Ok(tables) = TABLES.read()
        && let Some(known) = tables.get(&key)
    {
        return Arc::clone(known);
    }
    let table = Arc::new(Tabulated {
        activation: *activation,
        moments: std::iter::repeat_with(OnceLock::new).take(SEGMENTS).collect(),
        maps: std::iter::repeat_with(OnceLock::new).take(SEGMENTS).collect(),
    });
    let Ok(mut tables) = TABLES.write() else { return table };
    if tables.len() >= KEPT {
        tables.clear();
    }
    Arc::clone(tables.entry(key).or_insert(table))
}

impl Tabulated {
    /// [`moments`] at variance `q`.
    pub fn moments(&self, q: f64) -> Moments {
        let closed = homogeneous(&self.activation).is_some() || self.activation.kind == ActivationKind::Sine;
        let Some(segment) = segment(q).filter(|_| !closed) else {
            return moments(&self.activation, q);
        };
        let rule = &*MOMENT_RULE;
        let nodes = self.moments[(segment - FIRST_SEGMENT) as usize]
            .get_or_init(|| std::array::from_fn(|j| moments(&self.activation, rule.variance(segment, j)).to_array()));
        let mut sums = [0.0; MOMENTS];
        for (weight, values) in rule.weights(segment, q).iter().zip(nodes) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
        Moments::from_array(sums)
    }

    /// The correlation maps at variance `q` > 0.
    pub fn pair_maps(&self, q: f64) -> PairMaps {
        if let Some(slopes) = homogeneous(&self.activation) {
            return PairMaps::Lines(slopes, q);
        }
        if self.activation.kind == ActivationKind::Sine {
            return PairMaps::Sine(q);
        }
        let (inside, factor) = self.inside(q);
        let segment = segment(inside).expect("between the ends of the table");
        let rule = &*MAP_RULE;
        let nodes = self.maps[(segment - FIRST_SEGMENT) as usize]
            .get_or_init(|| (0..MAP_NODES).map(|j| maps(&self.activation, rule.variance(segment, j))).collect());
        let weights = rule.weights(segment, inside);
        let blend = |map: fn(&Maps) -> &PowerMap| Blend::new(weights.iter().copied().zip(nodes.iter().map(map)));
        let blends = [
            blend(|m| &m.value),
            blend(|m| &m.derivative_square),
            blend(|m| &m.square_ratio),
            blend(|m| &m.mixed_ratio),
        ];
        PairMaps::Blended(Box::new(blends), factor)
    }

    /// The variance at which the table is read for `q`, and what its values are to be multiplied by.
    fn inside(&self, q: f64) -> (f64, f64) {
        let (low, high) = (libm::exp2(2.0 * f64::from(FIRST_SEGMENT)), libm::exp2(2.0 * f64::from(LAST_SEGMENT)));
        let facts = self.activation.facts();
        let through_zero = facts.at_zero == 0.0;
        let grows = facts.far.iter().any(|line| line.slope != 0.0);
        match q {
            q if q > high => (high, if grows { q / high } else { 1.0 }),
            q if q >= low => (q, 1.0),
            // Also for what is no number.
            q => (low, if through_zero { q / low } else { 1.0 }),
        }
    }
}

fn segment(q: f64) -> Option<i32> {
    let segment = libm::ilogb(q).div_euclid(2);
    (q > 0.0 && (FIRST_SEGMENT..=LAST_SEGMENT).contains(&segment)).then_some(segment)
}

/// Chebyshev nodes in (-1, 1) and their barycentric weights.
struct Chebyshev<const N: usize>([(f64, f64); N]);

static MOMENT_RULE: LazyLock<Chebyshev<MOMENT_NODES>> = LazyLock::new(Chebyshev::new);
static MAP_RULE: LazyLock<Chebyshev<MAP_NODES>> = LazyLock::new(Chebyshev::new);

impl<const N: usize> Chebyshev<N> {
    fn new() -> Self {
        Chebyshev(std::array::from_fn(|j| {
            let angle = (2 * j + 1) as f64 * PI / (2 * N) as f64;
            (libm::cos(angle), if j % 2 == 0 { libm::sin(angle) } else { -libm::sin(angle) })
        }))
    }

    /// The variance of node j of a segment.
    fn variance(&self, segment: i32, j: usize) -> f64 {
        libm::exp2(f64::from(2 * segment + 1) + self.0[j].0)
    }

    /// What the values at the nodes are to be multiplied by at q: the barycentric formula (Berrut & Trefethen 2004).
    fn weights(&self, segment: i32, q: f64) -> [f64; N] {
        let t = libm::log2(q) - f64::from(2 * segment + 1);
        let mut weights = self.0.map(|(node, weight)| weight / (t - node));
        if let Some(hit) = self.0.iter().position(|(node, _)| *node == t) {
            weights = [0.0; N];
            weights[hit] = 1.0;
        }
        let sum: f64 = weights.iter().sum();
        weights.map(|weight| weight / sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::activation::TABLE;

    /// Spread over segments, ends among them.
    fn variances() -> Vec<f64> {
        let mut list: Vec<f64> = (0..60).map(|i| 1e-4 * 1.37f64.powi(i)).collect();
        list.extend([1e-30, 1e-15, 0.25, 1.0, 4.0, 1e60, 1e199]);
        list
    }

    #[test]
    fn interpolated_moments_are_the_integrals() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            let table = tabulated(&activation);
            for q in variances() {
                let (got, want) = (table.moments(q), moments(&activation, q));
                let pairs = [
                    (got.mean, want.mean, want.square.sqrt()),
                    (got.square, want.square, want.square),
                    (got.derivative_square, want.derivative_square, want.derivative_square),
                    (got.derivative_fourth, want.derivative_fourth, want.derivative_fourth),
                    (got.square_slope, want.square_slope, want.derivative_square + want.square / q),
                    (got.square_curvature, want.square_curvature, want.square),
                    (got.derivative_slope, want.derivative_slope, want.derivative_square),
                    (got.derivative_curvature, want.derivative_curvature, want.derivative_square),
                    (got.fourth_ratio, want.fourth_ratio, want.fourth_ratio),
                    (got.mixed_ratio, want.mixed_ratio, want.mixed_ratio),
                    (got.bend, want.bend, want.derivative_square.sqrt()),
                    (got.value_slope, want.value_slope, (want.square * want.derivative_square).sqrt()),
                    (got.derivative_value, want.derivative_value, want.square.sqrt() * want.derivative_square),
                    (got.derivative_lean, want.derivative_lean, want.derivative_square),
                ];
                for (got, want, size) in pairs {
                    // Second derivatives are differences of numbers of that size.
                    assert!((got - want).abs() <= 1e-9 * size, "{} at {q}: {got} {want}", row.name);
                }
            }
        }
    }

    #[test]
    fn interpolated_maps_are_the_expansions() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            let table = tabulated(&activation);
            for q in [0.01, 0.9, 3.3, 100.0] {
                let direct = maps(&activation, q);
                let table = table.pair_maps(q);
                for c in [0.0, 0.3, 0.8, 0.99, 1.0] {
                    let all = [&direct.value, &direct.derivative_square, &direct.square_ratio, &direct.mixed_ratio];
                    let (got, want) = (table.at(c), all.map(|m| m.value(c)));
                    // Functions with kinks are a power series only up to the rest.
                    let tolerance = 2e-3 * want[1].abs();
                    assert!((got.value - want[0]).abs() < 1e-5 * direct.value.value(1.0), "{} {q} {c}", row.name);
                    assert!((got.derivative_square - want[1]).abs() < tolerance.max(1e-2), "{} {q} {c}", row.name);
                    // The expansion cannot follow ten periods of a sine.
                    let tolerance = if row.name == "sine" && q > 50.0 { 5e-2 } else { 4e-3 };
                    for (got, want) in [(got.square_ratio, want[2]), (got.mixed_ratio, want[3])] {
                        assert!((got / want - 1.0).abs() < tolerance, "{} {q} {c}: {got} {want}", row.name);
                    }
                }
            }
        }
    }
}
