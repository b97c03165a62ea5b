//! What a schedule promises: commands that do not grow with networks, memory that does, loops that end.

use super::super::execute::pieces;
use super::super::layout::NONE;
use super::*;
use crate::engine::gpu::probe::LOOP_BOUND;
use crate::network::Architecture;

const LIMITS: MemoryLimits = MemoryLimits { binding: 1 << 30, slab: 1 << 30 };

fn key() -> ProgramKey {
    ProgramKey {
        architecture: Architecture::Mlp,
        width: 16,
        batch_size: 8,
        input_size: 12,
        output_size: 3,
        norm: Norm::None,
        final_norm: false,
        residual: Residual::None,
        residual_every: 1,
        bias: true,
        loss: Loss::Mse,
    }
}

fn schedule(key: &ProgramKey, depths: &[u32], products: Products) -> Schedule {
    let layers = &LayerSelection::All;
    let (mask, small) = (RecordMask::FULL, Small(0));
    Schedule::new(Request { key, depths, mask, layers, limits: LIMITS, products, small, rewrites: true })
}

fn keys() -> Vec<ProgramKey> {
    let mut list = Vec::new();
    for norm in [Norm::None, Norm::Batch, Norm::Layer, Norm::Rms] {
        for residual in [Residual::None, Residual::PostAct, Residual::PreAct] {
            for loss in [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent] {
                let residual_every = if residual == Residual::PostAct { 3 } else { 1 };
                let output_size = if loss.has_readout() { 3 } else { 0 };
                list.push(ProgramKey { norm, residual, loss, residual_every, output_size, ..key() });
            }
        }
    }
    list
}

#[test]
fn dispatches_do_not_grow_with_networks_and_shrink_with_depth() {
    for key in keys() {
        let count = |depths: &[u32]| schedule(&key, depths, Products::Tiled).dispatches.len();
        assert_eq!(count(&[7, 4]), count(&[[7; 50], [4; 50]].concat()), "{key:?}");
        assert!(count(&[7]) > count(&[3]), "{key:?}");
    }
}

#[test]
fn only_the_networks_that_are_alive_take_part() {
    let schedule = schedule(&key(), &[9, 5, 5, 2], Products::Flat);
    for dispatch in schedule.dispatches.iter().filter(|d| d.kernel == Kernel::ActivationBack) {
        let alive = [9, 5, 5, 2].iter().filter(|&&d| d >= dispatch.params.layer).count();
        assert_eq!(dispatch.groups[2] as usize, alive, "layer {}", dispatch.params.layer);
    }
}

#[test]
fn memory_grows_with_networks_and_depth() {
    for key in keys() {
        let bytes = |depths: &[u32]| schedule(&key, depths, Products::Flat).bytes();
        assert!(bytes(&[4]) < bytes(&[8]) && bytes(&[8]) < bytes(&[8; 9]), "{key:?}");
    }
}

/// The same with small networks run whole, basic statistics.
fn small_schedule(key: &ProgramKey, depths: &[u32]) -> Schedule {
    let (layers, products, small) = (&LayerSelection::All, Products::Tiled, Small(64));
    let mask = RecordMask::BASIC;
    Schedule::new(Request { key, depths, mask, layers, limits: LIMITS, products, small, rewrites: true })
}

#[test]
fn small_networks_take_a_few_dispatches_for_all_their_layers() {
    let of = |kernel: Kernel, schedule: &Schedule| schedule.dispatches.iter().filter(|d| d.kernel == kernel).count();
    for loss in [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent] {
        let output_size = if loss.has_readout() { 3 } else { 0 };
        let key = ProgramKey { loss, output_size, ..key() };
        let schedule = small_schedule(&key, &[40; 9]);
        assert_eq!(of(Kernel::ForwardSmall, &schedule), 3, "sixteen layers a dispatch");
        assert_eq!(of(Kernel::BackwardSmall, &schedule), 3);
        assert!(schedule.dispatches.len() < 40, "{}", schedule.dispatches.len());
        assert_eq!(small_schedule(&key, &[40; 90]).dispatches.len(), schedule.dispatches.len());
        // Layer 1 stays with the others where the input has another size.
        let wide = small_schedule(&ProgramKey { input_size: 100, ..key }, &[40; 9]);
        assert_eq!(
            (of(Kernel::ForwardSmall, &wide), of(Kernel::WeightGrad, &wide)),
            (3, 1 + usize::from(output_size > 0))
        );
    }
}

#[test]
fn small_networks_are_whole_at_any_depth() {
    for depths in [vec![1], vec![16], vec![17], vec![33, 16, 16, 2, 1]] {
        for input_size in [12, 100] {
            let key = ProgramKey { input_size, ..key() };
            let schedule = small_schedule(&key, &depths);
            let others = u32::from(input_size == 100);
            for kernel in [Kernel::ForwardSmall, Kernel::BackwardSmall] {
                let of = schedule.dispatches.iter().filter(|d| d.kernel == kernel).map(|d| &d.params);
                let layers: Vec<u32> = of.flat_map(|p| p.layer..=p.last_layer).collect();
                let mut want: Vec<u32> = (1 + others..=depths[0]).collect();
                let mut got = layers.clone();
                got.sort_unstable();
                want.sort_unstable();
                assert_eq!(got, want, "{kernel:?} {depths:?} {input_size}");
            }
        }
    }
}

/// An upper bound of the iterations of one invocation, all its loops together.
fn iterations(d: &Dispatch) -> u32 {
    let p = &d.params;
    let (down, across) = (p.row_pad / 8 + 1, p.column_pad / 8 + 1);
    // Reductions over lanes and slices, and clearing bins, of any kernel.
    let fixed = 1024;
    fixed
        + match d.kernel {
            Kernel::Linear | Kernel::LinearBack | Kernel::WeightGrad => (p.inner / 8) * 9 + p.inner / 4 + 16 + 128,
            Kernel::CrossEntropy | Kernel::CrossEntropyRows => 3 * p.column_pad + 64,
            // Rows up to the first that has a direction; the inner loop over the two samples of a pair counts as well.
            Kernel::Cosines => p.row_pad + 3 * (p.row_pad / 16 + 1),
            Kernel::Quantiles => 64,
            // Twice at most: loading, a bitonic sort of 2048, and a binary search per sample.
            Kernel::PathsAboveOne => 2 * (8 + 66 * 5 + (p.row_pad / 256 + 1) * 14),
            Kernel::NormRows
            | Kernel::NormRowsBack
            | Kernel::SampleDirections
            | Kernel::RowPowers
            | Kernel::AddBack => 3 * across,
            _ => 3 * down,
        }
}

#[test]
fn no_invocation_comes_near_the_cap_of_65_535_iterations() {
    for key in keys() {
        let output_size = if key.loss.has_readout() { 4096 } else { 0 };
        let largest = ProgramKey { width: 2048, input_size: 4096, batch_size: 4096, output_size, ..key };
        for products in [Products::Flat, Products::Tiled] {
            for dispatch in &schedule(&largest, &[4], products).dispatches {
                assert!(iterations(dispatch) < LOOP_BOUND, "{:?}: {}", dispatch.kernel, iterations(dispatch));
                assert!(dispatch.groups.iter().all(|&g| g <= 65_535), "{:?}: {:?}", dispatch.kernel, dispatch.groups);
            }
        }
    }
}

#[test]
fn no_invocation_of_a_small_network_comes_near_the_cap() {
    let mut served = 0;
    for width in [1, 8, 9, 16, 31, 32, 33, 48, 64] {
        for batch_size in [1, 3, 8, 33, 100, 128, 512, 1024, 2048, 4096] {
            let key = ProgramKey { width, input_size: width, batch_size, ..key() };
            let Some(lanes) = Small(64).lanes(&key, RecordMask::BASIC) else { continue };
            for dispatch in &small_schedule(&key, &[100]).dispatches {
                let layers = dispatch.params.last_layer + 1 - dispatch.params.layer.min(dispatch.params.last_layer + 1);
                if matches!(dispatch.kernel, Kernel::ForwardSmall | Kernel::BackwardSmall) {
                    let count = layers * super::super::small::iterations(batch_size, width, lanes);
                    assert!(layers >= 1 && count < LOOP_BOUND, "{width} {batch_size}: {count}");
                    served += 1;
                } else {
                    assert!(iterations(dispatch) < LOOP_BOUND, "{:?}", dispatch.kernel);
                }
                assert!(dispatch.groups.iter().all(|&g| g <= 65_535), "{:?}: {:?}", dispatch.kernel, dispatch.groups);
            }
        }
    }
    assert!(served > 300, "{served}");
}

#[test]
fn a_tensor_has_all_its_statistics_in_the_compute_pass_that_writes_it() {
    for key in keys() {
        let dispatches = schedule(&key, &[7, 7, 4], Products::Tiled).dispatches;
        let ends = pieces(&dispatches, usize::MAX);
        assert!(ends.len() > 4 * 7, "{key:?}: {ends:?}");
        let pass = |at: usize| ends.partition_point(|&end| end <= at);
        let mut measured = 0;
        for (at, dispatch) in dispatches.iter().enumerate() {
            let p = &dispatch.params;
            let heads = match dispatch.kernel {
                Kernel::SampleDirections => vec![p.source_head, p.other_head],
                // Of what the dispatch before it has counted.
                Kernel::Quantiles => vec![dispatches[at - 1].params.target_head],
                Kernel::Cosines => {
                    assert_eq!(dispatches[at - 1].kernel, Kernel::SampleDirections, "{key:?}");
                    assert_eq!(pass(at - 1), pass(at), "{key:?}");
                    continue;
                }
                _ => continue,
            };
            for head in heads {
                let writes =
                    |d: &Dispatch| head != NONE && [d.params.target_head, d.params.branch_head].contains(&head);
                let Some(writer) = dispatches[..at].iter().rposition(writes) else {
                    // dLoss/dW is never written; its histogram is counted where it is formed.
                    assert_eq!(dispatches[at - 1].kernel, Kernel::WeightGrad, "{key:?}");
                    assert_eq!(pass(at - 1), pass(at), "{key:?}");
                    continue;
                };
                assert_eq!(pass(writer), pass(at), "{key:?}: {:?} of {:?}", dispatch.kernel, dispatches[writer].kernel);
                measured += 1;
            }
        }
        // z, h and delta have cosines and quantiles.
        assert!(measured >= 6 * 7, "{key:?}: {measured}");
    }
}
