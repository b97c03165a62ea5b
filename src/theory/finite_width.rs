//! What finite width adds to the mean field: the gradient's norm fluctuates from seed to seed, and the mean of its
//! logarithm lies below the logarithm of its mean by half the variance (Hanin 2018; Hanin & Nica 2018).

use super::correlation::{PowerMap, derivative_square_map, value_map};
use super::expectation::{homogeneous, moments};
use super::recursion::{Trace, bias_square, weight_square};
use crate::network::{Loss, NetworkSpec, Target, WeightLaw};

/// The maps of one layer's variance.
struct Maps {
    q: f64,
    value: PowerMap,
    derivative_square: PowerMap,
}

/// Variance over seeds of ln |delta_1|^2/|delta_L|^2 to first order in 1/width. Given the layers above, |delta_l|^2 is
/// a sum over units of phi'(u)^2 times the square of a Gaussian, over samples that share the weights:
/// variance = (1/n) (mean over sample pairs of E phi'_1^2 phi'_2^2 / (E phi'^2)^2 (1 + 2 rho^2) - 1),
/// rho the cosine of the two samples' gradients. At batch 1 with ReLU this is Hanin's 5/n.
pub fn log_variance(spec: &NetworkSpec, trace: &Trace, independent: bool) -> Option<f64> {
    let variances = &trace.preact_square;
    let (depth, batch) = (spec.depth as usize, f64::from(spec.batch_size));
    let n = f64::from(spec.width);
    if matches!(spec.weight_law(spec.depth.max(2)), WeightLaw::Orthogonal { .. } | WeightLaw::Diagonal { .. }) {
        return None;
    }
    let all: Vec<_> = variances.iter().map(|&q| moments(&spec.activation, q)).collect();
    let own = |l: usize| 3.0 * all[l].derivative_fourth / all[l].derivative_square.powi(2) - 1.0;
    if spec.batch_size == 1 {
        return Some((0..depth - 1).map(own).sum::<f64>() / n);
    }
    if !independent {
        return None;
    }
    // Correlation of z between samples, layer by layer, with the maps of that layer's variance.
    let mut covariance = 0.0;
    let mut pairs = Vec::with_capacity(depth);
    let mut maps: Option<Maps> = None;
    for l in 0..depth {
        let q = variances[l];
        let layer = l as u32 + 1;
        let b = bias_square(spec, layer);
        let c = if l == 0 { b / q } else { (weight_square(spec, layer)? * covariance + b) / q };
        let c = c.clamp(0.0, 1.0);
        if !(q > 0.0 && q < 1e200) {
            return None;
        }
        // Homogeneous activations have one map at all variances, up to its scale.
        let at = if homogeneous(&spec.activation).is_some() { 1.0 } else { q };
        if maps.as_ref().is_none_or(|m| (m.q / at - 1.0).abs() > 1e-4) {
            maps = Some(Maps {
                q: at,
                value: value_map(&spec.activation, at),
                derivative_square: derivative_square_map(&spec.activation, at),
            });
        }
        let m = maps.as_ref()?;
        covariance = m.value.value(c) * q / at;
        // Price's theorem: the slope of the value map is q E phi'_1 phi'_2.
        let aligned = m.value.slope(c) / m.q / all[l].derivative_square;
        let squares = m.derivative_square.value(c) / all[l].derivative_square.powi(2);
        pairs.push((aligned.min(1.0), squares));
    }
    let mut rho = top_alignment(spec, covariance, trace.act_square[depth])?;
    let mut variance = 0.0;
    for l in (0..depth).rev() {
        let (aligned, squares) = pairs[l];
        if l + 1 < depth {
            let shared = squares * (1.0 + 2.0 * rho * rho) - 1.0;
            variance += (own(l) / batch + (1.0 - 1.0 / batch) * shared) / n;
        }
        rho *= aligned;
    }
    Some(variance)
}

/// Cosine of dLoss/dh_L between two samples whose h_L has the given covariance and mean square.
fn top_alignment(spec: &NetworkSpec, covariance: f64, square: f64) -> Option<f64> {
    match (spec.loss, spec.target) {
        (Loss::Cotangent, _) => Some(0.0),
        (Loss::CotangentShared, _) => Some(1.0),
        (Loss::Mse, Target::Gaussian | Target::Zeros) if !spec.final_norm => {
            let readout = spec.depth + 1;
            let (w, b) = (weight_square(spec, readout)?, bias_square(spec, readout));
            let target = if spec.target == Target::Gaussian { 1.0 } else { 0.0 };
            Some((w * covariance + b) / (w * square + b + target))
        }
        _ => None,
    }
}
