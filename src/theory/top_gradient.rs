//! dLoss/dh_L as the theory of finite width wants it: how alike it is between samples, and how far it is aligned with the
//! network's output, which a readout makes it. It knows nothing of the layers below.

use super::recursion::{bias_square, weight_square};
use crate::network::{Loss, NetworkSpec, Target};

/// dLoss/dh_L of a sample: its source, a vector of `size` independent elements.
pub(super) struct Top {
    /// Mean square of the cosine between two samples' sources.
    pub cosine_square: f64,
    /// (source . y)^2/(q |source|^2) of the readout y, q the variance of y.
    pub alignment: f64,
    /// Variance of that over samples, and its covariance between two of them.
    pub alignment_variance: [f64; 2],
    /// Covariance of `alignment` and |y|^2/(q size).
    pub with_output: f64,
    /// d ln |source|^2 / d ln q.
    pub follows: f64,
}

/// Whether dLoss/dh_L is independent of the forward pass but for the readout.
pub(super) fn knows_top(spec: &NetworkSpec) -> bool {
    match spec.loss {
        Loss::Cotangent | Loss::CotangentShared => true,
        Loss::Mse => {
            let target = matches!(spec.target, Target::Gaussian | Target::Zeros);
            target && !spec.final_norm && weight_square(spec, spec.depth + 1).is_some()
        }
        Loss::CrossEntropy => false,
    }
}

impl Top {
    /// For outputs whose cosine between samples has this mean and variance.
    pub(super) fn of(spec: &NetworkSpec, square: f64, cosine: f64, wander: f64) -> Option<Top> {
        let drawn = |cosine_square| Top {
            cosine_square,
            alignment: 1.0,
            alignment_variance: [0.0; 2],
            with_output: 0.0,
            follows: 0.0,
        };
        if !spec.loss.has_readout() {
            return Some(drawn(if spec.loss == Loss::CotangentShared { 1.0 } else { 0.0 }));
        }
        let readout = spec.depth + 1;
        let q = weight_square(spec, readout)? * square + bias_square(spec, readout);
        let target = if spec.target == Target::Gaussian { 1.0 } else { 0.0 };
        let (size, batch) = (f64::from(spec.output_size), f64::from(spec.batch_size));
        // y = part (y - d) + the rest, in Gaussians.
        let part = if q + target > 0.0 { q / (q + target) } else { 1.0 };
        let alike = cosine * cosine + wander;
        let sources_alike = part * part * alike;
        // Samples count by their |y - d|^2, of `size` degrees each.
        let degrees = size + (1.0 - sources_alike) * (size * batch * (size + 2.0) / (size * batch + 2.0) - size);
        let own = 2.0 * part * part * size + 4.0 * part * (1.0 - part) * size + 2.0 * (1.0 - part).powi(2);
        // Of |y|^2 = q chi^2 where it is common to all samples, the target averaged.
        let slope = 2.0 * part * size + 1.0 - part - part * (part * size + 1.0 - part);
        Some(Top {
            cosine_square: sources_alike + (1.0 - sources_alike) / size,
            alignment: part * degrees + 1.0 - part,
            alignment_variance: [own, 2.0 / size * slope * slope * alike],
            with_output: 2.0 / size * slope,
            follows: part,
        })
    }
}
