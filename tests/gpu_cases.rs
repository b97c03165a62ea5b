//! The GPU engine on software adapters against the float64 engine.

use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{Precision, check};
use gradsweep::network::{ActivationKind, Init, Input, Loss, NetworkSpec, Norm, Residual};

use crate::gpu_compare::Differences;
use crate::gpu_support::{on_each_adapter, on_each_adapter_tiled};
use crate::support::{batch, run_batch, run_cpu, spec};

#[test]
fn one_plain_network_meets_float64() {
    let spec = spec();
    let want = run_cpu(&spec, None, Precision::F64);
    on_each_adapter(|name, engine| {
        let got = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
        let mut differences = Differences(Vec::new(), true);
        differences.results(name, &got, &want, 1e-5);
        assert!(differences.0.is_empty(), "{}", differences.0.join("\n"));
    });
}

#[test]
fn ragged_depths_meet_float64() {
    let networks: Vec<NetworkSpec> = (0..6)
        .map(|i| NetworkSpec {
            depth: 1 + (i * 5) % 7,
            seed: 77 + u64::from(i),
            activation: [ActivationKind::Relu, ActivationKind::Tanh, ActivationKind::Gelu][i as usize % 3].into(),
            init: Init { sigma_b: Some(0.5), ..spec().init },
            ..spec()
        })
        .collect();
    let want: Vec<_> = networks.iter().map(|n| run_cpu(n, None, Precision::F64)).collect();
    on_each_adapter(|name, engine| {
        let got = run_batch(engine, batch(networks.clone(), None));
        let mut differences = Differences(Vec::new(), true);
        for (got, want) in got.iter().zip(&want) {
            differences.results(&format!("{name} depth {}", want.delta_squares.len()), got, want, 1e-5);
        }
        assert!(differences.0.is_empty(), "{}", differences.0.join("\n"));
    });
}

#[test]
fn structures_meet_float64() {
    let mut cases: Vec<NetworkSpec> = Vec::new();
    for norm in [Norm::None, Norm::Batch, Norm::Layer, Norm::Rms] {
        for residual in [Residual::None, Residual::PostAct, Residual::PreAct] {
            for loss in [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent, Loss::CotangentShared] {
                let input_size = if cases.len().is_multiple_of(2) { 40 } else { 13 };
                let input = if cases.len().is_multiple_of(3) { Input::CorrelatedPairs } else { Input::Sphere };
                cases.push(NetworkSpec {
                    norm,
                    residual,
                    loss,
                    input,
                    input_param: 0.5,
                    input_size,
                    width: 40,
                    batch_size: 34,
                    depth: 5,
                    residual_every: if residual == Residual::PostAct { 2 } else { 1 },
                    residual_scale: 0.5,
                    final_norm: cases.len().is_multiple_of(2) && loss.has_readout() && norm != Norm::None,
                    ..spec()
                });
            }
        }
    }
    let check = |name: &str, engine: &mut GpuEngine| {
        for spec in &cases {
            let want = run_cpu(spec, None, Precision::F64);
            let got = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
            let mut differences = Differences(Vec::new(), true);
            differences.results(
                &format!("{name} {:?} {:?} {:?}", spec.norm, spec.residual, spec.loss),
                &got,
                &want,
                2e-5,
            );
            assert!(differences.0.is_empty(), "{}", differences.0.join("\n"));
        }
    };
    on_each_adapter(check);
    on_each_adapter_tiled(check);
}

/// Compares single networks with float64 at the tolerance of their own amplification.
fn meets_float64(name: &str, engine: &mut GpuEngine, cases: &[NetworkSpec]) {
    for spec in cases {
        let want = run_cpu(spec, None, Precision::F64);
        let got = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
        let mut differences = Differences(Vec::new(), true);
        differences.results(name, &got, &want, 4.0 * check::tolerance(&want));
        assert!(differences.0.is_empty(), "{spec:?}\n{}", differences.0.join("\n"));
    }
}

#[test]
fn large_tiles_meet_float64() {
    // Both operands beyond 128 rows, ragged: the tile of 128 in all three products, with edges.
    let cases = [NetworkSpec { width: 140, input_size: 130, batch_size: 131, depth: 2, output_size: 5, ..spec() }];
    on_each_adapter_tiled(|name, engine| meets_float64(name, engine, &cases));
}

#[test]
fn tall_and_wide_shapes_meet_float64() {
    // Long loops over samples and over units, far below the cap of any driver.
    let cases = [
        NetworkSpec { width: 12, input_size: 3, batch_size: 4096, depth: 2, ..spec() },
        NetworkSpec { width: 1000, input_size: 5, batch_size: 2, depth: 2, loss: Loss::Cotangent, ..spec() },
    ];
    on_each_adapter(|name, engine| meets_float64(name, engine, &cases));
}
