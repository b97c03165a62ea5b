//! Adapters and the device: enumeration, identity, limits, compiled pipelines, and faults. Nothing here knows of networks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::compose;
use super::kernels::{Kernel, Tile};
use super::memory::MemoryLimits;
use crate::engine::{EngineError, available_memory};

/// One adapter of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Position in [`adapters`].
    pub index: usize,
    pub name: String,
    /// Emulated on the processor: for tests, never chosen unless named.
    pub software: bool,
    /// `discrete gpu`, `integrated gpu`, `virtual gpu`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// `bus:device.function`; empty where the driver does not tell.
    pub pci_bus: String,
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    descriptor.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(descriptor)
}

fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

fn describe(index: usize, info: &wgpu::AdapterInfo) -> AdapterDescription {
    AdapterDescription {
        index,
        name: info.name.clone(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete gpu",
            wgpu::DeviceType::IntegratedGpu => "integrated gpu",
            wgpu::DeviceType::VirtualGpu => "virtual gpu",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        },
        backend: format!("{:?}", info.backend).to_lowercase(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        pci_bus: info.device_pci_bus_id.clone(),
    }
}

/// Every adapter, in the driver's order.
pub fn adapters() -> Vec<AdapterDescription> {
    let instance = instance();
    enumerate(&instance).iter().enumerate().map(|(i, a)| describe(i, &a.get_info())).collect()
}

/// What went wrong on the device outside of any call's result.
#[derive(Debug, Default)]
pub struct Faults {
    pub error: Option<(bool, String)>,
    pub lost: Option<String>,
}

/// An open device.
#[derive(Debug)]
pub struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub description: AdapterDescription,
    pub limits: MemoryLimits,
    /// Bytes of memory that batches may take.
    pub budget: u64,
    faults: Arc<Mutex<Faults>>,
    layouts: Vec<wgpu::BindGroupLayout>,
    /// By kernel, tile and whether it counts.
    pipelines: HashMap<(Kernel, Tile, bool), wgpu::ComputePipeline>,
}

fn lock(faults: &Mutex<Faults>) -> MutexGuard<'_, Faults> {
    faults.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// Opens the adapter that `wanted` describes; `timed`: with timestamps, where it has them.
    pub fn open(wanted: &AdapterDescription, timed: bool) -> Result<Self, EngineError> {
        let instance = instance();
        let adapter = enumerate(&instance).into_iter().nth(wanted.index).filter(|a| a.get_info().name == wanted.name);
        let adapter = adapter.ok_or_else(|| {
            EngineError::NoAdapter(format!("the adapter `{}` is no longer there (gradsweep devices)", wanted.name))
        })?;
        let limits = adapter.limits();
        let small =
            limits.max_compute_invocations_per_workgroup < 256 || limits.max_compute_workgroup_storage_size < 16 << 10;
        if limits.max_storage_buffers_per_shader_stage < 8 || small {
            return Err(EngineError::NoAdapter(format!(
                "the adapter `{}` lacks eight storage buffers, or 256 invocations or 16 KiB of memory per workgroup; use \
                 --device cpu",
                wanted.name
            )));
        }
        let timestamps = wgpu::Features::TIMESTAMP_QUERY & adapter.features();
        let description = wgpu::DeviceDescriptor {
            label: Some("gradsweep"),
            required_features: if timed { timestamps } else { wgpu::Features::empty() },
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&description))
            .map_err(|e| EngineError::NoAdapter(format!("cannot open the adapter `{}`: {e}", wanted.name)))?;
        let faults = Arc::new(Mutex::new(Faults::default()));
        let seen = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let memory = matches!(error, wgpu::Error::OutOfMemory { .. });
            lock(&seen).error.get_or_insert((memory, error.to_string()));
        }));
        let seen = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            lock(&seen).lost.get_or_insert(format!("{reason:?}: {message}"));
        });
        let layouts = (0..=8).map(|storage| layout(&device, storage)).collect();
        let budget = budget(&adapter);
        Ok(Device {
            device,
            queue,
            description: wanted.clone(),
            limits: MemoryLimits::of(&limits),
            budget,
            faults,
            layouts,
            pipelines: HashMap::new(),
        })
    }

    /// Bytes of memory that a workgroup may take.
    pub fn workgroup_memory(&self) -> u32 {
        self.device.limits().max_compute_workgroup_storage_size
    }

    /// The first fault since the device was opened, if there was one. A fault stays: results after it cannot be trusted.
    pub fn check(&self) -> Result<(), EngineError> {
        let faults = lock(&self.faults);
        if let Some(reason) = &faults.lost {
            return Err(EngineError::DeviceLost(format!("`{}`: {reason}", self.description.name)));
        }
        match &faults.error {
            Some((true, message)) => Err(EngineError::OutOfMemory(message.clone())),
            Some((false, message)) => Err(EngineError::Failed(format!("`{}`: {message}", self.description.name))),
            None => Ok(()),
        }
    }

    /// Takes an out-of-memory fault back after its cause was removed.
    pub fn forgive_memory(&self) {
        let mut faults = lock(&self.faults);
        if faults.error.as_ref().is_some_and(|(memory, _)| *memory) {
            faults.error = None;
        }
    }

    /// A buffer; running out of memory is an error, not a lost device.
    pub fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, EngineError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let description = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&description);
        match pollster::block_on(scope.pop()) {
            Some(error) => {
                Err(EngineError::OutOfMemory(format!("{size} bytes on `{}`: {error}", self.description.name)))
            }
            None => Ok(buffer),
        }
    }

    /// Compiles a kernel unless that was done before; `counts`: with room for a histogram.
    pub fn prepare(&mut self, kernel: Kernel, tile: Tile, counts: bool) -> Result<(), EngineError> {
        if self.pipelines.contains_key(&(kernel, tile, counts)) {
            return Ok(());
        }
        let source = kernel.source(tile);
        compose::parse(&source).map_err(EngineError::Failed)?;
        let row = kernel.row();
        let module = wgpu::ShaderModuleDescriptor {
            label: Some(row.name),
            source: wgpu::ShaderSource::Wgsl(source.text.into()),
        };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = if self.description.software {
            self.device.create_shader_module(module)
        } else {
            // SAFETY: indices are bounded by the padded shapes that the host computes, loops by the same; software
            // adapters run every kernel with all checks in the tests.
            unsafe { self.device.create_shader_module_trusted(module, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(row.name),
            bind_group_layouts: &[Some(&self.layouts[row.storage as usize])],
            immediate_size: 0,
        });
        let constants = kernel.overrides(tile, counts);
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(row.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some(row.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(EngineError::Failed(format!("kernel {}: {error}", row.name)));
        }
        self.pipelines.insert((kernel, tile, counts), pipeline);
        Ok(())
    }

    /// A prepared pipeline.
    pub fn pipeline(&self, kernel: Kernel, tile: Tile, counts: bool) -> &wgpu::ComputePipeline {
        self.pipelines
            .get(&(kernel, tile, counts))
            .expect("every kernel of a schedule is prepared before it is encoded")
    }

    /// A bind group of `Params` and storage buffers.
    pub fn bind(
        &self,
        kernel: Kernel,
        params: wgpu::BufferBinding<'_>,
        storage: &[wgpu::BufferBinding<'_>],
    ) -> wgpu::BindGroup {
        let row = kernel.row();
        assert_eq!(storage.len(), row.storage as usize, "{}", row.name);
        let resources = std::iter::once(params).chain(storage.iter().cloned());
        let entries: Vec<_> = resources
            .enumerate()
            .map(|(i, b)| wgpu::BindGroupEntry { binding: i as u32, resource: wgpu::BindingResource::Buffer(b) })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(row.name),
            layout: &self.layouts[row.storage as usize],
            entries: &entries,
        })
    }

    /// Waits for a submission; an hour without an answer is a hang.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<(), EngineError> {
        let timeout = Some(Duration::from_secs(3600));
        let result = self.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout });
        self.check()?;
        result.map(|_| ()).map_err(|e| EngineError::DeviceLost(format!("`{}`: {e}", self.description.name)))
    }
}

fn layout(device: &wgpu::Device, storage: u32) -> wgpu::BindGroupLayout {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    // All of them read and write: regions of one slab may stand at several bindings of a dispatch, and a buffer has one
    // usage at a time.
    entries.extend((1..=storage).map(|b| entry(b, wgpu::BufferBindingType::Storage { read_only: false })));
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// Bytes that batches may take: most of a GPU's own memory, half of what is free on the processor where it shares that
/// (software adapters: at most 4 GiB), and 2 GiB where nothing is known.
fn budget(adapter: &wgpu::Adapter) -> u64 {
    let half = || available_memory().map_or(1 << 30, |bytes| bytes / 2);
    let own = || device_local_memory(adapter).map_or(2 << 30, |bytes| bytes / 10 * 8);
    match adapter.get_info().device_type {
        wgpu::DeviceType::Cpu => half().min(4 << 30),
        wgpu::DeviceType::IntegratedGpu => half().min(own()),
        _ => own(),
    }
}

/// The largest device-local heap, by Vulkan.
#[cfg(not(target_vendor = "apple"))]
fn device_local_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only read, and live as long as `adapter`.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = adapter.shared_instance().raw_instance();
    let memory = unsafe { instance.get_physical_device_memory_properties(adapter.raw_physical_device()) };
    let heaps = &memory.memory_heaps[..memory.memory_heap_count as usize];
    heaps.iter().filter(|heap| heap.flags.as_raw() & 1 != 0).map(|heap| heap.size).max()
}

#[cfg(target_vendor = "apple")]
fn device_local_memory(_adapter: &wgpu::Adapter) -> Option<u64> {
    None
}
