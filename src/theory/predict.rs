//! The prediction for one network: mean field where layers are plain, the gradient's total change for every norm and
//! residual form, and what finite width adds. A field is `None` where no theory is known.

use std::f64::consts::LOG10_E;

use super::finite_width::knows_width;
use super::inputs::Inputs;
use super::mean_field::{MeanField, mean_field};
use super::plain::{self, Width};
use super::reach::Reach;
use super::recursion::{Trace, bias_square, knows_moments, trace, weight_square, wide_for_batch};
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
        let cosine = |l: usize| mean_over(couples, &|t| t.preact_covariance[l] / t.preact_square[l]);
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
            let cosine = |t: &Trace| (w * t.top_covariance + b) / (w * t.act_square[depth] + b);
            prediction.preact_cos.push(mean_over(couples, &cosine));
        }
    }
    // Squares below float64's range have no root; they are not zero.
    let low: Vec<bool> = prediction.preact_rms.iter().map(|rms| *rms > SMALLEST_SIZE).collect();
    leave_out(&mut prediction.preact_rms, &low);
    leave_out(&mut prediction.preact_cos, &low);
    prediction.act_rms.iter_mut().filter(|rms| **rms <= SMALLEST_SIZE).for_each(|rms| *rms = f64::NAN);
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
    let mut turned = 0.0;
    let per_sample = matches!(spec.norm, Norm::Layer | Norm::Rms) && spec.residual != Residual::None;
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

/// Layers per unit of width over which gradients under layer and rms norm with skips are given: at 2 to 4, measured ones lie
/// 0.2 to 1 decade from theory.
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
mod tests {
    use super::super::simulation::spec;
    use super::*;
    use crate::network::{Activation, ActivationKind, InitKind, Loss, activation::TABLE};

    fn he() -> f64 {
        2f64.sqrt()
    }

    #[track_caller]
    fn close(got: Option<f64>, want: f64, tolerance: f64) {
        let got = got.expect("theory is known here");
        assert!((got - want).abs() < tolerance, "{got}, not {want}");
    }

    fn with_init(kind: InitKind) -> NetworkSpec {
        let mut s = spec(ActivationKind::Relu, 1.0);
        s.init.kind = kind;
        if kind == InitKind::PytorchDefault {
            s.init.sigma_b = None;
        }
        s
    }

    #[test]
    fn relu_keeps_halves_or_takes_a_sixth() {
        for (kind, factor) in [
            (InitKind::HeNormal, 1.0),
            (InitKind::HeUniform, 1.0),
            (InitKind::XavierNormal, 0.5),
            (InitKind::XavierUniform, 0.5),
            (InitKind::PytorchDefault, 1.0 / 6.0),
        ] {
            let p = predict(&with_init(kind));
            assert_eq!(p.log10_grad_ratios.len(), 15);
            for ratio in &p.log10_grad_ratios {
                assert!((ratio - f64::log10(factor)).abs() < 1e-12, "{kind:?}: {ratio}");
            }
            close(p.log10_grad_ratio_total, 15.0 * f64::log10(factor), 1e-9);
        }
    }

    #[test]
    fn hanins_variance_at_batch_1() {
        let mut s = spec(ActivationKind::Relu, he());
        s.batch_size = 1;
        let p = predict(&s);
        let ln = 5.0 * 15.0 / 64.0;
        close(p.seed_scatter, f64::sqrt(ln) * std::f64::consts::LOG10_E, 1e-12);
        close(p.finite_width_shift, -0.5 * ln * std::f64::consts::LOG10_E, 1e-12);
        // About -0.8 decades at L = 200, n = 256.
        (s.depth, s.width, s.input_size) = (200, 256, 256);
        close(predict(&s).finite_width_shift, -0.8, 0.05);
        // Independent cotangents average the own part away; 60 networks of batch 16 gave -0.36 +- 0.08 and a scatter of 0.61.
        s.batch_size = 16;
        close(predict(&s).finite_width_shift, -0.36, 0.08);
        close(predict(&s).seed_scatter, 0.61, 0.1);
    }

    #[test]
    fn sigmoid_loses_about_250_decades_at_depth_200() {
        let mut s = spec(ActivationKind::Sigmoid, 1.0);
        (s.depth, s.width, s.input_size) = (200, 256, 256);
        close(predict(&s).log10_grad_ratio_total, -250.0, 1.0);
    }

    #[test]
    fn per_sample_norms_lose_phi_prime_over_phi() {
        for norm in [Norm::Layer, Norm::Rms] {
            for (kind, factor, digits) in [
                (ActivationKind::Relu, 1.0, 1e-4),
                (ActivationKind::Tanh, 1.178, 6e-4),
                (ActivationKind::Sigmoid, 0.153, 6e-4),
            ] {
                for sigma_w in [0.7, 3.0] {
                    let s = NetworkSpec { norm, width: 1 << 24, ..spec(kind, sigma_w) };
                    let last = *predict(&s).log10_grad_ratios.last().unwrap();
                    assert!((10f64.powf(last) - factor).abs() < digits, "{kind:?}: {}", 10f64.powf(last));
                }
            }
        }
    }

    #[test]
    fn batch_norm_explodes_per_layer() {
        let sizes =
            NetworkSpec { norm: Norm::Batch, width: 1 << 16, input_size: 1 << 16, ..spec(ActivationKind::Relu, 1.0) };
        let s = |kind, batch_size| NetworkSpec { activation: Activation::from(kind), batch_size, ..sizes.clone() };
        let last = |p: Prediction| 10f64.powf(*p.log10_grad_ratios.last().unwrap());
        assert!((last(predict(&s(ActivationKind::Relu, 2048))) - 1.467).abs() < 1e-3);
        assert!((last(predict(&s(ActivationKind::Relu, 32))) - 1.521).abs() < 1.5e-3);
        assert!((last(predict(&s(ActivationKind::Linear, 10))) - 8.0 / 7.0).abs() < 1e-4);
        for (batch, known) in [(3, false), (4, false), (5, false), (6, true)] {
            assert_eq!(predict(&s(ActivationKind::Relu, batch)).log10_grad_ratio_total.is_some(), known, "{batch}");
        }
    }

    #[test]
    fn pre_act_residual_networks_grow_as_the_closed_forms_say() {
        let mut s = spec(ActivationKind::Relu, he());
        s.residual = Residual::PreAct;
        for (a, depth) in [(1.0, 16), (0.5, 7), (0.25, 100)] {
            (s.residual_scale, s.depth) = (a, depth);
            close(predict(&s).log10_act_grad_ratio_total, f64::from(depth) * f64::log10(1.0 + a * a), 1e-9);
        }
        (s.residual_scale, s.depth) = (0.1, 100);
        close(predict(&s).log10_act_grad_ratio_total, std::f64::consts::LOG10_E, 0.01);
        // Pre-layer-norm: L + 1, and (L + 1)/2 from delta_L to delta_1.
        (s.residual_scale, s.depth, s.norm) = (1.0, 32, Norm::Layer);
        let p = predict(&s);
        close(p.log10_act_grad_ratio_total, 33f64.log10(), 1e-4);
        close(p.log10_grad_ratio_total, 16.5f64.log10(), 1e-4);
        // Pre-batch-norm: the product of the closed form, 82 at 32 and 218 at 64 for large B.
        (s.norm, s.batch_size) = (Norm::Batch, 4096);
        for (depth, quoted) in [(32u32, 82.0), (64, 218.0)] {
            s.depth = depth;
            let product: f64 =
                (0..depth).map(|l| 1.0 + 1.0 / (1.0 + f64::from(l) * (1.0 - std::f64::consts::FRAC_1_PI))).product();
            assert!((product - quoted).abs() < 0.6);
            close(predict(&s).log10_act_grad_ratio_total, product.log10(), 2e-3);
        }
    }

    #[test]
    fn tanh_residual_networks_grow_slower_than_any_exponential() {
        let total = |depth| {
            let s = NetworkSpec { residual: Residual::PreAct, depth, ..spec(ActivationKind::Tanh, 1.0) };
            predict(&s).log10_act_grad_ratio_total.unwrap()
        };
        let rates: Vec<f64> = [8, 16, 32, 64, 128, 256].map(|d| total(d) / f64::from(d)).to_vec();
        assert!(rates.windows(2).all(|pair| pair[1] < 0.85 * pair[0]), "{rates:?}");
    }

    #[test]
    fn skips_around_rectifiers_grow_by_the_gradients_mean_once_the_network_is_deep() {
        let total = |kind, depth, width| {
            let s = NetworkSpec { residual: Residual::PostAct, depth, width, input_size: width, ..spec(kind, 1.0) };
            predict(&s).log10_grad_ratio_total.expect("theory is known")
        };
        // Shallow: 1 + sigma_w^2/2 per layer.
        assert!((total(ActivationKind::Relu, 16, 1 << 30) / 15.0 - 1.5f64.log10()).abs() < 1e-6);
        // Deep: the gradient's square grows downwards as that of h grows upwards, by x^2 with x^2 = 3/2 + 2 m c, where c =
        // 1/sqrt(2 pi) is the mean of a rectifier and m = c/(x - 1) that of h, in units of its root mean square.
        let deep = total(ActivationKind::Relu, 301, 1 << 20) - total(ActivationKind::Relu, 300, 1 << 20);
        let x = 10f64.powf(deep / 2.0);
        let square = 1.5 + 1.0 / (std::f64::consts::PI * (x - 1.0));
        assert!((x * x / square - 1.0).abs() < 1e-4 && x > 1.4, "{x}");
        // 600 networks of width 128, depth 16, he_normal, in float64 and written apart from this crate: 5.393 +- 0.008.
        let s = NetworkSpec {
            residual: Residual::PostAct,
            width: 128,
            input_size: 128,
            ..spec(ActivationKind::Relu, he())
        };
        close(predict(&s).log10_grad_ratio_total, 5.393, 0.02);
        // Odd functions leave activations without a mean.
        let odd = |width| total(ActivationKind::Tanh, 64, width);
        assert!((odd(64) - odd(1 << 30)).abs() < 1e-9);
    }

    #[test]
    fn a_readout_turns_the_gradient_towards_the_activations() {
        // Linear networks: with J = prod (1 + W_l) the part of dLoss/dh_L along h_L = J h_0 becomes J^T J h_0, whose square
        // grows by 2 (1 + 3/4 k)/(1 + 3/4 (k - 1)) in step k: traces of (J^T J)^2 over those of J^T J squared add up
        // under free multiplication, and are 7/4 for one layer. All else grows by 2.
        let total = |width, loss| {
            let s = NetworkSpec {
                residual: Residual::PreAct,
                loss,
                width,
                input_size: width,
                ..spec(ActivationKind::Linear, 1.0)
            };
            predict(&s).log10_grad_ratio_total.expect("theory is known")
        };
        let plain = 15.0 * 2f64.log10();
        assert!((total(128, Loss::Cotangent) - plain).abs() < 1e-9);
        assert!((total(1 << 30, Loss::Mse) - plain).abs() < 1e-6);
        // Outputs of 10 units, far above their targets, weighted by their squares: (10 + 1)/128 beyond an isotropic vector.
        let share: f64 = 11.0 / 128.0;
        let want = ((1.0 + share * (1.0 + 0.75 * 15.0)) / (1.0 + share)).log10();
        let gain = total(128, Loss::Mse) - plain;
        assert!((gain - want).abs() < 0.005, "{gain} {want}");
    }

    #[test]
    fn orthogonal_linear_is_an_isometry() {
        let mut s = spec(ActivationKind::Linear, 1.0);
        s.init.kind = InitKind::Orthogonal;
        (s.depth, s.input_size) = (100, 32);
        close(predict(&s).log10_grad_ratio_total, 0.0, 1e-12);
        s.init.kind = InitKind::Identity;
        close(predict(&s).log10_grad_ratio_total, 0.0, 1e-12);
    }

    #[test]
    fn digits_are_predicted_from_their_own_spread() {
        let digits = NetworkSpec { input: Input::Digits, ..spec(ActivationKind::Tanh, 1.0) };
        let even = predict_from(&digits, &Inputs::alike(61.0 / 64.0, 0.0)).log10_grad_ratio_total.unwrap();
        assert!((predict(&digits).log10_grad_ratio_total.unwrap() - even).abs() > 0.02);
        // Relu does not see the input's size.
        let relu = NetworkSpec { input: Input::Digits, ..spec(ActivationKind::Relu, 1.0) };
        close(predict(&relu).log10_grad_ratio_total, -15.0 * 2f64.log10(), 1e-9);
    }

    #[test]
    fn every_row_of_every_table_is_a_number_or_nothing() {
        let inits =
            [InitKind::HeNormal, InitKind::TruncatedNormal, InitKind::Zeros, InitKind::Constant, InitKind::Identity];
        for row in &TABLE {
            for norm in Norm::TABLE {
                for residual in Residual::TABLE {
                    for kind in inits {
                        let mut s = spec(row.kind, 1.0);
                        s.activation = Activation::from(row.kind);
                        (s.norm, s.residual, s.depth) = (norm.word, residual.word, 5);
                        (s.init.kind, s.init.param) = (kind, 0.1);
                        let p = predict(&s);
                        let isotropic = matches!(kind, InitKind::HeNormal | InitKind::TruncatedNormal)
                            || (kind == InitKind::Identity
                                && row.kind == ActivationKind::Linear
                                && norm.word == Norm::None
                                && residual.word == Residual::None);
                        let name = format!("{} {} {} {kind:?}", row.name, norm.name, residual.name);
                        assert_eq!(p.log10_grad_ratio_total.is_some(), isotropic, "{name}");
                        let numbers = [
                            p.log10_grad_ratio_total,
                            p.log10_act_grad_ratio_total,
                            p.finite_width_shift,
                            p.seed_scatter,
                        ];
                        assert!(numbers.iter().flatten().all(|v| v.is_finite()), "{name}: {p:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn extreme_scales_and_depths_stay_finite() {
        for (kind, gain) in [
            (ActivationKind::Relu, 10.0),
            (ActivationKind::Relu, 0.1),
            (ActivationKind::Tanh, 0.1),
            (ActivationKind::Gelu, 10.0),
            (ActivationKind::Sigmoid, 1e3),
            (ActivationKind::Sine, 30.0),
        ] {
            let s = NetworkSpec { depth: 1024, ..spec(kind, gain * he()) };
            let p = predict(&s);
            assert!(p.log10_grad_ratio_total.is_none_or(f64::is_finite), "{kind:?} {gain}");
            if kind == ActivationKind::Relu {
                close(p.log10_grad_ratio_total, 1023.0 * 2.0 * f64::log10(gain), 1e-6);
            }
        }
    }
}
