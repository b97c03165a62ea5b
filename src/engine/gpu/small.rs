//! Which networks run whole in a workgroup: small plain ones, through a range of layers a dispatch, with W in workgroup memory.
//! This is decided here alone, by shape, mask and adapter, so that a network's numbers do not depend on its batch.

use super::probe::LOOP_BOUND;
use super::tensors::padded;
use crate::network::{Architecture, Norm, Residual};
use crate::program::ProgramKey;
use crate::stats::RecordMask;

/// Layers of one dispatch: the work of a batch is cut into submissions between dispatches.
const MOST_LAYERS: u32 = 16;
/// Bytes of one network's tensors of a range, which one binding holds for all networks.
const MOST_BYTES: u64 = 4 << 20;

/// The widest networks that run whole in a workgroup on an engine; 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small(pub u32);

impl Small {
    /// What engines use: none, until these kernels have been held against the others on a graphics card. Processors that
    /// emulate a card run a network's workgroup on one core, and dispatches are cheap for them.
    pub const STANDARD: Small = Small(0);

    /// The same, where a workgroup has so many bytes of memory: W, eight rows a lane, the lanes' parts of a sum, norms.
    pub fn within(self, workgroup_memory: u32) -> Small {
        let fits = |lanes: &u32| 4 * lanes * lanes + 8192 + 4096 + 2048 + 768 <= workgroup_memory;
        Small([64, 32].into_iter().find(fits).unwrap_or(0).min(self.0))
    }

    /// Lanes across the units of networks of this shape, where they run whole in a workgroup.
    pub fn lanes(self, key: &ProgramKey, mask: RecordMask) -> Option<u32> {
        let plain = key.architecture == Architecture::Mlp && key.norm == Norm::None && key.residual == Residual::None;
        let plain = plain && !key.final_norm;
        let counted = [RecordMask::QUANTILES, RecordMask::PATH_ABOVE_ONE];
        let lanes = key.width.next_power_of_two().max(32);
        let served = plain
            && lanes <= self.0
            && !counted.into_iter().any(|part| mask.contains(part))
            && iterations(key.batch_size, key.width, lanes) < LOOP_BOUND - FIXED_ITERATIONS;
        served.then_some(lanes)
    }
}

/// Iterations outside of the layers.
const FIXED_ITERATIONS: u32 = 64;

/// An upper bound of the iterations of one invocation for one layer, forward or backward.
pub fn iterations(batch_size: u32, width: u32, lanes: u32) -> u32 {
    let slices = 256 / lanes;
    let (rows, columns) = (padded(batch_size), padded(width));
    let (own, blocks, groups) = (rows.div_ceil(slices), rows.div_ceil(8 * slices), rows.div_ceil(32));
    // Some fourteen sums over all lanes, in two steps of fifteen, and four over slices.
    let sums = 500 + 16 * slices + lanes;
    // Loading W; the block, the inner product and its eight rows.
    let product = columns * columns / 256 + 1 + blocks * (2 + columns / 4 + 8);
    // Maxima, squares and their sums, by eight lanes a row; the first direction; pairs and their two samples.
    let norms = groups * (2 * (columns / 8) + 16 + 3 * (16 / slices + 1)) + 64;
    // Passes over a lane's own elements; the sine reduces its argument in three steps.
    let forward = product + (4 + 3) * own + 2 * norms;
    let weight_grad = batch_size + (batch_size.div_ceil(lanes.min(2048 / lanes)) + 1) * 12 + 40;
    let spread = groups * (64 + columns / 8 + 8);
    let backward = product + (6 + 3) * own + norms + spread + weight_grad;
    sums + forward.max(backward)
}

/// Layers `first ..= last` of one dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    pub last: u32,
}

/// The ranges of layers `first ..= deepest`.
pub fn ranges(key: &ProgramKey, lanes: u32, first: u32, deepest: u32) -> Vec<Range> {
    let (rows, columns) = (u64::from(padded(key.batch_size)), u64::from(padded(key.width)));
    let bytes = 4 * columns * (columns + 8 + 2 * rows);
    let by_loops = (LOOP_BOUND - FIXED_ITERATIONS) / iterations(key.batch_size, key.width, lanes);
    let by_memory = (MOST_BYTES / bytes).clamp(1, u64::from(MOST_LAYERS)) as u32;
    let step = by_loops.min(by_memory).max(1);
    (first..=deepest)
        .step_by(step as usize)
        .map(|first| Range { first, last: (first + step - 1).min(deepest) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkSpec;

    fn key(spec: NetworkSpec) -> ProgramKey {
        ProgramKey::of(&spec)
    }

    #[test]
    fn plain_networks_are_served_by_their_width_and_what_they_record() {
        let plain = NetworkSpec::plain(4, 20, 8);
        let lanes = |spec: &NetworkSpec, mask| Small(64).lanes(&key(spec.clone()), mask);
        assert_eq!(lanes(&plain, RecordMask::BASIC), Some(32));
        assert_eq!(lanes(&NetworkSpec { width: 33, ..plain.clone() }, RecordMask::BASIC), Some(64));
        assert_eq!(lanes(&NetworkSpec { width: 65, ..plain.clone() }, RecordMask::BASIC), None);
        assert_eq!(lanes(&plain, RecordMask::FULL), None, "quantiles need bins");
        assert_eq!(lanes(&NetworkSpec { norm: Norm::Layer, ..plain.clone() }, RecordMask::BASIC), None);
        assert_eq!(lanes(&NetworkSpec { residual: Residual::PreAct, ..plain.clone() }, RecordMask::BASIC), None);
        // The depth, the input and the loss decide nothing.
        let other = NetworkSpec { depth: 900, input_size: 500, ..plain };
        assert_eq!(lanes(&other, RecordMask::BASIC), Some(32));
    }

    #[test]
    fn a_workgroup_has_memory_for_what_it_runs() {
        assert_eq!(Small(64).within(16 << 10), Small(0));
        assert_eq!(Small(64).within(20 << 10), Small(32));
        assert_eq!(Small(64).within(32 << 10), Small(64));
        assert_eq!(Small(0).within(48 << 10), Small(0));
    }
}
