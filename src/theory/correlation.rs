//! The correlation map: how the covariance of two samples' pre-activations passes a layer, from the expansion of the
//! activation in Hermite polynomials (Daniely, Frostig & Singer 2016; Poole et al. 2016).

use std::f64::consts::PI;
use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

use super::expectation::{TAIL, gaussian_breaks};
use super::quadrature::{NODES, clip_breaks, visit_nodes};
use crate::network::Activation;

/// Coefficients kept.
const TERMS: usize = 256;
/// Sums that run side by side; a divisor of [`NODES`].
const LANES: usize = 4;

/// f(c) = E f(u_1) f(u_2) for jointly Gaussian u_1, u_2 of variance q and correlation c, as a power series in c with
/// coefficients that are squares: f(c) = sum a_k^2 c^k.
#[derive(Clone, Debug)]
pub struct PowerMap {
    squares: Vec<f64>,
    /// What the kept coefficients lack at c = 1, and the power that carries it.
    rest: f64,
    rest_power: f64,
}

/// 1/sqrt(k + 1) and sqrt(k/(k + 1)): the recurrence of the normalised Hermite polynomials.
static RECURRENCE: LazyLock<[(f64, f64); TERMS]> = LazyLock::new(|| {
    std::array::from_fn(|k| {
        let k = k as f64;
        ((k + 1.0).sqrt().recip(), (k / (k + 1.0)).sqrt())
    })
});

/// Functions that are expanded side by side: the Hermite functions are the same for all.
const FUNCTIONS: usize = 3;

/// One piece of the rule: nodes, weights times the functions, and the first Hermite function.
struct Piece<'a> {
    x: &'a [f64; NODES],
    w: &'a [[f64; NODES]; FUNCTIONS],
    now: [f64; NODES],
    sums: &'a mut [[f64; FUNCTIONS]; TERMS],
}

impl WithSimd for Piece<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F64_LANES == LANES { self.vectors(simd) } else { self.plain() }
    }
}

impl Piece<'_> {
    /// In vectors, each operation rounded as in [`Piece::plain`], so that predictions are the same bits everywhere.
    #[inline(always)]
    fn vectors<S: Simd>(self, simd: S) {
        let x = S::as_simd_f64s(self.x).0;
        let w: [_; FUNCTIONS] = std::array::from_fn(|f| S::as_simd_f64s(&self.w[f]).0);
        let zero = simd.splat_f64s(0.0);
        let (mut before, mut now) = ([zero; NODES / LANES], [zero; NODES / LANES]);
        now.copy_from_slice(S::as_simd_f64s(&self.now).0);
        for ((a, b), sums) in RECURRENCE.iter().zip(self.sums) {
            let (a, b) = (simd.splat_f64s(*a), simd.splat_f64s(*b));
            for (sum, w) in sums.iter_mut().zip(w) {
                let mut p = simd.mul_f64s(w[0], now[0]);
                for i in 1..NODES / LANES {
                    p = simd.add_f64s(p, simd.mul_f64s(w[i], now[i]));
                }
                *sum += total(bytemuck::cast_slice(std::slice::from_ref(&p)));
            }
            for i in 0..NODES / LANES {
                let up = simd.mul_f64s(simd.mul_f64s(x[i], now[i]), a);
                let next = simd.sub_f64s(up, simd.mul_f64s(before[i], b));
                (before[i], now[i]) = (now[i], next);
            }
        }
    }

    fn plain(self) {
        let Piece { x, w, mut now, sums } = self;
        let mut before = [0.0; NODES];
        for ((a, b), sums) in RECURRENCE.iter().zip(sums) {
            for (sum, w) in sums.iter_mut().zip(w) {
                let mut p = [0.0; LANES];
                for (l, p) in p.iter_mut().enumerate() {
                    *p = w[l] * now[l];
                    for i in (l + LANES..NODES).step_by(LANES) {
                        *p += w[i] * now[i];
                    }
                }
                *sum += total(&p);
            }
            for i in 0..NODES {
                (before[i], now[i]) = (now[i], x[i] * now[i] * a - before[i] * b);
            }
        }
    }
}

/// Vectors of [`LANES`], where the processor has them: with longer ones sums would be other bits.
fn four_lanes() -> Arch {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Arch::V3(simd);
    }
    Arch::new()
}

fn total(lanes: &[f64]) -> f64 {
    lanes.iter().sum()
}

/// Coefficients of functions of u = sqrt(q) x, E f(u) H_k(x) with normalised Hermite polynomials.
fn coefficients(
    arch: Arch,
    activation: &Activation,
    q: f64,
    f: impl Fn(f64) -> [f64; FUNCTIONS],
) -> [[f64; TERMS]; FUNCTIONS] {
    let deviation = q.sqrt();
    let mut breaks = gaussian_breaks(activation, deviation);
    // The polynomials oscillate with a wave length of about 2 pi / sqrt(k).
    breaks.extend((-27..=27).map(|i| f64::from(i) * 0.5));
    let mut nodes = Vec::with_capacity(100 * NODES);
    visit_nodes(&clip_breaks(breaks, -TAIL, TAIL), |x, weight| nodes.push((x, weight)));
    let mut sums = [[0.0; FUNCTIONS]; TERMS];
    // Pieces of the rule run side by side. The number of nodes is a multiple of theirs.
    for piece in nodes.chunks_exact(NODES) {
        let x: [f64; NODES] = std::array::from_fn(|i| piece[i].0);
        let mut w = [[0.0; NODES]; FUNCTIONS];
        // Hermite functions h_k(x) exp(-x^2/4), normalised: no overflow in the tails.
        let now: [f64; NODES] = x.map(|x| libm::exp(-0.25 * x * x));
        for i in 0..NODES {
            let values = f(deviation * x[i]);
            for (w, value) in w.iter_mut().zip(values) {
                // The density of x over the first Hermite function.
                w[i] = piece[i].1 * now[i] * value / (2.0 * PI).sqrt();
            }
        }
        arch.dispatch(Piece { x: &x, w: &w, now, sums: &mut sums });
    }
    std::array::from_fn(|f| sums.map(|sums| sums[f]))
}

impl PowerMap {
    /// The map with these coefficients. `at_one` and `slope_at_one` are f(1) and, where it is finite, f'(1): they fix
    /// the terms beyond the last kept one, so that the map is exact at c = 1 also for functions with kinks.
    fn new(coefficients: &[f64; TERMS], at_one: f64, slope_at_one: Option<f64>) -> Self {
        PowerMap::of_products(coefficients.map(|a| a * a), at_one, slope_at_one)
    }

    /// The map of E f(u_1) g(u_2), whose coefficients are the products of those of f and g.
    fn of_products(products: [f64; TERMS], at_one: f64, slope_at_one: Option<f64>) -> Self {
        let mut squares = products.to_vec();
        // Smooth functions need few.
        let kept = squares.iter().rposition(|a| a.abs() > 1e-18 * at_one).map_or(1, |last| last + 1);
        squares.truncate(kept);
        let rest = at_one - squares.iter().sum::<f64>();
        let slope: f64 = squares.iter().enumerate().map(|(k, a)| k as f64 * a).sum();
        if rest.abs() <= 1e-13 * at_one {
            return PowerMap { squares, rest: 0.0, rest_power: 0.0 };
        }
        let power = slope_at_one.map_or(0.0, |s| (s - slope) / rest);
        PowerMap { squares, rest, rest_power: power.max(TERMS as f64) }
    }

    /// f(c) for -1 <= c <= 1.
    pub fn value(&self, c: f64) -> f64 {
        series(&self.squares, c) + self.rest * tail_power(c, self.rest_power)
    }

    /// f'(c).
    pub fn slope(&self, c: f64) -> f64 {
        series_slope(&self.squares, c) + self.rest * self.rest_power * tail_power(c, self.rest_power - 1.0)
    }
}

/// A weighted sum of maps, as interpolation between variances makes it.
#[derive(Clone, Debug)]
pub struct Blend {
    squares: [f64; TERMS],
    length: usize,
    /// Weight times rest, and its power, of every map that has one.
    rests: Vec<(f64, f64)>,
}

impl Blend {
    pub fn new<'a>(maps: impl Iterator<Item = (f64, &'a PowerMap)>) -> Self {
        let mut blend = Blend { squares: [0.0; TERMS], length: 0, rests: Vec::new() };
        for (weight, map) in maps {
            blend.length = blend.length.max(map.squares.len());
            blend.squares.iter_mut().zip(&map.squares).for_each(|(sum, a)| *sum += weight * a);
            if map.rest != 0.0 {
                blend.rests.push((weight * map.rest, map.rest_power));
            }
        }
        blend
    }

    /// f(c) and f'(c) for -1 <= c <= 1.
    pub fn value_and_slope(&self, c: f64) -> (f64, f64) {
        let (mut value, mut slope) = (0.0, 0.0);
        for a in self.squares[..terms(c, self.length)].iter().rev() {
            slope = slope * c + value;
            value = value * c + a;
        }
        for (rest, power) in &self.rests {
            let below = rest * tail_power(c, power - 1.0);
            value += below * c;
            slope += below * power;
        }
        (value, slope)
    }
}

/// c^power of a rest, which has no part in negative correlations: its powers are large and their parity is unknown.
fn tail_power(c: f64, power: f64) -> f64 {
    if c <= 0.0 || power <= 0.0 { 0.0 } else { c.powf(power) }
}

/// How many powers of c matter in float64.
fn terms(c: f64, length: usize) -> usize {
    let size = c.abs();
    if size >= 0.9 { length } else { length.min(2 + (-42.0 / size.max(1e-20).ln()) as usize) }
}

fn series(squares: &[f64], c: f64) -> f64 {
    squares[..terms(c, squares.len())].iter().rev().fold(0.0, |sum, a| sum * c + a)
}

fn series_slope(squares: &[f64], c: f64) -> f64 {
    squares[..terms(c, squares.len())].iter().enumerate().skip(1).rev().fold(0.0, |sum, (k, a)| sum * c + k as f64 * a)
}

/// The maps of one activation at one variance.
#[derive(Clone, Debug)]
pub struct Maps {
    /// c -> E phi(u_1) phi(u_2). Its slope is q E phi'(u_1) phi'(u_2) (Price's theorem).
    pub value: PowerMap,
    /// c -> E phi'(u_1)^2 phi'(u_2)^2.
    pub derivative_square: PowerMap,
    /// c -> E phi(u_1)^2 phi(u_2)^2 / (E phi(u)^2)^2.
    pub square_ratio: PowerMap,
    /// c -> E phi(u_1)^2 phi'(u_2)^2 / (E phi(u)^2 E phi'(u)^2).
    pub mixed_ratio: PowerMap,
}

/// The maps at variance q > 0.
pub fn maps(activation: &Activation, q: f64) -> Maps {
    let m = super::expectation::moments(activation, q);
    let functions = |u| {
        let value: f64 = activation.value(u);
        [value, activation.derivative(u).powi(2), value * value / m.square]
    };
    let [value, derivative, square] = coefficients(four_lanes(), activation, q, functions);
    let mixed = std::array::from_fn(|k| square[k] * derivative[k] / m.derivative_square);
    Maps {
        value: PowerMap::new(&value, m.square, Some(q * m.derivative_square)),
        derivative_square: PowerMap::new(&derivative, m.derivative_fourth, None),
        square_ratio: PowerMap::new(&square, m.fourth_ratio, None),
        mixed_ratio: PowerMap::of_products(mixed, m.mixed_ratio, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ActivationKind;

    #[test]
    fn relu_gives_the_arc_cosine_kernels() {
        // Cho & Saul 2009: E relu relu = q (sin t + (pi - t) cos t)/(2 pi), E step step = (pi - t)/(2 pi).
        let q = 1.7;
        let Maps { value, derivative_square: step, .. } = maps(&ActivationKind::Relu.into(), q);
        for c in [0.0, 0.2, 0.5, 0.8, 0.95, 1.0] {
            let t = libm::acos(c);
            let kernel = q * (libm::sin(t) + (PI - t) * c) / (2.0 * PI);
            assert!((value.value(c) - kernel).abs() < 3e-6, "{c}: {} {kernel}", value.value(c));
            let slope = q * (PI - t) / (2.0 * PI);
            assert!((value.slope(c) - slope).abs() < 2e-3, "{c}: {} {slope}", value.slope(c));
            assert!((step.value(c) - (PI - t) / (2.0 * PI)).abs() < 1e-2);
        }
    }

    #[test]
    fn coefficients_are_the_same_bits_with_any_instructions() {
        let tanh = ActivationKind::Tanh.into();
        let functions = |u: f64| [libm::tanh(u), u * u, libm::exp(-u)];
        let [got, four, plain] =
            [Arch::new(), four_lanes(), Arch::Scalar].map(|arch| coefficients(arch, &tanh, 1.7, functions));
        assert_eq!(got, plain);
        assert_eq!(four, plain);
    }

    #[test]
    fn erf_gives_the_arc_sine_kernel() {
        // Williams 1997: E erf erf = (2/pi) asin(2 q c / (1 + 2 q)).
        for q in [0.1, 1.0, 20.0] {
            let map = maps(&ActivationKind::Erf.into(), q).value;
            for c in [0.0, 0.3, 0.9, 0.99, 1.0] {
                let want = 2.0 / PI * libm::asin(2.0 * q * c / (1.0 + 2.0 * q));
                // At q = 20 erf is nearly a step: the terms beyond the last kept one carry 1e-8.
                assert!((map.value(c) - want).abs() < 3e-8, "{q} {c}: {} {want}", map.value(c));
            }
        }
    }
}
