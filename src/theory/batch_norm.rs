//! Batch norm at any batch size: expectations over one unit's normalised batch, which is uniform on the sphere
//! {sum u = 0, sum u^2 = B}, and what they make of the forward and backward pass (Yang et al. 2019, "A mean field theory
//! of batch normalization"). Width is taken to be large against the batch.

use std::collections::HashMap;
use std::f64::consts::FRAC_PI_2;
use std::sync::{LazyLock, Mutex};

use super::expectation::{TAIL, ladder};
use super::quadrature::{clip_breaks, visit_nodes};
use crate::network::Activation;

/// Expectations over a normalised batch of size B; d = phi'(u), indices 1 and 2 are two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchMoments {
    /// E phi(u).
    pub mean: f64,
    /// E phi(u_1)^2.
    pub square: f64,
    /// E phi(u_1) phi(u_2).
    pub product: f64,
    /// E tr(P D D P) with P the projection of the norm's backward pass (off the constant vector and off u) and
    /// D = diag(d): what becomes of a gradient that is independent between samples.
    pub independent: f64,
    /// E |P d|^2: what becomes of a gradient that is the same for all samples.
    pub shared: f64,
}

impl BatchMoments {
    /// Of a gradient whose covariance between samples is 1 - 1/B on the diagonal and -1/B off it.
    pub fn centred(&self, batch: f64) -> f64 {
        self.independent - self.shared / batch
    }
}

type Key = (u32, u64, u32);
static CACHE: LazyLock<Mutex<HashMap<Key, BatchMoments>>> = LazyLock::new(Mutex::default);

/// The expectations at batch size `batch` >= 4. Answers are remembered.
pub fn batch_moments(activation: &Activation, batch: u32) -> BatchMoments {
    let key = (activation.kind as u32, activation.param.to_bits(), batch);
    if let Ok(cache) = CACHE.lock()
        && let Some(known) = cache.get(&key)
    {
        return *known;
    }
    let answer = integrate(activation, batch);
    if let Ok(mut cache) = CACHE.lock() {
        cache.insert(key, answer);
    }
    answer
}

/// Nodes (t, weight) of the first coordinate t of a uniform point on the unit sphere of `dimension` >= 2, with `breaks`
/// in t. In t = sin(a) the density is cos(a)^(dimension - 2), which has no end-point singularity.
fn sphere_nodes(dimension: f64, breaks: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
    let power = dimension - 2.0;
    let reach = if power > 0.0 { (TAIL / power.sqrt()).min(FRAC_PI_2) } else { FRAC_PI_2 };
    let even = (-6..=6).map(|i| reach * f64::from(i) / 7.0);
    let breaks = clip_breaks(breaks.filter(|t| t.abs() < 1.0).map(libm::asin).chain(even).collect(), -reach, reach);
    let mut nodes = Vec::with_capacity(breaks.len() * 20);
    visit_nodes(&breaks, |a, weight| nodes.push((libm::sin(a), weight * libm::exp(power * libm::log(libm::cos(a))))));
    let total: f64 = nodes.iter().map(|n| n.1).sum();
    nodes.iter_mut().for_each(|n| n.1 /= total);
    nodes
}
fn integrate(activation: &Activation, batch: u32) -> BatchMoments {
    let b = f64::from(batch);
    // The sphere has radius sqrt(B) in B - 1 dimensions; sample axes lie at correlation -1/(B-1) inside it.
    let (dimension, radius) = (b - 1.0, (b - 1.0).sqrt());
    let c = -1.0 / (b - 1.0);
    let s = (1.0 - c * c).sqrt();
    let points = ladder(activation, radius);
    let mut sums = [0.0; 7];
    for (t, weight) in sphere_nodes(dimension, points.iter().map(|u| u / radius)) {
        let u = radius * t;
        let (value, d) = (activation.value(u), activation.derivative(u));
        let spread = s * (1.0 - t * t).max(0.0).sqrt();
        let (mut value_2, mut d_2, mut du_2) = (0.0, 0.0, 0.0);
        for (x, w) in sphere_nodes(dimension - 1.0, points.iter().map(|k| (k / radius - c * t) / spread)) {
            let u = radius * (c * t + spread * x);
            let d = activation.derivative(u);
            value_2 += w * activation.value(u);
            d_2 += w * d;
            du_2 += w * d * u;
        }
        let terms = [value, value * value, value * value_2, d * d, d * d_2, d * d * u * u, d * u * du_2];
        for (sum, term) in sums.iter_mut().zip(terms) {
            *sum += weight * term;
        }
    }
    let [mean, square, product, dd, d1d2, ddu, d1u1d2u2] = sums;
    BatchMoments {
        mean,
        square,
        product,
        independent: (b - 1.0) * dd - ddu,
        shared: (b - 1.0) * (dd - d1d2) - ddu - (b - 1.0) * d1u1d2u2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ActivationKind;
    use std::f64::consts::PI;

    /// Squared-gradient factor per plain layer, from the moments alone.
    fn factor(kind: ActivationKind, batch: u32) -> f64 {
        let (m, b) = (batch_moments(&kind.into(), batch), f64::from(batch));
        m.centred(b) / (b - 1.0) * b / ((b - 3.0) * (m.square - m.product))
    }

    #[test]
    fn a_linear_network_explodes_by_b_minus_2_over_b_minus_3() {
        for batch in [4, 5, 8, 64, 1000] {
            let b = f64::from(batch);
            let got = factor(ActivationKind::Linear, batch);
            assert!((got - (b - 2.0) / (b - 3.0)).abs() < 1e-9, "{batch}: {got}");
        }
    }

    #[test]
    fn relu_explodes_by_pi_over_pi_minus_1() {
        // ReLU is homogeneous, so its moments on the sphere are the arc-cosine kernels at correlation -1/(B-1)
        // (Cho & Saul 2009). B = 32 is quoted as 1.521 from simulation.
        for (batch, quoted, unit) in [(32, 1.521, 1.5e-3), (4096, PI / (PI - 1.0), 1e-3)] {
            let b = f64::from(batch);
            let t = libm::acos(-1.0 / (b - 1.0));
            let kernel = (libm::sin(t) + (PI - t) * libm::cos(t)) / (2.0 * PI);
            let step = (PI - t) / (2.0 * PI);
            let shared = (b - 1.0) * (0.5 - step) - 0.5 - (b - 1.0) * kernel;
            let centred = 0.5 * (b - 2.0) - shared / b;
            let want = centred / (b - 1.0) * b / ((b - 3.0) * (0.5 - kernel));
            let got = factor(ActivationKind::Relu, batch);
            assert!((got - want).abs() < 1e-9, "{batch}: {got} {want}");
            assert!((got - quoted).abs() < unit, "{batch}: {got}");
        }
    }

    #[test]
    fn the_moments_are_those_of_drawn_batches() {
        // A plain simulation: normal draws of the crate's sampler, normalised by hand.
        use crate::sampler::{TensorId, normal, normal_integer, words};
        for (kind, batch) in [(ActivationKind::Tanh, 6usize), (ActivationKind::Relu, 8), (ActivationKind::Softplus, 5)]
        {
            let activation = Activation::from(kind);
            let b = batch as f64;
            let trials = 40_000;
            let mut sums = [[0.0; 2]; 5];
            for trial in 0..trials {
                let mut u: Vec<f64> = (0..batch)
                    .map(|i| {
                        let word = words(5, TensorId::Input, trial, 0, (i / 4) as u32)[i % 4];
                        f64::from(normal_integer(word, &normal::TABLE)) / 2f64.powi(21)
                    })
                    .collect();
                let mean = u.iter().sum::<f64>() / b;
                u.iter_mut().for_each(|x| *x -= mean);
                let scale = (b / u.iter().map(|x| x * x).sum::<f64>()).sqrt();
                u.iter_mut().for_each(|x| *x *= scale);
                let value: Vec<f64> = u.iter().map(|&x| activation.value(x)).collect();
                let d: Vec<f64> = u.iter().map(|&x| activation.derivative(x)).collect();
                let sum = |v: &[f64]| v.iter().sum::<f64>();
                let square = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
                let du: Vec<f64> = u.iter().zip(&d).map(|(u, d)| u * d).collect();
                let pairs = sum(&value).powi(2) - square(&value);
                let got = [
                    sum(&value) / b,
                    square(&value) / b,
                    pairs / (b * (b - 1.0)),
                    square(&d) - square(&d) / b - square(&du) / b,
                    square(&d) - sum(&d).powi(2) / b - sum(&du).powi(2) / b,
                ];
                for (s, x) in sums.iter_mut().zip(got) {
                    s[0] += x;
                    s[1] += x * x;
                }
            }
            let m = batch_moments(&activation, batch as u32);
            for (sum, want) in sums.iter().zip([m.mean, m.square, m.product, m.independent, m.shared]) {
                let n = f64::from(trials);
                let mean = sum[0] / n;
                let error = ((sum[1] / n - mean * mean).max(0.0) / n).sqrt();
                assert!((mean - want).abs() < 4.0 * error + 1e-9, "{kind:?}: {mean} +- {error}, {want}");
            }
        }
    }
}
