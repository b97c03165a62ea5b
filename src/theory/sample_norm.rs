//! What finite width adds under layer and rms norm, to first order in 1/width. The norm divides by |z_l|^2, in the mean over
//! seeds of 1/|h_{l-1}|^2 and of the inverse of a chi-square; it puts u on a sphere, off which means lie by their curvature;
//! and since it leaves delta at right angles to z, W^T delta has nothing along h, and phi' of it loses what lies along u.

use std::f64::consts::LOG10_E;

use super::expectation::Moments;
use super::recursion::bias_square;
use crate::network::{InitKind, NetworkSpec, Norm, Residual};

/// To add to log10 |delta_l|^2/|delta_{l+1}|^2, l = 1..L-1; empty with skips and with other norms. `arguments` are the moments
/// and the variance at the argument of phi.
pub(super) fn norm_turns(spec: &NetworkSpec, weights: &[f64], arguments: &[Option<(Moments, f64)>]) -> Vec<f64> {
    if !matches!(spec.norm, Norm::Layer | Norm::Rms) || spec.residual != Residual::None {
        return Vec::new();
    }
    let n = f64::from(spec.width);
    // Orthogonal weights keep |h|. Layer norm takes the mean out too: what goes along the vector of ones.
    let kept = matches!(spec.init.kind, InitKind::Orthogonal);
    let mean = if spec.norm == Norm::Layer { 1.0 } else { 0.0 };
    let layer =
        |l: usize| Some(Layer::new(arguments[l - 1].as_ref()?, weights[l], bias_square(spec, l as u32 + 1), mean));
    let turn = |l: usize| {
        let here = layer(l)?;
        let above = if l > 1 { layer(l - 1)?.inverse } else { 0.0 };
        // Neither delta_L nor |z_L| is in the ratio.
        let both = if l + 1 < weights.len() { here.both } else { 0.0 };
        let length = if kept { 2.0 * (1.0 - here.share * here.share) } else { 2.0 };
        let along_h = if kept { here.along_h - 1.0 } else { here.along_h };
        Some((length + mean + above - both - along_h - here.lost) / n)
    };
    (1..weights.len()).map(|l| turn(l).unwrap_or(0.0) * LOG10_E).collect()
}

/// Relative changes, times n.
struct Layer {
    /// The part of |z_{l+1}|^2 that is not bias.
    share: f64,
    /// Of the mean of 1/|z_{l+1}|^2.
    inverse: f64,
    /// Covariance of |z_{l+1}|^2 and the sum of phi'^2.
    both: f64,
    /// What |phi' W^T delta|^2 would have along h.
    along_h: f64,
    /// What it loses in the norm's backward pass, and on the sphere.
    lost: f64,
}

impl Layer {
    fn new((m, variance): &(Moments, f64), w: f64, b: f64, mean: f64) -> Layer {
        let share = w * m.square / (w * m.square + b);
        let growth = variance * m.square_slope / m.square;
        let slope = m.derivative_slope / m.derivative_square;
        // E x phi^2 over E phi^2, and E x phi'^2 over E phi'^2: what a mean of u would change.
        let lean = 2.0 * variance.sqrt() * m.value_slope / m.square;
        let slope_lean = m.derivative_lean / m.derivative_square;
        let scatter = m.fourth_ratio - 1.0 - 2.0 * growth * growth - mean * lean * lean;
        let along_u = 1.0 + 2.0 * slope - growth * growth * m.square / m.derivative_square;
        let along_ones = 1.0 - m.value_slope.powi(2) / (m.square * m.derivative_square);
        Layer {
            share,
            inverse: share * share * scatter + share * m.square_curvature / m.square,
            both: share * (m.mixed_ratio - 1.0 - 2.0 * growth * slope - mean * lean * slope_lean),
            along_h: share * m.mixed_ratio,
            lost: along_u + mean * along_ones + m.derivative_curvature / m.derivative_square,
        }
    }
}
