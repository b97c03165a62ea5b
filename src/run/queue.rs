//! Cutting the plan's chunks into batches: whole chunks of one key together until a batch is worth a submission, and a
//! chunk that is too large for the engine in pieces. None of it changes a number: a network's results depend on
//! its own configuration and seed alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

use crate::engine::{BATCH_FLOPS, Engine};
use crate::plan::Plan;
use crate::program::ProgramKey;
use crate::stats::RecordMask;

/// Members of one chunk that run in one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub chunk: u32,
    /// Range of [`Plan::bucket_order`].
    pub members: Range<usize>,
}

/// Pieces that run together.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub key: ProgramKey,
    pub pieces: Vec<Piece>,
}

impl Work {
    /// Positions in [`Plan::bucket_order`], in the order of the batch's slots.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.pieces.iter().flat_map(|piece| piece.members.clone())
    }
}

/// The chunks that are still to do, shared by all engines.
pub struct Queue {
    pending: Mutex<VecDeque<u32>>,
}

/// What an engine may take at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: u64,
    pub flops: f64,
    pub rows: u64,
    /// The part of a chunk's networks that may run at once: below 1 after a device was lost over a whole one.
    pub share: f64,
}

impl Queue {
    pub fn new(chunks: impl IntoIterator<Item = u32>) -> Self {
        Queue { pending: Mutex::new(chunks.into_iter().collect()) }
    }

    /// Takes the next chunks and cuts them to what `engine` can hold. Empty when nothing is left.
    pub fn take(&self, plan: &Plan, depth: &dyn Fn(usize) -> u32, engine: &dyn Engine, limits: Limits) -> Vec<Work> {
        let mask = plan.record.mask;
        // A lock poisoned by a panicking engine thread still guards a whole queue.
        let mut pending = self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(first) = pending.pop_front() else { return Vec::new() };
        let chunk = &plan.chunks[first as usize];
        let key = chunk.key;
        let mut depths: Vec<u32> = chunk.members.clone().map(depth).collect();
        let mut work = Work { key, pieces: vec![Piece { chunk: first, members: chunk.members.clone() }] };
        if limits.share < 1.0 || chunk.rows > limits.rows || engine.bytes(&key, &depths, mask) > limits.bytes {
            drop(pending);
            return split(work, depth, engine, limits, mask);
        }
        let (mut flops, mut rows) = (chunk.flops, chunk.rows);
        while flops < limits.flops {
            let Some(&next) = pending.front() else { break };
            let chunk = &plan.chunks[next as usize];
            if chunk.key != key || rows + chunk.rows > limits.rows || flops + chunk.flops > BATCH_FLOPS {
                break;
            }
            depths.extend(chunk.members.clone().map(depth));
            if engine.bytes(&key, &depths, mask) > limits.bytes {
                break;
            }
            pending.pop_front();
            flops += chunk.flops;
            rows += chunk.rows;
            work.pieces.push(Piece { chunk: next, members: chunk.members.clone() });
        }
        vec![work]
    }
}

/// Cuts work into works within the limits of memory, rows and share, at least one network each.
pub fn split(
    work: Work,
    depth: &dyn Fn(usize) -> u32,
    engine: &dyn Engine,
    limits: Limits,
    mask: RecordMask,
) -> Vec<Work> {
    let fits = |depths: &[u32]| engine.bytes(&work.key, depths, mask) <= limits.bytes;
    let mut works = Vec::new();
    for piece in &work.pieces {
        let depths: Vec<u32> = piece.members.clone().map(depth).collect();
        // Every network counts as one of the deepest, which come first.
        let rows = u64::from(depths.first().copied().unwrap_or(0)) + 2;
        let of_rows = (limits.rows / rows) as usize;
        let most = ((depths.len() as f64 * limits.share).ceil() as usize).min(of_rows).max(1);
        let mut start = 0;
        while start < depths.len() {
            // The largest count that fits: memory never falls as networks are added.
            let (mut low, mut high) = (1, most.min(depths.len() - start));
            while low < high {
                let middle = (low + high).div_ceil(2);
                if fits(&depths[start..start + middle]) { low = middle } else { high = middle - 1 }
            }
            let members = piece.members.start + start..piece.members.start + start + low;
            works.push(Work { key: work.key, pieces: vec![Piece { chunk: piece.chunk, members }] });
            start += low;
        }
    }
    works
}
