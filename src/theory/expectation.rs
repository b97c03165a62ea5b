//! Expectations of an activation under a Gaussian, E f(phi(sqrt(q) x)) with x ~ N(0, 1), in float64: kinks are break
//! points and a geometric ladder of them follows the activation's own scale, so q may be anything from 0 upwards.

use super::quadrature::{clip_breaks, visit_nodes};
use crate::network::{Activation, ActivationKind};

/// Beyond this the Gaussian weight is below 1e-42.
pub(super) const TAIL: f64 = 14.0;

/// Expectations at variance q of the argument u = sqrt(q) x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// E phi(u).
    pub mean: f64,
    /// E phi(u)^2.
    pub square: f64,
    /// E phi'(u)^2.
    pub derivative_square: f64,
    /// E phi'(u)^4.
    pub derivative_fourth: f64,
    /// d E phi(u)^2 / dq.
    pub square_slope: f64,
    /// q^2 d^2 E phi(u)^2 / dq^2.
    pub square_curvature: f64,
    /// q d E phi'(u)^2 / dq.
    pub derivative_slope: f64,
    /// q^2 d^2 E phi'(u)^2 / dq^2.
    pub derivative_curvature: f64,
    /// E phi(u)^4 / (E phi(u)^2)^2.
    pub fourth_ratio: f64,
    /// E phi(u)^2 phi'(u)^2 / (E phi(u)^2 E phi'(u)^2).
    pub mixed_ratio: f64,
    /// E x phi'(u), which is sqrt(q) E phi''(u).
    pub bend: f64,
    /// E phi(u) phi'(u).
    pub value_slope: f64,
    /// E phi(u) phi'(u)^2.
    pub derivative_value: f64,
    /// E x phi'(u)^2.
    pub derivative_lean: f64,
}

/// How many numbers [`Moments`] are.
pub const MOMENTS: usize = 14;

impl Moments {
    /// Neither of them is a number.
    pub const UNKNOWN: Moments = Moments {
        mean: f64::NAN,
        square: f64::NAN,
        derivative_square: f64::NAN,
        derivative_fourth: f64::NAN,
        square_slope: f64::NAN,
        square_curvature: f64::NAN,
        derivative_slope: f64::NAN,
        derivative_curvature: f64::NAN,
        fourth_ratio: f64::NAN,
        mixed_ratio: f64::NAN,
        bend: f64::NAN,
        value_slope: f64::NAN,
        derivative_value: f64::NAN,
        derivative_lean: f64::NAN,
    };

    /// All of them, for tables.
    pub fn to_array(self) -> [f64; MOMENTS] {
        [
            self.mean,
            self.square,
            self.derivative_square,
            self.derivative_fourth,
            self.square_slope,
            self.square_curvature,
            self.derivative_slope,
            self.derivative_curvature,
            self.fourth_ratio,
            self.mixed_ratio,
            self.bend,
            self.value_slope,
            self.derivative_value,
            self.derivative_lean,
        ]
    }

    pub fn from_array(values: [f64; MOMENTS]) -> Self {
        let [mean, square, derivative_square, derivative_fourth, square_slope, ..] = values;
        let [_, _, _, _, _, square_curvature, derivative_slope, derivative_curvature, ..] = values;
        let [.., fourth_ratio, mixed_ratio, bend, value_slope, derivative_value, derivative_lean] = values;
        Moments {
            mean,
            square,
            derivative_square,
            derivative_fourth,
            square_slope,
            square_curvature,
            derivative_slope,
            derivative_curvature,
            fourth_ratio,
            mixed_ratio,
            bend,
            value_slope,
            derivative_value,
            derivative_lean,
        }
    }
}

/// Break points of the activation itself, in u: kinks, and a ladder that is dense where the function bends.
pub(super) fn ladder(activation: &Activation, reach: f64) -> Vec<f64> {
    let facts = activation.facts();
    let scale = match activation.kind {
        ActivationKind::Softplus => 1.0 / activation.param,
        ActivationKind::Celu => activation.param,
        _ => 1.0,
    };
    let mut points = vec![0.0];
    points.extend(facts.flat.iter().filter(|v| v.is_finite()));
    if !is_piecewise_linear(activation.kind) {
        let mut step = 0.5 * scale;
        while step < reach {
            points.extend([-step, step]);
            step *= 2.0;
        }
        // Away from scale 1 the other side may still bend at 1 (celu is linear there, softplus is not affected).
        if scale > 1.0 {
            points.extend([-1.0, 1.0]);
        }
    }
    points
}

fn is_piecewise_linear(kind: ActivationKind) -> bool {
    use ActivationKind::*;
    matches!(kind, Linear | Relu | LeakyRelu | HardTanh | HardSigmoid | Relu6)
}

/// phi is a straight line on each side of 0, through 0: the slopes below and above.
pub fn homogeneous(activation: &Activation) -> Option<[f64; 2]> {
    use ActivationKind::*;
    matches!(activation.kind, Linear | Relu | LeakyRelu).then(|| activation.facts().slopes_at_zero)
}

/// Break points in x of a Gaussian integral of functions of phi(sqrt(q) x).
pub(super) fn gaussian_breaks(activation: &Activation, deviation: f64) -> Vec<f64> {
    let mut points: Vec<f64> = ladder(activation, TAIL * deviation).iter().map(|u| u / deviation).collect();
    points.extend([-9.0, -6.0, -4.0, -2.5, -1.2, 1.2, 2.5, 4.0, 6.0, 9.0]);
    clip_breaks(points, -TAIL, TAIL)
}

/// The density of N(0, 1).
pub(super) fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt()
}

/// The expectations at variance `q` >= 0. At q = 0 they are the limits from above; beyond 1e200 the activation is its
/// asymptotes.
pub fn moments(activation: &Activation, q: f64) -> Moments {
    let deviation = q.sqrt();
    let far = activation.facts().far.map(|line| line.slope);
    let lines = if q > 1e200 && far != [0.0, 0.0] { Some(far) } else { homogeneous(activation) };
    if let Some([below, above]) = lines {
        let half_powers = |k: i32| 0.5 * (below.powi(k) + above.powi(k));
        let first = 1.0 / (2.0 * std::f64::consts::PI).sqrt();
        return Moments {
            mean: deviation * first * (above - below),
            square: q * half_powers(2),
            derivative_square: half_powers(2),
            derivative_fourth: half_powers(4),
            square_slope: half_powers(2),
            square_curvature: 0.0,
            derivative_slope: 0.0,
            derivative_curvature: 0.0,
            fourth_ratio: 3.0 * half_powers(4) / half_powers(2).powi(2),
            mixed_ratio: half_powers(4) / half_powers(2).powi(2),
            bend: first * (above - below),
            value_slope: deviation * first * (above.powi(2) - below.powi(2)),
            derivative_value: deviation * first * (above.powi(3) - below.powi(3)),
            derivative_lean: first * (above.powi(2) - below.powi(2)),
        };
    }
    if activation.kind == ActivationKind::Sine {
        // It oscillates at every scale; its Gaussian expectations are elementary.
        let decay = |k: f64| libm::exp(-k * q);
        let (square, derivative_square) = (-0.5 * libm::expm1(-2.0 * q), 0.5 * (1.0 + decay(2.0)));
        // sin^4 = 3/8 - cos(2u)/2 + cos(4u)/8, in differences from 1 that keep their digits at small q.
        let fourth = if q < 1e-4 { 3.0 * q * q } else { -0.5 * libm::expm1(-2.0 * q) + 0.125 * libm::expm1(-8.0 * q) };
        return Moments {
            mean: 0.0,
            square,
            derivative_square,
            derivative_fourth: 0.375 + 0.5 * decay(2.0) + 0.125 * decay(8.0),
            square_slope: decay(2.0),
            square_curvature: -2.0 * q * (q * decay(2.0)),
            derivative_slope: -q * decay(2.0),
            derivative_curvature: 2.0 * q * (q * decay(2.0)),
            fourth_ratio: fourth / (square * square),
            mixed_ratio: -0.125 * libm::expm1(-8.0 * q) / (square * derivative_square),
            bend: 0.0,
            value_slope: 0.0,
            derivative_value: 0.0,
            derivative_lean: 0.0,
        };
    }
    if q < 1e-18 {
        return near_zero(activation, q);
    }
    let mut m = Moments::from_array([0.0; MOMENTS]);
    // Fourth powers stay in range: phi grows like its argument, or not at all.
    let scale = if far == [0.0, 0.0] { 1.0 } else { deviation.max(1.0) };
    let mut scaled_square = 0.0;
    visit_nodes(&gaussian_breaks(activation, deviation), |x, weight| {
        let w = weight * density(x);
        let (value, derivative) = (activation.value(deviation * x), activation.derivative(deviation * x));
        let square = derivative * derivative;
        m.mean += w * value;
        m.square += w * value * value;
        m.derivative_square += w * square;
        m.derivative_fourth += w * square * square;
        m.square_slope += w * value * derivative * x / deviation;
        // Derivatives by q move to the density: d/dq = (x^2 - 1)/(2q), d^2/dq^2 = (x^4 - 6x^2 + 3)/(4q^2).
        let (first, second) = (0.5 * (x * x - 1.0), 0.25 * ((x * x - 6.0) * x * x + 3.0));
        m.square_curvature += w * second * value * value;
        m.derivative_slope += w * first * square;
        m.derivative_curvature += w * second * square;
        let scaled = (value / scale).powi(2);
        scaled_square += w * scaled;
        m.fourth_ratio += w * scaled * scaled;
        m.mixed_ratio += w * scaled * square;
        m.bend += w * x * derivative;
        m.value_slope += w * value * derivative;
        m.derivative_value += w * value * square;
        m.derivative_lean += w * x * square;
    });
    m.fourth_ratio /= scaled_square * scaled_square;
    m.mixed_ratio /= scaled_square * m.derivative_square;
    m
}

/// Of a variance so small that phi is a line on each side of 0.
fn near_zero(activation: &Activation, q: f64) -> Moments {
    let facts = activation.facts();
    let [below, above] = facts.slopes_at_zero;
    let half_powers = |k: i32| 0.5 * (below.powi(k) + above.powi(k));
    // d E phi^2 / dq = E phi'^2 + phi(0) phi''(0), the second derivative by a difference.
    let h = 1e-4;
    let curvature =
        if facts.at_zero == 0.0 { 0.0 } else { (activation.derivative(h) - activation.derivative(-h)) / (2.0 * h) };
    let first = q.sqrt() / (2.0 * std::f64::consts::PI).sqrt();
    let square_slope = half_powers(2) + facts.at_zero * curvature;
    Moments {
        mean: facts.at_zero + first * (above - below),
        square: facts.at_zero * facts.at_zero + q * square_slope,
        derivative_square: half_powers(2),
        derivative_fourth: half_powers(4),
        square_slope,
        square_curvature: 0.0,
        derivative_slope: 0.0,
        derivative_curvature: 0.0,
        fourth_ratio: if facts.at_zero == 0.0 { 3.0 * half_powers(4) / half_powers(2).powi(2) } else { 1.0 },
        mixed_ratio: if facts.at_zero == 0.0 { half_powers(4) / half_powers(2).powi(2) } else { 1.0 },
        bend: (above - below) / (2.0 * std::f64::consts::PI).sqrt(),
        value_slope: facts.at_zero * half_powers(1) + first * (above.powi(2) - below.powi(2)),
        derivative_value: facts.at_zero * half_powers(2),
        derivative_lean: (above.powi(2) - below.powi(2)) / (2.0 * std::f64::consts::PI).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::activation::TABLE;
    use std::f64::consts::PI;

    #[test]
    fn erf_and_hard_tanh_equal_their_closed_forms() {
        for q in [1e-3, 0.3, 1.0, 50.0, 1e6] {
            let m = moments(&ActivationKind::Erf.into(), q);
            assert!((m.square - 2.0 / PI * libm::asin(2.0 * q / (1.0 + 2.0 * q))).abs() < 1e-13, "{q}");
            assert!((m.derivative_square * (1.0 + 4.0 * q).sqrt() - 4.0 / PI).abs() < 1e-12, "{q}");
            assert!((m.derivative_fourth * (1.0 + 8.0 * q).sqrt() - 16.0 / (PI * PI)).abs() < 1e-12, "{q}");
            let inside = libm::erf(1.0 / (2.0 * q).sqrt());
            assert!((moments(&ActivationKind::HardTanh.into(), q).derivative_square - inside).abs() < 1e-13, "{q}");
        }
    }

    #[test]
    fn what_is_small_is_not_zero() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            let edge = moments(&activation, 1.001e-18);
            for q in [0.999e-18, 1e-19, 1e-30, 1e-100, 1e-300] {
                let m = moments(&activation, q);
                let through_zero = activation.facts().at_zero == 0.0;
                let want = if through_zero { edge.square * (q / 1.001e-18) } else { edge.square };
                assert!((m.square / want - 1.0).abs() < 1e-7, "{} {q}: {} {want}", row.name, m.square);
                assert!((m.derivative_square / edge.derivative_square - 1.0).abs() < 1e-7, "{} {q}", row.name);
            }
        }
    }

    #[test]
    fn every_activation_agrees_with_a_brute_force_sum() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            for q in [0.04_f64, 1.0, 30.0] {
                let (steps, reach) = (200_000, 12.0);
                let h = 2.0 * reach / f64::from(steps);
                let mut want = [0.0; 3];
                for i in 0..steps {
                    let x = -reach + h * (f64::from(i) + 0.5);
                    let (v, d) = (activation.value(q.sqrt() * x), activation.derivative(q.sqrt() * x));
                    for (sum, term) in want.iter_mut().zip([v, v * v, d * d]) {
                        *sum += h * density(x) * term;
                    }
                }
                let m = moments(&activation, q);
                for (got, want) in [m.mean, m.square, m.derivative_square].iter().zip(want) {
                    // The midpoint sum is wrong by up to h/2 at a jump of phi'.
                    assert!((got - want).abs() < 5e-4 * want.abs().max(1e-2), "{} {q}: {got} {want}", row.name);
                }
            }
        }
    }

    #[test]
    fn the_slope_of_the_variance_is_its_difference_quotient() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            for q in [0.01, 1.0, 20.0] {
                let h = 1e-4 * q;
                let want = (moments(&activation, q + h).square - moments(&activation, q - h).square) / (2.0 * h);
                let m = moments(&activation, q);
                let got = m.square_slope;
                assert!((got - want).abs() < 1e-6 * got.abs().max(1e-3), "{} {q}: {got} {want}", row.name);
                let (above, below) = (moments(&activation, q + h), moments(&activation, q - h));
                let bend = q * q * (above.square_slope - below.square_slope) / (2.0 * h);
                let slope = q * (above.derivative_square - below.derivative_square) / (2.0 * h);
                // d(q d pi/dq)/d ln q = q d pi/dq + q^2 d^2 pi/dq^2.
                let curvature = q * (above.derivative_slope - below.derivative_slope) / (2.0 * h) - m.derivative_slope;
                for (got, want, size) in [
                    (m.square_curvature, bend, m.square),
                    (m.derivative_slope, slope, m.derivative_square),
                    (m.derivative_curvature, curvature, m.derivative_square),
                ] {
                    assert!((got - want).abs() < 1e-5 * size.max(1e-3), "{} {q}: {got} {want}", row.name);
                }
            }
        }
    }

    #[test]
    fn expectations_are_continuous_where_the_method_changes() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            for q in [1e-18, 1e200] {
                let (a, b) = (moments(&activation, q * 0.999), moments(&activation, q * 1.001));
                let gap = (a.derivative_square / b.derivative_square - 1.0).abs();
                assert!(gap < 3e-3, "{} at {q}: {a:?} {b:?}", row.name);
            }
        }
    }
}
