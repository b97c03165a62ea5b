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
    Schedule::new(Request { key, depths, mask: RecordMask::FULL, layers, limits: LIMITS, products, rewrites: true })
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
