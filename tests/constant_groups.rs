//! Norms of groups that are constant: the border pixels of images, units with equal weights, a gradient that all samples
//! share. What is left of them is 0 on every engine, not rounding times 1 / sqrt(eps), whose sign would decide phi'.

use gradsweep::data;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Init, InitKind, Input, Loss, NetworkSpec, Norm, Residual};
use gradsweep::sampler::tensors::network_data;
use gradsweep::stats::{Count, Quantity};

use crate::gpu_support::{on_each_adapter, on_each_adapter_tiled};
use crate::support::{batch, run_batch, run_cpu, spec};

/// The network on both precisions of the CPU engine and on every adapter with both kinds of products.
fn on_every_engine(spec: &NetworkSpec, mut test: impl FnMut(&str, NetworkResult)) {
    test("cpu f64", run_cpu(spec, None, Precision::F64));
    test("cpu f32", run_cpu(spec, None, Precision::F32));
    let mut on_gpu = |name: &str, engine: &mut GpuEngine| {
        test(name, run_batch(engine, batch(vec![spec.clone()], None)).remove(0));
    };
    on_each_adapter(&mut on_gpu);
    on_each_adapter_tiled(&mut on_gpu);
}

/// Units whose input is the same in every sample.
fn constant_columns(spec: &NetworkSpec) -> u64 {
    let set = data::load(spec.input);
    let input = network_data(spec, set.as_ref()).input;
    let columns = spec.input_size as usize;
    let constant = |j: &usize| input.iter().skip(*j).step_by(columns).all(|v| *v == input[*j]);
    (0..columns).filter(constant).count() as u64
}

#[test]
fn pixels_that_never_change_are_dead_under_batch_norm() {
    for (activation, batch_size) in
        [(ActivationKind::Relu, 16), (ActivationKind::Relu, 50), (ActivationKind::LeakyRelu, 100)]
    {
        // As wide as an image: the first norm takes the pixels themselves.
        let spec = NetworkSpec {
            activation: activation.into(),
            batch_size,
            depth: 3,
            width: 64,
            input_size: 64,
            output_size: 10,
            input: Input::Digits,
            norm: Norm::Batch,
            residual: Residual::PreAct,
            init: Init { kind: InitKind::HeNormal, ..spec().init },
            ..spec()
        };
        let constant = constant_columns(&spec);
        assert!(constant > 3, "border pixels are blank");
        let want = run_cpu(&spec, None, Precision::F64);
        on_every_engine(&spec, |name, got| {
            let name = format!("{name} {activation:?} {batch_size}");
            let active = got.rows[1].record.count(Count::Active);
            let most = (u64::from(spec.width) - constant) * u64::from(batch_size);
            assert!(active <= most, "{name}: {active} of at most {most} units are active");
            // Pixels are small integers: some equal their mean over the batch, and rounding decides on which side they lie.
            let difference = active.abs_diff(want.rows[1].record.count(Count::Active));
            assert!(difference <= 2 + u64::from(spec.width) / 8, "{name}: {active} active");
            let size =
                |r: &NetworkResult| r.rows[0].record.moments(Quantity::ActGrad).sum_of_squares().log10_abs().unwrap();
            assert!((size(&got) - size(&want)).abs() < 0.05, "{name}: {} and {}", size(&got), size(&want));
        });
    }
}

fn dead_below(spec: &NetworkSpec, layers: u32) {
    on_every_engine(spec, |name, got| {
        for row in &got.rows[1..=layers as usize] {
            let largest = row.record.moments(Quantity::PreactGrad).abs_max;
            assert_eq!(largest, 0.0, "{name} {:?} width {}: layer {}", spec.activation, spec.width, row.layer);
        }
    });
}

#[test]
fn equal_units_are_dead_under_layer_norm() {
    for (activation, width) in [
        (ActivationKind::LeakyRelu, 64),
        (ActivationKind::Tanh, 64),
        (ActivationKind::Tanh, 100),
        (ActivationKind::Relu, 33),
    ] {
        let init = Init { kind: InitKind::Constant, param: 0.1, ..spec().init };
        let spec = NetworkSpec { activation: activation.into(), norm: Norm::Layer, width, init, ..spec() };
        dead_below(&spec, spec.depth);
    }
}

#[test]
fn a_gradient_that_all_samples_share_ends_at_the_first_linear_batch_norm() {
    for norm_eps in [0.0, 1e-5] {
        let spec = NetworkSpec {
            activation: ActivationKind::Linear.into(),
            norm: Norm::Batch,
            norm_eps,
            loss: Loss::CotangentShared,
            output_size: 0,
            width: 40,
            batch_size: 23,
            bias: false,
            ..spec()
        };
        dead_below(&spec, spec.depth);
    }
}
