//! What finite width adds to the mean field: the gradient's norm fluctuates from seed to seed, and the mean of its
//! logarithm lies below the logarithm of its mean by half the variance (Hanin 2018; Hanin & Nica 2018).

use super::recursion::{Trace, bias_square, weight_square};
use crate::network::{Loss, NetworkSpec, Target, WeightLaw};

/// Variance over seeds of ln |delta_l|^2/|delta_L|^2 for l = 1..=L, to first order in 1/width. Given the layers above,
/// |delta_l|^2 is a sum over units of phi'(u)^2 times the square of a Gaussian, over samples that share the weights:
/// each layer adds (1/n) (mean over sample pairs of E phi'_1^2 phi'_2^2 / (E phi'^2)^2 (1 + 2 rho^2) - 1),
/// rho the cosine of the two samples' gradients. At batch 1 with ReLU this is Hanin's 5/n.
pub fn log_variances(spec: &NetworkSpec, trace: &Trace, independent: bool) -> Option<Vec<f64>> {
    let (depth, batch) = (spec.depth as usize, f64::from(spec.batch_size));
    let n = f64::from(spec.width);
    if !knows_width(spec, independent) || trace.moments.len() != depth {
        return None;
    }
    let mut rho = top_alignment(spec, trace.top_covariance, trace.act_square[depth]).unwrap_or(0.0);
    let mut variances = vec![0.0; depth];
    for l in (0..depth).rev() {
        let m = &trace.moments[l];
        let mean_square = m.derivative_square * m.derivative_square;
        if l + 1 < depth {
            let own = 3.0 * m.derivative_fourth / mean_square - 1.0;
            let shared = trace.pairs[l].derivative_square / mean_square * (1.0 + 2.0 * rho * rho) - 1.0;
            variances[l] = variances[l + 1] + (own / batch + (1.0 - 1.0 / batch) * shared) / n;
        }
        // Price's theorem: the slope of the value map is q E phi'_1 phi'_2.
        rho *= (trace.pairs[l].slope / trace.preact_square[l] / m.derivative_square).min(1.0);
    }
    variances.iter().all(|v| v.is_finite()).then_some(variances)
}

/// Whether the variance over seeds is known for such networks: a matter of structure.
pub fn knows_width(spec: &NetworkSpec, independent: bool) -> bool {
    let law = spec.weight_law(spec.depth.min(2));
    let gaussian = !matches!(law, WeightLaw::Orthogonal { .. } | WeightLaw::Diagonal { .. });
    let aligned = spec.batch_size == 1 || (independent && top_alignment(spec, 0.0, 1.0).is_some());
    gaussian && aligned
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
