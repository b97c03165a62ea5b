//! `gradsweep bench`: an engine alone, next to what the machine's own arithmetic allows.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::options::{self, SweepArgs};
use super::planning;
use super::table::{self, left, right};
use crate::config::{Overrides, SweepFile};
use crate::engine::batches::batches;
use crate::engine::cpu::CpuEngine;
use crate::engine::gpu::{self, GpuEngine, KernelTime, Peaks, Tile};
use crate::engine::select::{self, DeviceSelection};
use crate::engine::{Engine, EngineError, Precision, measure};
use crate::plan::Plan;
use crate::run::{check_memory, human};

const REFERENCE: &str = include_str!("bench.toml");

/// Measure an engine alone: no files, no text
///
/// Runs a load several times and compares it with what the machine can do: matrix products of the CPU, arithmetic and
/// copying of a GPU. On adapters with timestamps a table shows what each kernel takes. Without a sweep file the load is
/// 64 networks of depth 32, width 128 and batch size 128; --set changes it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep bench
  gradsweep bench --device gpu --set defaults.width=64 --set sweep.reference.replicates=1024
  gradsweep bench sweep.toml --device cpu --json")]
pub struct Args {
    /// Sweep file (TOML) instead of the reference load; `-` reads standard input
    #[arg(value_name = "SWEEP")]
    sweep: Option<PathBuf>,
    /// Override a value: `defaults.width=64` (repeatable)
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Sweep")]
    set: Vec<String>,
    /// Run only these sweeps (repeatable, or separated by commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Sweep")]
    only: Vec<String>,
    /// Run only the first N networks of the plan
    #[arg(long, value_name = "N", value_parser = options::limit, allow_negative_numbers = true, help_heading = "Sweep")]
    limit: Option<u64>,
    /// The device (see `gradsweep devices`)
    #[arg(long, env = "GRADSWEEP_DEVICE", value_name = "DEVICE", default_value = "auto")]
    device: DeviceSelection,
    /// Threads of the CPU engine; all cores if absent
    #[arg(short, long, value_name = "N", value_parser = options::jobs, allow_negative_numbers = true)]
    jobs: Option<usize>,
    /// Runs, after one that does not count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
}

/// What was measured of one engine.
#[derive(Debug)]
struct Measured {
    label: String,
    /// Of each run, sorted.
    seconds: Vec<f64>,
    rates: Rates,
}

/// What the machine can do.
#[derive(Debug)]
enum Rates {
    /// Floating point operations a second in 1024 x 1024 products, and the threads that multiply.
    Cpu {
        matrices: f64,
        threads: usize,
    },
    Gpu {
        peaks: Peaks,
        kernels: Vec<KernelTime>,
    },
    /// An adapter without timestamps.
    Unknown,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let file = match &args.sweep {
        Some(path) => {
            let (set, only) = (args.set.clone(), args.only.clone());
            SweepArgs { sweep: path.clone(), set, only, limit: args.limit }.parse()?.0
        }
        None => {
            let overrides = Overrides { set: args.set.clone(), only: args.only.clone(), limit: args.limit };
            SweepFile::parse(REFERENCE, "bench.toml", &overrides)?
        }
    };
    let plan = planning::plan(&file, console)?;
    let devices = select::choose(&args.device, &select::devices_for(&args.device))?;
    let mut report = Vec::new();
    let mut out = console.out();
    for device in &devices {
        let measured = match device.index {
            None => on_cpu(&plan, args)?,
            Some(index) => on_gpu(&plan, args, index)?,
        };
        if console.json {
            report.push(to_json(&plan, &measured));
        } else {
            lines(&plan, &measured).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    if console.json {
        writeln!(out, "{:#}", json!(report))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn timed(engine: &mut dyn Engine, plan: &Plan, repeats: u32) -> Result<Vec<f64>, EngineError> {
    let batches = batches(plan, engine);
    measure::seconds(engine, &batches)?;
    let mut list = (0..repeats).map(|_| measure::seconds(engine, &batches)).collect::<Result<Vec<_>, _>>()?;
    list.sort_by(f64::total_cmp);
    Ok(list)
}

fn on_cpu(plan: &Plan, args: &Args) -> Result<Measured, EngineError> {
    let threads = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut engine = CpuEngine::new(Precision::F32, threads)?;
    check_memory(plan, &engine)?;
    let seconds = timed(&mut engine, plan, args.repeats)?;
    let start = Instant::now();
    let matrices = measure::matrix_rate(threads, 1024, || start.elapsed().as_secs_f64());
    let rates = Rates::Cpu { matrices, threads };
    Ok(Measured { label: engine.info().label.clone(), seconds, rates })
}

fn on_gpu(plan: &Plan, args: &Args, index: usize) -> Result<Measured, EngineError> {
    let adapters = gpu::adapters();
    let gone = || EngineError::NoAdapter(format!("adapter {index} has gone (gradsweep devices)"));
    let mut engine = GpuEngine::open_timed(adapters.get(index).ok_or_else(gone)?)?;
    let seconds = timed(&mut engine, plan, args.repeats)?;
    let mut rates = Rates::Unknown;
    if engine.has_clock() {
        let mut kernels: Vec<KernelTime> = Vec::new();
        for planned in batches(plan, &engine) {
            for time in engine.time_kernels(planned.batch)? {
                match kernels.iter_mut().find(|k| (k.kernel, k.tile) == (time.kernel, time.tile)) {
                    Some(sum) => sum.add(&time),
                    None => kernels.push(time),
                }
            }
        }
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        rates = Rates::Gpu { peaks: engine.peaks()?, kernels };
    }
    Ok(Measured { label: engine.info().label.clone(), seconds, rates })
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0} %", 100.0 * share) } else { "-".to_string() }
}

fn lines(plan: &Plan, measured: &Measured) -> Vec<String> {
    let (flops, networks, seconds) = (plan.total_flops(), plan.len(), median(&measured.seconds));
    let range = match (measured.seconds.first(), measured.seconds.last()) {
        (Some(first), Some(last)) => format!("{first:.3} to {last:.3}, {} runs", measured.seconds.len()),
        _ => String::new(),
    };
    let mut list = vec![
        format!("{BOLD}{}{BOLD:#}, f32", measured.label),
        format!("  {}, {} of matrix products", human::plural(networks, "network"), human::flops(flops)),
        format!(
            "  {seconds:.3} s ({range}): {}, networks at {}",
            human::gflops(flops / seconds),
            human::rate(networks as f64 / seconds)
        ),
    ];
    match &measured.rates {
        Rates::Cpu { matrices, threads } => list.push(format!(
            "  {} of {}: 1024 x 1024 matrices multiplied on {}",
            percent(flops / seconds / matrices),
            human::gflops(*matrices),
            human::plural(*threads as u64, "thread")
        )),
        Rates::Gpu { peaks, kernels } => {
            list.push(format!(
                "  {} of {}: arithmetic in registers; copying moves {:.1} GB/s",
                percent(flops / seconds / peaks.flops),
                human::gflops(peaks.flops),
                peaks.bytes / 1e9
            ));
            list.extend(table::lines(&kernel_table(peaks, kernels), 2));
        }
        Rates::Unknown => list.push("  this adapter has no timestamps: kernels cannot be told apart".to_string()),
    }
    list
}

fn kernel_table(peaks: &Peaks, kernels: &[KernelTime]) -> Vec<Vec<table::Cell>> {
    let total: f64 = kernels.iter().map(|k| k.seconds).sum();
    let head = ["kernel", "tile", "dispatches", "ms", "share", "GFLOP/s", "of peak", "GB/s", "of peak"];
    let mut rows = vec![head.iter().map(|h| left(*h).style(BOLD)).collect::<Vec<_>>()];
    for k in kernels {
        let (flops, bytes) = (k.flops / k.seconds, k.bytes / k.seconds);
        let product = k.flops > 0.0;
        let only = |text: String| right(if product { text } else { String::new() });
        rows.push(vec![
            left(k.kernel.row().name),
            left(tile_name(k)),
            right(human::count(k.dispatches as u64)),
            right(format!("{:.3}", 1e3 * k.seconds)),
            right(percent(k.seconds / total)),
            only(format!("{:.1}", flops / 1e9)),
            only(percent(flops / peaks.flops)),
            right(format!("{:.1}", bytes / 1e9)),
            right(percent(bytes / peaks.bytes)),
        ]);
    }
    rows
}

fn tile_name(time: &KernelTime) -> String {
    match time.tile {
        Tile::Square(size) | Tile::Columns(size) => size.to_string(),
        Tile::Flat if time.flops > 0.0 => "flat".to_string(),
        Tile::Flat => String::new(),
    }
}

fn to_json(plan: &Plan, measured: &Measured) -> serde_json::Value {
    let (flops, seconds) = (plan.total_flops(), median(&measured.seconds));
    let mut value = json!({
        "device": measured.label, "networks": plan.len(), "flops": flops, "seconds": measured.seconds,
        "median_seconds": seconds, "flops_per_second": flops / seconds,
    });
    match &measured.rates {
        Rates::Cpu { matrices, threads } => {
            value["matrix_flops_per_second"] = json!(matrices);
            value["threads"] = json!(threads);
        }
        Rates::Gpu { peaks, kernels } => {
            value["peak_flops_per_second"] = json!(peaks.flops);
            value["peak_bytes_per_second"] = json!(peaks.bytes);
            let kernel = |k: &KernelTime| {
                json!({
                    "kernel": k.kernel.row().name, "tile": tile_name(k), "dispatches": k.dispatches,
                    "seconds": k.seconds, "flops": k.flops, "bytes": k.bytes,
                })
            };
            value["kernels"] = json!(kernels.iter().map(kernel).collect::<Vec<_>>());
        }
        Rates::Unknown => {}
    }
    value
}
