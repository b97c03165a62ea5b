//! Dynamic range: log10 columns far beyond the float range, against float64 oracles that rescale at every layer.

use gradsweep::engine::{NetworkResult, Precision};
use gradsweep::network::{Activation, ActivationKind, Init, InitKind, Loss, NetworkSpec};
use gradsweep::sampler::tensors::{TargetData, fill_weight, network_data};
use gradsweep::stats::Quantity;

use crate::support::{log10_l2, log10_total_ratio, run_cpu, spec};

/// log10 |h_l| for l = 0..=L and log10 |delta_l| for l = 1..=L of a plain bias-free network under a cotangent.
struct Oracle {
    act: Vec<f64>,
    delta: Vec<f64>,
}

/// A vector with a logarithm taken out.
fn rescale(v: &mut [f64], log10: &mut f64) -> f64 {
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.iter_mut().for_each(|x| *x /= norm);
    *log10 += norm.log10();
    *log10
}

/// Plain loops, rescaled after every layer. A layer far below 1 is linear in `phi`, one far above 1 follows its lines.
fn oracle(spec: &NetworkSpec) -> Oracle {
    let (b, n, depth) = (spec.batch_size as usize, spec.width as usize, spec.depth);
    let weights: Vec<Vec<f64>> = (1..=depth)
        .map(|l| {
            let mut w = vec![0.0; n * n];
            let e = fill_weight(spec, l, &mut w);
            w.iter().map(|&v| f64::from(v) * 2f64.powi(e)).collect()
        })
        .collect();
    let data = network_data(spec, None);
    let TargetData::Cotangent(cotangent) = data.target else { panic!("a cotangent was asked for") };
    let mut h: Vec<f64> = data.input.iter().map(|&v| f64::from(v)).collect();
    let mut log = 0.0;
    let mut act = vec![rescale(&mut h, &mut log)];
    // log10 of phi' per layer and element.
    let mut slopes: Vec<Vec<(f64, f64)>> = Vec::new();
    for w in &weights {
        let mut next = vec![0.0; b * n];
        for s in 0..b {
            for i in 0..n {
                next[s * n + i] = (0..n).map(|j| w[i * n + j] * h[s * n + j]).sum();
            }
        }
        let facts = spec.activation.facts();
        let (mut layer, mut tail) = (Vec::new(), 0.0);
        let linear = (log < -100.0 && facts.at_zero == 0.0) || (log > 100.0 && facts.far[1].slope != 0.0);
        for v in &mut next {
            if linear {
                let side = usize::from(*v > 0.0);
                let slope = if log < 0.0 { facts.slopes_at_zero[side] } else { facts.far[side].slope };
                *v *= slope;
                layer.push((slope, 0.0));
            } else {
                let u = *v * 10f64.powf(log.min(250.0));
                let (factor, decay) = (spec.activation.row().derivative_parts)(u, spec.activation.param);
                layer.push((factor, -decay * std::f64::consts::LOG10_E));
                *v = spec.activation.value(u);
                if let (true, Some(parts)) = (n == 1, spec.activation.row().value_parts) {
                    // One unit, one sample: the logarithm of a vanishing value is taken from its parts.
                    let (factor, decay) = parts(u, spec.activation.param);
                    (*v, tail) = (factor, -decay * std::f64::consts::LOG10_E);
                }
            }
        }
        if !linear {
            log = tail;
        }
        slopes.push(layer);
        h = next;
        act.push(rescale(&mut h, &mut log));
    }
    let mut g: Vec<f64> = cotangent.iter().map(|&v| f64::from(v)).collect();
    let mut log = 0.0;
    let mut delta = vec![0.0; depth as usize];
    for l in (0..depth as usize).rev() {
        // delta = g phi', the largest power of phi' taken out of the layer.
        let top = slopes[l]
            .iter()
            .filter(|(f, _)| *f != 0.0)
            .map(|(f, p)| f.abs().log10() + p)
            .fold(f64::NEG_INFINITY, f64::max);
        for (g, (f, p)) in g.iter_mut().zip(&slopes[l]) {
            *g *= f * 10f64.powf(p - top);
        }
        log += top;
        delta[l] = rescale(&mut g, &mut log);
        let w = &weights[l];
        let mut back = vec![0.0; b * n];
        for s in 0..b {
            for j in 0..n {
                back[s * n + j] = (0..n).map(|i| w[i * n + j] * g[s * n + i]).sum();
            }
        }
        g = back;
    }
    Oracle { act, delta }
}

pub fn compare(spec: &NetworkSpec, result: &NetworkResult, tolerance: f64) {
    let want = oracle(spec);
    let name = format!("{} {:?} depth {}", spec.activation.canonical(), spec.init, spec.depth);
    for (l, row) in result.rows.iter().enumerate() {
        assert!(
            row.record.moments(Quantity::Act).m2 > 0.0 || spec.width == 1,
            "{name}: layer {l} is zero: {:?}",
            row.record.moments(Quantity::Act)
        );
        let act = log10_l2(&row.record, Quantity::Act);
        assert!((act - want.act[l]).abs() < tolerance, "{name}: |h_{l}| 1e{act}, want 1e{}", want.act[l]);
        assert_eq!(row.record.moments(Quantity::Act).nonfinite, 0);
        if l > 0 {
            let delta = log10_l2(&row.record, Quantity::PreactGrad);
            assert!(
                (delta - want.delta[l - 1]).abs() < tolerance,
                "{name}: |delta_{l}| 1e{delta}, want 1e{}",
                want.delta[l - 1]
            );
        }
    }
    let total = 2.0 * (want.delta[0] - want.delta[spec.depth as usize - 1]);
    assert!((log10_total_ratio(result) - total).abs() < 2.0 * tolerance);
}

pub fn range_case(
    activation: ActivationKind,
    kind: InitKind,
    gain: f64,
    sigma_w: f64,
    depth: u32,
    width: u32,
    batch_size: u32,
) -> NetworkSpec {
    NetworkSpec {
        activation: Activation::from(activation),
        init: Init { kind, param: sigma_w, gain, sigma_w, sigma_b: Some(0.0) },
        depth,
        width,
        input_size: width,
        batch_size,
        loss: Loss::Cotangent,
        bias: false,
        ..spec()
    }
}

/// The range cases: name of the phenomenon in the arguments.
pub fn range_cases() -> Vec<NetworkSpec> {
    use ActivationKind::{Elu, Erf, Gelu, LeakyRelu, Linear, Relu, Sigmoid, Silu, Softsign, Tanh};
    vec![
        range_case(Relu, InitKind::HeNormal, 10.0, 1.0, 1024, 24, 4),
        range_case(Relu, InitKind::HeNormal, 0.1, 1.0, 1024, 24, 4),
        range_case(Tanh, InitKind::MeanField, 1.0, 0.1, 1024, 16, 3),
        range_case(LeakyRelu, InitKind::HeNormal, 5.0, 1.0, 600, 16, 3),
        range_case(Linear, InitKind::LecunNormal, 1e-3, 1.0, 1024, 16, 3),
        range_case(Gelu, InitKind::LecunNormal, 0.2, 1.0, 400, 16, 3),
        range_case(Erf, InitKind::LecunNormal, 0.1, 1.0, 500, 16, 3),
        range_case(Softsign, InitKind::LecunNormal, 0.1, 1.0, 400, 16, 3),
        range_case(Elu, InitKind::LecunNormal, 0.05, 1.0, 400, 16, 3),
        // One layer can change by 2^100.
        range_case(Tanh, InitKind::Normal, 1.0, 1e-31, 6, 16, 3),
        range_case(Relu, InitKind::Normal, 1.0, 1e31, 12, 16, 3),
        // Sigmoid at any scale; with one unit and one sample every derivative of a layer lies in the tail.
        range_case(Sigmoid, InitKind::MeanField, 1.0, 1e-3, 300, 16, 3),
        range_case(Sigmoid, InitKind::MeanField, 1.0, 1.0, 300, 16, 3),
        range_case(Sigmoid, InitKind::MeanField, 1.0, 300.0, 20, 16, 3),
        range_case(Sigmoid, InitKind::MeanField, 1.0, 3000.0, 8, 1, 1),
        range_case(Tanh, InitKind::MeanField, 1.0, 3000.0, 8, 1, 1),
        range_case(Silu, InitKind::MeanField, 1.0, 900.0, 1, 1, 1),
    ]
}

#[test]
fn float64_follows_the_rescaled_oracle_at_any_depth_and_scale() {
    for case in range_cases() {
        compare(&case, &run_cpu(&case, None, Precision::F64), 1e-6);
    }
}

#[test]
fn float32_follows_the_rescaled_oracle_at_any_depth_and_scale() {
    for case in range_cases() {
        // Rounding of a chain of L layers, and of arguments up to |u| of a few thousand in e^-u: 2^-24 |u| log10 e.
        compare(&case, &run_cpu(&case, None, Precision::F32), 2e-3);
    }
}

#[test]
fn a_dead_network_has_exact_zeros_and_no_logarithm() {
    let mut case = range_case(ActivationKind::Relu, InitKind::Constant, 1.0, -1.0, 4, 4, 2);
    case.bias = false;
    let result = run_cpu(&case, None, Precision::F32);
    let last = result.rows.last().unwrap();
    let delta = last.record.moments(Quantity::PreactGrad);
    assert!(result.delta_squares.iter().any(|d| d.mantissa == 0.0 && d.log10_abs().is_none()));
    assert_eq!(delta.count, 8);
}
