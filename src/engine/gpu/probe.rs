//! Start-up probes: some drivers cut long loops short without a word. No invocation of a kernel comes near
//! [`LOOP_BOUND`]; a driver that does not reach it is refused.

use std::time::{Duration, Instant};

use super::device::Device;
use super::kernels::{Kernel, Tile};
use super::layout::Params;
use crate::engine::EngineError;

/// More iterations than any invocation makes, all its loops together (`schedule.rs` counts them for the largest shapes).
pub const LOOP_BOUND: u32 = 20_000;
/// Above the 65,535 after which lavapipe stops an invocation.
const LONG: u32 = 70_000;

/// What one dispatch of a small kernel on fresh buffers leaves in one of them: its place among the bindings, and its words.
pub fn run_once(
    device: &mut Device,
    kernel: Kernel,
    params: Params,
    inputs: &[&[u8]],
    (place, output_words): (usize, usize),
    groups: [u32; 2],
) -> Result<Vec<u32>, EngineError> {
    device.prepare(kernel, Tile::Flat, false)?;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let uniform = device.buffer(
        "params",
        size_of::<Params>() as u64,
        wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    )?;
    device.queue.write_buffer(&uniform, 0, bytemuck::bytes_of(&params));
    let mut buffers = Vec::new();
    for bytes in inputs {
        let buffer = device.buffer("input", (bytes.len() as u64).next_multiple_of(16).max(16), usage)?;
        device.queue.write_buffer(&buffer, 0, bytes);
        buffers.push(buffer);
    }
    let size = (4 * output_words as u64).next_multiple_of(16);
    let output = device.buffer("output", size, usage)?;
    // A sentinel that no kernel writes.
    device.queue.write_buffer(&output, 0, &vec![0xff; size as usize]);
    buffers.insert(place, output);
    let bindings: Vec<_> = buffers.iter().map(|b| b.as_entire_buffer_binding()).collect();
    let group = device.bind(kernel, uniform.as_entire_buffer_binding(), &bindings);
    let readback = device.buffer("readback", size, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)?;
    let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(device.pipeline(kernel, Tile::Flat, false));
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(groups[0], groups[1], 1);
    }
    encoder.copy_buffer_to_buffer(&buffers[place], 0, &readback, 0, Some(size));
    let submission = device.queue.submit([encoder.finish()]);
    let (sender, mapped) = std::sync::mpsc::channel();
    readback.map_async(wgpu::MapMode::Read, .., move |result| {
        let _ = sender.send(result);
    });
    device.wait(Some(submission))?;
    if !matches!(mapped.recv(), Ok(Ok(()))) {
        device.check()?;
        return Err(EngineError::DeviceLost(format!("`{}`: readback failed", device.description.name)));
    }
    let view = readback
        .get_mapped_range(..)
        .map_err(|e| EngineError::Failed(format!("`{}`: readback: {e}", device.description.name)))?;
    Ok(bytemuck::cast_slice(&view)[..output_words].to_vec())
}

/// Floating point operations a second, by the host's clock: enough to cut work into pieces of a bearable length.
pub fn rate(device: &mut Device) -> Result<f64, EngineError> {
    const GROUPS: u32 = 1024;
    const ENOUGH: Duration = Duration::from_millis(5);
    // Compiling is not to be timed.
    device.prepare(Kernel::MultiplyAddRate, Tile::Flat, false)?;
    let mut steps = 64;
    loop {
        let params = Params { rows: steps, columns: 1, ..Params::default() };
        let words = 4 * 256 * GROUPS as usize;
        let start = Instant::now();
        run_once(device, Kernel::MultiplyAddRate, params, &[], (0, words), [GROUPS, 1])?;
        let took = start.elapsed();
        if took >= ENOUGH || steps >= 1 << 14 {
            let flops = f64::from(steps) * f64::from(GROUPS) * 256.0 * 8.0 * 4.0 * 2.0;
            return Ok(flops / took.as_secs_f64());
        }
        steps *= 4;
    }
}

/// What the driver makes of loops, in a sentence; an error where it does not run those that the kernels need.
pub fn loops(device: &mut Device) -> Result<String, EngineError> {
    let stamp = 0x9e37_79b9;
    let counted = |iterations: u32| {
        (0..iterations).fold(stamp, |mix: u32, _| mix.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    };
    let mut runs = |rows: u32| {
        let words =
            run_once(device, Kernel::LoopProbe, Params { rows, stamp, ..Params::default() }, &[], (0, 3), [1, 1])?;
        Ok(words[0] == stamp && words[2] == counted(rows))
    };
    let (needed, long) = (runs(LOOP_BOUND)?, runs(LONG)?);
    if !needed {
        return Err(EngineError::Failed(format!(
            "`{}` does not finish a loop of {LOOP_BOUND} iterations: its driver cannot be trusted; use --device cpu",
            device.description.name
        )));
    }
    Ok(match long {
        true => format!("loops of {LONG} iterations run to their end"),
        false => format!("the driver ends loops before {LONG} iterations, silently; no kernel needs {LOOP_BOUND}"),
    })
}
