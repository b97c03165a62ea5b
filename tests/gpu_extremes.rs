//! Extremes, against float64 on the CPU: losses of vanished and of exploded predictions, activations with a tail or a flat side
//! at large gains, algebraic saturation, thousands of outputs, norms of constant groups without eps.

use std::collections::BTreeMap;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{Batch, Engine, NetworkResult, Precision};
use gradsweep::network::{ActivationKind, InitKind, Loss, NetworkSpec, Norm, Target};
use gradsweep::program::ProgramKey;
use gradsweep::stats::{Count, Quantity, RecordMask, Scaled};

use crate::gpu_support::{on_each_adapter, on_each_adapter_small, on_each_adapter_tiled};
use crate::range::range_case;
use crate::support::{batch, run_batch, run_cpu, spec};

/// Where two logarithms part by more than `tolerance`; zeros have none.
fn differs(got: Scaled, want: Scaled, tolerance: f64) -> bool {
    match (got.log10_abs(), want.log10_abs()) {
        (Some(a), Some(b)) => (a - b).abs() > tolerance * (1.0 + 1e-3 * b.abs()),
        (None, None) => got.mantissa.is_nan() != want.mantissa.is_nan(),
        _ => true,
    }
}

/// What differs between two results in the loss, in sums of squares and in largest elements, by decimal logarithms.
fn differences(name: &str, got: &NetworkResult, want: &NetworkResult, tolerance: f64) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: String, a: Scaled, b: Scaled| {
        if differs(a, b, tolerance) {
            found.push(format!("{name}: {what} 1e{:?}, want 1e{:?}", a.log10_abs(), b.log10_abs()));
        }
    };
    check("loss".into(), got.loss, want.loss);
    for (row, other) in got.rows.iter().zip(&want.rows) {
        for quantity in [
            Quantity::Preact,
            Quantity::Act,
            Quantity::ActGrad,
            Quantity::PreactGrad,
            Quantity::WeightGrad,
            Quantity::BiasGrad,
        ] {
            let (a, b) = (row.record.moments(quantity), other.record.moments(quantity));
            let place = |what: &str| format!("{what} of {quantity:?} of layer {}", row.layer);
            if (a.count, a.nonfinite) != (b.count, b.nonfinite) {
                check(place("elements"), Scaled::from(a.finite() as f64), Scaled::from(b.finite() as f64));
            } else if a.count > 0 {
                check(place("l2"), a.sum_of_squares(), b.sum_of_squares());
                check(place("largest"), Scaled::new(a.abs_max, a.exponent), Scaled::new(b.abs_max, b.exponent));
            }
        }
    }
    found
}

/// What is promised by logarithm, on any engine.
fn run_basic(engine: &mut dyn Engine, networks: &[NetworkSpec]) -> Vec<NetworkResult> {
    run_batch(engine, Batch { mask: RecordMask::BASIC, ..batch(networks.to_vec(), None) })
}

fn on_cpu(spec: &NetworkSpec, precision: Precision) -> NetworkResult {
    let mut engine = CpuEngine::new(precision, 1).unwrap();
    run_basic(&mut engine, std::slice::from_ref(spec)).remove(0)
}

fn name_of(spec: &NetworkSpec) -> String {
    format!("{} {:?} {:?} width {}", spec.activation.canonical(), spec.init, spec.loss, spec.width)
}

/// Runs all on every adapter, batch by batch, and compares with float64 on the CPU.
fn meets_float64(networks: &[NetworkSpec], tolerance: f64) {
    let mut batches: BTreeMap<ProgramKey, (Vec<NetworkSpec>, Vec<NetworkResult>)> = BTreeMap::new();
    for network in networks {
        let (list, wanted) = batches.entry(ProgramKey::of(network)).or_default();
        list.push(network.clone());
        wanted.push(on_cpu(network, Precision::F64));
    }
    let run = |name: &str, engine: &mut GpuEngine| {
        let mut found = Vec::new();
        for (networks, wanted) in batches.values() {
            for ((spec, got), want) in networks.iter().zip(run_basic(engine, networks)).zip(wanted) {
                found.extend(differences(&format!("{name} {}", name_of(spec)), &got, want, tolerance));
            }
        }
        check(&found);
    };
    on_each_adapter(run);
    on_each_adapter_small(run);
}

fn check(found: &[String]) {
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found[..found.len().min(30)].join("\n"));
}

/// Deep networks whose predictions vanish or explode far beyond float32, with the losses that have a readout.
fn deep_losses() -> Vec<NetworkSpec> {
    use ActivationKind::{Relu, Sigmoid, Tanh};
    let mut list = Vec::new();
    for (activation, kind, gain, sigma_w, depth) in [
        (Tanh, InitKind::MeanField, 1.0, 0.1, 1024),
        (Relu, InitKind::HeNormal, 0.1, 1.0, 1024),
        (Relu, InitKind::HeNormal, 10.0, 1.0, 1024),
        (Sigmoid, InitKind::MeanField, 1.0, 1e-3, 300),
        (Sigmoid, InitKind::MeanField, 1.0, 1.0, 300),
    ] {
        for (loss, target) in [(Loss::Mse, Target::Teacher), (Loss::CrossEntropy, Target::Classes)] {
            let case = range_case(activation, kind, gain, sigma_w, depth, 12, 4);
            list.push(NetworkSpec { loss, target, output_size: 5, bias: true, ..case });
        }
    }
    list
}

#[test]
fn losses_and_gradients_keep_their_logarithms_whatever_the_prediction_is() {
    // Rounding of a chain of a thousand layers.
    let networks = deep_losses();
    for spec in &networks {
        let (got, want) = (on_cpu(spec, Precision::F32), on_cpu(spec, Precision::F64));
        assert!(want.loss.log10_abs().is_some(), "{}", name_of(spec));
        check(&differences(&format!("cpu {}", name_of(spec)), &got, &want, 4e-3));
    }
    meets_float64(&networks, 4e-3);
}

/// log10(|delta_1|^2 / |delta_L|^2), where neither is zero.
fn ratio(result: &NetworkResult) -> Option<f64> {
    let [first, .., last] = &result.delta_squares[..] else { return None };
    Some(first.log10_abs()? - last.log10_abs()?)
}

#[test]
fn tails_and_flat_sides_survive_large_gains() {
    use ActivationKind::{Celu, Elu, Gelu, Mish, QuickGelu, Selu, Silu, Softplus};
    let tails = [Silu, Gelu, Mish, QuickGelu, Softplus];
    let mut networks = Vec::new();
    for (activation, width) in
        tails.into_iter().flat_map(|a| [(a, 8), (a, 16)]).chain([Elu, Selu, Celu].map(|a| (a, 8)))
    {
        for (gain, seed) in [3.0, 10.0].into_iter().flat_map(|gain| (0..4).map(move |seed| (gain, seed))) {
            let case = range_case(activation, InitKind::HeNormal, gain, 1.0, 64, width, 4);
            networks.push(NetworkSpec { loss: Loss::Mse, target: Target::Teacher, output_size: 3, seed, ..case });
        }
    }
    let mut batches: BTreeMap<u32, Vec<NetworkSpec>> = BTreeMap::new();
    for spec in networks {
        batches.entry(spec.width).or_default().push(spec);
    }
    let wanted: Vec<Vec<_>> =
        batches.values().map(|list| list.iter().map(|spec| on_cpu(spec, Precision::F64)).collect()).collect();
    let run = |name: &str, engine: &mut GpuEngine| {
        for (networks, wanted) in batches.values().zip(&wanted) {
            for ((spec, got), want) in networks.iter().zip(run_basic(engine, networks)).zip(wanted) {
                let name = format!("{name} {} seed {}", name_of(spec), spec.seed);
                for row in &got.rows {
                    let lost: u64 = row.record.moments.iter().map(|m| m.nonfinite).sum();
                    assert_eq!(lost, 0, "{name}: layer {}", row.layer);
                }
                if tails.contains(&spec.activation.kind) && spec.width < 16 {
                    // On the way forward a tensor has one exponent on this engine. A layer of so few units may lie in the
                    // tail as a whole, and there a sample can be lost beside another.
                    continue;
                }
                assert!(!differs(got.loss, want.loss, 1e-2), "{name}: loss {:?}, want {:?}", got.loss, want.loss);
                let same = match (ratio(&got), ratio(want)) {
                    (Some(a), Some(b)) => (a - b).abs() <= 2e-2 * (1.0 + 1e-2 * b.abs()),
                    (a, b) => a == b,
                };
                assert!(same, "{name}: ratio 1e{:?}, want 1e{:?}", ratio(&got), ratio(want));
            }
        }
    };
    on_each_adapter(run);
    on_each_adapter_small(run);
}

#[test]
fn softsign_has_no_scale_at_which_its_slope_stops_falling() {
    let scales = [1e6, 1e12, 1e15, 1e20, 1e30];
    let networks: Vec<_> = scales
        .iter()
        .map(|&sigma_w| range_case(ActivationKind::Softsign, InitKind::MeanField, 1.0, sigma_w, 3, 16, 8))
        .collect();
    meets_float64(&networks, 4e-3);
}

#[test]
fn path_factors_are_counted_into_thousands_of_outputs() {
    for output_size in [2048, 2049, 4096] {
        let spec = NetworkSpec { output_size, width: 4, batch_size: 8, depth: 2, ..spec() };
        let spec = NetworkSpec { init: gradsweep::network::Init { gain: 40.0, ..spec.init }, ..spec };
        let want = run_cpu(&spec, None, Precision::F64);
        on_each_adapter(|name, engine| {
            let got = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
            for (row, other) in got.rows.iter().zip(&want.rows) {
                let of = |r: &gradsweep::stats::Record| (r.count(Count::PathsAboveOne), r.count(Count::Paths));
                let (a, b) = (of(&row.record), of(&other.record));
                assert_eq!(a.1, b.1, "{name} layer {}", row.layer);
                // Factors within rounding of 1.
                assert!(
                    a.0.abs_diff(b.0) <= 2 + b.1 / 10_000,
                    "{name} {output_size}, layer {}: {a:?} {b:?}",
                    row.layer
                );
            }
            let last = &want.rows[spec.depth as usize].record;
            assert!(last.count(Count::PathsAboveOne) > 100, "some factors lie above 1");
        });
    }
}

#[test]
fn a_constant_group_without_eps_has_no_norm_on_any_engine() {
    for norm in [Norm::Batch, Norm::Layer, Norm::Rms] {
        for norm_eps in [0.0, 1e-5] {
            let mut zeros = range_case(ActivationKind::Tanh, InitKind::Zeros, 1.0, 1.0, 3, 6, 4);
            (zeros.norm, zeros.norm_eps) = (norm, norm_eps);
            let want = run_cpu(&zeros, None, Precision::F64);
            let lost = want.rows[1].record.moments(Quantity::Act).nonfinite;
            assert_eq!(lost, if norm_eps == 0.0 { 24 } else { 0 }, "{norm:?}: 0 / 0");
            let compare = |name: &str, engine: &mut GpuEngine| {
                let got = run_batch(engine, batch(vec![zeros.clone()], None)).remove(0);
                check(&differences(&format!("{name} {norm:?} {norm_eps}"), &got, &want, 1e-3));
            };
            on_each_adapter(compare);
            on_each_adapter_tiled(compare);
        }
    }
}
