//! The correlation map: how the covariance of two samples' pre-activations passes a layer, from the expansion of the
//! activation in Hermite polynomials (Daniely, Frostig & Singer 2016; Poole et al. 2016).

use super::expectation::{TAIL, density, gaussian_breaks};
use super::quadrature::{clip_breaks, visit_nodes};
use crate::network::Activation;

/// Coefficients kept.
const TERMS: usize = 256;

/// f(c) = E f(u_1) f(u_2) for jointly Gaussian u_1, u_2 of variance q and correlation c, as a power series in c with
/// coefficients that are squares: f(c) = sum a_k^2 c^k.
#[derive(Clone, Debug)]
pub struct PowerMap {
    squares: Vec<f64>,
    /// What the kept coefficients lack at c = 1, and the power that carries it.
    rest: f64,
    rest_power: f64,
}

impl PowerMap {
    /// The map of `f` at variance q. `at_one` and `slope_at_one` are f(1) and, where it is finite, f'(1): they fix the
    /// terms beyond the last kept one, so that the map is exact at c = 1 also for functions with kinks.
    fn new(activation: &Activation, q: f64, f: impl Fn(f64) -> f64, at_one: f64, slope_at_one: Option<f64>) -> Self {
        let deviation = q.sqrt();
        let mut breaks = gaussian_breaks(activation, deviation);
        // The polynomials oscillate with a wave length of about 2 pi / sqrt(k).
        breaks.extend((-27..=27).map(|i| f64::from(i) * 0.5));
        let breaks = clip_breaks(breaks, -TAIL, TAIL);
        let mut coefficients = vec![0.0; TERMS];
        visit_nodes(&breaks, |x, weight| {
            // Hermite functions h_k(x) exp(-x^2/4), normalised: no overflow in the tails.
            let root = libm::exp(-0.25 * x * x);
            let w = weight * density(x) / root * f(deviation * x);
            let (mut before, mut now) = (0.0, root);
            for (k, a) in coefficients.iter_mut().enumerate() {
                *a += w * now;
                let k = k as f64;
                (before, now) = (now, (x * now - k.sqrt() * before) / (k + 1.0).sqrt());
            }
        });
        let squares: Vec<f64> = coefficients.iter().map(|a| a * a).collect();
        let rest = at_one - squares.iter().sum::<f64>();
        let slope: f64 = squares.iter().enumerate().map(|(k, a)| k as f64 * a).sum();
        if rest <= 1e-13 * at_one {
            return PowerMap { squares, rest: 0.0, rest_power: 0.0 };
        }
        let power = slope_at_one.map_or(0.0, |s| (s - slope) / rest);
        PowerMap { squares, rest, rest_power: power.max(TERMS as f64) }
    }

    /// f(c) for 0 <= c <= 1.
    pub fn value(&self, c: f64) -> f64 {
        let series = self.squares.iter().rev().fold(0.0, |sum, a| sum * c + a);
        series + self.rest * c.powf(self.rest_power)
    }

    /// f'(c).
    pub fn slope(&self, c: f64) -> f64 {
        let series = self.squares.iter().enumerate().skip(1).rev().fold(0.0, |sum, (k, a)| sum * c + k as f64 * a);
        let rest = if self.rest == 0.0 { 0.0 } else { self.rest * self.rest_power * c.powf(self.rest_power - 1.0) };
        series + rest
    }
}

/// c -> E phi(u_1) phi(u_2) at variance q > 0. Its slope is q E phi'(u_1) phi'(u_2) (Price's theorem).
pub fn value_map(activation: &Activation, q: f64) -> PowerMap {
    let m = super::expectation::moments(activation, q);
    PowerMap::new(activation, q, |u| activation.value(u), m.square, Some(q * m.derivative_square))
}

/// c -> E phi'(u_1)^2 phi'(u_2)^2 at variance q > 0.
pub fn derivative_square_map(activation: &Activation, q: f64) -> PowerMap {
    let m = super::expectation::moments(activation, q);
    PowerMap::new(activation, q, |u| activation.derivative(u).powi(2), m.derivative_fourth, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ActivationKind;
    use std::f64::consts::PI;

    #[test]
    fn relu_gives_the_arc_cosine_kernels() {
        // Cho & Saul 2009: E relu relu = q (sin t + (pi - t) cos t)/(2 pi), E step step = (pi - t)/(2 pi).
        let q = 1.7;
        let (value, step) =
            (value_map(&ActivationKind::Relu.into(), q), derivative_square_map(&ActivationKind::Relu.into(), q));
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
    fn erf_gives_the_arc_sine_kernel() {
        // Williams 1997: E erf erf = (2/pi) asin(2 q c / (1 + 2 q)).
        for q in [0.1, 1.0, 20.0] {
            let map = value_map(&ActivationKind::Erf.into(), q);
            for c in [0.0, 0.3, 0.9, 0.99, 1.0] {
                let want = 2.0 / PI * libm::asin(2.0 * q * c / (1.0 + 2.0 * q));
                // At q = 20 erf is nearly a step: the terms beyond the last kept one carry 1e-8.
                assert!((map.value(c) - want).abs() < 3e-8, "{q} {c}: {} {want}", map.value(c));
            }
        }
    }
}
