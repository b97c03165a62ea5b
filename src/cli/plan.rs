//! `gradsweep plan`: what a sweep file would run and what it would cost, without running it.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::options::SweepArgs;
use super::table::{self, left, right};
use super::{estimate, files, planning};
use crate::engine::Precision;
use crate::engine::select::{self, DeviceSelection};
use crate::plan::{Plan, Totals};
use crate::program::ProgramKey;
use crate::run::human;

/// Show what a sweep would run, and what it would cost
///
/// Expands the sweep file and counts networks, rows, bytes and work. Without -o nothing is written. For the time, a few
/// of its networks, shortened, run on the CPU engine for a fraction of a second.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep plan sweep.toml
  gradsweep plan sweep.toml --only phase --json
  gradsweep plan sweep.toml -o plan.json   every network with its id, seed and configuration")]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Write every planned network to this file (JSON); `-` writes it to standard output, and nothing else
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let (file, _) = args.sweep.parse()?;
    let plan = planning::plan(&file, console)?;
    match &args.output {
        Some(path) if path.as_os_str() == "-" => {
            write_networks(&plan, &mut std::io::BufWriter::new(std::io::stdout()))?;
            return Ok(Exit::Done);
        }
        Some(path) => {
            args.sweep.keep(path)?;
            files::write_whole(path, |file| write_networks(&plan, &mut std::io::BufWriter::new(file)))?;
            console.status("Wrote", &path.display().to_string());
        }
        None => {}
    }
    let mut out = console.out();
    let networks = plan.bucket_order.len() as u64;
    let rows: u64 = plan.chunks.iter().map(|c| c.rows).sum();
    let flops: f64 = plan.chunks.iter().map(|c| c.flops).sum();
    let per_sweep = plan.totals_of_sweeps();
    let buckets = plan.buckets();
    let shapes = buckets.len() as u64;
    let mut engine = select::open(&DeviceSelection::Cpu, Precision::F32, None)?.remove(0);
    // The price by which a run refuses networks that cannot fit.
    let price = |(key, _, depth): &(ProgramKey, u64, u32)| engine.bytes(key, &[*depth], plan.record.mask);
    let memory = buckets.iter().map(price).max().unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = estimate::cpu_seconds(&mut *engine, &plan, cores)?;
    let bytes = plan.total_bytes() as f64;
    let varying: Vec<&str> = plan.varying.iter().map(|key| key.name()).collect();
    if console.json {
        let sweeps: Vec<_> = plan
            .sweeps
            .iter()
            .zip(&per_sweep)
            .map(|(name, t)| json!({ "name": name, "networks": t.networks, "rows": t.rows, "flops": t.flops }))
            .collect();
        let value = json!({
            "name": plan.name, "seed": plan.seed, "networks": networks, "rows": rows, "flops": flops,
            "bytes": bytes.round(), "shapes": shapes, "chunks": plan.chunks.len(), "sweeps": sweeps,
            "varying": varying, "columns": plan.record.columns, "largest_network_bytes": memory,
            "cpu_seconds": seconds, "notes": plan.notes,
        });
        writeln!(out, "{value:#}")?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{BOLD}{}{BOLD:#}  seed {}", plan.name, plan.seed)?;
    writeln!(out)?;
    let mut lines = vec![vec![left("sweep"), right("networks"), right("rows"), right("work")]];
    let line = |name: &str, t: &Totals| {
        vec![left(name), right(human::count(t.networks)), right(human::count(t.rows)), right(human::flops(t.flops))]
    };
    lines.extend(plan.sweeps.iter().zip(&per_sweep).filter(|(_, t)| t.networks > 0).map(|(name, t)| line(name, t)));
    lines.push(line("total", &Totals { networks, rows, flops }));
    table::lines(&lines, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out)?;
    let facts = [
        ("varying keys", if varying.is_empty() { "none".to_string() } else { varying.join(", ") }),
        ("columns", format!("{} statistics", plan.record.columns.len())),
        ("layers.csv", format!("about {}", human::bytes(bytes))),
        ("shapes", format!("{}, in {}", human::count(shapes), human::plural(plan.chunks.len() as u64, "chunk"))),
        ("memory", format!("about {} for the largest network on the CPU engine", human::bytes(memory as f64))),
        (
            "time",
            format!(
                "roughly {} on the CPU engine with {}, by a few of the networks",
                human::seconds(seconds),
                human::plural(cores as u64, "core")
            ),
        ),
    ];
    let facts: Vec<Vec<table::Cell>> = facts.into_iter().map(|(name, text)| vec![left(name), left(text)]).collect();
    table::lines(&facts, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    plan.notes.iter().for_each(|note| console.note(note));
    Ok(Exit::Done)
}

/// Every planned network as JSON, one a line.
fn write_networks(plan: &Plan, out: &mut impl Write) -> std::io::Result<()> {
    let name = json!(plan.name);
    write!(out, "{{\"name\":{name},\"seed\":{},\"networks\":[", plan.seed)?;
    for index in 0..plan.bucket_order.len() as u64 {
        let network = plan.network(index);
        let comma = if index > 0 { "," } else { "" };
        let keys: serde_json::Map<String, serde_json::Value> = network
            .values
            .iter()
            .zip(crate::config::Key::ALL)
            .filter_map(|(value, key)| Some((key.name().to_string(), super::dump::json_value(value.as_ref()?))))
            .collect();
        let line = json!({
            "index": network.index, "network": network.network_id, "configuration": &*network.configuration_id,
            "sweep": plan.sweeps[network.sweep as usize], "replicate": network.replicate,
            "seed": network.spec.seed, "keys": keys,
        });
        write!(out, "{comma}\n{line}")?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}
