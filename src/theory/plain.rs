//! What finite width makes of plain networks: the gradient's direction, the scatter between seeds, and how far down the
//! layers the predictions of infinite width hold.

use super::expectation::homogeneous;
use super::finite_width::{Layer, Scatter, own_layers, scatter, turns};
use super::inputs::Inputs;
use super::predict::independent_samples;
use super::reach::{Reach, reach};
use super::recursion::{Trace, trace};
use super::tabulated::tabulated;
use super::top_gradient::alignment;
use crate::network::{Input, NetworkSpec, WeightLaw};

pub(super) struct Width {
    pub reach: Reach,
    /// With log10 |delta_l|^2/|delta_{l+1}|^2, l = 1..L-1, that it is relative to.
    pub scatter: Option<(Scatter, Vec<f64>)>,
}

/// Adds to `ratios`, those of infinite width, what the gradient's direction does. `middle` stands for all samples. `None`
/// where width is no matter: the identity.
pub(super) fn width(spec: &NetworkSpec, inputs: &Inputs, middle: &Trace, ratios: &mut [f64]) -> Option<Width> {
    if matches!(spec.weight_law(spec.depth.min(2)), WeightLaw::Diagonal { .. }) {
        return None;
    }
    let layers = own_layers(spec, middle)?;
    ratios.iter_mut().zip(turned(spec, &layers, middle)?).for_each(|(ratio, turn)| *ratio += turn);
    // Samples that are described by groups have been averaged over.
    let grouped = inputs.squares.len() > 1;
    let spread = if grouped || spec.input == Input::Sphere { 0.0 } else { 2.0 / f64::from(spec.fan_in(1)) };
    let independent = independent_samples(spec);
    let scatter = match grouped && independent {
        true => trace(spec, 1.0, inputs.cosine).and_then(|alike| {
            let mut ratios: Vec<f64> = alike.log10_delta_square.windows(2).map(|pair| pair[0] - pair[1]).collect();
            let turns = turned(spec, &own_layers(spec, &alike)?, &alike)?;
            ratios.iter_mut().zip(turns).for_each(|(ratio, turn)| *ratio += turn);
            Some((scatter(spec, &alike, independent)?, ratios))
        }),
        false => scatter(spec, middle, independent).map(|scatter| (scatter, ratios.to_vec())),
    };
    let deviations: Option<Vec<f64>> =
        scatter.as_ref().map(|(scatter, _)| scatter.variances.iter().map(|v| v.sqrt()).collect());
    let straight = homogeneous(&spec.activation).is_some();
    let level = |l: usize, distance: f64| straight || is_level(spec, middle.preact_square[l], distance);
    Some(Width { reach: reach(&layers, spec.width, spread, deviations.as_deref(), &level), scatter })
}

/// Whether E phi'^2 is the same, to a part in 10^5, at all variances whose logarithm lies within `distance` of that of
/// `square`: far below 1 every activation is a line on each side of 0, far above it its asymptotes.
fn is_level(spec: &NetworkSpec, square: f64, distance: f64) -> bool {
    let table = tabulated(&spec.activation);
    let slope = |step: f64| {
        let square = square.clamp(SMALLEST, LARGEST) * libm::exp(0.25 * step * distance);
        table.moments(square.clamp(SMALLEST, LARGEST)).derivative_square
    };
    let slopes = (-4..=4).map(|step| slope(f64::from(step)));
    let [low, high] = slopes.fold([f64::INFINITY, 0.0], |[low, high], slope| [slope.min(low), slope.max(high)]);
    low > 0.0 && low.is_finite() && high - low <= 1e-5 * low
}

/// Variances beyond which activations are lines to the last digit.
const SMALLEST: f64 = 1e-100;
const LARGEST: f64 = 1e100;

fn turned(spec: &NetworkSpec, layers: &[Layer], trace: &Trace) -> Option<Vec<f64>> {
    let source = alignment(spec, *trace.act_square.last()?, trace.top_cosine)?;
    Some(turns(layers, source, spec.width))
}
