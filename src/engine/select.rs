//! Choosing engines: what `--device` says, against the devices that exist. Software adapters count only when they are
//! named, because the native CPU engine is faster than any of them.

use std::fmt;
use std::str::FromStr;

use super::cpu::CpuEngine;
use super::gpu;
use super::{Engine, EngineError, Precision};

/// What the user asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceSelection {
    /// A hardware GPU if there is one, else the CPU engine.
    #[default]
    Auto,
    /// The native CPU engine.
    Cpu,
    /// The first hardware GPU.
    Gpu,
    /// Every hardware GPU; the CPU engine if there is none.
    All,
    /// The adapter with this number in `gradsweep devices`.
    Index(usize),
    /// The adapter on this PCI bus.
    Pci(String),
    /// The first adapter whose name contains this, in any case.
    Name(String),
}

impl FromStr for DeviceSelection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "" => Err("a device is auto, cpu, gpu, all, index:K, pci:BUS or a part of an adapter's name".to_string()),
            "auto" => Ok(DeviceSelection::Auto),
            "cpu" => Ok(DeviceSelection::Cpu),
            "gpu" => Ok(DeviceSelection::Gpu),
            "all" => Ok(DeviceSelection::All),
            lower => match (lower.strip_prefix("index:"), lower.strip_prefix("pci:")) {
                (Some(number), _) => number
                    .parse()
                    .map(DeviceSelection::Index)
                    .map_err(|_| format!("`{number}` is no adapter number (see `gradsweep devices`)")),
                (_, Some(bus)) => Ok(DeviceSelection::Pci(bus.to_string())),
                _ => Ok(DeviceSelection::Name(text.to_string())),
            },
        }
    }
}

impl fmt::Display for DeviceSelection {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DeviceSelection::Auto => f.write_str("auto"),
            DeviceSelection::Cpu => f.write_str("cpu"),
            DeviceSelection::Gpu => f.write_str("gpu"),
            DeviceSelection::All => f.write_str("all"),
            DeviceSelection::Index(k) => write!(f, "index:{k}"),
            DeviceSelection::Pci(bus) => write!(f, "pci:{bus}"),
            DeviceSelection::Name(name) => f.write_str(name),
        }
    }
}

/// Something that an engine can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Number among the adapters; `None` for the native CPU engine.
    pub index: Option<usize>,
    pub name: String,
    /// `cpu`, `discrete gpu`, `integrated gpu`, `virtual gpu`, `software` or `other`.
    pub kind: String,
    /// `native`, `vulkan`, `metal`, `dx12`.
    pub backend: String,
    /// Empty where the driver does not tell.
    pub pci_bus: String,
    pub driver: String,
}

impl DeviceInfo {
    /// Runs on a real GPU.
    pub fn is_hardware_gpu(&self) -> bool {
        self.index.is_some() && self.kind.ends_with("gpu")
    }
}

/// Every device of this machine, the native CPU engine first.
pub fn devices() -> Vec<DeviceInfo> {
    let mut list = vec![cpu_device()];
    list.extend(gpu_devices());
    list
}

/// Every GPU once, discrete ones first. Under Windows a card stands in the list by Vulkan and by DirectX: the first counts.
fn hardware(devices: &[DeviceInfo]) -> Vec<DeviceInfo> {
    let mut list: Vec<DeviceInfo> = Vec::new();
    for device in devices.iter().filter(|d| d.is_hardware_gpu()) {
        let same = |other: &DeviceInfo| {
            let place = !device.pci_bus.is_empty() && device.pci_bus == other.pci_bus;
            device.backend != other.backend && (place || device.name == other.name)
        };
        if !list.iter().any(same) {
            list.push(device.clone());
        }
    }
    list.sort_by_key(|d| d.kind != "discrete gpu");
    list
}

/// Devices that `selection` names, out of `devices`.
pub fn choose(selection: &DeviceSelection, devices: &[DeviceInfo]) -> Result<Vec<DeviceInfo>, EngineError> {
    let first = |wanted: &dyn Fn(&DeviceInfo) -> bool| devices.iter().find(|d| wanted(d)).cloned();
    let cpu = || first(&|d| d.index.is_none());
    let hardware = hardware(devices);
    let found: Vec<DeviceInfo> = match selection {
        DeviceSelection::Auto => hardware.first().cloned().or_else(cpu).into_iter().collect(),
        DeviceSelection::Cpu => cpu().into_iter().collect(),
        DeviceSelection::Gpu => hardware.first().cloned().into_iter().collect(),
        DeviceSelection::All if hardware.is_empty() => cpu().into_iter().collect(),
        DeviceSelection::All => hardware,
        DeviceSelection::Index(k) => first(&|d| d.index == Some(*k)).into_iter().collect(),
        DeviceSelection::Pci(bus) => {
            first(&|d| !d.pci_bus.is_empty() && d.pci_bus.to_lowercase().ends_with(bus)).into_iter().collect()
        }
        DeviceSelection::Name(name) => {
            let name = name.to_lowercase();
            let matches = |d: &DeviceInfo| {
                d.index.is_some() && (d.name.to_lowercase().contains(&name) || d.driver.to_lowercase().contains(&name))
            };
            first(&matches).into_iter().collect()
        }
    };
    if !found.is_empty() {
        return Ok(found);
    }
    let adapters: Vec<String> =
        devices.iter().filter_map(|d| d.index.map(|k| format!("index:{k} {} ({})", d.name, d.kind))).collect();
    let here = adapters.join(", ");
    let message = match (selection, adapters.is_empty()) {
        (DeviceSelection::Gpu, true) => "this machine has no hardware GPU".to_string(),
        (DeviceSelection::Gpu, false) => {
            format!("this machine has no hardware GPU, only adapters that run when they are named: {here}")
        }
        (other, true) => format!("no adapter matches `{other}`: this machine has none"),
        (other, false) => format!("no adapter matches `{other}`; this machine has {here}"),
    };
    let message = format!("{message}; `--device cpu` always works");
    Err(EngineError::NoAdapter(message))
}

/// Opens the engine of one device. `jobs`: threads of the CPU engine, all cores if absent.
pub fn open_device(
    device: &DeviceInfo,
    precision: Precision,
    jobs: Option<usize>,
) -> Result<Box<dyn Engine>, EngineError> {
    match device.index {
        None => open_cpu(precision, jobs),
        Some(_) if precision == Precision::F64 => Err(EngineError::Failed(format!(
            "{} computes in f32 alone; f64 runs on the CPU engine: --device cpu",
            device.name
        ))),
        Some(index) => open_gpu(index),
    }
}

/// Opens every engine that `selection` names. With float64, `auto` and `all` mean the CPU engine.
pub fn open(
    selection: &DeviceSelection,
    precision: Precision,
    jobs: Option<usize>,
) -> Result<Vec<Box<dyn Engine>>, EngineError> {
    let selection = for_precision(selection, precision);
    choose(&selection, &devices_for(&selection))?.iter().map(|device| open_device(device, precision, jobs)).collect()
}

/// The selection that is meant at a precision.
pub fn for_precision(selection: &DeviceSelection, precision: Precision) -> DeviceSelection {
    match (selection, precision) {
        (DeviceSelection::Auto | DeviceSelection::All, Precision::F64) => DeviceSelection::Cpu,
        (other, _) => other.clone(),
    }
}

/// The devices that matter for a selection: asking for adapters takes time, and `cpu` does not need any.
pub fn devices_for(selection: &DeviceSelection) -> Vec<DeviceInfo> {
    if *selection == DeviceSelection::Cpu { vec![cpu_device()] } else { devices() }
}

fn cpu_device() -> DeviceInfo {
    DeviceInfo {
        index: None,
        name: "native CPU engine".to_string(),
        kind: "cpu".to_string(),
        backend: "native".to_string(),
        pci_bus: String::new(),
        driver: String::new(),
    }
}

fn gpu_devices() -> Vec<DeviceInfo> {
    let device = |a: gpu::AdapterDescription| DeviceInfo {
        index: Some(a.index),
        name: a.name,
        kind: a.kind.to_string(),
        backend: a.backend,
        pci_bus: a.pci_bus,
        driver: a.driver,
    };
    gpu::adapters().into_iter().map(device).collect()
}

fn open_cpu(precision: Precision, jobs: Option<usize>) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(CpuEngine::new(precision, jobs.unwrap_or(0))?))
}

fn open_gpu(index: usize) -> Result<Box<dyn Engine>, EngineError> {
    match gpu::adapters().get(index) {
        Some(adapter) => Ok(Box::new(gpu::GpuEngine::open(adapter)?)),
        None => Err(EngineError::NoAdapter(format!("adapter {index} has gone (gradsweep devices)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, kind: &str, pci: &str) -> DeviceInfo {
        DeviceInfo {
            index: Some(index),
            name: name.to_string(),
            kind: kind.to_string(),
            backend: "vulkan".to_string(),
            pci_bus: pci.to_string(),
            driver: String::new(),
        }
    }

    fn names(selection: &str, devices: &[DeviceInfo]) -> Result<Vec<String>, String> {
        let selection: DeviceSelection = selection.parse()?;
        choose(&selection, devices).map(|d| d.into_iter().map(|d| d.name).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn software_adapters_are_used_only_when_named() {
        let devices = [cpu_device(), adapter(0, "llvmpipe (LLVM 15)", "software", "")];
        let cpu = vec!["native CPU engine".to_string()];
        assert_eq!(names("auto", &devices), Ok(cpu.clone()));
        assert_eq!(names("all", &devices), Ok(cpu));
        let error = names("gpu", &devices).unwrap_err();
        let here = "only adapters that run when they are named: index:0 llvmpipe (LLVM 15) (software)";
        assert_eq!(error, format!("this machine has no hardware GPU, {here}; `--device cpu` always works"));
        let alone = names("gpu", &devices[..1]).unwrap_err();
        assert_eq!(alone, "this machine has no hardware GPU; `--device cpu` always works");
        assert_eq!(names("LLVMpipe", &devices), Ok(vec!["llvmpipe (LLVM 15)".to_string()]));
        assert_eq!(names("index:0", &devices), Ok(vec!["llvmpipe (LLVM 15)".to_string()]));
    }

    #[test]
    fn hardware_goes_first() {
        let devices = [
            cpu_device(),
            adapter(0, "llvmpipe", "software", ""),
            adapter(1, "H200", "discrete gpu", "0000:c1:00.0"),
            adapter(2, "Radeon", "integrated gpu", "0000:03:00.0"),
        ];
        assert_eq!(names("auto", &devices), Ok(vec!["H200".to_string()]));
        assert_eq!(names("gpu", &devices), Ok(vec!["H200".to_string()]));
        assert_eq!(names("all", &devices), Ok(vec!["H200".to_string(), "Radeon".to_string()]));
        assert_eq!(names("pci:03:00.0", &devices), Ok(vec!["Radeon".to_string()]));
        let reversed = [devices[0].clone(), devices[3].clone(), devices[2].clone()];
        assert_eq!(names("auto", &reversed), Ok(vec!["H200".to_string()]));
        assert!(names("GeForce", &devices).unwrap_err().contains("no adapter matches `GeForce`"));
        assert!(names("index:x", &devices).is_err());
    }

    #[test]
    fn a_card_with_two_backends_counts_once_and_two_equal_cards_twice() {
        let other = |device: DeviceInfo| DeviceInfo { backend: "dx12".to_string(), ..device };
        let devices = [
            cpu_device(),
            adapter(0, "GeForce", "discrete gpu", ""),
            adapter(1, "GeForce", "discrete gpu", ""),
            other(adapter(2, "GeForce", "discrete gpu", "")),
            other(adapter(3, "GeForce", "discrete gpu", "")),
        ];
        assert_eq!(names("all", &devices).map(|list| list.len()), Ok(2));
    }
}
