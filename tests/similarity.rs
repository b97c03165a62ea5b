//! `preact_cos_gap` is precise where samples are nearly alike, which 1 - cos in float32 is not.

use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Init, InitKind, Input, NetworkSpec};
use gradsweep::stats::{Count, Sum};

use crate::gpu_support::on_each_adapter;
use crate::support::{batch, run_batch, run_cpu, spec};

#[test]
fn gaps_between_nearly_equal_samples_keep_their_digits() {
    // 1 - cos of the two samples of a pair; two float32 steps below 1 at the smallest.
    for (gap, tolerance) in [(1e-3, 1e-4), (1e-5, 1e-3), (1.2e-7, 1e-2)] {
        let spec = NetworkSpec {
            activation: ActivationKind::Tanh.into(),
            depth: 3,
            width: 64,
            input_size: 64,
            batch_size: 16,
            input: Input::CorrelatedPairs,
            input_param: 1.0 - gap,
            init: Init { kind: InitKind::MeanField, sigma_w: 1.2, sigma_b: Some(0.1), ..spec().init },
            ..spec()
        };
        let mean = |result: &NetworkResult, layer: usize| {
            let record = &result.rows[layer].record;
            record.sum(Sum::PreactCosGap).value().unwrap() / record.count(Count::PreactPairs) as f64
        };
        let want = run_cpu(&spec, None, Precision::F64);
        assert!((mean(&want, 1) / gap).log10().abs() < 0.3, "the first layer keeps angles of about {gap}");
        let check = |name: &str, got: &NetworkResult| {
            for layer in 1..=3 {
                let error = (mean(got, layer) / mean(&want, layer) - 1.0).abs();
                assert!(error < tolerance, "{name} gap {gap} layer {layer}: off by {error:.1e}");
            }
        };
        check("cpu f32", &run_cpu(&spec, None, Precision::F32));
        on_each_adapter(|name, engine: &mut GpuEngine| {
            check(name, &run_batch(engine, batch(vec![spec.clone()], None)).remove(0));
        });
    }
}
