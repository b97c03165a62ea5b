//! Saturated layers on the GPU engine: samples thousands of decades apart, against plain loops over numbers with an exponent
//! each that start from the device's own forward values; and weights before a batch norm whose layer hardly moves.

use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{Batch, Precision};
use gradsweep::network::{ActivationKind, InitKind, NetworkSpec, Norm};
use gradsweep::sampler::tensors::{TargetData, fill_weight, network_data};
use gradsweep::stats::{Quantity, RecordMask};
use std::sync::Arc;

use crate::gpu_support::{on_each_adapter, on_each_adapter_small, on_each_adapter_tiled};
use crate::range::range_case;
use crate::saturation::{case, deepest, differences_of, structures};
use crate::support::{batch, log10_l2, run_batch};
use crate::wide::Forward;

fn differences(name: &str, engine: &mut GpuEngine, networks: Vec<NetworkSpec>) -> Vec<String> {
    differences_at(name, engine, networks, RecordMask::FULL)
}

fn differences_at(name: &str, engine: &mut GpuEngine, networks: Vec<NetworkSpec>, mask: RecordMask) -> Vec<String> {
    let of = |networks: Vec<NetworkSpec>| Batch { mask, ..batch(networks, None) };
    let results = run_batch(engine, of(networks.clone()));
    let mut found = Vec::new();
    for (spec, result) in networks.iter().zip(&results) {
        let mut forward = Forward::of(spec, Precision::F32);
        for (tensor, values, exponent) in engine.forward_tensors(Arc::new(of(vec![spec.clone()]))).unwrap() {
            forward.replace(&tensor, values, exponent);
        }
        // Rounding of products and of phi' by layer; decays and logarithms of thousands are float32 themselves.
        found.extend(differences_of(name, spec, result, &forward, [1e-5 * f64::from(spec.depth), 1e-6]));
    }
    found
}

fn check(found: &[String]) {
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(30)].join("\n"));
}

#[test]
fn saturated_layers_keep_every_sample_at_any_scale() {
    use ActivationKind::{Elu, Erf, Gelu, Mish, QuickGelu, ScaledTanh, Sigmoid, Silu, Softplus, Softsign, Tanh};
    let mut networks = Vec::new();
    for activation in [Sigmoid, Tanh, ScaledTanh, Softsign, Erf, Gelu, Elu, Silu, Mish, QuickGelu, Softplus] {
        for sigma_w in [30.0, 1e2, 1e3, 1e4, 1e6] {
            // The slope of erf is e^(-u^2): 1e5 and more is where exponents of 32 bits end.
            if activation != Erf || sigma_w <= 1e4 {
                networks.push(case(activation, sigma_w, 1));
            }
        }
    }
    on_each_adapter(|name, engine| check(&differences(name, engine, networks.clone())));
    on_each_adapter_small(|name, engine| check(&differences_at(name, engine, networks.clone(), RecordMask::BASIC)));
    // The tiled products read and write rows on their own.
    networks.truncate(10);
    on_each_adapter_tiled(|name, engine| check(&differences(name, engine, networks.clone())));
}

#[test]
fn sigmoid_is_followed_through_1024_layers_at_any_scale() {
    let networks: Vec<NetworkSpec> = deepest().into_iter().filter(|s| [1.0, 1e5].contains(&s.init.sigma_w)).collect();
    on_each_adapter(|name, engine| {
        // SwiftShader takes minutes for fifteen thousand dispatches.
        let depth = if name.contains("SwiftShader") { 64 } else { 1024 };
        let networks = networks.iter().map(|s| NetworkSpec { depth, ..s.clone() }).collect();
        check(&differences(name, engine, networks));
    });
    on_each_adapter_small(|name, engine| {
        check(&differences_at(name, engine, networks.clone(), RecordMask::BASIC));
    });
}

#[test]
fn saturated_samples_are_followed_through_losses_biases_skips_and_norms() {
    // The device's values are at hand where no norm comes between; else those of float32 on the CPU are not the same run.
    let networks: Vec<NetworkSpec> = structures().into_iter().filter(|s| s.norm == Norm::None).collect();
    on_each_adapter(|name, engine| {
        let found: Vec<String> = networks.iter().flat_map(|s| differences(name, engine, vec![s.clone()])).collect();
        check(&found);
    });
    on_each_adapter_small(|name, engine| {
        let run = |s: &NetworkSpec| differences_at(name, engine, vec![s.clone()], RecordMask::BASIC);
        check(&networks.iter().flat_map(run).collect::<Vec<_>>());
    });
}

#[test]
fn a_saturated_network_alone_equals_the_same_one_in_a_batch() {
    let networks: Vec<NetworkSpec> = [30.0, 1e3, 1e4, 1e6].iter().map(|&s| case(ActivationKind::Tanh, s, 5)).collect();
    let check = |name: &str, engine: &mut GpuEngine| {
        let together = run_batch(engine, batch(networks.clone(), None));
        for (spec, result) in networks.iter().zip(&together) {
            let alone = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
            // By bits: NaN marks what is not recorded.
            assert_eq!(format!("{:?}", alone.rows), format!("{:?}", result.rows), "{name}");
            assert!(alone.delta_squares.iter().all(|d| d.mantissa > 0.0), "{name}");
        }
    };
    on_each_adapter(check);
    on_each_adapter_tiled(check);
}

/// log10 |dLoss/dW_l| of two layers under batch norm without a residual, in variables without their mean: plain loops.
fn normed_weight_grads(spec: &NetworkSpec) -> [f64; 2] {
    let (b, n) = (spec.batch_size as usize, spec.width as usize);
    let weight = |l: u32| {
        let mut w = vec![0.0; n * n];
        let e = fill_weight(spec, l, &mut w);
        w.iter().map(|&v| f64::from(v) * 2f64.powi(e)).collect::<Vec<f64>>()
    };
    let row = spec.activation.row();
    // phi(u) - phi(0), by its own formula.
    let change = |u: f64| match spec.activation.kind {
        ActivationKind::Sigmoid => 0.5 * (0.5 * u).tanh(),
        ActivationKind::HardSigmoid => (u / 6.0).clamp(-0.5, 0.5),
        _ => 0.5 * u + (2.0 * (0.25 * u).sinh().powi(2)).ln_1p(),
    };
    let mean = |x: &[f64], j: usize| (0..b).map(|s| x[s * n + j]).sum::<f64>() / b as f64;
    let centred = |x: &[f64]| -> Vec<f64> { (0..b * n).map(|k| x[k] - mean(x, k % n)).collect() };
    let data = network_data(spec, None);
    let TargetData::Cotangent(cotangent) = data.target else { panic!("a cotangent was asked for") };
    let mut h: Vec<f64> = data.input.iter().map(|&v| f64::from(v)).collect();
    let (mut sources, mut normed) = (Vec::new(), Vec::new());
    for l in 1..=2 {
        let (w, source) = (weight(l), centred(&h));
        let z: Vec<f64> =
            (0..b * n).map(|k| (0..n).map(|j| w[(k % n) * n + j] * source[(k / n) * n + j]).sum()).collect();
        let inverse: Vec<f64> = (0..n)
            .map(|i| 1.0 / ((0..b).map(|s| z[s * n + i].powi(2)).sum::<f64>() / b as f64 + spec.norm_eps).sqrt())
            .collect();
        let u: Vec<f64> = (0..b * n).map(|k| z[k] * inverse[k % n]).collect();
        h = u.iter().map(|&u| change(u)).collect();
        sources.push(source);
        normed.push((u, inverse));
    }
    let mut g: Vec<f64> = cotangent.iter().map(|&v| f64::from(v)).collect();
    let mut out = [0.0; 2];
    for l in (0..2).rev() {
        let (u, inverse) = &normed[l];
        let slope = |u: f64| {
            let (factor, decay) = (row.derivative_parts)(u, spec.activation.param);
            factor * (-decay).exp()
        };
        let du: Vec<f64> = (0..b * n).map(|k| g[k] * slope(u[k])).collect();
        let product: Vec<f64> = (0..b * n).map(|k| du[k] * u[k]).collect();
        let delta: Vec<f64> =
            (0..b * n).map(|k| (du[k] - mean(&du, k % n) - u[k] * mean(&product, k % n)) * inverse[k % n]).collect();
        let grad = |i: usize, j: usize| (0..b).map(|s| delta[s * n + i] * sources[l][s * n + j]).sum::<f64>();
        out[l] = 0.5 * (0..n * n).map(|k| grad(k / n, k % n).powi(2)).sum::<f64>().log10();
        let w = weight(l as u32 + 1);
        g = (0..b * n).map(|k| (0..n).map(|i| w[i * n + k % n] * delta[(k / n) * n + i]).sum()).collect();
    }
    out
}

#[test]
fn weight_gradients_before_a_batch_norm_are_no_rounding_noise() {
    // u is about gain / sqrt(eps): phi(u) is a constant but for its last bits, or to all of them.
    let mut networks = Vec::new();
    for activation in [ActivationKind::Sigmoid, ActivationKind::HardSigmoid, ActivationKind::Softplus] {
        for gain in [1e-30, 1e-12, 1e-8, 1e-5, 1e-2, 1.0] {
            networks.push(NetworkSpec {
                norm: Norm::Batch,
                ..range_case(activation, InitKind::LecunNormal, gain, 1.0, 2, 16, 9)
            });
        }
    }
    let check = |name: &str, engine: &mut GpuEngine| {
        let results = run_batch(engine, batch(networks.clone(), None));
        for (spec, result) in networks.iter().zip(&results) {
            let want = normed_weight_grads(spec);
            for (layer, want) in want.into_iter().enumerate() {
                let got = log10_l2(&result.rows[layer + 1].record, Quantity::WeightGrad);
                let name = format!("{name} {} gain {:e}", spec.activation.canonical(), spec.init.gain);
                assert!((got - want).abs() < 1e-4, "{name}: |dW_{}| 1e{got}, want 1e{want}", layer + 1);
            }
        }
    };
    on_each_adapter(check);
    on_each_adapter_tiled(check);
}
