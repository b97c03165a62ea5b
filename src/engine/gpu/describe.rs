//! What the device is told of each network, and the tensors that the host must draw for it.

use super::layout::{Draw, LAW_CONSTANT, LAW_DIAGONAL, LAW_GIVEN, LAW_NORMAL, LAW_TRUNCATED, LAW_UNIFORM, Network};
use crate::engine::Batch;
use crate::network::{Activation, BiasLaw, Input, Loss, NetworkSpec, Target, WeightLaw};
use crate::sampler::tensors::{NetworkData, TargetData, fill_weight, network_data, scale_exponent, stored_scale};
use crate::sampler::{NORMAL_SCALE_LOG2, TensorId, UNIFORM_SCALE_LOG2};

/// A layer of the schedule: hidden layers by number, the readout (whose number differs between networks) apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerSlot {
    Hidden(u32),
    Readout,
}

impl LayerSlot {
    /// The layer's number in a network of this depth.
    pub fn layer(self, depth: u32) -> u32 {
        match self {
            LayerSlot::Hidden(layer) => layer,
            LayerSlot::Readout => depth + 1,
        }
    }
}

/// A tensor that comes before any arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    Weight(LayerSlot),
    Bias(LayerSlot),
    Input,
    /// The target of `mse`, or the cotangent.
    Goal,
}

/// Rows and columns of a drawn tensor.
pub fn shape(spec: &NetworkSpec, drawn: Drawn) -> (u32, u32) {
    match drawn {
        Drawn::Weight(slot) => (spec.fan_out(slot.layer(spec.depth)), spec.fan_in(slot.layer(spec.depth))),
        Drawn::Bias(slot) => (1, spec.fan_out(slot.layer(spec.depth))),
        Drawn::Input => (spec.batch_size, spec.input_size),
        Drawn::Goal if spec.loss.has_readout() => (spec.batch_size, spec.output_size),
        Drawn::Goal => (spec.batch_size, spec.width),
    }
}

/// x as m * 2^e with 1 <= |m| < 2.
fn split(x: f64) -> (f32, i32) {
    if x == 0.0 {
        return (0.0, 0);
    }
    let e = libm::ilogb(x);
    let m = libm::scalbn(x, -e) as f32;
    if m.abs() >= 2.0 { (m / 2.0, e + 1) } else { (m, e) }
}

/// What the kernels know of a network.
pub fn network(spec: &NetworkSpec) -> Network {
    let facts = spec.activation.facts();
    // Infinite borders are never reached; a finite number keeps comparisons ordinary.
    let finite = |v: f64| (v as f32).clamp(-f32::MAX, f32::MAX);
    let (branch, branch_exponent) = split(spec.residual_scale);
    let (eps, eps_exponent) = split(spec.norm_eps);
    Network {
        seed_low: spec.seed as u32,
        seed_high: (spec.seed >> 32) as u32,
        depth: spec.depth,
        activation: spec.activation.kind as u32,
        param: spec.activation.param as f32,
        at_zero: facts.at_zero as f32,
        slope_below: facts.slopes_at_zero[0] as f32,
        slope_above: facts.slopes_at_zero[1] as f32,
        far_slope_below: facts.far[0].slope as f32,
        far_slope_above: facts.far[1].slope as f32,
        far_intercept_below: facts.far[0].intercept as f32,
        far_intercept_above: facts.far[1].intercept as f32,
        saturation: (0.01 * facts.sup_derivative) as f32,
        knee_below: finite(facts.knee[0]),
        knee_above: finite(facts.knee[1]),
        flat_below: finite(facts.flat[0]),
        flat_above: finite(facts.flat[1]),
        branch,
        branch_exponent,
        eps,
        eps_exponent,
        pairs: u32::from(spec.input == Input::CorrelatedPairs),
        unused_a: 0,
        unused_b: 0,
    }
}

fn normal(scale: f32, exponent: i32, layer: u32, tensor: TensorId) -> Draw {
    Draw { law: LAW_NORMAL, unit: scale * 2f32.powi(-NORMAL_SCALE_LOG2), exponent, layer, tensor: tensor as u32 }
}

fn given(exponent: i32) -> Draw {
    Draw { law: LAW_GIVEN, exponent, ..Draw::default() }
}

fn constant(value: f32, exponent: i32) -> Draw {
    Draw { law: LAW_CONSTANT, unit: value, exponent, ..Draw::default() }
}

/// Whether how h is written depends on the whole of its argument, so that a second dispatch may have to write it again:
/// phi vanishes exponentially on a side, or grows on one and tends to a limit other than zero on the other.
pub fn rewrites(activation: &Activation) -> bool {
    let far = activation.facts().far;
    let grows = far.iter().any(|line| line.slope != 0.0);
    let limit = far.iter().any(|line| line.slope == 0.0 && line.intercept != 0.0);
    activation.row().value_parts.is_some() || (grows && limit)
}

/// How `drawn` of a network comes about; `has_given`: the batch brings its own tensors.
pub fn draw(spec: &NetworkSpec, drawn: Drawn, has_given: bool) -> Draw {
    if has_given {
        return given(0);
    }
    match drawn {
        Drawn::Weight(slot) => {
            let layer = slot.layer(spec.depth);
            let law = spec.weight_law(layer);
            let (scale, exponent) = (stored_scale(law.scale()), scale_exponent(law.scale()));
            let tensor = TensorId::Weight as u32;
            match law {
                WeightLaw::Normal { .. } => normal(scale, exponent, layer, TensorId::Weight),
                WeightLaw::Uniform { .. } => {
                    Draw { law: LAW_UNIFORM, unit: scale * 2f32.powi(-UNIFORM_SCALE_LOG2), exponent, layer, tensor }
                }
                WeightLaw::TruncatedNormal { .. } => {
                    Draw { law: LAW_TRUNCATED, ..normal(scale, exponent, layer, TensorId::Weight) }
                }
                WeightLaw::Orthogonal { .. } => given(exponent),
                WeightLaw::Diagonal { .. } => Draw { law: LAW_DIAGONAL, unit: scale, exponent, layer, tensor },
                WeightLaw::Constant { .. } => constant(scale, exponent),
            }
        }
        Drawn::Bias(slot) => {
            let layer = slot.layer(spec.depth);
            let tensor = TensorId::Bias;
            match spec.bias_law(layer) {
                BiasLaw::Zero => constant(0.0, 0),
                BiasLaw::Normal { std } => normal(stored_scale(std), scale_exponent(std), layer, tensor),
                BiasLaw::Uniform { bound } => Draw {
                    law: LAW_UNIFORM,
                    unit: stored_scale(bound) * 2f32.powi(-UNIFORM_SCALE_LOG2),
                    exponent: scale_exponent(bound),
                    layer,
                    tensor: tensor as u32,
                },
            }
        }
        Drawn::Input if spec.input == Input::Gaussian => normal(1.0, 0, 0, TensorId::Input),
        Drawn::Input => given(0),
        Drawn::Goal => match (spec.loss, spec.target) {
            (Loss::Cotangent | Loss::CotangentShared, _) => normal(1.0, 0, 0, TensorId::Cotangent),
            (_, Target::Gaussian) => normal(1.0, 0, 0, TensorId::Target),
            (_, Target::Zeros) => constant(0.0, 0),
            (_, Target::Classes | Target::Teacher) => given(0),
        },
    }
}

/// Values of a `given` tensor, row-major without padding.
pub fn host_tensor(batch: &Batch, slot: usize, drawn: Drawn, data: &NetworkData) -> Vec<f32> {
    let spec = &batch.networks[slot];
    let tensors = batch.given.as_ref().map(|g| &g[slot]);
    let rounded = |v: &[f64]| v.iter().map(|&x| x as f32).collect();
    match drawn {
        Drawn::Weight(at) => {
            let layer = at.layer(spec.depth);
            match tensors {
                Some(t) => rounded(&t.weights[layer as usize - 1]),
                None => {
                    let mut out = vec![0.0; spec.fan_out(layer) as usize * spec.fan_in(layer) as usize];
                    fill_weight(spec, layer, &mut out);
                    out
                }
            }
        }
        Drawn::Bias(at) => {
            let layer = at.layer(spec.depth);
            match tensors {
                Some(t) if spec.layer_has_bias(layer) => rounded(&t.biases[layer as usize - 1]),
                _ => vec![0.0; spec.fan_out(layer) as usize],
            }
        }
        Drawn::Input => data.input.clone(),
        Drawn::Goal => match &data.target {
            TargetData::Dense(v) | TargetData::Cotangent(v) => v.clone(),
            TargetData::Labels(_) => Vec::new(),
        },
    }
}

/// Inputs and targets of a network, drawn on the host or given.
pub fn host_data(batch: &Batch, slot: usize) -> NetworkData {
    match &batch.given {
        Some(given) => given[slot].data.clone().map(|x| x as f32),
        None => network_data(&batch.networks[slot], batch.dataset.as_deref()),
    }
}
