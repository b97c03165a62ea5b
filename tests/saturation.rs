//! Saturated layers: samples thousands of decades apart in the backward pass, against plain loops over numbers that
//! carry an exponent each. The oracle starts from the run's own forward values, because at such scales rounding alone
//! sends two runs different ways.

use gradsweep::engine::{NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Init, InitKind, Loss, NetworkSpec, Norm, Residual, Target};
use gradsweep::stats::{Count, Quantity, Sum};

use crate::range::range_case;
use crate::support::{log10_l2, log10_total_ratio, run_cpu};
use crate::wide::{Forward, Wide, narrow, norm, sum};

/// dLoss/dy of the readout.
fn start(spec: &NetworkSpec, y: &[f64], target: &[Wide]) -> Vec<Wide> {
    let batch = f64::from(spec.batch_size);
    let columns = spec.output_size as usize;
    match spec.loss {
        Loss::Mse => y.iter().zip(narrow(target)).map(|(y, d)| Wide::new((y - d) / batch, 0)).collect(),
        _ => {
            let row = |(y, label): (&[f64], &f64)| {
                let top = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = y.iter().map(|v| (v - top).exp()).sum();
                let mut p: Vec<Wide> = y.iter().map(|v| Wide::tail(1.0 / total / batch, top - v)).collect();
                p[*label as usize] = Wide::ZERO;
                let others = sum(p.iter().copied());
                p[*label as usize] = Wide { m: -others.m, e: others.e };
                p
            };
            y.chunks(columns).zip(&narrow(target)).flat_map(row).collect()
        }
    }
}

/// What a layer must report.
struct Expected {
    delta: Vec<Wide>,
    act_grad: Vec<Wide>,
    weight_grad: Vec<Wide>,
    bias_grad: Vec<Wide>,
}

/// Backpropagation from the forward values, layers L (or the readout) down to 1.
fn backward(spec: &NetworkSpec, forward: &Forward) -> Vec<Expected> {
    let (b, n) = (spec.batch_size as usize, spec.width as usize);
    let a = Wide::new(spec.residual_scale, 0);
    let phi_grad = |u: &[f64]| -> Vec<Wide> {
        let parts = |&u: &f64| (spec.activation.row().derivative_parts)(u, spec.activation.param);
        u.iter().map(parts).map(|(factor, decay)| Wide::tail(factor, decay)).collect()
    };
    let multiply = |x: &[Wide], y: &[Wide]| -> Vec<Wide> { x.iter().zip(y).map(|(x, y)| x.times(*y)).collect() };
    let back = |delta: &[Wide], w: &[Wide]| -> Vec<Wide> {
        let outputs = delta.len() / b;
        let inputs = w.len() / outputs;
        let element = |s: usize, j: usize| sum((0..outputs).map(|i| delta[s * outputs + i].times(w[i * inputs + j])));
        (0..b * inputs).map(|k| element(k / inputs, k % inputs)).collect()
    };
    let outer = |delta: &[Wide], h: &[Wide]| -> Vec<Wide> {
        let (outputs, inputs) = (delta.len() / b, h.len() / b);
        let element = |i: usize, j: usize| sum((0..b).map(|s| delta[s * outputs + i].times(h[s * inputs + j])));
        (0..outputs * inputs).map(|k| element(k / inputs, k % inputs)).collect()
    };
    let columns = |delta: &[Wide]| -> Vec<Wide> {
        let outputs = delta.len() / b;
        (0..outputs).map(|i| sum((0..b).map(|s| delta[s * outputs + i]))).collect()
    };
    let mut layers = Vec::new();
    let mut push = |delta: &[Wide], source: &[Wide], act_grad: &[Wide]| {
        let (weight_grad, bias_grad) = (outer(delta, source), columns(delta));
        layers.push(Expected { delta: delta.to_vec(), act_grad: act_grad.to_vec(), weight_grad, bias_grad });
    };
    let mut g = if spec.loss == Loss::Cotangent {
        forward.get("cotangent")
    } else {
        let last = spec.depth + 1;
        let delta = start(spec, &narrow(&forward.layer(last, "preact")), &forward.get("target"));
        push(&delta, &forward.layer(spec.depth, "act"), &[]);
        back(&delta, &forward.layer(last, "weight"))
    };
    for layer in (1..=spec.depth).rev() {
        let (z, h) = (narrow(&forward.layer(layer, "preact")), forward.layer(layer - 1, "act"));
        let weight = forward.layer(layer, "weight");
        let act_grad = g.clone();
        if spec.residual == Residual::PreAct {
            let u = narrow(&h);
            let delta: Vec<Wide> = g.iter().map(|g| g.times(a)).collect();
            let source: Vec<Wide> = u.iter().map(|&u| Wide::new(spec.activation.value(u), 0)).collect();
            push(&delta, &source, &act_grad);
            let branch = multiply(&back(&delta, &weight), &phi_grad(&u));
            g = g.iter().zip(branch).map(|(g, x)| g.plus(x)).collect();
            continue;
        }
        let branch: Vec<Wide> = match spec.residual {
            Residual::None => g.clone(),
            _ => g.iter().map(|g| g.times(a)).collect(),
        };
        let delta = if spec.norm == Norm::Layer {
            let mut delta = Vec::new();
            for (z, g) in z.chunks(n).zip(branch.chunks(n)) {
                let mean = z.iter().sum::<f64>() / n as f64;
                let variance = z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n as f64;
                let inverse = 1.0 / (variance + spec.norm_eps).sqrt();
                let u: Vec<f64> = z.iter().map(|z| (z - mean) * inverse).collect();
                let g = multiply(g, &phi_grad(&u));
                let part = Wide::new(-1.0 / n as f64, 0);
                let g_mean = sum(g.iter().copied()).times(part);
                let product = sum(g.iter().zip(&u).map(|(g, &u)| g.times(Wide::new(u, 0)))).times(part);
                let element = |(g, u): (&Wide, &f64)| g.plus(g_mean).plus(product.times(Wide::new(*u, 0)));
                delta.extend(g.iter().zip(&u).map(element).map(|v| v.times(Wide::new(inverse, 0))));
            }
            delta
        } else {
            multiply(&branch, &phi_grad(&z))
        };
        push(&delta, &h, &act_grad);
        let below = back(&delta, &weight);
        g = match spec.residual {
            Residual::None => below,
            _ => g.iter().zip(below).map(|(g, x)| g.plus(x)).collect(),
        };
    }
    layers.reverse();
    layers
}

/// What a run reports otherwise than the oracle, in words.
fn differences(spec: &NetworkSpec, precision: Precision) -> Vec<String> {
    let result = run_cpu(spec, None, precision);
    // Rounding of products and of phi' in the ordinary range, layer by layer.
    let tolerance = if precision == Precision::F32 { 1e-5 } else { 1e-10 } * f64::from(spec.depth);
    differences_of(
        &format!("{precision:?}"),
        spec,
        &result,
        &Forward::of(spec, precision),
        [tolerance, 1e-4 * tolerance],
    )
}

/// What `result` reports otherwise than backpropagation from its own forward values: by more than the first tolerance and
/// the second one's share of a logarithm.
pub fn differences_of(
    name: &str,
    spec: &NetworkSpec,
    result: &NetworkResult,
    forward: &Forward,
    [absolute, relative]: [f64; 2],
) -> Vec<String> {
    let mut out = Vec::new();
    let want = backward(spec, forward);
    let name = format!(
        "{} sigma_w {:e} seed {} {:?} {:?} {:?} {name}",
        spec.activation.canonical(),
        spec.init.sigma_w,
        spec.seed,
        spec.residual,
        spec.norm,
        spec.loss
    );
    let mut near = |what: &str, layer: usize, got: f64, want: f64| {
        let close = (got - want).abs() < absolute + relative * want.abs();
        if !close {
            out.push(format!("{name}: {what} of layer {layer}: {got}, want {want}"));
        }
    };
    for (l, (row, want)) in result.rows[1..].iter().zip(&want).enumerate().rev() {
        let log = |q: Quantity| 0.5 * row.record.moments(q).sum_of_squares().log10_abs().unwrap_or(f64::NAN);
        near("delta", l + 1, log(Quantity::PreactGrad), norm(&want.delta));
        near("dW", l + 1, log(Quantity::WeightGrad), norm(&want.weight_grad));
        if !want.act_grad.is_empty() {
            near("dh", l + 1, log(Quantity::ActGrad), norm(&want.act_grad));
        }
        if spec.layer_has_bias(l as u32 + 1) {
            near("db", l + 1, log(Quantity::BiasGrad), norm(&want.bias_grad));
        }
        let logs: Vec<f64> = want.delta.chunks(want.delta.len() / spec.batch_size as usize).map(norm).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let deviation = logs.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / logs.len() as f64;
        near("samples", l + 1, row.record.count(Count::GradSamples) as f64, logs.len() as f64);
        let got = row.record.sum(Sum::SampleLogGradDeviation).value().unwrap() / logs.len() as f64;
        near("spread", l + 1, got.sqrt(), deviation.sqrt());
    }
    let total = 2.0 * (norm(&want[0].delta) - norm(&want[spec.depth as usize - 1].delta));
    if result.delta_squares.iter().all(|d| d.mantissa != 0.0) {
        near("total ratio", 0, log10_total_ratio(result), total);
    }
    out
}

pub fn case(activation: ActivationKind, sigma_w: f64, seed: u64) -> NetworkSpec {
    NetworkSpec { seed, ..range_case(activation, InitKind::MeanField, 1.0, sigma_w, 12, 32, 16) }
}

#[test]
fn saturated_layers_keep_every_sample_at_any_scale() {
    let mut found = Vec::new();
    use ActivationKind::{Elu, Erf, Gelu, Mish, QuickGelu, ScaledTanh, Sigmoid, Silu, Softplus, Softsign, Tanh};
    for activation in [Sigmoid, Tanh, ScaledTanh, Softsign, Erf, Gelu, Elu, Silu, Mish, QuickGelu, Softplus] {
        for sigma_w in [30.0, 1e2, 1e3, 1e4, 1e6] {
            // The slope of erf is e^(-u^2): 1e5 and more is where exponents of 32 bits end.
            if activation == Erf && sigma_w > 1e4 {
                continue;
            }
            for seed in 0..2 {
                let spec = case(activation, sigma_w, seed);
                found.extend([Precision::F32, Precision::F64].iter().flat_map(|&p| differences(&spec, p)));
            }
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Sigmoid at depth 1024, from weights that hardly move it to weights that saturate every unit.
pub fn deepest() -> Vec<NetworkSpec> {
    let of = |&sigma_w| range_case(ActivationKind::Sigmoid, InitKind::MeanField, 1.0, sigma_w, 1024, 16, 3);
    [1e-30, 1e-3, 1.0, 30.0, 1e3, 1e4, 1e5, 1e6].iter().map(of).collect()
}

#[test]
fn sigmoid_is_followed_through_1024_layers_at_any_scale() {
    let of = |spec: &NetworkSpec| [Precision::F32, Precision::F64].map(|p| differences(spec, p)).concat();
    let found: Vec<String> = deepest().iter().flat_map(of).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(30)].join("\n"));
}

/// Losses, biases, skips and norms around layers of saturated samples.
pub fn structures() -> Vec<NetworkSpec> {
    use ActivationKind::{Sigmoid, Softsign, Tanh};
    let mut list = Vec::new();
    for (sigma_w, activation) in [(300.0, Sigmoid), (1000.0, Tanh), (1e4, Sigmoid), (1e5, Softsign)] {
        let plain = case(activation, sigma_w, 3);
        let biased = Init { sigma_b: Some(1000.0), ..plain.init };
        let readout = NetworkSpec { target: Target::Gaussian, output_size: 4, ..plain.clone() };
        list.extend([
            NetworkSpec { bias: true, init: biased, ..plain.clone() },
            NetworkSpec { loss: Loss::Mse, ..readout.clone() },
            NetworkSpec { loss: Loss::CrossEntropy, bias: true, init: biased, ..readout.clone() },
            NetworkSpec { residual: Residual::PostAct, ..plain.clone() },
            // A sum of skips makes probabilities small faster than layers do.
            NetworkSpec {
                residual: Residual::PreAct,
                residual_scale: 1.0 / sigma_w,
                loss: Loss::CrossEntropy,
                ..readout.clone()
            },
            NetworkSpec { norm: Norm::Layer, loss: Loss::CrossEntropy, ..readout },
        ]);
    }
    list
}

#[test]
fn saturated_samples_are_followed_through_losses_biases_skips_and_norms() {
    let of = |spec: &NetworkSpec| [Precision::F32, Precision::F64].map(|p| differences(spec, p)).concat();
    let found: Vec<String> = structures().iter().flat_map(of).collect();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn narrow_networks_drift_apart_by_chance_and_keep_every_sample() {
    let mut found = Vec::new();
    use ActivationKind::{Elu, LeakyRelu, Sine, Softsign};
    for (activation, sigma_w) in [(Softsign, 1e4), (Sine, 30.0), (LeakyRelu, 1.5), (Elu, 3.0)] {
        for seed in 0..2 {
            let spec = NetworkSpec { seed, ..range_case(activation, InitKind::MeanField, 1.0, sigma_w, 300, 2, 5) };
            found.extend([Precision::F32, Precision::F64].iter().flat_map(|&p| differences(&spec, p)));
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn samples_far_apart_stay_apart_in_the_forward_pass() {
    // One unit: a sample deep in the tail of SiLU leaves values of e^-hundreds beside ordinary ones.
    for seed in 0..12 {
        let spec = NetworkSpec { seed, ..range_case(ActivationKind::Silu, InitKind::MeanField, 1.0, 900.0, 3, 1, 4) };
        let result = run_cpu(&spec, None, Precision::F32);
        let w: Vec<f64> = (1..=3).map(|l| narrow(&Forward::of(&spec, Precision::F64).layer(l, "weight"))[0]).collect();
        let x = narrow(&Forward::of(&spec, Precision::F64).get("input"));
        let value = spec.activation.row().value_parts.unwrap();
        for l in 1..=3 {
            let sample = |x: &f64| {
                let mut h = Wide::new(*x, 0);
                for w in &w[..l] {
                    let z = h.times(Wide::new(*w, 0));
                    let (factor, decay) = value(narrow(&[z])[0], 0.0);
                    // SiLU is u / 2 below the range of float64.
                    h = if z.e < -900 { z.times(Wide::new(0.5, 0)) } else { Wide::tail(factor, decay) };
                }
                h
            };
            let h: Vec<Wide> = x.iter().map(sample).collect();
            let got = log10_l2(&result.rows[l].record, Quantity::Act);
            // Rounding of u of a few million in e^u.
            assert!(
                (got - norm(&h)).abs() < 1e-6 * (100.0 + norm(&h).abs()),
                "seed {seed} layer {l}: {got} {}",
                norm(&h)
            );
        }
    }
}
