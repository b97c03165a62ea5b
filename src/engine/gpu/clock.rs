//! What kernels cost: timestamps around every dispatch of a batch, and the adapter's own rates of arithmetic and of copying.

use std::sync::Arc;

use super::GpuEngine;
use super::device::Device;
use super::kernels::{Kernel, Tile};
use super::layout::{Head, Params};
use super::schedule::{Bind, Dispatch};
use crate::engine::{Batch, EngineError};

/// Queries of one set: what every adapter allows.
const SET: usize = 4096;

/// Places for the begin and end of dispatches.
#[derive(Debug)]
pub struct Clock {
    sets: Vec<wgpu::QuerySet>,
}

impl Clock {
    fn new(device: &Device, dispatches: usize) -> Self {
        let set = |i: usize| {
            device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("clock"),
                ty: wgpu::QueryType::Timestamp,
                count: (2 * dispatches - i * SET).min(SET) as u32,
            })
        };
        Clock { sets: (0..(2 * dispatches).div_ceil(SET)).map(set).collect() }
    }

    /// A pass of its own for dispatch `index`.
    pub fn pass<'e>(&self, encoder: &'e mut wgpu::CommandEncoder, index: usize) -> wgpu::ComputePass<'e> {
        let first = (2 * index % SET) as u32;
        let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[2 * index / SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        });
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes })
    }

    /// Seconds of each dispatch, after all of them.
    fn seconds(&self, device: &Device, dispatches: usize) -> Result<Vec<f64>, EngineError> {
        let size = 8 * 2 * dispatches as u64;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = device.buffer("timestamps", size, usage)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = device.buffer("timestamps", size, usage)?;
        let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (i, set) in self.sets.iter().enumerate() {
            encoder.resolve_query_set(
                set,
                0..(2 * dispatches - i * SET).min(SET) as u32,
                &resolved,
                (8 * i * SET) as u64,
            );
        }
        encoder.copy_buffer_to_buffer(&resolved, 0, &readback, 0, Some(size));
        let submission = device.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., |_| {});
        device.wait(Some(submission))?;
        let view = readback
            .get_mapped_range(..)
            .map_err(|e| EngineError::Failed(format!("`{}`: readback: {e}", device.description.name)))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        let period = f64::from(device.queue.get_timestamp_period()) * 1e-9;
        Ok(ticks.chunks_exact(2).map(|t| t[1].saturating_sub(t[0]) as f64 * period).collect())
    }
}

/// All dispatches of one kernel in a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    pub kernel: Kernel,
    pub tile: Tile,
    pub dispatches: usize,
    pub seconds: f64,
    /// Floating point operations of matrix products, padding included; 0 for other kernels.
    pub flops: f64,
    /// Bytes of the regions that the kernel binds, once each: what must move at least.
    pub bytes: f64,
}

impl KernelTime {
    /// Adds another batch's dispatches of the same kernel.
    pub fn add(&mut self, other: &KernelTime) {
        self.dispatches += other.dispatches;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// What the adapter can do at best, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Floating point operations a second, two for a multiplication and an addition.
    pub flops: f64,
    /// Bytes read and written a second by copying.
    pub bytes: f64,
}

fn bytes(dispatch: &Dispatch) -> f64 {
    let share = f64::from(dispatch.groups[2]) / f64::from(dispatch.params.networks.max(1));
    let of_tensors = |bind: &Bind| match bind {
        Bind::Region(region) => region.size as f64,
        _ => 0.0,
    };
    share * dispatch.storage.iter().map(of_tensors).sum::<f64>()
}

impl GpuEngine {
    /// Whether the adapter has timestamps, and was opened for them ([`GpuEngine::open_timed`]).
    pub fn has_clock(&self) -> bool {
        self.device.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Runs a batch with a pass of its own for every dispatch, and says what each kernel took, the longest first.
    pub fn time_kernels(&mut self, batch: Arc<Batch>) -> Result<Vec<KernelTime>, EngineError> {
        let (schedule, order) = self.planned(&batch);
        self.executor.clock = Some(Clock::new(&self.device, schedule.dispatches.len()));
        let submitted = self.executor.submit(&mut self.device, batch, schedule, order);
        let clock = self.executor.clock.take();
        let in_flight = submitted?;
        in_flight.records(&self.device, |_| ())?;
        let dispatches = &in_flight.schedule.dispatches;
        let seconds = clock.map_or(Ok(Vec::new()), |c| c.seconds(&self.device, dispatches.len()))?;
        let mut list: Vec<KernelTime> = Vec::new();
        for (dispatch, &seconds) in dispatches.iter().zip(&seconds) {
            let (kernel, tile) = (dispatch.kernel, dispatch.tile);
            let place = list.iter().position(|t| (t.kernel, t.tile) == (kernel, tile)).unwrap_or_else(|| {
                list.push(KernelTime { kernel, tile, dispatches: 0, seconds: 0.0, flops: 0.0, bytes: 0.0 });
                list.len() - 1
            });
            let flops = if kernel.row().inner_contiguous.is_some() { dispatch.flops } else { 0.0 };
            list[place].add(&KernelTime { kernel, tile, dispatches: 1, seconds, flops, bytes: bytes(dispatch) });
        }
        list.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok(list)
    }

    /// The adapter's rates, the best of a few tries: arithmetic in registers, copying between buffers.
    pub fn peaks(&mut self) -> Result<Peaks, EngineError> {
        // A software adapter would take minutes for what keeps a GPU busy for milliseconds.
        let (groups, steps, networks) =
            if self.device.description.software { (64, 1024, 16) } else { (8192, 4096, 256) };
        let flops = 256.0 * f64::from(groups) * f64::from(steps) * 8.0 * 4.0 * 2.0;
        let params = Params { rows: steps, columns: 1, ..Params::default() };
        let arithmetic =
            self.shortest(Kernel::MultiplyAddRate, params, &[256 * 16 * u64::from(groups)], [groups, 1, 1])?;
        // 1 MiB a network.
        let (row_pad, column_pad) = (512, 512);
        let (source_head, target_head) = (0, 1);
        let params = Params { networks, row_pad, column_pad, source_head, target_head, ..Params::default() };
        let size = 4 * u64::from(row_pad * column_pad) * u64::from(networks);
        let heads = 2 * u64::from(networks) * size_of::<Head>() as u64;
        let groups = [row_pad * column_pad / 256, 1, networks];
        let copy = self.shortest(Kernel::Copy, params, &[heads, size, size, 256, 256], groups)?;
        Ok(Peaks { flops: flops / arithmetic, bytes: 2.0 * size as f64 / copy })
    }

    /// Seconds of the fastest of a few dispatches on fresh buffers of these sizes.
    fn shortest(
        &mut self,
        kernel: Kernel,
        params: Params,
        sizes: &[u64],
        groups: [u32; 3],
    ) -> Result<f64, EngineError> {
        const TRIES: usize = 8;
        let device = &mut self.device;
        device.prepare(kernel, Tile::Flat, false)?;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniform = device.buffer("params", size_of::<Params>() as u64, usage)?;
        device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
        let buffer = |&size: &u64| device.buffer("peak", size.next_multiple_of(256), wgpu::BufferUsages::STORAGE);
        let buffers = sizes.iter().map(buffer).collect::<Result<Vec<_>, _>>()?;
        let bindings: Vec<_> =
            buffers.iter().map(|buffer| wgpu::BufferBinding { buffer, offset: 0, size: None }).collect();
        let whole = wgpu::BufferBinding { buffer: &uniform, offset: 0, size: None };
        let group = device.bind(kernel, whole, &bindings);
        let clock = Clock::new(device, TRIES);
        for i in 0..TRIES {
            // Each alone, so that no submission takes long on a slow adapter.
            let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = clock.pass(&mut encoder, i);
                pass.set_pipeline(device.pipeline(kernel, Tile::Flat, false));
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
            }
            let submission = device.queue.submit([encoder.finish()]);
            device.wait(Some(submission))?;
        }
        let seconds = clock.seconds(device, TRIES)?;
        Ok(seconds.into_iter().fold(f64::INFINITY, f64::min))
    }
}
