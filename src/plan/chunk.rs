//! Buckets and chunks: the order in which networks are run, and the pieces that are committed. Both are pure functions
//! of the plan.

use std::cmp::Reverse;
use std::ops::Range;

use super::{Chunk, RecordPlan};
use crate::engine::{BATCH_FLOPS, LayerSelection};
use crate::program::ProgramKey;

/// Most work of one chunk, in floating point operations: a chunk that fits the memory is one batch.
pub const CHUNK_FLOPS: f64 = BATCH_FLOPS;
/// Most text of one chunk, in bytes of `layers.csv` as estimated.
pub const CHUNK_BYTES: u64 = 2 << 20;
/// Most rows of one chunk. A row takes about a kilobyte between an engine and its text, however few columns are written,
/// and several chunks are on their way at one time.
pub const CHUNK_ROWS: u64 = 2048;

/// Floating point operations of one forward and backward pass (see `NetworkSpec::flops`).
pub fn flops(key: &ProgramKey, depth: u32) -> f64 {
    let (b, n) = (f64::from(key.batch_size), f64::from(key.width));
    let inner = f64::from(depth - 1) * n * n;
    6.0 * b * (f64::from(key.input_size) * n + inner + n * f64::from(key.output_size))
}

/// Rows of `layers.csv` that a network of this depth makes.
pub fn rows(key: &ProgramKey, depth: u32, layers: &LayerSelection) -> u64 {
    let all = depth + 1 + u32::from(key.loss.has_readout());
    match layers {
        LayerSelection::All => u64::from(all),
        LayerSelection::Only(list) => list.partition_point(|&layer| layer < all) as u64,
    }
}

/// Bytes of one row of `layers.csv`, estimated: ids and names, then floats of up to 17 digits and some empty cells.
pub fn row_bytes(varying: usize, record: &RecordPlan) -> u64 {
    80 + 9 * varying as u64 + 17 * record.columns.len() as u64
}

/// A network as bucketing sees it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Index into the keys.
    pub bucket: u32,
    pub depth: u32,
}

/// Plan indices by key, then deeper first, then index. `members`: ranges of them that have the same of both.
pub fn bucket_order(members: impl Iterator<Item = (Member, Range<u32>)>, keys: &[ProgramKey]) -> Vec<u32> {
    let mut by_key: Vec<u32> = (0..keys.len() as u32).collect();
    by_key.sort_unstable_by_key(|&i| keys[i as usize]);
    let mut rank = vec![0u32; keys.len()];
    for (position, &i) in by_key.iter().enumerate() {
        rank[i as usize] = position as u32;
    }
    let mut order: Vec<(u32, Reverse<u32>, u32, u32)> =
        members.map(|(m, range)| (rank[m.bucket as usize], Reverse(m.depth), range.start, range.end)).collect();
    order.sort_unstable();
    let mut indices = Vec::with_capacity(order.iter().map(|(_, _, start, end)| (end - start) as usize).sum());
    indices.extend(order.into_iter().flat_map(|(_, _, start, end)| start..end));
    indices
}

/// Cuts the bucket order into chunks.
pub fn chunks(
    order: &[u32],
    member: impl Fn(u32) -> Member,
    keys: &[ProgramKey],
    row_bytes: u64,
    layers: &LayerSelection,
) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (position, &index) in order.iter().enumerate() {
        let Member { bucket, depth } = member(index);
        let key = keys[bucket as usize];
        let (flops, rows) = (flops(&key, depth), rows(&key, depth, layers));
        match chunks.last_mut() {
            Some(chunk)
                if chunk.key == key
                    && chunk.flops + flops <= CHUNK_FLOPS
                    && chunk.rows + rows <= CHUNK_ROWS
                    && (chunk.rows + rows) * row_bytes <= CHUNK_BYTES =>
            {
                chunk.members.end = position + 1;
                chunk.flops += flops;
                chunk.rows += rows;
            }
            _ => chunks.push(Chunk { key, members: position..position + 1, flops, rows }),
        }
    }
    chunks
}
