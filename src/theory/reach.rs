//! How far mean field holds in a plain network of finite width. ln q_l scatters by a variance of order l/width; where the
//! maps of q are curved, the means move with it, and where their infinite-width orbit is unstable (GELU, SiLU and softplus
//! with he_normal fall from it towards 0, or stay) they move by decades. What the second order in that scatter would add to
//! a prediction is its error.

use std::f64::consts::LN_10;

use super::finite_width::Layer;

/// The predictions that hold, by layer: l = 1 ..= L, and l = 1 ..= L-1 for `ratios`.
#[derive(Debug, PartialEq)]
pub(super) struct Reach {
    pub preact: Vec<bool>,
    pub ratios: Vec<bool>,
    pub to_last: Vec<bool>,
    /// The cell that would follow `preact`: that of the readout.
    pub readout: bool,
}

/// Errors of a root mean square and of a cell of log10 |delta|^2 up to this are let stand, in decades.
const SIZE: f64 = 0.1;
const RATIO: f64 = 0.15;

/// Variance over seeds of ln q of a sample, and of its ln |delta_l|^2/|delta_L|^2 where the scatter is not known, beyond
/// which the mean square is made by a few of them: the logarithm's mean lies further from the logarithm of the mean than its
/// standard deviation.
const LARGEST_VARIANCE: f64 = 4.0;

/// Variance of ln |delta_l|^2/|delta_L|^2 that the size of the activations makes, beyond which a few seeds make up the mean
/// of ratios, where the scatter over seeds is not known.
const LARGEST_TAIL: f64 = 0.5;

/// Variance, between networks, of the relative error of E phi'^2 over the units of one layer, beyond which a few units
/// make up the mean. Measured at width 64 and 16 samples, tanh at sigma_w = 30, where it is 0.6, loses 0.08 decades per layer
/// less than the mean; at 100, where it is 2, 0.5; at 1000, where most layers have no unit left that is not saturated, 13.
pub(super) const FEWEST_UNITS: f64 = 1.0;

/// `input` is the variance of ln q_1 between samples, and `scatter` the standard deviation of ln |delta_l|^2/|delta_L|^2
/// (natural logarithm) over seeds, l = 1 ..= L, where that is known: a prediction may err by as much. `level` tells whether
/// the factor of layer l is the same at any size of z_l whose logarithm lies this far, or less, from that of theory.
pub(super) fn reach(
    layers: &[Layer],
    width: u32,
    input: f64,
    scatter: Option<&[f64]>,
    level: &dyn Fn(usize, f64) -> bool,
) -> Reach {
    let (n, depth) = (f64::from(width), layers.len());
    // Of ln q_l: variance, and by how much ln E q_l may lie from the mean field's.
    let mut forward = vec![(input, 0.0)];
    for layer in layers {
        let (variance, gain) = forward[forward.len() - 1];
        let [f, curvature] = layer.growth;
        let bent = f * gain + (0.5 * (curvature + f * f - f) * variance + layer.excess[0] / n).abs();
        forward.push((f * f * variance + layer.own.variance / n, bent));
    }
    let holds = |&(variance, gain): &(f64, f64)| gain.abs() <= 2.0 * SIZE * LN_10 && variance <= LARGEST_VARIANCE;
    let mut preact: Vec<bool> = forward.iter().map(holds).collect();
    for l in 1..=depth {
        preact[l] &= preact[l - 1];
    }
    let readout = preact.pop().is_some_and(|holds| holds);
    // ln E |delta_l|^2/|delta_L|^2 as a function of ln q_l: slope, curvature, and what it has gained on the mean field.
    let (mut slope, mut curvature, mut gain) = (0.0, 0.0, 0.0);
    let mut reach = Reach { preact, ratios: Vec::new(), to_last: vec![true; depth], readout };
    // Variance of ln |delta_l|^2/|delta_L|^2 that slopes and weights make by themselves.
    let (mut sound, mut noise) = (true, 0.0);
    for l in (0..depth.saturating_sub(1)).rev() {
        let (layer, (variance, size)) = (&layers[l], forward[l]);
        let [f, bend] = layer.growth;
        let over =
            |slope: f64, curvature: f64| slope * (size - 0.5 * variance) + 0.5 * variance * (slope * slope + curvature);
        gain += (0.5 * layer.own.variance * (slope * slope + curvature - slope)
            + layer.own.mixed * slope
            + layer.excess[0] * slope
            + layer.excess[1])
            / n;
        curvature = layer.slope[1] + f * f * curvature + bend * slope;
        slope = layer.slope[0] + f * slope;
        let allowed = scatter.map_or(RATIO * LN_10, |scatter| scatter[l].max(RATIO * LN_10));
        // Where q_l is not known, neither is a factor that depends on it. The typical size lies half the variance below the
        // mean.
        let known = reach.preact[l] || level(l, 0.5 * variance + 4.0 * variance.sqrt());
        let followed = known && layer.own.slope / n <= FEWEST_UNITS;
        sound &= followed && (gain + over(slope, curvature)).abs() <= allowed;
        noise += (layer.own.slope + layer.own.gradient) / n;
        sound &= scatter.is_some() || (variance * slope * slope <= LARGEST_TAIL && noise <= LARGEST_VARIANCE);
        reach.to_last[l] = sound;
        let ratio = over(layer.slope[0], layer.slope[1]) + layer.excess[1] / n;
        reach.ratios.push(followed && ratio.abs() <= RATIO * LN_10);
    }
    reach.ratios.reverse();
    reach
}
