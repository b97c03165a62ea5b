//! The GPU engine: WGSL kernels on wgpu, batched over the networks of one shape. The only place that knows wgpu. A batch is
//! a schedule of dispatches and submissions that do not grow with its networks, and one readback.

mod backward;
mod clock;
mod collect;
pub mod compose;
mod describe;
mod device;
mod execute;
mod forward;
pub mod kernels;
mod layout;
mod memory;
mod probe;
mod schedule;
mod small;
mod small_layers;
mod tensors;

use std::collections::VecDeque;
use std::sync::Arc;

pub use clock::{KernelTime, Peaks};
pub use describe::{Drawn, LayerSlot};
pub use device::{AdapterDescription, adapters};
pub use execute::Commands;
pub use kernels::{Kernel, Products, Tile};
pub use small::Small;

use super::{BATCH_ROWS, Batch, Engine, EngineError, EngineInfo, LayerSelection, Precision, ResultSink};
use crate::network::{Activation, Loss, NetworkSpec};
use crate::program::ProgramKey;
use crate::stats::RecordMask;
use device::Device;
use execute::{Executor, InFlight};
use layout::Params;
use schedule::{Request, Schedule};

/// Changes whenever results of this engine may change.
pub const NUMERICS: u32 = 9;

/// How long a submission may take: desktops redraw between two, and drivers reset a graphics card that is busy for 2 s.
const SUBMISSION_SECONDS: f64 = 0.1;
/// The share of an adapter's rate of arithmetic that a batch is taken to reach; a fifth of that would still be no hang.
const ASSUMED_SHARE: f64 = 0.2;

/// The engine on one adapter.
#[derive(Debug)]
pub struct GpuEngine {
    info: EngineInfo,
    device: Device,
    executor: Executor,
    products: Products,
    small: Small,
    in_flight: VecDeque<InFlight>,
}

impl GpuEngine {
    /// Opens an adapter of [`adapters`], with the matrix products that suit it.
    pub fn open(adapter: &AdapterDescription) -> Result<Self, EngineError> {
        Self::open_with(adapter, Products::of(adapter), Small::STANDARD)
    }

    /// The same, ready for [`GpuEngine::time_kernels`] where the adapter has timestamps.
    pub fn open_timed(adapter: &AdapterDescription) -> Result<Self, EngineError> {
        Self::start(adapter, Products::of(adapter), Small::STANDARD, true)
    }

    /// Opens an adapter with a given kind of matrix products, and of networks that run whole in a workgroup (tests run all
    /// on every adapter).
    pub fn open_with(adapter: &AdapterDescription, products: Products, small: Small) -> Result<Self, EngineError> {
        Self::start(adapter, products, small, false)
    }

    fn start(adapter: &AdapterDescription, products: Products, small: Small, timed: bool) -> Result<Self, EngineError> {
        let mut device = Device::open(adapter, timed)?;
        let products = products.within(device.workgroup_memory());
        let small = small.within(device.workgroup_memory());
        let loops = probe::loops(&mut device)?;
        let (submission_flops, batch_flops) = if adapter.software {
            // Nobody resets a processor.
            (f64::INFINITY, 2e9)
        } else {
            let submission = probe::rate(&mut device)? * ASSUMED_SHARE * SUBMISSION_SECONDS;
            (submission, (10.0 * submission).min(1e12))
        };
        let executor = Executor::new(&device, submission_flops)?;
        let info = EngineInfo {
            label: format!("{} ({})", adapter.name, adapter.backend),
            precision: Precision::F32,
            fingerprint: format!(
                "gpu f32 {} {} {} {products:?} {small:?} numerics {NUMERICS}",
                adapter.backend, adapter.name, adapter.driver
            ),
            memory_budget: device.budget,
            batch_flops,
            batch_rows: BATCH_ROWS,
            notes: vec![loops],
        };
        Ok(GpuEngine { info, device, executor, products, small, in_flight: VecDeque::new() })
    }

    /// The adapter.
    pub fn adapter(&self) -> &AdapterDescription {
        &self.device.description
    }

    /// Commands of the batch submitted last.
    pub fn commands(&self) -> Commands {
        self.executor.last
    }

    /// Makes submissions shorter or longer than the estimate for the adapter, which is returned.
    pub fn set_submission_flops(&mut self, flops: f64) -> f64 {
        std::mem::replace(&mut self.executor.submission_flops, flops)
    }

    /// Makes slabs smaller than the adapter allows (a multiple of 256 bytes).
    pub fn limit_slabs(&mut self, bytes: u64) {
        self.device.limits.slab = bytes;
        self.executor.arena.clear();
    }

    /// Fills the memory of every batch with a word before anything is written to it.
    pub fn fill_memory(&mut self, word: u32) {
        self.executor.sentinel = Some(word);
    }

    /// Leaves out every dispatch of a kernel, as a driver that loses work would: what the checks must notice.
    pub fn inject_fault(&mut self, kernel: Option<Kernel>) {
        self.executor.left_out = kernel;
    }

    /// A tensor as the device draws it, row-major without padding; `None` where the host draws it.
    pub fn drawn_tensor(&mut self, spec: &NetworkSpec, drawn: Drawn) -> Result<Option<Vec<f32>>, EngineError> {
        let draw = describe::draw(spec, drawn, false);
        let (rows, columns) = describe::shape(spec, drawn);
        if draw.law == layout::LAW_GIVEN {
            return Ok(None);
        }
        let (row_pad, column_pad) = (tensors::padded(rows), tensors::padded(columns));
        let shared = drawn == Drawn::Goal && spec.loss == Loss::CotangentShared;
        let params = Params {
            networks: 1,
            rows,
            columns,
            row_pad,
            column_pad,
            target_head: 0,
            repeat_rows: if shared { 1 } else { rows },
            ..Params::default()
        };
        let (network, head) = (describe::network(spec), layout::Head::default());
        let nodes: &[i32] = &crate::sampler::normal::TABLE[..];
        let inputs: [&[u8]; 6] = [
            bytemuck::bytes_of(&head),
            bytemuck::bytes_of(&network),
            bytemuck::bytes_of(&draw),
            bytemuck::cast_slice(nodes),
            // No moments are wanted, and nothing is counted.
            &[],
            &[],
        ];
        let words = (row_pad * column_pad) as usize;
        let stored = probe::run_once(
            &mut self.device,
            Kernel::Draw,
            params,
            &inputs,
            (5, words),
            layout::draw_grid(row_pad * column_pad / 4),
        )?;
        let logical = stored
            .chunks_exact(column_pad as usize)
            .take(rows as usize)
            .flat_map(|row| row[..columns as usize].iter().map(|&w| f32::from_bits(w)));
        Ok(Some(logical.collect()))
    }

    /// h_l and W_l of every layer, z_l where no norm follows, and the prediction of one network, as the device computes
    /// them: what checks of the backward pass start from. Names as in `layers.3.act`; the values are to be multiplied by
    /// 2^(the number).
    pub fn forward_tensors(&mut self, batch: Arc<Batch>) -> Result<Vec<(String, Vec<f64>, i32)>, EngineError> {
        let depth = batch.networks[0].depth;
        self.submit(batch)?;
        let Some(batch) = self.in_flight.pop_back() else { return Ok(Vec::new()) };
        batch.records(&self.device, |_| ())?;
        let networks = batch.order.len();
        let heads = batch.schedule.ledger.heads as usize * networks;
        let words = (heads * size_of::<layout::Head>() / 4) as u64;
        let parts: Vec<_> = [(batch.schedule.heads, words)]
            .into_iter()
            .chain(batch.schedule.forward.iter().map(|(_, _, tensor)| (tensor.region, tensor.stride())))
            .collect();
        let stored = self.executor.read(&self.device, &parts)?;
        let heads: Vec<layout::Head> = bytemuck::pod_collect_to_vec(&stored[0]);
        let read = |(&(slot, name, tensor), stored): (&(describe::LayerSlot, &str, tensors::Tensor), &Vec<u32>)| {
            let rows = stored.chunks_exact(tensor.column_pad() as usize).take(tensor.rows as usize);
            let values = rows.flat_map(|row| row[..tensor.columns as usize].iter().map(|&w| f32::from_bits(w).into()));
            let exponent = heads[tensor.head as usize * networks].exponent;
            (format!("layers.{}.{name}", slot.layer(depth)), values.collect(), exponent)
        };
        Ok(batch.schedule.forward.iter().zip(&stored[1..]).map(read).collect())
    }

    /// The schedule of networks in order of falling depth.
    fn schedule(
        &self,
        key: &ProgramKey,
        depths: &[u32],
        mask: RecordMask,
        layers: &LayerSelection,
        rewrites: bool,
    ) -> Schedule {
        let (limits, products, small) = (self.device.limits, self.products, self.small);
        Schedule::new(Request { key, depths, mask, layers, limits, products, small, rewrites })
    }

    /// phi, and phi' as (factor, decay), on the device: what `doctor` and the tests compare with the table.
    pub fn activation_table(
        &mut self,
        activation: &Activation,
        arguments: &[f32],
    ) -> Result<Vec<[f32; 3]>, EngineError> {
        let rows = arguments.len() as u32;
        let params = Params {
            rows,
            draw: activation.kind as u32,
            other_head: (activation.param as f32).to_bits(),
            ..Params::default()
        };
        let bytes = bytemuck::cast_slice(arguments);
        let words = probe::run_once(
            &mut self.device,
            Kernel::ActivationTable,
            params,
            &[bytes],
            (1, 3 * arguments.len()),
            [rows.div_ceil(64), 1],
        )?;
        Ok(words.chunks_exact(3).map(|w| [w[0], w[1], w[2]].map(f32::from_bits)).collect())
    }
}

impl GpuEngine {
    /// The schedule of a batch, and the position in the batch of each of its networks.
    fn planned(&self, batch: &Batch) -> (Schedule, Vec<usize>) {
        let mut order: Vec<usize> = (0..batch.networks.len()).collect();
        order.sort_by(|&a, &b| batch.networks[b].depth.cmp(&batch.networks[a].depth));
        let depths: Vec<u32> = order.iter().map(|&slot| batch.networks[slot].depth).collect();
        let rewrites = batch.networks.iter().any(|n| describe::rewrites(&n.activation));
        (self.schedule(&batch.key, &depths, batch.mask, &batch.layers, rewrites), order)
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn bytes(&self, key: &ProgramKey, depths: &[u32], mask: RecordMask) -> u64 {
        // The grid has a dimension for networks.
        if depths.len() > 65_535 {
            return u64::MAX;
        }
        let mut falling = depths.to_vec();
        falling.sort_unstable_by(|a, b| b.cmp(a));
        let schedule = self.schedule(key, &falling, mask, &LayerSelection::All, true);
        // Records lie on the device and in the readback buffer of up to two batches.
        schedule.bytes().saturating_add(2 * schedule.records.size)
    }

    fn submit(&mut self, batch: Arc<Batch>) -> Result<(), EngineError> {
        let (schedule, order) = self.planned(&batch);
        if schedule.bytes() == u64::MAX || order.len() > 65_535 {
            let largest = schedule.ledger.slabs.oversized.unwrap_or(0);
            return Err(EngineError::OutOfMemory(format!(
                "one tensor of {} networks takes {largest} bytes, more than a binding of `{}` holds; use fewer networks \
                 a batch, or smaller ones",
                order.len(),
                self.device.description.name
            )));
        }
        let submitted = self.executor.submit(&mut self.device, batch, schedule, order);
        if let Err(EngineError::OutOfMemory(_)) = &submitted {
            // Nothing of this batch runs: the next, smaller one starts from an empty arena.
            self.executor.arena.clear();
            self.device.forgive_memory();
        }
        self.in_flight.push_back(submitted?);
        Ok(())
    }

    fn next(&mut self, out: &mut dyn ResultSink) -> Result<(), EngineError> {
        let Some(batch) = self.in_flight.pop_front() else {
            return Err(EngineError::Failed("no batch is in flight".into()));
        };
        let results = batch.records(&self.device, |words| collect::collect(&batch, words))??;
        for result in results {
            out.network(result);
        }
        Ok(())
    }
}
