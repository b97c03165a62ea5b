//! The prediction for one network: mean field where layers are plain, the gradient's total change for every norm and
//! residual form, and what finite width adds. A field is `None` where no theory is known.

use std::f64::consts::LOG10_E;

use super::finite_width::knows_width;
use super::inputs::Inputs;
use super::mean_field::{MeanField, mean_field};
use super::plain::{self, Width};
use super::reach::Reach;
use super::recursion::{Trace, bias_square, knows_moments, trace, weight_share, weight_square, wide_for_batch};
use crate::network::{Input, NetworkSpec, Norm, Residual};

/// What theory says of a network before it is run. Ratios are of squared norms, as log10. Elements of vectors are no number
/// where width is too small for what holds at infinite width.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Effective weight scale of the hidden layers: sqrt(width * variance of a weight).
    pub sigma_w: Option<f64>,
    /// Standard deviation of the hidden layers' biases.
    pub sigma_b: Option<f64>,
    /// Plain layers without norm only.
    pub mean_field: Option<MeanField>,
    /// Mean square of z_1, from the actual input: the q_1 that the recursion starts at.
    pub first_variance: Option<f64>,
    /// Root mean square of z_l, l = 1 ..= L and, where the loss has one, the readout. Empty where no theory is known.
    pub preact_rms: Vec<f64>,
    /// Root mean square of h_l, l = 0 ..= L. Empty where no theory is known.
    pub act_rms: Vec<f64>,
    /// Cosine of z_l between two samples (the two of a pair, with `correlated_pairs`; the mean over all pairs of a data
    /// set), as `preact_rms`. Empty where no theory is known.
    pub preact_cos: Vec<f64>,
    /// log10 of |delta_l|^2 / |delta_{l+1}|^2, l = 1 ..= L-1. Empty where no theory is known.
    pub log10_grad_ratios: Vec<f64>,
    /// log10 of |delta_l|^2 / |delta_L|^2, l = 1 ..= L: the logarithm of the mean over seeds. Empty where no theory is known.
    pub log10_grad_to_last: Vec<f64>,
    /// The first of `log10_grad_to_last`.
    pub log10_grad_ratio_total: Option<f64>,
    /// log10 of |dLoss/dx|^2 / |dLoss/dh_L|^2.
    pub log10_act_grad_ratio_total: Option<f64>,
    /// What to add to log10 of |delta_l|^2 / |delta_L|^2 for the mean of the logarithm, l = 1 ..= L, to first order in
    /// depth/width (Hanin 2018). Empty where no theory is known, and where that order says little.
    pub finite_width_shifts: Vec<f64>,
    /// The first of `finite_width_shifts`: what to add to `log10_grad_ratio_total`.
    pub finite_width_shift: Option<f64>,
    /// Standard deviation over seeds of log10 |delta_1|^2 / |delta_L|^2, to the same order.
    pub seed_scatter: Option<f64>,
}

/// Which parts of a [`Prediction`] such a network can have: a matter of its structure, not of its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `mean_field`.
    pub mean_field: bool,
    /// `preact_rms`, `act_rms`, `log10_grad_ratio_total` and, from two layers on, `log10_grad_ratios`.
    pub moments: bool,
    /// `log10_grad_ratios` has elements.
    pub ratios: bool,
    /// `preact_cos`.
    pub cosine: bool,
    /// `finite_width_shift` and `seed_scatter`.
    pub width: bool,
}

impl Known {
    pub fn of(spec: &NetworkSpec) -> Known {
        let plain = is_plain(spec);
        let moments = knows_moments(spec) && (spec.norm != Norm::Batch || independent_samples(spec));
        Known {
            mean_field: plain && weight_square(spec, spec.depth.min(2)).is_some(),
            moments,
            ratios: moments && spec.depth >= 2,
            cosine: moments && spec.batch_size >= 2,
            width: plain && moments && spec.depth >= 2 && knows_width(spec, independent_samples(spec)),
        }
    }

    pub fn union(self, other: Known) -> Known {
        Known {
            mean_field: self.mean_field | other.mean_field,
            moments: self.moments | other.moments,
            ratios: self.ratios | other.ratios,
            cosine: self.cosine | other.cosine,
            width: self.width | other.width,
        }
    }
}

fn is_plain(spec: &NetworkSpec) -> bool {
    spec.norm == Norm::None && spec.residual == Residual::None
}

/// Samples are alike and independent: what batch norm's theory and the scatter between seeds want.
pub(super) fn independent_samples(spec: &NetworkSpec) -> bool {
    matches!(spec.input, Input::Gaussian | Input::Sphere)
        || (spec.input == Input::CorrelatedPairs && spec.input_param == 0.0)
}

/// Predicts a network from its kind of input.
pub fn predict(spec: &NetworkSpec) -> Prediction {
    predict_from(spec, &Inputs::of(spec))
}

/// Predicts a network whose samples are these.
fn predict_from(spec: &NetworkSpec, inputs: &Inputs) -> Prediction {
    // Deep in the network all layers are alike; the first may have another fan-in.
    let hidden = spec.depth.min(2);
    let mut prediction = Prediction::default();
    let Some(w) = weight_square(spec, hidden) else {
        return prediction;
    };
    let sigma_b = bias_square(spec, hidden).sqrt();
    prediction.sigma_w = Some(w.sqrt());
    prediction.sigma_b = Some(sigma_b);
    let known = Known::of(spec);
    if known.mean_field {
        prediction.mean_field = Some(mean_field(&spec.activation, w.sqrt(), sigma_b));
    }
    let traces: Option<Vec<Trace>> = match known.moments {
        true => inputs.squares.iter().map(|&square| trace(spec, square, inputs.cosine)).collect(),
        false => None,
    };
    let Some(traces) = traces else {
        return prediction;
    };
    let Some(middle) = traces.get(traces.len() / 2) else {
        return prediction;
    };
    let depth = spec.depth as usize;
    let mean = |of: &dyn Fn(&Trace) -> f64| mean_over(&traces, of);
    prediction.first_variance = Some(mean(&|t| t.preact_square[0]));
    prediction.act_rms = (0..=depth).map(|l| mean(&|t| t.act_square[l]).sqrt()).collect();
    prediction.preact_rms = (0..depth).map(|l| mean(&|t| t.preact_square[l]).sqrt()).collect();
    // Where pairs differ, the mean of what becomes of each.
    let couples: Option<Vec<Trace>> = match known.cosine {
        true => inputs.couples.iter().map(|couple| trace(spec, couple.square, couple.cosine)).collect(),
        false => None,
    };
    let couples =
        couples.as_deref().map(|couples| if couples.is_empty() { std::slice::from_ref(middle) } else { couples });
    if let Some(couples) = couples {
        let cosine = |l: usize| mean_over(couples, &|t| t.preact_cosine[l]);
        prediction.preact_cos = (0..depth).map(cosine).collect();
    }
    if spec.loss.has_readout()
        && !spec.final_norm
        && let Some(w) = weight_square(spec, spec.depth + 1)
    {
        let b = bias_square(spec, spec.depth + 1);
        let z = mean(&|t| w * t.act_square[depth] + b);
        prediction.preact_rms.push(z.sqrt());
        if let Some(couples) = couples {
            let cosine = |t: &Trace| {
                let share = weight_share(spec, spec.depth + 1, t.act_square[depth]).unwrap_or(1.0);
                1.0 - share * (1.0 - t.top_cosine)
            };
            prediction.preact_cos.push(mean_over(couples, &cosine));
        }
    }
    // Squares outside float64's range have no root; they are neither zero nor infinite.
    let inside = |rms: &[f64]| rms.iter().map(|rms| *rms > SMALLEST_SIZE && rms.is_finite()).collect::<Vec<_>>();
    let known = inside(&prediction.preact_rms);
    leave_out(&mut prediction.preact_rms, &known);
    leave_out(&mut prediction.preact_cos, &known);
    let known = inside(&prediction.act_rms);
    leave_out(&mut prediction.act_rms, &known);
    let wide: Vec<bool> = (0..=spec.depth).map(|l| wide_for_batch(spec, l)).collect();
    leave_out(&mut prediction.preact_cos, &wide);
    // Sums of squares over the samples.
    let deltas: Vec<f64> = (0..depth).map(|l| log10_mean(traces.iter().map(|t| t.log10_delta_square[l]))).collect();
    let mut ratios: Vec<f64> = deltas.windows(2).map(|pair| pair[0] - pair[1]).collect();
    if ratios.iter().any(|r| !r.is_finite()) {
        return prediction;
    }
    let input_grad = log10_mean(traces.iter().map(|t| t.log10_input_grad_square));
    prediction.log10_act_grad_ratio_total = Some(input_grad).filter(|ratio| ratio.is_finite());
    ratios.iter_mut().zip(&middle.norm_turns).for_each(|(ratio, turn)| *ratio += turn);
    let width = match is_plain(spec) {
        true => plain::width(spec, inputs, middle, &mut ratios),
        false => None,
    };
    let mut to_last = vec![0.0; depth];
    for l in (0..depth - 1).rev() {
        to_last[l] = to_last[l + 1] + ratios[l];
    }
    prediction.log10_grad_ratios = ratios;
    if let Some(Width { reach, scatter }) = width {
        if let Some((scatter, ratios)) = scatter {
            // Of samples of one size, where `to_last` is the mean over several.
            let mut total = 0.0;
            let mut shifts: Vec<f64> = scatter.shifts.iter().map(|shift| shift * LOG10_E).collect();
            for l in (0..depth - 1).rev() {
                total += ratios[l];
                shifts[l] += total - to_last[l];
            }
            prediction.seed_scatter = Some(scatter.variances[0].sqrt() * LOG10_E);
            prediction.finite_width_shift = Some(shifts[0]);
            prediction.finite_width_shifts = shifts;
        }
        prediction.restrict(&reach);
        leave_out(&mut to_last, &reach.to_last);
    }
    if let [input, layers @ .., last] = &middle.many[..] {
        let holds: Vec<bool> = layers.iter().chain([last]).map(|many| *many && *last).collect();
        let pairs: Vec<bool> = holds.windows(2).map(|pair| pair[0] && pair[1]).collect();
        leave_out(&mut to_last, &holds);
        leave_out(&mut prediction.log10_grad_ratios, &pairs);
        prediction.log10_act_grad_ratio_total = prediction.log10_act_grad_ratio_total.filter(|_| *input);
    }
    let mut turned = 0.0;
    let per_sample = matches!(spec.norm, Norm::Layer | Norm::Rms);
    for l in (0..depth - 1).rev() {
        turned += middle.norm_turns.get(l).unwrap_or(&0.0);
        let crowded = per_sample && (depth - 1 - l) as f64 > LARGEST_DEPTH * f64::from(spec.width);
        if crowded || turned.abs() > LARGEST_TURN || !wide_for_batch(spec, (depth - 1 - l) as u32) {
            to_last[l] = f64::NAN;
        }
        if !wide_for_batch(spec, 1) {
            prediction.log10_grad_ratios[l] = f64::NAN;
        }
    }
    prediction.log10_grad_ratio_total = Some(to_last[0]).filter(|total| total.is_finite());
    prediction.log10_grad_to_last = to_last;
    prediction
}

impl Prediction {
    /// Leaves out what width is too small for.
    fn restrict(&mut self, reach: &Reach) {
        leave_out(&mut self.act_rms[1..], &reach.preact);
        leave_out(&mut self.log10_grad_ratios, &reach.ratios);
        let rows = || reach.preact.iter().copied().chain([reach.readout]);
        let rows: Vec<bool> = rows().collect();
        leave_out(&mut self.preact_rms, &rows);
        leave_out(&mut self.preact_cos, &rows);
        if !reach.to_last.first().is_none_or(|holds| *holds) {
            self.log10_act_grad_ratio_total = None;
            (self.finite_width_shift, self.seed_scatter) = (None, None);
            leave_out(&mut self.finite_width_shifts, &reach.to_last);
        }
    }
}

/// Layers per unit of width over which gradients under layer and rms norm are given: at 2 to 4, measured ones lie 0.2 to 1
/// decade from theory with skips, and up to 1.5 without.
const LARGEST_DEPTH: f64 = 1.5;

/// Sizes whose squares keep their digits.
const SMALLEST_SIZE: f64 = 1e-150;

/// Decades that width may add under layer and rms norm, where their first order was within 0.1 or the seeds' scatter of
/// measured networks. Beyond (64 layers of 16 units) it was off by 0.4 to 1.4.
const LARGEST_TURN: f64 = 1.1;

fn leave_out(values: &mut [f64], holds: &[bool]) {
    values.iter_mut().zip(holds).filter(|(_, holds)| !**holds).for_each(|(value, _)| *value = f64::NAN);
}

fn mean_over(traces: &[Trace], of: &dyn Fn(&Trace) -> f64) -> f64 {
    traces.iter().map(of).sum::<f64>() / traces.len() as f64
}

/// log10 of the mean of 10^x, at any size.
fn log10_mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let (count, sum) = values.fold((0, 0.0), |(n, sum), x| (n + 1, sum + libm::exp10(x - largest)));
    largest + (sum / f64::from(count)).log10()
}

#[cfg(test)]
mod tests;
