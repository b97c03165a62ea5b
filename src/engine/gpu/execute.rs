//! Runs a schedule: uploads, encodes, submits in pieces of a bounded length, and reads all records back at once.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::clock::Clock;
use super::describe::{self, Drawn};
use super::device::Device;
use super::kernels::Kernel;
use super::layout::{Draw, LAW_GIVEN, Network, Params};
use super::memory::{Arena, Region};
use super::schedule::{Bind, Dispatch, Schedule};
use super::tensors::{Tensor, padded};
use crate::engine::{BATCH_FLOPS, BATCH_ROWS, Batch, EngineError};
use crate::program::ProgramKey;
use crate::sampler::normal;
use crate::sampler::tensors::{NetworkData, TargetData};

/// What a batch cost in commands: a test holds it against the number of networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    pub dispatches: usize,
    pub submissions: usize,
    pub readbacks: usize,
    /// Dispatches that an injected fault took away.
    pub left_out: usize,
}

/// A submitted batch.
#[derive(Debug)]
pub struct InFlight {
    pub batch: Arc<Batch>,
    pub schedule: Schedule,
    /// Position in the batch of each network of the schedule.
    pub order: Vec<usize>,
    pub stamp: u32,
    readback: wgpu::Buffer,
    mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

/// Buffers that every batch shares, and the arena.
#[derive(Debug)]
pub struct Executor {
    pub arena: Arena,
    table: wgpu::Buffer,
    stamp: u32,
    /// Floating point operations of one submission of the largest batch, which bound its length.
    pub submission_flops: f64,
    pub last: Commands,
    /// A kernel whose dispatches are left out: an injected fault.
    pub left_out: Option<Kernel>,
    /// What the memory of a batch holds before anything is written.
    pub sentinel: Option<u32>,
    /// Where every dispatch of the next batch writes when it began and ended.
    pub clock: Option<Clock>,
}

fn binding(buffer: &wgpu::Buffer, region: Region) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { buffer, offset: region.offset, size: NonZeroU64::new(region.size) }
}

impl Executor {
    pub fn new(device: &Device, submission_flops: f64) -> Result<Self, EngineError> {
        let nodes: &[i32] = &normal::TABLE[..];
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let table = device.buffer("normal table", (4 * nodes.len() as u64).next_multiple_of(16), usage)?;
        device.queue.write_buffer(&table, 0, bytemuck::cast_slice(nodes));
        Ok(Executor {
            arena: Arena::default(),
            table,
            stamp: 0,
            submission_flops,
            last: Commands::default(),
            left_out: None,
            sentinel: None,
            clock: None,
        })
    }

    /// Uploads and submits; results come through [`InFlight::records`].
    pub fn submit(
        &mut self,
        device: &mut Device,
        batch: Arc<Batch>,
        mut schedule: Schedule,
        order: Vec<usize>,
    ) -> Result<InFlight, EngineError> {
        device.check()?;
        for dispatch in &schedule.dispatches {
            device.prepare(dispatch.kernel, dispatch.tile, dispatch.counts())?;
        }
        self.arena.ensure(device, &schedule.ledger.slabs)?;
        if let Some(word) = self.sentinel {
            self.arena.fill(device, &schedule.ledger.slabs, word);
        }
        // Never 0, the value of cleared memory, and never that of the batch before.
        self.stamp = self.stamp.wrapping_add(1).max(1);
        for dispatch in &mut schedule.dispatches {
            dispatch.params.stamp = self.stamp;
        }
        let alignment = u64::from(device.device.limits().min_uniform_buffer_offset_alignment);
        let step = (size_of::<Params>() as u64).next_multiple_of(alignment);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = device.buffer("params", step * schedule.dispatches.len().max(1) as u64, usage)?;
        let mut bytes = vec![0u8; params.size() as usize];
        for (place, dispatch) in bytes.chunks_exact_mut(step as usize).zip(&schedule.dispatches) {
            place[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&dispatch.params));
        }
        device.queue.write_buffer(&params, 0, &bytes);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback = device.buffer("readback", schedule.records.size, usage)?;
        self.upload(device, &batch, &schedule, &order);
        let deepest = batch.networks.iter().map(|n| n.depth).max().unwrap_or(0);
        let ends = pieces(&schedule.dispatches, submissions(&batch.key, deepest, self.submission_flops));
        let submission = self.encode(device, &schedule, &params, step, &readback, &ends);
        device.check()?;
        let (sender, mapped) = channel();
        readback.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver is gone only when the batch was given up.
            let _ = sender.send(result);
        });
        Ok(InFlight { batch, schedule, order, stamp: self.stamp, readback, mapped, submission })
    }

    /// The first words of each region, as many as are asked for, after all work that was submitted.
    pub fn read(&self, device: &Device, parts: &[(Region, u64)]) -> Result<Vec<Vec<u32>>, EngineError> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let words: u64 = parts.iter().map(|(_, words)| words).sum();
        let readback = device.buffer("readback", 4 * words, usage)?;
        let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut start = 0;
        for (region, words) in parts {
            let slab = self.arena.slab(region.slab);
            encoder.copy_buffer_to_buffer(slab, region.offset, &readback, 4 * start, Some(4 * words));
            start += words;
        }
        let submission = device.queue.submit([encoder.finish()]);
        readback.map_async(wgpu::MapMode::Read, .., |_| {});
        device.wait(Some(submission))?;
        let view = readback
            .get_mapped_range(..)
            .map_err(|e| EngineError::Failed(format!("`{}`: readback: {e}", device.description.name)))?;
        let mut rest: &[u32] = bytemuck::cast_slice(&view);
        Ok(parts
            .iter()
            .map(|(_, words)| {
                let (part, after) = rest.split_at(*words as usize);
                rest = after;
                part.to_vec()
            })
            .collect())
    }

    fn write(&self, device: &Device, region: Region, offset: u64, bytes: &[u8]) {
        device.queue.write_buffer(self.arena.slab(region.slab), region.offset + offset, bytes);
    }

    /// Descriptions of the networks, and every tensor that the device does not draw itself.
    fn upload(&self, device: &Device, batch: &Batch, schedule: &Schedule, order: &[usize]) {
        let infos: Vec<Network> = order.iter().map(|&slot| describe::network(&batch.networks[slot])).collect();
        self.write(device, schedule.networks, 0, bytemuck::cast_slice(&infos));
        let has_given = batch.given.is_some();
        let mut draws = vec![Draw::default(); schedule.drawn.len() * order.len()];
        for (i, &(drawn, _, networks)) in schedule.drawn.iter().enumerate() {
            for (place, &slot) in order.iter().enumerate().take(networks as usize) {
                draws[i * order.len() + place] = describe::draw(&batch.networks[slot], drawn, has_given);
            }
        }
        self.write(device, schedule.draws, 0, bytemuck::cast_slice(&draws));
        for (place, &slot) in order.iter().enumerate() {
            let given: Vec<(Drawn, Tensor)> = schedule
                .drawn
                .iter()
                .enumerate()
                .filter(|(i, d)| place < d.2 as usize && draws[i * order.len() + place].law == LAW_GIVEN)
                .map(|(_, d)| (d.0, d.1))
                .collect();
            if given.is_empty() && schedule.labels.is_none() {
                continue;
            }
            let of_data = |d: &Drawn| matches!(d, Drawn::Input | Drawn::Goal);
            let data = if schedule.labels.is_some() || given.iter().any(|(d, _)| of_data(d)) {
                describe::host_data(batch, slot)
            } else {
                NetworkData { input: Vec::new(), target: TargetData::Labels(Vec::new()) }
            };
            for (drawn, tensor) in given {
                let values = describe::host_tensor(batch, slot, drawn, &data);
                let padded = with_padding(&values, &tensor);
                self.write(device, tensor.region, 4 * tensor.stride() * place as u64, bytemuck::cast_slice(&padded));
            }
            if let (Some(region), TargetData::Labels(labels)) = (schedule.labels, &data.target) {
                let rows = padded(labels.len() as u32);
                self.write(device, region, 4 * u64::from(rows) * place as u64, bytemuck::cast_slice(labels));
            }
        }
    }

    fn place<'a>(&'a self, schedule: &Schedule, bind: Bind) -> wgpu::BufferBinding<'a> {
        let region = match bind {
            Bind::Table => return self.table.as_entire_buffer_binding(),
            Bind::Heads => schedule.heads,
            Bind::Networks => schedule.networks,
            Bind::Draws => schedule.draws,
            Bind::Records => schedule.records,
            Bind::Histogram => schedule.histogram,
            Bind::PathColumns => schedule.path_columns,
            Bind::Region(region) => region,
        };
        binding(self.arena.slab(region.slab), region)
    }

    fn encode(
        &mut self,
        device: &Device,
        schedule: &Schedule,
        params: &wgpu::Buffer,
        step: u64,
        readback: &wgpu::Buffer,
        ends: &[usize],
    ) -> wgpu::SubmissionIndex {
        let left_out = schedule.dispatches.iter().filter(|d| self.left_out == Some(d.kernel)).count();
        let mut commands = Commands { dispatches: schedule.dispatches.len(), submissions: 0, readbacks: 1, left_out };
        let mut start = 0;
        loop {
            let end = ends[commands.submissions];
            let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            if start == 0 {
                // Heads that nobody writes are absent tensors; records that nobody writes carry no stamp.
                for region in [schedule.heads, schedule.records, schedule.histogram] {
                    encoder.clear_buffer(self.arena.slab(region.slab), region.offset, Some(region.size));
                }
            }
            let run = |pass: &mut wgpu::ComputePass<'_>, i: usize| {
                let dispatch = &schedule.dispatches[i];
                if self.left_out == Some(dispatch.kernel) {
                    return;
                }
                let offset = step * i as u64;
                let size = NonZeroU64::new(size_of::<Params>() as u64);
                let uniform = wgpu::BufferBinding { buffer: params, offset, size };
                let storage: Vec<_> = dispatch.storage.iter().map(|&b| self.place(schedule, b)).collect();
                let group = device.bind(dispatch.kernel, uniform, &storage);
                pass.set_pipeline(device.pipeline(dispatch.kernel, dispatch.tile, dispatch.counts()));
                pass.set_bind_group(0, &group, &[]);
                let [x, y, z] = dispatch.groups;
                pass.dispatch_workgroups(x, y, z);
            };
            match &self.clock {
                Some(clock) => (start..end).for_each(|i| run(&mut clock.pass(&mut encoder, i), i)),
                None => {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    (start..end).for_each(|i| run(&mut pass, i));
                }
            }
            let last = end == schedule.dispatches.len();
            if last {
                let records = schedule.records;
                let slab = self.arena.slab(records.slab);
                encoder.copy_buffer_to_buffer(slab, records.offset, readback, 0, Some(records.size));
            }
            let submission = device.queue.submit([encoder.finish()]);
            commands.submissions += 1;
            if last {
                self.last = commands;
                return submission;
            }
            start = end;
        }
    }
}

/// Submissions of a batch: as many as the largest batch of its shape needs, so that a batch of fewer networks takes the
/// same number of shorter ones.
fn submissions(key: &ProgramKey, depth: u32, flops: f64) -> usize {
    let per_row = 6.0 * f64::from(key.batch_size) * f64::from(key.width) * f64::from(key.width.max(key.input_size));
    let largest = (per_row * BATCH_ROWS as f64).min(BATCH_FLOPS).max(per_row * f64::from(depth));
    (largest / flops).ceil().max(1.0) as usize
}

/// Ends of the compute passes, `count` or fewer, into which dispatches are cut: about the same work in each, and no tensor
/// without its statistics at any end.
pub(super) fn pieces(dispatches: &[Dispatch], count: usize) -> Vec<usize> {
    let total: f64 = dispatches.iter().map(|d| d.flops).sum();
    let (mut ends, mut sum) = (Vec::new(), 0.0);
    for (i, dispatch) in dispatches.iter().enumerate() {
        sum += dispatch.flops;
        if dispatch.complete && sum * count as f64 >= total * (ends.len() + 1) as f64 && ends.len() + 1 < count {
            ends.push(i + 1);
        }
    }
    if ends.last() != Some(&dispatches.len()) {
        ends.push(dispatches.len());
    }
    ends
}

/// Rows and columns filled up with zeros.
fn with_padding(values: &[f32], tensor: &Tensor) -> Vec<f32> {
    let mut padded = vec![0.0; tensor.stride() as usize];
    for (row, place) in
        values.chunks_exact(tensor.columns as usize).zip(padded.chunks_exact_mut(tensor.column_pad() as usize))
    {
        place[..row.len()].copy_from_slice(row);
    }
    padded
}

impl InFlight {
    /// Waits for the batch and hands its records, as words, to `read`.
    pub fn records<R>(&self, device: &Device, read: impl FnOnce(&[u32]) -> R) -> Result<R, EngineError> {
        device.wait(Some(self.submission.clone()))?;
        match self.mapped.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                device.check()?;
                return Err(EngineError::DeviceLost(format!("`{}`: {error}", device.description.name)));
            }
            Err(_) => return Err(EngineError::DeviceLost(format!("`{}`: no answer", device.description.name))),
        }
        let view = self
            .readback
            .get_mapped_range(..)
            .map_err(|e| EngineError::Failed(format!("`{}`: readback: {e}", device.description.name)))?;
        let result = read(bytemuck::cast_slice(&view));
        drop(view);
        self.readback.unmap();
        Ok(result)
    }
}
