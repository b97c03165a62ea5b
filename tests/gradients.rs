//! Gradients of the float64 engine against central differences and against the explicit sum over paths.

use gradsweep::engine::cpu::{NamedTensor, tensors};
use gradsweep::engine::{GivenTensors, Precision};
use gradsweep::network::activation::TABLE;
use gradsweep::network::{Activation, ActivationKind, Loss, NetworkSpec, Norm, Residual, Target};
use gradsweep::sampler::tensors::{TargetData, fill_bias, fill_weight, network_data};

use crate::support::{run_cpu, spec};

/// The tensors that a network draws, as given tensors. Biases are moved away from zero.
fn drawn(spec: &NetworkSpec) -> GivenTensors {
    let layers = 1..spec.rows();
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let weight = |l| {
        let mut w = vec![0.0; (spec.fan_in(l) * spec.fan_out(l)) as usize];
        assert_eq!(fill_weight(spec, l, &mut w), 0);
        wide(&w)
    };
    let bias = |l| {
        let mut b = vec![0.0; spec.fan_out(l) as usize];
        fill_bias(spec, l, &mut b);
        if spec.layer_has_bias(l) {
            b.iter().enumerate().map(|(i, v)| f64::from(*v) + 0.1 * (i as f64 - 1.3)).collect()
        } else {
            Vec::new()
        }
    };
    let data = network_data(spec, None).map(f64::from);
    GivenTensors { weights: layers.clone().map(weight).collect(), biases: layers.map(bias).collect(), data }
}

fn find<'a>(tensors: &'a [NamedTensor], name: &str) -> &'a NamedTensor {
    tensors.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name} is dumped"))
}

/// The number whose gradient the engine computes: the loss, or <cotangent, h_L>.
fn objective(spec: &NetworkSpec, given: &GivenTensors) -> f64 {
    if let TargetData::Cotangent(g) = &given.data.target {
        let all = tensors(spec, None, Some(given), Precision::F64);
        let h = find(&all, &format!("layers.{}.act", spec.depth));
        return h.data.iter().zip(g).map(|(h, g)| h * g).sum::<f64>() * 2f64.powi(h.log2_scale);
    }
    run_cpu(spec, Some(given.clone()), Precision::F64).loss.value().expect("finite")
}

/// A fixed direction with entries in [-1, 1].
fn direction(layer: usize, i: usize) -> f64 {
    ((layer * 7919 + i * 104_729 + 13) % 2003) as f64 / 1001.0 - 1.0
}

fn check(spec: &NetworkSpec) {
    let given = drawn(spec);
    let all = tensors(spec, None, Some(&given), Precision::F64);
    let step = 1e-6;
    let moved = |sign: f64| {
        let mut g = given.clone();
        for (l, w) in g.weights.iter_mut().enumerate() {
            w.iter_mut().enumerate().for_each(|(i, v)| *v += sign * step * direction(l, i));
        }
        for (l, b) in g.biases.iter_mut().enumerate() {
            b.iter_mut().enumerate().for_each(|(i, v)| *v += sign * step * direction(l + 50, i));
        }
        g.data.input.iter_mut().enumerate().for_each(|(i, v)| *v += sign * step * direction(99, i));
        g
    };
    let difference = (objective(spec, &moved(1.0)) - objective(spec, &moved(-1.0))) / (2.0 * step);
    let mut slope = 0.0;
    let mut size = 0.0;
    let mut along = |name: &str, layer: usize| {
        let t = find(&all, name);
        for (i, g) in t.data.iter().enumerate() {
            let term = g * 2f64.powi(t.log2_scale) * direction(layer, i);
            slope += term;
            size += term.abs();
        }
    };
    for l in 1..spec.rows() {
        along(&format!("layers.{l}.weight_grad"), l as usize - 1);
        if spec.layer_has_bias(l) {
            along(&format!("layers.{l}.bias_grad"), l as usize + 49);
        }
    }
    along("layers.0.act_grad", 99);
    // Rounding of the objective, of order 1, divided by the step.
    let noise = 4e-9;
    assert!(
        (difference - slope).abs() <= 1e-7 * size + noise,
        "{} {:?} {:?} every {} in {} {:?} final {}: difference {difference}, gradient {slope}",
        spec.activation.canonical(),
        spec.norm,
        spec.residual,
        spec.residual_every,
        spec.input_size,
        spec.loss,
        spec.final_norm
    );
}

#[test]
fn every_gradient_equals_the_central_difference() {
    let mut cases = 0;
    for row in &TABLE {
        for norm in [Norm::None, Norm::Batch, Norm::Layer, Norm::Rms] {
            for (residual, every, input_size) in [
                (Residual::None, 1, 5),
                (Residual::None, 1, 4),
                (Residual::PostAct, 1, 5),
                (Residual::PostAct, 2, 4),
                (Residual::PreAct, 1, 5),
                (Residual::PreAct, 1, 3),
            ] {
                for (loss, target) in [
                    (Loss::Mse, Target::Gaussian),
                    (Loss::CrossEntropy, Target::Classes),
                    (Loss::Cotangent, Target::Gaussian),
                    (Loss::CotangentShared, Target::Gaussian),
                ] {
                    let network = NetworkSpec {
                        activation: Activation::from(row.kind),
                        norm,
                        residual,
                        residual_every: every,
                        residual_scale: 0.7,
                        input_size,
                        loss,
                        target,
                        depth: 3,
                        width: 5,
                        batch_size: 4,
                        final_norm: norm == Norm::Layer || (norm != Norm::None && input_size == 5),
                        bias: input_size != 3,
                        seed: 1000 + cases,
                        ..spec()
                    };
                    check(&network);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 21 * 4 * 6 * 4);
}

/// dLoss/dx_j of sample 0 as the explicit sum over all paths of products of w phi' (Hochreiter 1991).
fn sum_over_paths(
    spec: &NetworkSpec,
    given: &GivenTensors,
    u: &[Vec<f64>],
    cotangent: &[f64],
    layer: usize,
    unit: usize,
) -> f64 {
    let fan_in = spec.fan_in(layer as u32 + 1) as usize;
    if layer == spec.depth as usize {
        return cotangent[unit];
    }
    let width = spec.width as usize;
    (0..width)
        .map(|i| {
            let w = given.weights[layer][i * fan_in + unit];
            let factor = w * spec.activation.derivative(u[layer][i]);
            factor * sum_over_paths(spec, given, u, cotangent, layer + 1, i)
        })
        .sum()
}

#[test]
fn the_sum_over_all_paths_equals_backpropagation() {
    for kind in [ActivationKind::Sigmoid, ActivationKind::Tanh, ActivationKind::Relu, ActivationKind::Gelu] {
        let network = NetworkSpec {
            activation: kind.into(),
            depth: 4,
            width: 3,
            input_size: 2,
            batch_size: 1,
            loss: Loss::Cotangent,
            ..spec()
        };
        let given = drawn(&network);
        let all = tensors(&network, None, Some(&given), Precision::F64);
        let u: Vec<Vec<f64>> = (1..=4).map(|l| find(&all, &format!("layers.{l}.preact")).data.clone()).collect();
        let TargetData::Cotangent(g) = &given.data.target else { panic!("a cotangent was asked for") };
        let grad = find(&all, "layers.0.act_grad");
        for j in 0..2 {
            let (want, got) =
                (sum_over_paths(&network, &given, &u, g, 0, j), grad.data[j] * 2f64.powi(grad.log2_scale));
            assert!((want - got).abs() <= 1e-12 * want.abs().max(1e-6), "{kind:?} x_{j}: {got}, paths {want}");
        }
    }
}
