//! What the GPU engine promises apart from its numbers: identical draws, accurate functions, commands that do not grow with
//! networks, results that do not depend on batch mates, and faults that are noticed.

use std::sync::Arc;

use gradsweep::engine::gpu::{Drawn, GpuEngine, Kernel, LayerSlot};
use gradsweep::engine::{Engine, EngineError, LayerSelection, NetworkResult, Precision};
use gradsweep::network::activation::TABLE;
use gradsweep::network::init::TABLE as INITS;
use gradsweep::network::{
    Activation, ActivationKind, Init, InitKind, Input, Loss, NetworkSpec, Norm, Residual, Target,
};
use gradsweep::sampler::tensors::{TargetData, fill_bias, fill_weight, network_data};
use gradsweep::stats::RecordMask;

use crate::gpu_support::{on_each_adapter, on_each_adapter_tiled};
use crate::support::{batch, run_batch, spec};

fn init(kind: InitKind, param: f64, gain: f64, sigma_b: Option<f64>) -> Init {
    Init { kind, param, gain, sigma_w: 1.3, sigma_b }
}

fn same_bits(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "{name}: element {i} is {a}, the sampler's {b}");
    }
}

#[test]
fn draws_are_bit_identical_to_the_sampler() {
    // Every row of the table, and scales at the ends of the range.
    let every = INITS.iter().map(|row| init(row.kind, row.param.map_or(0.0, |_| 0.02), 0.7, Some(0.3)));
    let ends = [
        init(InitKind::PytorchDefault, 0.0, 1.0, None),
        init(InitKind::Normal, 1e-31, 1.0, Some(1e30)),
        init(InitKind::Normal, 1e31, 1.0, Some(1e-30)),
        init(InitKind::MeanField, 0.0, 1.0, Some(0.0)),
    ];
    let inits: Vec<Init> = every.chain(ends).collect();
    on_each_adapter(|name, engine| {
        for (i, &init) in inits.iter().enumerate() {
            // Rows that end inside a block of four draws, one unit, one sample.
            for (width, input_size, batch_size) in [(8, 8, 4), (13, 7, 5), (1, 3, 1), (70, 33, 18)] {
                let seed = 0x1f_ffff_0000_0000 + 977 * i as u64;
                let spec = NetworkSpec { init, width, input_size, batch_size, seed, ..spec() };
                for layer in 1..=spec.depth + 1 {
                    let slot = if layer > spec.depth { LayerSlot::Readout } else { LayerSlot::Hidden(layer) };
                    let mut want = vec![0.0; (spec.fan_in(layer) * spec.fan_out(layer)) as usize];
                    fill_weight(&spec, layer, &mut want);
                    // The host draws orthogonal matrices; as the others they are compared below, in a batch.
                    let got = engine.drawn_tensor(&spec, Drawn::Weight(slot)).unwrap();
                    assert_eq!(got.is_none(), init.kind == InitKind::Orthogonal);
                    if let Some(got) = got {
                        same_bits(&format!("{name} {:?} W_{layer}", init.kind), &got, &want);
                    }
                    let mut want = vec![0.0; spec.fan_out(layer) as usize];
                    fill_bias(&spec, layer, &mut want);
                    let got = engine.drawn_tensor(&spec, Drawn::Bias(slot)).unwrap().unwrap();
                    same_bits(&format!("{name} {:?} b_{layer}", init.kind), &got, &want);
                }
                // In a batch weights are drawn and measured in one pass.
                for (tensor, values, _) in engine.forward_tensors(Arc::new(batch(vec![spec.clone()], None))).unwrap() {
                    let layer = tensor.strip_suffix(".weight").and_then(|t| t.strip_prefix("layers.")?.parse().ok());
                    if let Some(layer) = layer {
                        let mut want = vec![0.0; (spec.fan_in(layer) * spec.fan_out(layer)) as usize];
                        fill_weight(&spec, layer, &mut want);
                        let got: Vec<f32> = values.iter().map(|&v| v as f32).collect();
                        same_bits(&format!("{name} {:?} {tensor}", init.kind), &got, &want);
                    }
                }
                for loss in [Loss::Mse, Loss::Cotangent, Loss::CotangentShared] {
                    let spec = NetworkSpec { loss, ..spec.clone() };
                    let data = network_data(&spec, None);
                    let got = engine.drawn_tensor(&spec, Drawn::Input).unwrap().unwrap();
                    same_bits(&format!("{name} input"), &got, &data.input);
                    let (TargetData::Dense(want) | TargetData::Cotangent(want)) = data.target else { unreachable!() };
                    let got = engine.drawn_tensor(&spec, Drawn::Goal).unwrap().unwrap();
                    same_bits(&format!("{name} goal of {loss:?}"), &got, &want);
                }
            }
        }
    });
}

#[test]
fn the_largest_input_is_drawn_whole() {
    // More workgroups than a grid may have side by side.
    let spec = NetworkSpec { input_size: 4096, batch_size: 4096, ..spec() };
    let data = network_data(&spec, None);
    on_each_adapter(|name, engine| {
        let got = engine.drawn_tensor(&spec, Drawn::Input).unwrap().unwrap();
        same_bits(&format!("{name} input"), &got, &data.input);
    });
}

/// Arguments where functions change character, on both sides, from subnormal results to far tails.
fn arguments() -> Vec<f32> {
    let mut list = vec![0.0, -0.0];
    for i in 0..=400 {
        let magnitude = 10f32.powf(-12.0 + i as f32 * 0.035);
        list.extend([magnitude, -magnitude]);
    }
    for i in -800..=800 {
        list.push(i as f32 * 0.013);
    }
    for edge in [1.0, 3.0, 6.0, 0.5, 0.625, 0.75, 8.0, 9.0, 18.0, 88.0, 104.0, 200.0] {
        for nudge in [-1e-6, 0.0, 1e-6] {
            list.extend([edge * (1.0 + nudge), -edge * (1.0 + nudge)]);
        }
    }
    list
}

#[test]
fn every_activation_row_is_accurate_to_f32() {
    let mut rows: Vec<Activation> = TABLE.iter().map(|row| Activation::from(row.kind)).collect();
    for (kind, param) in [
        (ActivationKind::LeakyRelu, 0.2),
        (ActivationKind::Elu, 0.5),
        (ActivationKind::Celu, 2.0),
        (ActivationKind::Softplus, 3.0),
    ] {
        rows.push(Activation { kind, param });
    }
    let arguments = arguments();
    on_each_adapter(|name, engine| {
        for a in &rows {
            let got = engine.activation_table(a, &arguments).unwrap();
            let param = f64::from(a.param as f32);
            for (&u, [value, factor, decay]) in arguments.iter().zip(got) {
                let x = f64::from(u);
                let (row, label) = (a.row(), format!("{name} {} at {u}", a.canonical()));
                let want = (row.value)(x, param);
                let (want_factor, want_decay) = (row.derivative_parts)(x, param);
                // Functions with a zero inside (the swishes' minimum, the sine) lose relative precision there.
                let slope = want_factor * (-want_decay).exp();
                // A subnormal exponential is flushed on some drivers before |u| multiplies it.
                let flushed = 2e-38 * (1.0 + x * x);
                let allowed = 2e-6 * want.abs() + 4e-7 * (x * slope).abs() + flushed;
                let sine = if a.kind == ActivationKind::Sine { 3e-7 } else { 0.0 };
                assert!((f64::from(value) - want).abs() <= allowed + sine, "{label}: phi {value}, want {want}");
                // phi' in the logarithm of its parts, so that far tails count as well.
                let got_log = f64::from(factor).abs().ln() - f64::from(decay);
                let want_log = want_factor.abs().ln() - want_decay;
                let near_zero = want_factor.abs() < 0.02 || want_factor == 0.0 || a.kind == ActivationKind::Sine;
                if near_zero {
                    let difference = f64::from(factor) * f64::from(-decay).exp() - slope;
                    assert!(difference.abs() < 1e-6 * (1.0 + want_factor.abs()), "{label}: phi' off by {difference}");
                } else {
                    let allowed = 4e-6 + 4e-7 * want_decay;
                    assert!((got_log - want_log).abs() < allowed, "{label}: ln phi' {got_log}, want {want_log}");
                }
            }
        }
    });
}

#[test]
fn commands_do_not_grow_with_networks() {
    on_each_adapter(|name, engine| {
        let networks = |count: u64| -> Vec<NetworkSpec> {
            (0..count).map(|i| NetworkSpec { seed: i, depth: 3 + (i % 2) as u32, ..spec() }).collect()
        };
        let count = |engine: &mut GpuEngine, count: u64| {
            run_batch(engine, batch(networks(count), None));
            engine.commands()
        };
        let commands = [2, 3, 40].map(|n| count(engine, n));
        assert!(commands.iter().all(|c| *c == commands[0]), "{name}: {commands:?}");
        assert_eq!((commands[0].submissions, commands[0].readbacks), (1, 1), "{name}: nobody resets a processor");
        let whole = run_batch(engine, batch(networks(3), None));
        // As on a graphics card, and one so slow that every dispatch of a full batch should be short.
        let usual = engine.set_submission_flops(6e11);
        for (flops, least) in [(6e11, 1), (1e6, 5)] {
            engine.set_submission_flops(flops);
            let commands = [2, 3, 40, 300].map(|n| count(engine, n));
            assert!(commands.iter().all(|c| *c == commands[0]), "{name} at {flops}: {commands:?}");
            assert!(commands[0].submissions >= least, "{name} at {flops}: {commands:?}");
        }
        let cut = run_batch(engine, batch(networks(3), None));
        assert!(identical(&cut[2], &whole[2]), "{name}: pieces do not change numbers");
        engine.set_submission_flops(usual);
    });
}

/// Equality of every bit (NaN equals itself).
fn identical(a: &NetworkResult, b: &NetworkResult) -> bool {
    let text = |r: &NetworkResult| format!("{:?} {:?} {:?} {:?}", r.rows, r.delta_squares, r.loss, r.error);
    text(a) == text(b)
}

/// Where two results differ first.
fn first_difference(a: &NetworkResult, b: &NetworkResult) -> Option<String> {
    for (x, y) in a.rows.iter().zip(&b.rows) {
        for (q, (m, n)) in x.record.moments.iter().zip(&y.record.moments).enumerate() {
            if format!("{m:?}") != format!("{n:?}") {
                return Some(format!("layer {} quantity {q}: {m:?} {n:?}", x.layer));
            }
        }
        if format!("{x:?}") != format!("{y:?}") {
            return Some(format!(
                "layer {}: {:?} {:?}",
                x.layer,
                (x.record.sums, x.record.counts),
                (y.record.sums, y.record.counts)
            ));
        }
    }
    (!identical(a, b)).then(|| "loss or delta squares".to_string())
}

fn mates(key_of: &NetworkSpec) -> Vec<NetworkSpec> {
    let kinds = [ActivationKind::Relu, ActivationKind::Tanh, ActivationKind::Gelu, ActivationKind::Sigmoid];
    (0..7)
        .map(|i| NetworkSpec {
            depth: 1 + (i * 5) % 7,
            activation: kinds[i as usize % 4].into(),
            init: init(InitKind::HeNormal, 0.0, 0.5 + f64::from(i) * 2.0, Some(0.1)),
            seed: 1000 + u64::from(i),
            ..key_of.clone()
        })
        .collect()
}

#[test]
fn a_network_alone_equals_the_same_network_in_any_batch() {
    let keys = [
        spec(),
        NetworkSpec { norm: Norm::Batch, residual: Residual::PostAct, residual_every: 2, width: 20, ..spec() },
        NetworkSpec { norm: Norm::Layer, residual: Residual::PreAct, input_size: 5, loss: Loss::Cotangent, ..spec() },
        NetworkSpec { loss: Loss::CrossEntropy, width: 72, batch_size: 33, input_size: 70, ..spec() },
    ];
    let check = |name: &str, engine: &mut GpuEngine| {
        for key in &keys {
            let networks = mates(key);
            let together = run_batch(engine, batch(networks.clone(), None));
            let mut turned = networks.clone();
            turned.reverse();
            let backwards = run_batch(engine, batch(turned, None));
            for (i, network) in networks.iter().enumerate() {
                let alone = run_batch(engine, batch(vec![network.clone()], None)).remove(0);
                let difference = first_difference(&alone, &together[i]);
                assert_eq!(difference, None, "{name} {:?} network {i} differs in its batch", key.norm);
                assert!(identical(&alone, &backwards[networks.len() - 1 - i]), "{name}: order matters");
            }
        }
    };
    on_each_adapter(check);
    on_each_adapter_tiled(check);
}

#[test]
fn two_batches_in_flight_do_not_disturb_each_other() {
    on_each_adapter(|name, engine| {
        let (a, b) = (vec![spec()], vec![NetworkSpec { width: 30, input_size: 30, seed: 5, ..spec() }]);
        let alone: Vec<NetworkResult> =
            [&a, &b].iter().map(|n| run_batch(engine, batch((*n).clone(), None)).remove(0)).collect();
        engine.submit(Arc::new(batch(a.clone(), None))).unwrap();
        engine.submit(Arc::new(batch(b.clone(), None))).unwrap();
        let mut results: Vec<NetworkResult> = Vec::new();
        engine.next(&mut results).unwrap();
        engine.next(&mut results).unwrap();
        assert!(identical(&results[0], &alone[0]) && identical(&results[1], &alone[1]), "{name}");
        assert!(matches!(engine.next(&mut results), Err(EngineError::Failed(_))), "{name}: nothing is in flight");
    });
}

#[test]
fn tensors_spread_over_many_slabs_keep_their_numbers() {
    on_each_adapter(|name, engine| {
        let networks = mates(&spec());
        let one = run_batch(engine, batch(networks.clone(), None));
        engine.limit_slabs(128 << 10);
        let many = run_batch(engine, batch(networks, None));
        engine.limit_slabs(64 << 20);
        for (a, b) in one.iter().zip(&many) {
            assert_eq!(first_difference(a, b), None, "{name}");
        }
    });
}

#[test]
fn a_dispatch_that_is_lost_is_noticed() {
    // No batch needs the first three; the fourth writes h again only where a whole layer lies in a tail; small networks run
    // whole in tests/gpu_small.rs.
    let unnoticed = [
        Kernel::LoopProbe,
        Kernel::ActivationTable,
        Kernel::MultiplyAddRate,
        Kernel::ActivationRewrite,
        Kernel::ForwardSmall,
        Kernel::BackwardSmall,
    ];
    let plain = NetworkSpec { bias: true, ..spec() };
    let specs = [
        NetworkSpec { norm: Norm::Batch, ..plain.clone() },
        NetworkSpec { norm: Norm::Layer, loss: Loss::CrossEntropy, target: Target::Classes, ..plain.clone() },
        NetworkSpec { residual: Residual::PreAct, input_size: 5, ..plain.clone() },
        NetworkSpec { residual: Residual::PostAct, ..plain.clone() },
        NetworkSpec { loss: Loss::Cotangent, ..plain },
    ];
    on_each_adapter(|name, engine| {
        let mut seen = Vec::new();
        for (&kernel, spec) in Kernel::ALL.iter().flat_map(|k| specs.iter().map(move |s| (k, s))) {
            engine.inject_fault(Some(kernel));
            engine.submit(Arc::new(batch(vec![spec.clone()], None))).unwrap();
            let lost = engine.commands().left_out;
            let mut results: Vec<NetworkResult> = Vec::new();
            let outcome = engine.next(&mut results);
            engine.inject_fault(None);
            if lost == 0 || unnoticed.contains(&kernel) {
                assert!(outcome.is_ok(), "{name} {kernel:?}: {outcome:?}");
                continue;
            }
            seen.push(kernel);
            let place = format!("{name} {kernel:?} {:?} {:?} {:?}", spec.norm, spec.residual, spec.loss);
            let Err(error) = outcome else { panic!("{place}: {lost} lost dispatches were not noticed") };
            assert!(error.to_string().contains("cannot be trusted"), "{place}: {error}");
            assert!(results.is_empty(), "{place}");
        }
        let never: Vec<_> = Kernel::ALL.iter().filter(|k| !seen.contains(k) && !unnoticed.contains(k)).collect();
        assert!(never.is_empty(), "{name}: no spec uses {never:?}");
        let after = run_batch(engine, batch(vec![spec()], None));
        assert_eq!(after[0].rows.len(), 6, "{name}: the engine goes on");
    });
}

#[test]
fn thinned_layers_and_a_small_mask_change_no_number() {
    on_each_adapter(|name, engine| {
        let mut all = batch(vec![spec()], None);
        all.mask = RecordMask::BASIC;
        let whole = run_batch(engine, all.clone()).remove(0);
        let mut thin = all;
        thin.layers = LayerSelection::Only(vec![0, 2, 5]);
        let thinned = run_batch(engine, thin).remove(0);
        let layers: Vec<u32> = thinned.rows.iter().map(|r| r.layer).collect();
        assert_eq!(layers, [0, 2, 5], "{name}");
        for row in &thinned.rows {
            let same = &whole.rows[row.layer as usize];
            assert_eq!(format!("{row:?}"), format!("{same:?}"), "{name}");
        }
        assert_eq!(thinned.delta_squares, whole.delta_squares, "{name}");
    });
}

#[test]
fn memory_is_priced_and_too_much_is_refused() {
    on_each_adapter(|name, engine| {
        let key = gradsweep::program::ProgramKey::of(&spec());
        let bytes = |n: usize| engine.bytes(&key, &vec![4; n], RecordMask::BASIC);
        assert!(bytes(1) < bytes(100) && bytes(100) < bytes(10_000), "{name}");
        assert_eq!(bytes(70_000), u64::MAX, "{name}: the grid has 65,535 places for networks");
        // Weights of 128 networks of 2048 x 2048 take 2 GiB: more than a binding holds.
        let wide = NetworkSpec { width: 2048, batch_size: 1, input_size: 2048, depth: 1, ..spec() };
        let wide_key = gradsweep::program::ProgramKey::of(&wide);
        assert_eq!(engine.bytes(&wide_key, &[1; 128], RecordMask::BASIC), u64::MAX, "{name}");
        let error = engine.submit(Arc::new(batch(vec![wide; 128], None))).unwrap_err();
        assert!(matches!(error, EngineError::OutOfMemory(_)), "{name}: {error}");
        assert_eq!(engine.info().precision, Precision::F32);
        assert_eq!(run_batch(engine, batch(vec![spec()], None)).len(), 1, "{name}: the engine goes on");
    });
}

#[test]
fn the_probe_of_long_loops_is_reported() {
    on_each_adapter(|name, engine| {
        let notes = &engine.info().notes;
        assert_eq!(notes.len(), 1, "{name}: {notes:?}");
        // gradsweep's kernels run on both kinds of drivers; which kind it is, `doctor` says.
        let (long, short) = (notes[0].contains("run to their end"), notes[0].contains("ends loops before 70000"));
        assert!(long != short, "{name}: {notes:?}");
    });
}

#[test]
fn every_kernel_of_a_batch_is_timed() {
    for adapter in gradsweep::engine::gpu::adapters().iter().filter(|a| a.software) {
        let mut engine = GpuEngine::open_timed(adapter).unwrap();
        if !engine.has_clock() {
            eprintln!("{} has no timestamps", adapter.name);
            continue;
        }
        let networks = vec![NetworkSpec { depth: 3, ..spec() }; 5];
        let times = engine.time_kernels(Arc::new(batch(networks.clone(), None))).unwrap();
        run_batch(&mut engine, batch(networks, None));
        // The same schedule.
        assert_eq!(times.iter().map(|t| t.dispatches).sum::<usize>(), engine.commands().dispatches, "{}", adapter.name);
        let product = times.iter().find(|t| t.kernel == Kernel::Linear).unwrap();
        // Three hidden layers and the readout, on sizes padded to 8: batch 8, widths 8.
        assert_eq!((product.dispatches, product.flops), (4, 5.0 * 4.0 * 2.0 * 8.0 * 8.0 * 8.0));
        assert!(times.iter().all(|t| t.seconds >= 0.0 && t.bytes >= 0.0) && times[0].seconds > 0.0, "{times:?}");
        assert!(times.windows(2).all(|t| t[0].seconds >= t[1].seconds), "the longest first");
        let peaks = engine.peaks().unwrap();
        assert!(
            peaks.flops > 1e6 && peaks.flops.is_finite() && peaks.bytes > 1e6 && peaks.bytes.is_finite(),
            "{peaks:?}"
        );
    }
}

#[test]
fn host_drawn_tensors_reach_the_device() {
    // Orthogonal weights and digits come from the host: an isometry keeps norms, and the input's moments are the data's.
    on_each_adapter(|name, engine| {
        let spec = NetworkSpec {
            init: init(InitKind::Orthogonal, 0.0, 1.0, None),
            activation: ActivationKind::Linear.into(),
            input: Input::Digits,
            width: 64,
            input_size: 64,
            output_size: 10,
            loss: Loss::CrossEntropy,
            target: Target::Classes,
            ..spec()
        };
        let result = run_batch(engine, batch(vec![spec.clone()], None)).remove(0);
        let x = result.rows[0].record.moments(gradsweep::stats::Quantity::Act).sum_of_squares().value().unwrap();
        let set = gradsweep::data::load(Input::Digits).unwrap();
        let want: f64 = network_data(&spec, Some(&set)).input.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        assert!((x / want - 1.0).abs() < 1e-6, "{name}: {x} {want}");
        for row in &result.rows[1..=4] {
            let h = row.record.moments(gradsweep::stats::Quantity::Act).sum_of_squares().value().unwrap();
            assert!((h / want - 1.0).abs() < 1e-5, "{name}: layer {} {h} {want}", row.layer);
        }
    });
}
