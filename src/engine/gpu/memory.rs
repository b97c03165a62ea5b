//! Device memory: a plan of regions in slabs (pure arithmetic, also behind `Engine::bytes`), and the slabs themselves,
//! which later batches reuse.

use std::sync::Arc;

use super::device::Device;
use crate::engine::EngineError;

/// Largest slab.
const SLAB: u64 = 1 << 30;
/// Regions start at multiples of this, the largest alignment that WebGPU allows an adapter to ask for.
const ALIGNMENT: u64 = 256;

/// Part of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub slab: usize,
    pub offset: u64,
    pub size: u64,
}

/// Limits that a plan respects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Largest binding.
    pub binding: u64,
    /// Largest slab.
    pub slab: u64,
}

impl MemoryLimits {
    pub fn of(limits: &wgpu::Limits) -> Self {
        let binding = limits.max_storage_buffer_binding_size.min(SLAB) / ALIGNMENT * ALIGNMENT;
        MemoryLimits { binding, slab: limits.max_buffer_size.min(SLAB) / ALIGNMENT * ALIGNMENT }
    }
}

/// Regions in slabs, in the order of asking.
#[derive(Clone, Debug)]
pub struct SlabPlan {
    limits: MemoryLimits,
    /// Bytes used of each slab.
    pub slabs: Vec<u64>,
    /// The largest region asked for, where it is beyond what one binding or slab may hold.
    pub oversized: Option<u64>,
}

impl SlabPlan {
    pub fn new(limits: MemoryLimits) -> Self {
        SlabPlan { limits, slabs: vec![0], oversized: None }
    }

    pub fn take(&mut self, bytes: u64) -> Region {
        let size = bytes.max(16).next_multiple_of(ALIGNMENT);
        if size > self.limits.binding.min(self.limits.slab) {
            self.oversized = Some(self.oversized.unwrap_or(0).max(size));
        }
        let last = self.slabs.len() - 1;
        if self.slabs[last] > 0 && self.slabs[last] + size > self.limits.slab {
            self.slabs.push(0);
        }
        let slab = self.slabs.len() - 1;
        let offset = self.slabs[slab];
        self.slabs[slab] += size;
        Region { slab, offset, size }
    }

    /// All bytes; `u64::MAX` where a region fits no binding.
    pub fn bytes(&self) -> u64 {
        if self.oversized.is_some() { u64::MAX } else { self.slabs.iter().sum() }
    }
}

/// The slabs of an engine.
#[derive(Debug, Default)]
pub struct Arena {
    slabs: Vec<Arc<wgpu::Buffer>>,
}

impl Arena {
    /// Makes every slab of the plan exist.
    pub fn ensure(&mut self, device: &Device, plan: &SlabPlan) -> Result<(), EngineError> {
        for (i, &size) in plan.slabs.iter().enumerate() {
            if self.slabs.get(i).is_some_and(|s| s.size() >= size) {
                continue;
            }
            // Generous steps, so that batches of slightly different size do not allocate again and again.
            let wanted = size.max(1 << 20).next_power_of_two().min(plan.limits.slab).max(size);
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            self.slabs.truncate(i);
            self.slabs.push(Arc::new(device.buffer("slab", wanted, usage)?));
        }
        Ok(())
    }

    /// Fills the slabs of a plan with a word.
    pub fn fill(&self, device: &Device, plan: &SlabPlan, word: u32) {
        const PIECE: u64 = 4 << 20;
        let words = vec![word; PIECE as usize / 4];
        for (slab, &size) in self.slabs.iter().zip(&plan.slabs) {
            for start in (0..size).step_by(PIECE as usize) {
                let bytes = (size - start).min(PIECE) as usize;
                device.queue.write_buffer(slab, start, &bytemuck::cast_slice(&words)[..bytes]);
            }
        }
    }

    pub fn slab(&self, index: usize) -> &Arc<wgpu::Buffer> {
        &self.slabs[index]
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.slabs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { binding: 4096, slab: 8192 };

    #[test]
    fn regions_neither_overlap_nor_leave_their_slab() {
        let mut plan = SlabPlan::new(LIMITS);
        let regions: Vec<Region> = (1..60).map(|i| plan.take(i * 61)).collect();
        for (i, a) in regions.iter().enumerate() {
            assert!(a.offset + a.size <= plan.slabs[a.slab] && plan.slabs[a.slab] <= LIMITS.slab);
            assert!(a.offset % ALIGNMENT == 0 && a.size >= (i as u64 + 1) * 61);
            for b in &regions[..i] {
                assert!(a.slab != b.slab || a.offset >= b.offset + b.size || b.offset >= a.offset + a.size);
            }
        }
        assert_eq!(plan.bytes(), plan.slabs.iter().sum::<u64>());
    }

    #[test]
    fn a_region_beyond_a_binding_has_no_price() {
        let mut plan = SlabPlan::new(LIMITS);
        plan.take(5000);
        assert_eq!(plan.bytes(), u64::MAX);
    }
}
