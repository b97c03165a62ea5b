//! Options that several subcommands share, and how they turn into typed values.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::exit::Failure;
use crate::config::{Mark, Overrides, Reporter, Source, SweepFile};
use crate::engine::Precision;
use crate::engine::select::DeviceSelection;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ColorArg {
    Auto,
    Always,
    Never,
}

/// Output options of every subcommand.
#[derive(Args, Debug)]
pub struct ConsoleArgs {
    /// Print results and errors only: no notes, no warnings, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Print details of the engines; given twice, it says no more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Print data as JSON on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Colour: on a terminal, always or never (NO_COLOR is respected)
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Output",
        long_help = "Colour: auto (on a terminal, unless NO_COLOR is set), always or never"
    )]
    pub color: ColorArg,
}

/// Which sweep file, and which part of it.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// Sweep file (TOML); `-` reads standard input
    #[arg(value_name = "SWEEP")]
    pub sweep: PathBuf,
    /// Override one key: `seed=3`, `defaults.width=64`, `sweep.phase.depth=[10,20]` (repeatable)
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Sweep")]
    pub set: Vec<String>,
    /// Run only these sweeps (repeatable, or separated by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Sweep")]
    pub only: Vec<String>,
    /// Run only the first N networks of the plan
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true, help_heading = "Sweep")]
    pub limit: Option<u64>,
}

impl SweepArgs {
    /// Refuses an output that would take the place of the sweep file.
    pub fn keep(&self, output: &Path) -> Result<(), Failure> {
        match (output.canonicalize(), self.sweep.canonicalize()) {
            (Ok(to), Ok(from)) if to == from => Err(Failure::usage(format!(
                "{} is the sweep file itself; choose another name with -o",
                output.display()
            ))),
            _ => Ok(()),
        }
    }

    pub fn overrides(&self) -> Overrides {
        Overrides { set: self.set.clone(), only: self.only.clone(), limit: self.limit }
    }

    /// The sweep file's text and the name that errors call it by.
    pub fn read(&self) -> Result<(String, String), Failure> {
        if self.sweep.as_os_str() == "-" {
            let bytes = bounded(std::io::stdin().lock())
                .map_err(|e| Failure::usage(format!("cannot read the sweep file from standard input: {e}")))?;
            let name = "<stdin>".to_string();
            return Ok((utf_8(bytes, &name)?, name));
        }
        let name = self.sweep.display().to_string();
        let bytes = std::fs::File::open(&self.sweep).and_then(bounded).map_err(|e| {
            let hint = match e.kind() {
                std::io::ErrorKind::NotFound => "; `gradsweep init` writes one to start from",
                _ => "",
            };
            Failure::usage(format!("cannot read {name}: {e}{hint}"))
        })?;
        Ok((utf_8(bytes, &name)?, name))
    }

    pub fn parse(&self) -> Result<(SweepFile, String), Failure> {
        let (text, name) = self.read()?;
        let file = SweepFile::parse(&text, &name, &self.overrides())?;
        Ok((file, text))
    }

    /// The overrides as they were given, for the manifest.
    pub fn settings(&self) -> Vec<String> {
        let mut list: Vec<String> = self.set.iter().map(|s| format!("--set {s}")).collect();
        list.extend(self.only.iter().map(|s| format!("--only {s}")));
        list.extend(self.limit.map(|n| format!("--limit {n}")));
        list
    }
}

/// All bytes of a sweep file. A device that never ends, or a file taken for another, does not take the memory.
fn bounded(file: impl Read) -> std::io::Result<Vec<u8>> {
    const LARGEST: u64 = 256 << 20;
    let mut bytes = Vec::new();
    match file.take(LARGEST + 1).read_to_end(&mut bytes)? as u64 {
        ..=LARGEST => Ok(bytes),
        _ => Err(std::io::Error::other("it has more than 256 MiB, which no sweep file has")),
    }
}

/// The text of a sweep file, or where it is none.
fn utf_8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[end];
        // Up to the fault both texts are the same.
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let (start, end) = (end as u32, (end + char::REPLACEMENT_CHARACTER.len_utf8()) as u32);
        let mut reporter = Reporter::new(Arc::new(vec![Source { label: name.to_string(), text }]));
        let message = format!("byte 0x{byte:02x} is not UTF-8: save the file as UTF-8 text");
        reporter.at(Mark { source: 0, start, end }, message);
        Failure::usage(reporter.check().map_or_else(|error| error.to_string(), |()| String::new()))
    })
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PrecisionArg {
    F32,
    F64,
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::F64 => Precision::F64,
        }
    }
}

/// What to compute on.
#[derive(Args, Clone, Debug)]
pub struct DeviceArgs {
    /// Device: auto, cpu, gpu, all, index:K, pci:BUS or part of a name (see `gradsweep devices`)
    #[arg(
        long,
        env = "GRADSWEEP_DEVICE",
        value_name = "DEVICE",
        default_value = "auto",
        help_heading = "Device",
        long_help = "What to compute on:\n  \
            auto      a hardware GPU if there is one, else the CPU engine\n  \
            cpu       the native CPU engine\n  \
            gpu       the first hardware GPU\n  \
            all       every hardware GPU at once; the CPU engine if there is none\n  \
            index:K   the adapter with this number in `gradsweep devices`\n  \
            pci:BUS   the adapter on this PCI bus\n  \
            NAME      the first adapter whose name contains NAME, software adapters too"
    )]
    pub device: DeviceSelection,
    /// Arithmetic: f32, or f64 on the CPU engine
    #[arg(
        long,
        value_enum,
        value_name = "TYPE",
        default_value = "f32",
        hide_possible_values = true,
        help_heading = "Device"
    )]
    pub precision: PrecisionArg,
    /// Threads of the CPU engine and of the formatting [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = jobs, allow_negative_numbers = true, help_heading = "Device")]
    pub jobs: Option<usize>,
}

pub fn limit(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("a number of networks is 1 or more".to_string()),
    }
}

pub fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=4096).contains(&n) => Ok(n),
        _ => Err("a number of threads is 1 to 4096".to_string()),
    }
}

impl DeviceArgs {
    /// Sets up the threads that format rows.
    pub fn limit_threads(&self) {
        if let Some(jobs) = self.jobs {
            // Fails only where a pool exists already, in tests.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        }
    }
}
