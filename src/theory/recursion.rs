//! Second moments layer by layer, forwards and backwards, for every combination of norm and residual form: the plain
//! recursion of Schoenholz et al. 2017, residual forms after Yang & Schoenholz 2017, batch norm after Yang et al. 2019.
//! Width is large, and weights are independent of the gradients that pass them, but for what `aligned` knows.

use std::sync::Arc;

use super::aligned::{self, Forward};
use super::batch_norm::{BatchMoments, batch_moments};
use super::expectation::{Moments, homogeneous};
use super::reach::FEWEST_UNITS;
use super::sample_norm::norm_turns;
use super::tabulated::{PairMaps, Tabulated, tabulated};
use super::top_gradient::aligned_share;
use crate::network::{
    ActivationKind, BiasLaw, Loss, NetworkSpec, Norm, Residual, Target, WeightLaw, init::TRUNCATED_STD,
};

/// What the recursion finds. Sums of squares are relative to |dLoss/dh_L|^2 = 1 and kept as log10.
pub struct Trace {
    /// Mean square of z_l, l = 1..=L.
    pub preact_square: Vec<f64>,
    /// Mean square of h_l, l = 0..=L.
    pub act_square: Vec<f64>,
    /// Cosine of z_l between two samples, l = 1..=L. Beyond float64's range it is that of the last layer within: so deep,
    /// rectifiers have long reached 1, and linear layers keep it.
    pub preact_cosine: Vec<f64>,
    /// The same of h_L.
    pub top_cosine: f64,
    /// The correlation maps at z_l, l = 1..=L; plain layers without norm only.
    pub maps: Vec<Arc<PairMaps>>,
    /// Moments at z_l, likewise.
    pub moments: Vec<Moments>,
    /// log10 |delta_l|^2, l = 1..=L.
    pub log10_delta_square: Vec<f64>,
    /// log10 |dLoss/dx|^2.
    pub log10_input_grad_square: f64,
    /// What width adds to log10 |delta_l|^2/|delta_{l+1}|^2 under layer and rms norm without skips, l = 1..L-1; empty
    /// elsewhere.
    pub norm_turns: Vec<f64>,
    /// Whether dLoss/dx (at 0) and delta_l, l = 1..=L, are means over many units; residual sums only, empty elsewhere.
    pub many: Vec<bool>,
}

/// The factor by which `W_layer` maps mean squares, E|z|^2/fan_out = w E|h|^2/fan_in, which is also |W^T delta|^2 =
/// w |delta|^2. `None` where W is not isotropic.
pub fn weight_square(spec: &NetworkSpec, layer: u32) -> Option<f64> {
    let (i, o) = (f64::from(spec.fan_in(layer)), f64::from(spec.fan_out(layer)));
    let plain_linear =
        spec.activation.kind == ActivationKind::Linear && spec.norm == Norm::None && spec.residual == Residual::None;
    match spec.weight_law(layer) {
        WeightLaw::Normal { std } => Some(i * std * std),
        WeightLaw::Uniform { bound } => Some(i * bound * bound / 3.0),
        WeightLaw::TruncatedNormal { parent_std } => Some(i * (parent_std * TRUNCATED_STD).powi(2)),
        WeightLaw::Orthogonal { gain } => Some(gain * gain * (i / o).min(1.0)),
        WeightLaw::Diagonal { value } if plain_linear => Some(value * value * (i / o).min(1.0)),
        WeightLaw::Diagonal { .. } | WeightLaw::Constant { .. } => None,
    }
}

/// Variance of the bias of `layer`.
pub fn bias_square(spec: &NetworkSpec, layer: u32) -> f64 {
    match spec.bias_law(layer) {
        BiasLaw::Zero => 0.0,
        BiasLaw::Normal { std } => std * std,
        BiasLaw::Uniform { bound } => bound * bound / 3.0,
    }
}

/// The part of the mean square of z_layer that comes of the weights: the rest is bias. `square` is that of h_{layer-1}.
pub(super) fn weight_share(spec: &NetworkSpec, layer: u32, square: f64) -> Option<f64> {
    let (w, b) = (weight_square(spec, layer)?, bias_square(spec, layer));
    Some(if b == 0.0 || square.is_infinite() { 1.0 } else { w * square / (w * square + b) })
}

/// Covariance of a gradient between the samples of a batch, per unit: `own` on the diagonal, `shared` for all pairs,
/// `centred` times (1 - 1/B on the diagonal, -1/B off it).
#[derive(Clone, Copy, Default)]
struct Covariance {
    own: f64,
    shared: f64,
    centred: f64,
}

impl Covariance {
    fn trace(&self, batch: f64) -> f64 {
        (self.own + self.shared) * batch + self.centred * (batch - 1.0)
    }
    fn add(&mut self, other: Covariance, factor: f64) {
        self.own += factor * other.own;
        self.shared += factor * other.shared;
        self.centred += factor * other.centred;
    }
    fn scale(&mut self, factor: f64) {
        *self = Covariance { own: self.own * factor, shared: self.shared * factor, centred: self.centred * factor };
    }
}

/// The argument of phi in one layer, and what the norm's backward pass divides by.
#[derive(Clone, Copy)]
struct Argument {
    moments: Moments,
    /// Mean square of the argument.
    variance: f64,
    /// E 1/(norm's denominator)^2; 1 without a norm.
    inverse_square: f64,
}

/// The correlation maps of the last variance asked for: deep in a network it stays the same.
#[derive(Default)]
struct LastMaps(Option<(f64, Arc<PairMaps>)>);

impl LastMaps {
    fn at(&mut self, table: &Tabulated, q: f64) -> &Arc<PairMaps> {
        match self.0 {
            Some((known, _)) if (known / q - 1.0).abs() < 1e-12 => {}
            _ => self.0 = None,
        }
        &self.0.get_or_insert_with(|| (q, Arc::new(table.pair_maps(q)))).1
    }
}

/// Batch norm divides the squared gradient of a unit by its variance over the batch, a chi-square of B - 1 degrees, whose
/// inverse has a mean from B = 4 and a variance from B = 6 on. Below that the mean over units is that of its few largest
/// terms, at any width: measured at B = 4, width 128 and depth 16 is 0.6 to 1 decade less than the recursion's.
const SMALLEST_BATCH: u32 = 6;

/// Batch norm's theory has the samples of a layer lie like those of infinite width, where they lie off by batch_size/width of
/// their square, and each layer's gradients by a part of it. Measured totals are off by up to 0.033 decades times
/// batch_size (depth - 1)/width without skips (hard_sigmoid, sigmoid, linear, GELU; ReLU 0.011), and by 0.05 to 0.08 times
/// batch_size/input_size. What is left empty is off by more than 0.13 decades then.
const LARGEST_BATCH: f64 = 4.0;

/// Whether width and features are many enough for the batch: for a factor per layer, and for a product over `layers`.
pub fn wide_for_batch(spec: &NetworkSpec, layers: u32) -> bool {
    let skips = spec.residual != Residual::None;
    // 0 of a rectifier, 1 of a line.
    let straight = homogeneous(&spec.activation).map(|[below, above]| (below / above).abs().min(1.0));
    let factor = straight.map_or(1.0, |straight| (1.0 + 2.0 * straight) / 3.0);
    // Linear layers keep what the ones below have made.
    let layers = if straight.is_some_and(|straight| straight > 0.5) { spec.depth - 1 } else { layers };
    let layers = if skips { 0.0 } else { factor * f64::from(layers) / f64::from(spec.width) };
    spec.norm != Norm::Batch
        || f64::from(spec.batch_size) * (layers + 2.0 / f64::from(spec.input_size)) <= LARGEST_BATCH
}

/// Cosines between two samples, layer by layer.
struct Cosines {
    preact: Vec<f64>,
    /// The last one that is a number.
    last: f64,
}

impl Cosines {
    /// Of vectors of mean square `square`, which exceeds their covariance by `spread`.
    fn of(&self, spread: f64, square: f64) -> f64 {
        let part = spread / square;
        if part.is_finite() { (1.0 - part).clamp(-1.0, 1.0) } else { self.last }
    }

    fn push(&mut self, spread: f64, square: f64) {
        self.last = self.of(spread, square);
        self.preact.push(self.last);
    }
}

/// What branches of few units may add to the square of the gradient, all together, and be left out.
const LARGEST_MISSED: f64 = 0.1;

struct Recursion<'a> {
    spec: &'a NetworkSpec,
    table: Arc<Tabulated>,
    batch: f64,
    /// Only under batch norm.
    batch_moments: Option<BatchMoments>,
}

/// Whether both passes are known for such networks: a matter of structure, but for independent samples under batch norm.
pub fn knows_moments(spec: &NetworkSpec) -> bool {
    let weights = [1, 2, spec.depth].into_iter().filter(|&l| l <= spec.depth);
    let mut squares = weights.map(|l| weight_square(spec, l));
    let batch = spec.norm != Norm::Batch || (spec.batch_size >= SMALLEST_BATCH && knows_top(spec));
    batch && squares.all(|w| w.is_some_and(|w| w > 0.0))
}

/// Whether the covariance of dLoss/dh_L between samples is known, where it matters.
fn knows_top(spec: &NetworkSpec) -> bool {
    let immaterial = spec.norm != Norm::Batch || spec.residual == Residual::None;
    let centred = spec.final_norm && spec.loss.has_readout();
    let target = match spec.loss {
        Loss::Cotangent | Loss::CotangentShared => true,
        Loss::Mse => {
            matches!(spec.target, Target::Gaussian | Target::Zeros) && weight_square(spec, spec.depth + 1).is_some()
        }
        Loss::CrossEntropy => false,
    };
    immaterial || centred || target
}

/// Runs both passes from samples of mean square `input_square` and cosine `input_cosine`; `None` where no theory is
/// known.
pub fn trace(spec: &NetworkSpec, input_square: f64, input_cosine: f64) -> Option<Trace> {
    let batch_moments = match spec.norm {
        Norm::Batch if spec.batch_size < SMALLEST_BATCH => return None,
        Norm::Batch => Some(batch_moments(&spec.activation, spec.batch_size)),
        _ => None,
    };
    let table = tabulated(&spec.activation);
    Recursion { spec, table, batch: f64::from(spec.batch_size), batch_moments }.run(input_square, input_cosine)
}

impl Recursion<'_> {
    fn run(&self, input_square: f64, input_cosine: f64) -> Option<Trace> {
        let (spec, depth) = (self.spec, self.spec.depth as usize);
        let weights: Vec<f64> = (1..=spec.depth).map(|l| weight_square(spec, l)).collect::<Option<_>>()?;
        if weights.contains(&0.0) {
            return None;
        }
        let plain = spec.norm == Norm::None && spec.residual == Residual::None;
        // Forwards. `spread` is the mean square of h less its covariance between samples: what batch norm divides by.
        let mut square = vec![input_square];
        let mut mean = vec![0.0];
        let mut spread = vec![input_square * (1.0 - input_cosine)];
        let mut preact_square = Vec::with_capacity(depth);
        let mut cosines = Cosines { preact: Vec::with_capacity(depth), last: input_cosine };
        let mut maps = LastMaps::default();
        let (mut all_maps, mut all_moments) = (Vec::new(), Vec::new());
        let mut arguments: Vec<Option<Argument>> = Vec::with_capacity(depth);
        for l in 1..=depth {
            let (w, b) = (weights[l - 1], bias_square(spec, l as u32));
            let a = spec.residual_scale;
            let form = spec.layer_residual(l as u32);
            if spec.is_linear_stem(l as u32) {
                let z = w * square[0] + b;
                preact_square.push(z);
                cosines.push(w * spread[0], z);
                arguments.push(None);
                square.push(z);
                mean.push(0.0);
                spread.push(w * spread[0]);
                continue;
            }
            let before = form == Residual::PreAct;
            let (z, z_spread) = (w * square[l - 1] + b, w * spread[l - 1]);
            let mut argument =
                if before { self.argument(square[l - 1], spread[l - 1])? } else { self.argument(z, z_spread)? };
            let gaussian = argument.moments;
            if !before && spec.norm == Norm::None && matches!(spec.bias_law(l as u32), BiasLaw::Uniform { .. }) {
                argument.moments = self.flattened(&gaussian, z, b / z);
            }
            let m = argument.moments;
            let branch_spread = match self.batch_moments {
                Some(m) => m.square - m.product,
                None => {
                    let (square, spread) = if before { (square[l - 1], spread[l - 1]) } else { (z, z_spread) };
                    let maps = maps.at(&self.table, argument.variance);
                    if plain {
                        all_maps.push(Arc::clone(maps));
                        all_moments.push(gaussian);
                    }
                    gaussian.square - maps.at(1.0 - spread / square).value
                }
            };
            arguments.push(Some(argument));
            match form {
                Residual::PreAct => {
                    let z = w * m.square + b;
                    preact_square.push(z);
                    cosines.push(w * branch_spread, z);
                    square.push(square[l - 1] + a * a * z);
                    mean.push(0.0);
                    spread.push(spread[l - 1] + a * a * w * branch_spread);
                }
                Residual::PostAct => {
                    let from = l - spec.residual_every as usize;
                    preact_square.push(z);
                    cosines.push(z_spread, z);
                    square.push(square[from] + 2.0 * a * mean[from] * m.mean + a * a * m.square);
                    mean.push(mean[from] + a * m.mean);
                    spread.push(spread[from] + a * a * branch_spread);
                }
                Residual::None => {
                    preact_square.push(z);
                    cosines.push(z_spread, z);
                    square.push(m.square);
                    mean.push(m.mean);
                    spread.push(branch_spread);
                }
            }
        }
        let share = match (spec.norm, spec.residual) {
            (Norm::None, Residual::PostAct | Residual::PreAct) => {
                aligned_share(spec, square[depth], cosines.of(spread[depth], square[depth]))?
            }
            _ => 0.0,
        };
        let known: Vec<_> = arguments.iter().map(|a| a.map(|a| (a.moments, a.variance))).collect();
        let forward = Forward { weights: &weights, arguments: &known, square: &square, mean: &mean };
        let (log10_delta_square, log10_input_grad_square) = match spec.residual {
            Residual::PostAct if spec.norm == Norm::None => aligned::post_act(spec, &forward, share)?,
            Residual::PreAct if share != 0.0 => aligned::pre_act(spec, &forward, share)?,
            _ => self.backward(&weights, &arguments, self.top_covariance(square[depth], spread[depth])?),
        };
        Some(Trace {
            preact_square,
            top_cosine: cosines.of(spread[depth], square[depth]),
            act_square: square,
            preact_cosine: cosines.preact,
            maps: all_maps,
            moments: all_moments,
            log10_delta_square,
            log10_input_grad_square,
            norm_turns: norm_turns(spec, &weights, &known),
            many: if spec.residual == Residual::None { Vec::new() } else { self.many_units(&weights, &arguments) },
        })
    }

    /// Moments at z = W h + b where uniform biases make up `share` of its variance q, from those of a Gaussian: with the
    /// cumulants k_4 and k_6 of z, over powers of q, E f gains k_4/24 q^2 E f'''' + k_6/720 q^3 E f'''''' (Gram and
    /// Charlier), and 2 d/dq takes the place of two derivatives. PyTorch's biases outweigh W h once h is below 1.
    fn flattened(&self, gaussian: &Moments, q: f64, share: f64) -> Moments {
        let [fourth, sixth] = [-1.2 * share.powi(2) / 6.0, 48.0 / 7.0 * share.powi(3) / 90.0];
        if gaussian.square_curvature == 0.0 && gaussian.derivative_curvature == 0.0 {
            return *gaussian;
        }
        // q^3 d^3/dq^3 from q^2 d^2/dq^2.
        let step = 0.05;
        let [below, above] = [-step, step].map(|step: f64| self.table.moments(q * libm::exp(step)));
        let gain = |curvature: fn(&Moments) -> f64| {
            let third = (curvature(&above) - curvature(&below)) / (2.0 * step) - 2.0 * curvature(gaussian);
            fourth * curvature(gaussian) + sixth * third
        };
        Moments {
            square: gaussian.square + gain(|m| m.square_curvature),
            derivative_square: gaussian.derivative_square + gain(|m| m.derivative_curvature),
            ..*gaussian
        }
    }

    fn argument(&self, square: f64, spread: f64) -> Option<Argument> {
        let eps = self.spec.norm_eps;
        match (self.spec.norm, self.batch_moments) {
            (Norm::None, _) => {
                Some(Argument { moments: self.table.moments(square), variance: square, inverse_square: 1.0 })
            }
            (Norm::Batch, Some(m)) => {
                let b = self.batch;
                // The sphere's radius ignores eps; where eps matters there is no theory.
                if eps > 1e-3 * spread * (b - 1.0) / b {
                    return None;
                }
                let moments = Moments { mean: m.mean, square: m.square, ..Moments::UNKNOWN };
                // E 1/s^2 of the variance of B normal numbers: the inverse of a chi-square of B - 1 degrees.
                Some(Argument { moments, variance: 1.0, inverse_square: b / ((b - 3.0) * spread + b * eps) })
            }
            _ => {
                let variance = square / (square + eps);
                Some(Argument { moments: self.table.moments(variance), variance, inverse_square: 1.0 / (square + eps) })
            }
        }
    }

    /// Covariance of dLoss/dh_L between samples. It matters under batch norm with residual sums alone: everywhere else
    /// ratios do not depend on it.
    fn top_covariance(&self, square: f64, spread: f64) -> Option<Covariance> {
        let spec = self.spec;
        let own = Covariance { own: 1.0, ..Covariance::default() };
        if spec.norm != Norm::Batch || spec.residual == Residual::None {
            return Some(own);
        }
        if spec.final_norm && spec.loss.has_readout() {
            return Some(Covariance { centred: 1.0, ..Covariance::default() });
        }
        match (spec.loss, spec.target) {
            (Loss::Cotangent, _) => Some(own),
            (Loss::CotangentShared, _) => Some(Covariance { shared: 1.0, ..Covariance::default() }),
            (Loss::Mse, Target::Gaussian | Target::Zeros) => {
                let readout = spec.depth + 1;
                let w = weight_square(spec, readout)?;
                let target = if spec.target == Target::Gaussian { 1.0 } else { 0.0 };
                let shared = w * (square - spread) + bias_square(spec, readout);
                Some(Covariance { own: target + w * spread, shared, centred: 0.0 })
            }
            _ => None,
        }
    }

    /// log10 |delta_l|^2 for l = 1..=L and log10 |dLoss/dx|^2, relative to |dLoss/dh_L|^2.
    fn backward(&self, weights: &[f64], arguments: &[Option<Argument>], top: Covariance) -> (Vec<f64>, f64) {
        let (spec, depth) = (self.spec, weights.len());
        let a = spec.residual_scale;
        let mut grads = vec![Covariance::default(); depth + 1];
        grads[depth] = top;
        grads[depth].scale(1.0 / top.trace(self.batch));
        // log10 of the factor taken out of every entry of `grads` that is still to be read.
        let mut taken = 0.0;
        let mut deltas = vec![0.0; depth];
        for l in (1..=depth).rev() {
            let (w, grad) = (weights[l - 1], grads[l]);
            let form = spec.layer_residual(l as u32);
            let mut delta = grad;
            match (form, &arguments[l - 1]) {
                (_, None) => grads[l - 1].add(delta, w),
                (Residual::PreAct, Some(argument)) => {
                    delta.scale(a * a);
                    let mut through = delta;
                    through.scale(w);
                    let through = self.through(argument, through);
                    grads[l - 1].add(grad, 1.0);
                    grads[l - 1].add(through, 1.0);
                }
                (form, Some(argument)) => {
                    delta = self.through(argument, grad);
                    if form == Residual::PostAct {
                        delta.scale(a * a);
                        grads[l - spec.residual_every as usize].add(grad, 1.0);
                    }
                    grads[l - 1].add(delta, w);
                }
            }
            deltas[l - 1] = delta.trace(self.batch).log10() + taken;
            // A power of two that keeps the gradients yet to come near 1, whatever the depth.
            let pending = &mut grads[..l];
            let largest = pending.iter().map(|g| g.trace(self.batch)).fold(0.0, f64::max);
            if largest > 0.0 && largest.is_finite() {
                let exponent = libm::ilogb(largest);
                pending.iter_mut().for_each(|g| g.scale(libm::exp2(-f64::from(exponent))));
                taken += f64::from(exponent) * std::f64::consts::LOG10_2;
            }
        }
        (deltas, grads[0].trace(self.batch).log10() + taken)
    }

    /// Where a branch is saturated but for less than a unit of a layer, its mean gradient is none that a network has. A skip
    /// passes it by: what is below stands unless such branches would add to it.
    fn many_units(&self, weights: &[f64], arguments: &[Option<Argument>]) -> Vec<bool> {
        let (n, depth) = (f64::from(self.spec.width), weights.len());
        let a = self.spec.residual_scale;
        let mut many = vec![true; depth + 1];
        let mut all = true;
        for l in (1..=depth).rev() {
            let form = self.spec.layer_residual(l as u32);
            let few = |m: &Moments| m.derivative_fourth / m.derivative_square.powi(2) - 1.0 > FEWEST_UNITS * n;
            let few = arguments[l - 1].filter(|argument| few(&argument.moments));
            many[l] = all && (few.is_none() || form == Residual::PreAct);
            all &= few.is_none_or(|argument| {
                let gain = a * a * weights[l - 1] * argument.moments.derivative_square * argument.inverse_square;
                form != Residual::None && gain * depth as f64 <= LARGEST_MISSED
            });
        }
        many[0] = all;
        many
    }

    /// A gradient at phi(u) taken back through phi and the norm.
    fn through(&self, argument: &Argument, grad: Covariance) -> Covariance {
        match &self.batch_moments {
            None => {
                let mut out = grad;
                out.scale(argument.moments.derivative_square * argument.inverse_square);
                out
            }
            Some(m) => {
                let b = self.batch;
                let trace = grad.own * m.independent + grad.shared * m.shared + grad.centred * m.centred(b);
                Covariance { centred: trace * argument.inverse_square / (b - 1.0), ..Covariance::default() }
            }
        }
    }
}
