//! The plan: a sweep file expanded into networks, with identities, seeds, costs, buckets and chunks. Pure and
//! deterministic: it touches no file, clock or device. One network takes 32 bytes; everything else is decoded on demand.

use std::ops::Range;

use crate::config::{Key, Value};
use crate::engine::LayerSelection;
use crate::network::NetworkSpec;
use crate::program::ProgramKey;
use crate::stats::RecordMask;

/// A planned network, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedNetwork {
    /// Position in plan order: sweep, axes in file order (last fastest), replicate fastest.
    pub index: u64,
    /// Index into [`Plan::sweeps`].
    pub sweep: u32,
    pub replicate: u32,
    /// `c-` + 16 hex.
    pub configuration_id: String,
    /// `n-` + 16 hex.
    pub network_id: String,
    pub spec: NetworkSpec,
    /// Value of every key that applies to this network, in the order of [`Key`]; `None` where it does not apply.
    pub values: Vec<Option<Value>>,
}

impl PlannedNetwork {
    pub fn value(&self, key: Key) -> Option<&Value> {
        self.values[key as usize].as_ref()
    }
}

/// Networks of one key, committed together. Cut in bucket order, at most 2 TFLOP or 32 MiB of rows: a pure function
/// of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub key: ProgramKey,
    /// Range of [`Plan::bucket_order`].
    pub members: Range<usize>,
    pub flops: f64,
    pub rows: u64,
}

/// What is recorded and written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordPlan {
    pub mask: RecordMask,
    pub layers: LayerSelection,
    /// Names of the statistic columns that the sweep file asked for (already expanded from `basic`, `full` or a list),
    /// in catalog order: those that some planned network can fill ([`crate::stats::catalog::can_fill`]).
    pub columns: Vec<String>,
}

/// A sweep file, expanded.
#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub seed: u64,
    /// Names of the sweeps in file order.
    pub sweeps: Vec<String>,
    /// Keys with two values or more over all sweeps together: the columns that `layers.csv` repeats.
    pub varying: Vec<Key>,
    pub record: RecordPlan,
    /// |log10(|delta_1|/|delta_L|)| above this is vanishing or exploding.
    pub verdict_decades: f64,
    /// Plan indices sorted by bucket (key, then deeper first, then index).
    pub bucket_order: Vec<u32>,
    pub chunks: Vec<Chunk>,
    /// What a reader should know: keys dropped, networks merged, values rounded together.
    pub notes: Vec<String>,
}
