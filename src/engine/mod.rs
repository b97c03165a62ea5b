//! Engines run batches of networks and report records. Two implementations share descriptions (program, table rows,
//! record layout) and never arithmetic, so each is the other's check.

pub mod batches;
pub mod check;
pub mod cpu;
pub mod gpu;
pub mod measure;
pub mod select;

use std::sync::Arc;

use crate::data::Dataset;
use crate::network::NetworkSpec;
use crate::program::ProgramKey;
use crate::sampler::tensors::NetworkData;
use crate::stats::{Record, RecordMask, Scaled};

/// Most floating point operations of a batch of more than one network.
pub const BATCH_FLOPS: f64 = 2e12;
/// Most rows of a batch of more than one network: about a kilobyte each, in up to five batches at one time.
pub const BATCH_ROWS: u64 = 1 << 14;

/// Networks of one [`ProgramKey`], to be run together. The numbers of a network do not depend on its batch mates.
#[derive(Clone, Debug)]
pub struct Batch {
    pub key: ProgramKey,
    pub networks: Vec<NetworkSpec>,
    pub mask: RecordMask,
    /// Which rows are wanted.
    pub layers: LayerSelection,
    /// Required exactly when the networks' input is a data set.
    pub dataset: Option<Arc<Dataset>>,
    /// Tensors that replace the drawn ones, one entry per network (tests and replay).
    pub given: Option<Arc<Vec<GivenTensors>>>,
}

/// Rows to record.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerSelection {
    All,
    /// Sorted layer indices; indices beyond a network's last row are ignored.
    Only(Vec<u32>),
}

impl LayerSelection {
    pub fn contains(&self, layer: u32) -> bool {
        match self {
            LayerSelection::All => true,
            LayerSelection::Only(list) => list.binary_search(&layer).is_ok(),
        }
    }
}

/// Weights, biases and data given from outside, in float64; a float32 engine rounds them.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenTensors {
    /// `weights[l - 1]` is W_l, [fan_out, fan_in] row-major, for l = 1 ..= depth (+ 1 for the readout).
    pub weights: Vec<Vec<f64>>,
    /// `biases[l - 1]` is b_l, `[fan_out]`; empty where the layer has none.
    pub biases: Vec<Vec<f64>>,
    pub data: NetworkData<f64>,
}

/// One recorded row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub step: u32,
    pub layer: u32,
    pub record: Record,
}

/// What became of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkResult {
    /// Position in [`Batch::networks`].
    pub slot: usize,
    /// Rows by step, then layer. Only the layers of the selection, and every row that the network summary needs: the
    /// summary is in `delta_squares`.
    pub rows: Vec<Row>,
    /// |delta_l|^2 for l = 1 ..= depth at step 0, whatever the selection.
    pub delta_squares: Vec<Scaled>,
    /// The loss at step 0; absent for cotangents.
    pub loss: Scaled,
    /// `None`: ran. `Some`: this network failed, for this reason (others of the batch are unaffected).
    pub error: Option<String>,
}

/// Receives results in any order.
pub trait ResultSink {
    fn network(&mut self, result: NetworkResult);
    /// Says that the next result will take a while: what came so far may be used in the meantime.
    fn flush(&mut self) {}
}

impl ResultSink for Vec<NetworkResult> {
    fn network(&mut self, result: NetworkResult) {
        self.push(result);
    }
}

/// Arithmetic of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    F32,
    F64,
}

impl Precision {
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F64 => "f64",
        }
    }
}

/// Bytes of the processor's memory that are free; `None` where the system does not say.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Version of the tool's arithmetic: raised whenever a change moves any bit of any result. Part of every fingerprint
/// and of a run's identity.
pub const NUMERICS_VERSION: u32 = 12;

/// What an engine is.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineInfo {
    /// For people: `cpu (AVX2, 2 threads)`, `NVIDIA H200 (Vulkan)`.
    pub label: String,
    pub precision: Precision,
    /// Everything that byte-identity of results depends on: engine, precision, SIMD level, adapter, driver.
    pub fingerprint: String,
    /// Largest number of bytes that one batch may take.
    pub memory_budget: u64,
    /// A batch should have at least this many floating point operations to be worth a submission.
    pub batch_flops: f64,
    /// Rows of results that a batch may have, so that those that wait for their text stay few; at most [`BATCH_ROWS`].
    pub batch_rows: u64,
    /// What start-up probes found: sentences for `doctor`.
    pub notes: Vec<String>,
}

/// Why an engine could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    NoAdapter(String),
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    #[error("{0}")]
    Failed(String),
}

/// Runs batches; two are in flight, or more where the engine asks for it.
pub trait Engine: Send {
    fn info(&self) -> &EngineInfo;
    /// Bytes that a batch of networks of these depths takes. Never less for more networks.
    fn bytes(&self, key: &ProgramKey, depths: &[u32], mask: RecordMask) -> u64;
    /// Number of networks that should be in flight before two batches are enough: the CPU engine runs each network on a
    /// thread of its own, and batches of rare shapes are small.
    fn parallel_networks(&self) -> usize {
        0
    }
    fn submit(&mut self, batch: Arc<Batch>) -> Result<(), EngineError>;
    /// Finishes the oldest submitted batch: hands every network's result to `out`, once, in any order.
    fn next(&mut self, out: &mut dyn ResultSink) -> Result<(), EngineError>;
}
