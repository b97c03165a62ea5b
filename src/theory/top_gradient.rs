//! dLoss/dh_L as the theory of finite width wants it: how alike it is between samples, and how far it is aligned with the
//! network's output, which a readout makes it. It knows nothing of the layers below.

use super::recursion::{bias_square, weight_share, weight_square};
use crate::network::{Loss, NetworkSpec, Target};
use crate::sampler::{TensorId, normal, normal_integer, words};

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
        let target = target_square(spec);
        let (size, batch) = (f64::from(spec.output_size), f64::from(spec.batch_size));
        // y = part (y - d) + the rest, in Gaussians.
        let part = if q + target > 0.0 && q.is_finite() { q / (q + target) } else { 1.0 };
        let alike = (cosine * cosine + wander).min(1.0);
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

/// Mean square of the target of `mse`.
fn target_square(spec: &NetworkSpec) -> f64 {
    match spec.target {
        Target::Gaussian | Target::Teacher => 1.0,
        Target::Classes => 1.0 / f64::from(spec.output_size),
        Target::Zeros => 0.0,
    }
}

/// (source . y)^2/(q |source|^2) of the readout y, 1 for a source drawn at random. `square` and `cosine` are those of h_L.
pub(super) fn alignment(spec: &NetworkSpec, square: f64, cosine: f64) -> Option<f64> {
    if !spec.loss.has_readout() {
        return Some(1.0);
    }
    let (w, b) = (weight_square(spec, spec.depth + 1)?, bias_square(spec, spec.depth + 1));
    let q = w * square + b;
    match spec.loss {
        _ if q == 0.0 => Some(1.0),
        Loss::CrossEntropy => Some(cross_entropy_alignment(spec.output_size, q)),
        _ => {
            let share = weight_share(spec, spec.depth + 1, square)?;
            Some(Top::of(spec, square, 1.0 - share * (1.0 - cosine), 0.0)?.alignment)
        }
    }
}

/// What dLoss/dh_L has along h_L, of its square, beyond 1/width of it.
pub(super) fn aligned_share(spec: &NetworkSpec, square: f64, cosine: f64) -> Option<f64> {
    let alignment = alignment(spec, square, cosine)?;
    if alignment == 1.0 {
        return Some(0.0);
    }
    Some((alignment - 1.0) * weight_share(spec, spec.depth + 1, square)? / f64::from(spec.width))
}

/// (source . y)^2/(q |source|^2) of the softmax less a label drawn at random, at outputs y of variance q: the mean over a
/// fixed set of drawn outputs, known to about 5 %.
fn cross_entropy_alignment(size: u32, q: f64) -> f64 {
    // The softmax of outputs so large is 0 and 1: it depends on their directions alone.
    let q = q.min(1e200);
    let (count, draws) = (f64::from(size), (16_384 / size.max(1)).clamp(16, 512));
    let (mut along, mut whole) = (0.0, 0.0);
    let mut y = vec![0.0; size as usize];
    for draw in 0..draws {
        for (block, part) in y.chunks_mut(4).enumerate() {
            let words = words(1, TensorId::Input, draw, 0, block as u32);
            for (y, word) in part.iter_mut().zip(words) {
                *y = q.sqrt() * f64::from(normal_integer(word, &normal::TABLE)) / 2f64.powi(21);
            }
        }
        let largest = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut product, mut square) = (0.0, 0.0, 0.0);
        for &y in &y {
            let p = libm::exp(y - largest);
            sum += p;
            product += p * y;
            square += p * p;
        }
        let product = product / sum;
        // Means over the label.
        let mean = y.iter().sum::<f64>() / count;
        let output = y.iter().map(|y| y * y).sum::<f64>() / count;
        along += product * product - 2.0 * product * mean + output;
        whole += square / (sum * sum) - 2.0 / count + 1.0;
    }
    if whole > 0.0 { along / (q * whole) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_is_aligned_with_its_outputs_as_in_a_larger_sample() {
        // 40,000 drawn outputs with random labels, by a program of its own.
        for (size, q, excess) in [
            (2, 1.0, 0.271),
            (10, 0.1, 0.107),
            (10, 1.0, 0.731),
            (10, 5.0, 1.302),
            (10, 100.0, 1.126),
            (10, 1e4, 0.980),
            (100, 1.0, 0.954),
            (100, 20.0, 3.630),
        ] {
            let got = cross_entropy_alignment(size, q) - 1.0;
            assert!((got - excess).abs() < 0.05 + 0.08 * excess, "{size} {q}: {got} {excess}");
        }
    }
}
