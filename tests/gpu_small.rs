//! Small networks that run whole in a workgroup, on every software adapter: numbers against float64, draws, independence of
//! the batch, commands, range and faults.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::{GpuEngine, Kernel};
use gradsweep::engine::{Batch, Engine, LayerSelection, NetworkResult, Precision, check};
use gradsweep::network::activation::TABLE;
use gradsweep::network::init::TABLE as INITS;
use gradsweep::network::{Activation, ActivationKind, Init, InitKind, Input, Loss, NetworkSpec, Target};
use gradsweep::program::ProgramKey;
use gradsweep::sampler::tensors::fill_weight;
use gradsweep::sampler::{TensorId, words};
use gradsweep::stats::RecordMask;

use crate::gpu_compare::Differences;
use crate::gpu_support::{on_each_adapter, on_each_adapter_small};
use crate::range::{compare, range_cases};
use crate::support::{batch, run_batch, spec};

/// The statistics that these kernels record.
fn basic(networks: &[NetworkSpec]) -> Batch {
    Batch { mask: RecordMask::BASIC, ..batch(networks.to_vec(), None) }
}

/// Every bit of a result.
fn bits(result: &NetworkResult) -> String {
    format!("{:?} {:?} {:?} {:?}", result.rows, result.delta_squares, result.loss, result.error)
}

/// A stream of numbers in 0..n from one seed.
struct Dice(u32);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 += 1;
        words(20_261_128, TensorId::Label, 0, 9, self.0)[0] % n
    }
    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u32) as usize]
    }
}

const LOSSES: [Loss; 4] = [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent, Loss::CotangentShared];
const WIDTHS: [u32; 12] = [1, 2, 5, 8, 13, 16, 20, 31, 32, 33, 50, 64];
const BATCH_SIZES: [u32; 5] = [1, 3, 8, 33, 100];

/// Batches of four networks of ragged depth: every width with every loss, with and without bias, every activation.
fn random_batches() -> Vec<Vec<NetworkSpec>> {
    let mut dice = Dice(0);
    let mut list: Vec<Vec<NetworkSpec>> = Vec::new();
    for width in WIDTHS {
        for (l, loss) in LOSSES.into_iter().enumerate() {
            let key = NetworkSpec {
                width,
                loss,
                batch_size: BATCH_SIZES[list.len() % BATCH_SIZES.len()],
                // As wide as the layers, a little less within the same padding, and of another size.
                input_size: dice.of(&[width, width, width.next_multiple_of(8) - width % 2, 1 + dice.0 % 40]),
                output_size: dice.of(&[1, 2, 3, 10, 33]),
                bias: (list.len() + l).is_multiple_of(2),
                ..spec()
            };
            let first = list.len() * 4;
            list.push((0..4).map(|i| mate(&key, first + i, &mut dice)).collect());
        }
    }
    list
}

fn mate(key: &NetworkSpec, activation: usize, dice: &mut Dice) -> NetworkSpec {
    let row = &TABLE[activation % TABLE.len()];
    let param = if dice.below(2) == 0 { Activation::from(row.kind).param } else { row.param.map_or(0.0, |_| 0.7) };
    let kind = dice.of(&[InitKind::HeNormal, InitKind::XavierUniform, InitKind::LecunNormal, InitKind::Orthogonal]);
    let (depth, gain) = (dice.of(&[1, 2, 3, 7, 16, 17, 40]), dice.of(&[0.7, 1.0, 1.2]));
    NetworkSpec {
        activation: Activation { kind: row.kind, param },
        depth,
        init: Init {
            kind,
            param: 0.0,
            // Where a deep network explodes, values far down a tail are zeros in float32 alone: on SwiftShader, in the
            // other kernels just as many.
            gain: if depth > 7 { f64::min(gain, 1.0) } else { gain },
            sigma_w: 1.0,
            sigma_b: Some(f64::from(dice.below(3)) * 0.2),
        },
        input: dice.of(&[Input::Gaussian, Input::Sphere, Input::CorrelatedPairs]),
        input_param: 0.6,
        target: dice.of(&[Target::Gaussian, Target::Teacher, Target::Classes, Target::Zeros]),
        seed: u64::from(dice.below(1 << 30)),
        ..key.clone()
    }
}

#[test]
fn every_random_small_network_meets_float64() {
    let batches = random_batches();
    let mut reference = CpuEngine::new(Precision::F64, 0).unwrap();
    let want: Vec<Vec<NetworkResult>> = batches.iter().map(|list| run_batch(&mut reference, basic(list))).collect();
    on_each_adapter_small(|name, engine| {
        let (mut failed, mut compared) = (Vec::new(), HashSet::new());
        let mut count = 0;
        for (networks, want) in batches.iter().zip(&want) {
            let got = run_batch(engine, basic(networks));
            for ((spec, got), want) in networks.iter().zip(&got).zip(want) {
                let tolerance = check::tolerance(want);
                if tolerance > 1e-2 {
                    // Too chaotic for a comparison.
                    continue;
                }
                count += 1;
                compared.insert(spec.activation.kind as u32);
                let mut differences = Differences(Vec::new(), false);
                differences.results(name, got, want, tolerance);
                if !differences.0.is_empty() {
                    failed.push(format!("{spec:?}\n  {}", differences.0.join("\n  ")));
                }
            }
        }
        assert!(failed.is_empty(), "{} networks differ\n{}", failed.len(), failed.join("\n"));
        assert!(count > 150 && compared.len() == TABLE.len(), "{count} networks, {} activations", compared.len());
    });
}

#[test]
fn a_small_network_alone_equals_the_same_one_in_any_batch() {
    let kinds = [ActivationKind::Relu, ActivationKind::Tanh, ActivationKind::Gelu, ActivationKind::Sigmoid];
    let mut dice = Dice(5_000);
    on_each_adapter_small(|name, engine| {
        for (width, input_size, batch_size, loss) in [
            (6, 6, 4, Loss::Mse),
            (20, 40, 33, Loss::CrossEntropy),
            (32, 30, 8, Loss::Cotangent),
            (50, 50, 3, Loss::Mse),
        ] {
            let networks: Vec<NetworkSpec> = (0..7)
                .map(|i| NetworkSpec {
                    width,
                    input_size,
                    batch_size,
                    loss,
                    bias: true,
                    depth: [1, 40, 17, 3, 16, 33, 2][i as usize],
                    activation: kinds[i as usize % 4].into(),
                    seed: 1000 + u64::from(dice.below(1000)),
                    ..spec()
                })
                .collect();
            let together = run_batch(engine, basic(&networks));
            let mut turned = networks.clone();
            turned.reverse();
            let backwards = run_batch(engine, basic(&turned));
            for (i, network) in networks.iter().enumerate() {
                let alone = run_batch(engine, basic(std::slice::from_ref(network))).remove(0);
                assert_eq!(
                    bits(&alone),
                    bits(&together[i]),
                    "{name}: network {i} of width {width} differs in its batch"
                );
                assert_eq!(bits(&alone), bits(&backwards[6 - i]), "{name}: order matters");
            }
        }
    });
}

#[test]
fn weights_of_small_networks_are_the_samplers() {
    on_each_adapter_small(|name, engine| {
        for row in INITS {
            for (width, input_size) in [(13, 9), (20, 40)] {
                let init = Init {
                    kind: row.kind,
                    param: row.param.map_or(0.0, |_| 0.02),
                    gain: 0.7,
                    sigma_w: 1.3,
                    sigma_b: Some(0.3),
                };
                let spec = NetworkSpec { init, width, input_size, depth: 18, seed: 0x1f_ffff_0000_0123, ..spec() };
                let mut seen = 0;
                for (tensor, values, _) in engine.forward_tensors(Arc::new(basic(std::slice::from_ref(&spec)))).unwrap()
                {
                    let layer = tensor.strip_suffix(".weight").and_then(|t| t.strip_prefix("layers.")?.parse().ok());
                    let Some(layer) = layer else { continue };
                    let mut want = vec![0.0; (spec.fan_in(layer) * spec.fan_out(layer)) as usize];
                    fill_weight(&spec, layer, &mut want);
                    let got: Vec<u32> = values.iter().map(|&v| (v as f32).to_bits()).collect();
                    let want: Vec<u32> = want.iter().map(|v: &f32| v.to_bits()).collect();
                    assert_eq!(got, want, "{name}: {:?} W_{layer}", row.kind);
                    seen += 1;
                }
                assert_eq!(seen, spec.depth, "{name}");
            }
        }
    });
}

#[test]
fn commands_of_small_networks_grow_neither_with_networks_nor_much_with_depth() {
    on_each_adapter_small(|name, engine| {
        let mut commands = |networks: u64, depth: u32| {
            let list: Vec<_> = (0..networks).map(|seed| NetworkSpec { seed, depth, ..spec() }).collect();
            run_batch(engine, basic(&list));
            engine.commands()
        };
        let few = commands(2, 48);
        assert_eq!(commands(40, 48), few, "{name}");
        assert!(few.dispatches < 30, "{name}: {few:?}");
        assert!(commands(2, 64).dispatches <= few.dispatches + 5, "{name}");
    });
}

#[test]
fn a_lost_dispatch_of_a_small_network_is_noticed() {
    let networks: Vec<_> = [20, 3].map(|depth| NetworkSpec { depth, bias: true, input_size: 6, ..spec() }).to_vec();
    on_each_adapter_small(|name, engine| {
        for kernel in [Kernel::ForwardSmall, Kernel::BackwardSmall, Kernel::Draw, Kernel::DrawWeights, Kernel::Copy] {
            engine.inject_fault(Some(kernel));
            engine.submit(Arc::new(basic(&networks))).unwrap();
            assert!(engine.commands().left_out > 0, "{name} {kernel:?}");
            let outcome = engine.next(&mut Vec::new());
            engine.inject_fault(None);
            let Err(error) = outcome else { panic!("{name} {kernel:?}: lost dispatches were not noticed") };
            assert!(error.to_string().contains("cannot be trusted"), "{name} {kernel:?}: {error}");
        }
        assert_eq!(run_batch(engine, basic(&networks)).len(), 2, "{name}: the engine goes on");
    });
}

#[test]
fn thinned_layers_change_no_number_of_a_small_network() {
    let network = NetworkSpec { depth: 20, input_size: 6, ..spec() };
    on_each_adapter_small(|name, engine| {
        let all = basic(std::slice::from_ref(&network));
        let whole = run_batch(engine, all.clone()).remove(0);
        let thin = Batch { layers: LayerSelection::Only(vec![0, 2, 17, 21]), ..all };
        let thinned = run_batch(engine, thin).remove(0);
        assert_eq!(thinned.rows.iter().map(|r| r.layer).collect::<Vec<_>>(), [0, 2, 17, 21], "{name}");
        for row in &thinned.rows {
            assert_eq!(format!("{row:?}"), format!("{:?}", whole.rows[row.layer as usize]), "{name}");
        }
        assert_eq!(thinned.delta_squares, whole.delta_squares, "{name}");
    });
}

#[test]
fn statistics_that_small_kernels_lack_take_the_others() {
    let run = |engine: &mut GpuEngine| run_batch(engine, batch(vec![spec()], None)).remove(0);
    let mut want = Vec::new();
    on_each_adapter(|_, engine| want.push(bits(&run(engine))));
    let mut got = Vec::new();
    on_each_adapter_small(|_, engine| got.push(bits(&run(engine))));
    assert_eq!(got, want);
}

#[test]
fn log10_columns_of_small_networks_follow_the_rescaled_oracle_at_any_depth_and_scale() {
    let mut batches: BTreeMap<ProgramKey, Vec<NetworkSpec>> = BTreeMap::new();
    for case in range_cases() {
        batches.entry(ProgramKey::of(&case)).or_default().push(case);
    }
    on_each_adapter_small(|_, engine| {
        for networks in batches.values() {
            for (spec, result) in networks.iter().zip(&run_batch(engine, basic(networks))) {
                // As for the other kernels.
                compare(spec, result, 2e-3);
            }
        }
    });
}
