//! Mean field of plain layers: the fixed point of the variance, the phase, and the depth scales (Poole et al. 2016,
//! Schoenholz et al. 2017). q is the variance of z, c the correlation of two samples' z.

use super::critical::critical;
use super::expectation::{homogeneous, moments};
use super::root::brent;
use super::tabulated::{Tabulated, tabulated};
use crate::network::Activation;

/// The side of the edge of chaos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// chi_1 < 1: gradients vanish, samples merge.
    Ordered,
    /// chi_1 > 1: gradients explode.
    Chaotic,
    /// chi_1 = 1 to 1e-9.
    Critical,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Ordered => "ordered",
            Phase::Chaotic => "chaotic",
            Phase::Critical => "critical",
        }
    }
    pub fn of(chi_1: f64) -> Phase {
        if (chi_1 - 1.0).abs() < 1e-9 {
            Phase::Critical
        } else if chi_1 < 1.0 {
            Phase::Ordered
        } else {
            Phase::Chaotic
        }
    }
}

/// What mean-field theory says of (activation, sigma_w, sigma_b). Fields are `None` where there is no such number:
/// the variance diverges, or a depth scale is infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanField {
    /// Fixed point that the variance reaches from q_1 = sigma_w^2 + sigma_b^2.
    pub q_star: Option<f64>,
    /// sigma_w^2 E phi'^2 at q* (for homogeneous activations at any q).
    pub chi_1: Option<f64>,
    pub phase: Option<Phase>,
    /// Fixed point of the correlation that samples reach: 1 unless chaotic.
    pub c_star: Option<f64>,
    /// 1/|ln(dq_{l+1}/dq_l)| at q*.
    pub xi_q: Option<f64>,
    /// 1/|ln(dc_{l+1}/dc_l)| at c*.
    pub xi_c: Option<f64>,
    /// 1/|ln chi_1|.
    pub xi_grad: Option<f64>,
}

/// sigma_w^2 E phi(u)^2 + sigma_b^2 at u ~ N(0, q): the variance one layer on.
pub fn next_variance(activation: &Activation, sigma_w: f64, sigma_b: f64, q: f64) -> f64 {
    sigma_w * sigma_w * moments(activation, q).square + sigma_b * sigma_b
}

/// chi(q) = sigma_w^2 E phi'(u)^2 at u ~ N(0, q): the factor of the squared gradient per layer.
pub fn chi(activation: &Activation, sigma_w: f64, q: f64) -> f64 {
    sigma_w * sigma_w * moments(activation, q).derivative_square
}

/// The depth over which a factor per layer changes by e; none for a factor of 1 or 0.
fn depth_scale(factor: f64) -> Option<f64> {
    let scale = 1.0 / factor.ln().abs();
    (factor > 0.0 && (factor - 1.0).abs() > 1e-9 && scale.is_finite()).then_some(scale)
}

/// The mean field of plain layers.
pub fn mean_field(activation: &Activation, sigma_w: f64, sigma_b: f64) -> MeanField {
    let table = tabulated(activation);
    let Some(q) = fixed_variance(activation, &table, sigma_w, sigma_b) else {
        let chi_1 = homogeneous(activation).map(|_| chi(activation, sigma_w, 1.0)).filter(|chi| chi.is_finite());
        return MeanField {
            q_star: None,
            chi_1,
            phase: chi_1.map(Phase::of),
            c_star: None,
            xi_q: None,
            xi_c: None,
            xi_grad: chi_1.and_then(depth_scale),
        };
    };
    let m = table.moments(q);
    let w = sigma_w * sigma_w;
    let chi_1 = w * m.derivative_square;
    let phase = Phase::of(chi_1);
    let (c_star, slope) = match phase {
        // The map is convex with f(1) = 1 and slope chi_1 there: below 1 there is no other fixed point.
        Phase::Ordered | Phase::Critical => (Some(1.0), Some(chi_1)),
        Phase::Chaotic if q == 0.0 => (None, None),
        Phase::Chaotic => {
            let (c, slope) = chaotic_correlation(&table, w, sigma_b * sigma_b, q);
            (Some(c), Some(slope))
        }
    };
    MeanField {
        q_star: Some(q),
        chi_1: Some(chi_1),
        phase: Some(phase),
        c_star,
        xi_q: depth_scale(w * m.square_slope),
        xi_c: slope.and_then(depth_scale),
        xi_grad: depth_scale(chi_1),
    }
}

/// c* < 1 of the chaotic phase and the slope of the map there. Newton from c = 0 on a convex function that falls
/// through its root: the steps approach it from below and cannot overshoot.
fn chaotic_correlation(table: &Tabulated, w: f64, b: f64, q: f64) -> (f64, f64) {
    let maps = table.pair_maps(q);
    let mut c = 0.0;
    for _ in 0..200 {
        let pair = maps.at(c);
        let (gap, slope) = ((w * pair.value + b) / q - c, w * pair.slope / q - 1.0);
        let step = -gap / slope;
        if gap.is_nan() || gap <= 1e-15 || slope >= 0.0 || step < 1e-14 {
            break;
        }
        c += step;
    }
    (c, w * maps.at(c).slope / q)
}

/// The fixed point of the variance that iteration from q_1 = sigma_w^2 + sigma_b^2 reaches; `None` where it diverges.
fn fixed_variance(activation: &Activation, table: &Tabulated, sigma_w: f64, sigma_b: f64) -> Option<f64> {
    let start = sigma_w * sigma_w + sigma_b * sigma_b;
    if !start.is_finite() {
        return None;
    }
    if homogeneous(activation).is_some() {
        let factor = chi(activation, sigma_w, 1.0);
        return match (sigma_b == 0.0, Phase::of(factor)) {
            (true, Phase::Critical) => Some(start),
            (true, Phase::Ordered) => Some(0.0),
            (false, Phase::Ordered) => Some(sigma_b * sigma_b / (1.0 - factor)).filter(|q| q.is_finite()),
            _ => None,
        };
    }
    // At the critical point the root may be double: take it from where q and chi were solved together.
    if let Ok(point) = critical(activation, Some(sigma_b))
        && (point.sigma_w / sigma_w - 1.0).abs() < 1e-10
    {
        return Some(point.q);
    }
    // The variance map grows with q, so iteration moves one way until the first fixed point.
    let drift = |q: f64| sigma_w * sigma_w * table.moments(q).square + sigma_b * sigma_b - q;
    let mut here = (start, drift(start));
    if here.1 == 0.0 {
        return Some(here.0);
    }
    let ratio: f64 = if here.1 > 0.0 { 1.5 } else { 1.0 / 1.5 };
    loop {
        let q = here.0 * ratio;
        if q > 1e30 {
            return None;
        }
        if q < 1e-13 {
            return Some(0.0);
        }
        let next = (q, drift(q));
        // The map runs along the diagonal (sigma_w at the asymptotic critical value): q grows without end, and what is left
        // of the drift is rounding, whose signs are no fixed points.
        if ratio > 1.0 && q > 1e8 && next.1.abs() < 1e-8 * q {
            return None;
        }
        if (next.1 > 0.0) != (here.1 > 0.0) {
            return Some(brent(drift, here, next, 1e-14));
        }
        here = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ActivationKind, activation::TABLE};

    #[track_caller]
    fn close(got: f64, printed: f64, digits: i32) {
        assert!((got - printed).abs() <= 0.51 * 10f64.powi(-digits), "{got} is not {printed} to {digits} decimals");
    }

    #[test]
    fn the_chaotic_point_of_tanh_has_its_published_digits() {
        let field = mean_field(&ActivationKind::Tanh.into(), 2.5f64.sqrt(), 0.05f64.sqrt());
        close(field.q_star.unwrap(), 1.0639584, 7);
        close(field.chi_1.unwrap(), 1.1335157, 7);
        assert_eq!(field.phase, Some(Phase::Chaotic));
        assert!(field.c_star.unwrap() < 1.0 && field.xi_c.unwrap() > 0.0);
    }

    #[test]
    fn a_variance_that_grows_without_end_has_no_fixed_point() {
        for kind in [ActivationKind::Elu, ActivationKind::Celu, ActivationKind::Softplus] {
            // 2/n, half of which an identity above zero keeps: the map comes ever closer to the diagonal.
            for sigma_w in [2f64.sqrt(), 2f64.sqrt() * (1.0 + 2.7e-8), 1.42, 2.0] {
                assert_eq!(mean_field(&kind.into(), sigma_w, 0.0).q_star, None, "{kind:?} {sigma_w}");
            }
            assert!(mean_field(&kind.into(), 1.0, 0.0).q_star.is_some(), "{kind:?}");
        }
    }

    #[test]
    fn sigmoid_vanishes_at_the_known_rate() {
        close(mean_field(&ActivationKind::Sigmoid.into(), 1.0, 0.0).chi_1.unwrap(), 0.055721, 6);
    }

    #[test]
    fn the_tanh_gain_of_pytorch_is_chaotic() {
        let field = mean_field(&ActivationKind::Tanh.into(), 5.0 / 3.0, 0.0);
        close(field.chi_1.unwrap(), 1.2098, 4);
        assert_eq!(field.phase, Some(Phase::Chaotic));
    }

    #[test]
    fn gains_that_keep_unit_variance_are_the_known_ones() {
        use ActivationKind::*;
        for (kind, gain, digits) in [
            (Tanh, 1.592537, 6),
            (Sigmoid, 1.846229, 6),
            (Gelu, 1.533530, 6),
            (Silu, 1.676532, 6),
            (Elu, 1.245198, 6),
            (Selu, 1.0, 6),
            (Softplus, 1.041867, 6),
            (Mish, 1.486848, 6),
            (Softsign, 2.337533, 6),
            (HardTanh, 1.392036, 6),
        ] {
            let got = moments(&kind.into(), 1.0).square.sqrt().recip();
            close(got, gain, digits);
        }
    }

    #[test]
    fn iterating_the_variance_ends_at_the_fixed_point() {
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            for (sigma_w, sigma_b) in [(0.5, 0.0), (0.9, 0.3), (1.3, 0.2), (1.4, 0.0), (2.5, 1.0)] {
                let field = mean_field(&activation, sigma_w, sigma_b);
                if field.xi_q.is_some_and(|scale| scale > 30.0) {
                    continue;
                }
                let mut q = sigma_w * sigma_w + sigma_b * sigma_b;
                for _ in 0..500 {
                    q = next_variance(&activation, sigma_w, sigma_b, q);
                }
                match field.q_star {
                    Some(star) => assert!(
                        (q - star).abs() < 1e-6 * star.max(1e-3),
                        "{} {sigma_w} {sigma_b}: {q} {star}",
                        row.name
                    ),
                    None => assert!(q > 1e8, "{} {sigma_w} {sigma_b}: {q}", row.name),
                }
            }
        }
    }

    #[test]
    fn the_mean_field_moves_monotonically_and_continuously_with_the_scale() {
        for kind in [ActivationKind::Tanh, ActivationKind::Erf, ActivationKind::Softsign, ActivationKind::HardTanh] {
            let line: Vec<MeanField> =
                (0..=120).map(|i| mean_field(&kind.into(), 0.5 + 0.025 * f64::from(i), 0.3)).collect();
            for pair in line.windows(2) {
                let gap = |f: fn(&MeanField) -> Option<f64>| f(&pair[1]).unwrap() - f(&pair[0]).unwrap();
                assert!((0.0..0.5).contains(&gap(|m| m.q_star)), "{kind:?}");
                assert!((0.0..0.05).contains(&gap(|m| m.chi_1)), "{kind:?}");
                assert!((-0.2..=0.0).contains(&gap(|m| m.c_star)), "{kind:?}: {pair:?}");
            }
        }
    }

    #[test]
    fn the_correlation_of_the_chaotic_phase_is_a_fixed_point() {
        for (kind, sigma_w, sigma_b) in
            [(ActivationKind::Tanh, 1.32, 0.2), (ActivationKind::Tanh, 3.0, 0.1), (ActivationKind::Erf, 2.0, 0.5)]
        {
            let activation = Activation::from(kind);
            let field = mean_field(&activation, sigma_w, sigma_b);
            let (q, mut c) = (field.q_star.unwrap(), 0.1);
            let map = crate::theory::correlation::maps(&activation, q).value;
            for _ in 0..20_000 {
                c = (sigma_w * sigma_w * map.value(c) + sigma_b * sigma_b) / q;
            }
            assert!((c - field.c_star.unwrap()).abs() < 1e-9, "{c} {field:?}");
        }
    }

    #[test]
    fn infinite_depth_scales_are_absent() {
        let field = mean_field(&ActivationKind::Relu.into(), 2f64.sqrt(), 0.0);
        assert_eq!((field.phase, field.xi_grad), (Some(Phase::Critical), None));
        let diverging = mean_field(&ActivationKind::Relu.into(), 2.0, 0.0);
        assert_eq!((diverging.q_star, diverging.c_star), (None, None));
        close(diverging.chi_1.unwrap(), 2.0, 12);
    }
}
