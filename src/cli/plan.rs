//! `gradsweep plan`: what a sweep file would run and what it would cost, without running it.

use std::io::Write;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::json;

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::options::SweepArgs;
use super::table::{self, left, right};
use crate::network::NetworkSpec;
use crate::plan::Plan;
use crate::run::human;

/// Show what a sweep would run, and what it would cost
///
/// Expands the sweep file and counts networks, rows, bytes and work. Nothing is run and, without -o, nothing written.
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

/// Work per second of the CPU engine on one core, for a first idea of the time.
const FLOPS_PER_CORE: f64 = 15e9;

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let (file, _) = args.sweep.parse()?;
    let plan = Plan::new(&file)?;
    match &args.output {
        Some(path) if path.as_os_str() == "-" => {
            write_networks(&plan, &mut std::io::BufWriter::new(std::io::stdout()))?;
            return Ok(Exit::Done);
        }
        Some(path) => {
            let failed = |e: std::io::Error| Failure::new(Exit::Disk, format!("cannot write {}: {e}", path.display()));
            let file = std::fs::File::create(path).map_err(failed)?;
            write_networks(&plan, &mut std::io::BufWriter::new(file)).map_err(failed)?;
            console.status("Wrote", &path.display().to_string());
        }
        None => {}
    }
    let mut out = console.out();
    let networks = plan.bucket_order.len() as u64;
    let rows: u64 = plan.chunks.iter().map(|c| c.rows).sum();
    let flops: f64 = plan.chunks.iter().map(|c| c.flops).sum();
    let mut keys: Vec<_> = plan.chunks.iter().map(|c| c.key).collect();
    keys.sort();
    keys.dedup();
    let (per_sweep, memory) = totals(&plan);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = flops / (FLOPS_PER_CORE * cores as f64);
    let bytes = plan.total_bytes() as f64;
    let varying: Vec<&str> = plan.varying.iter().map(|key| key.name()).collect();
    if console.json {
        let sweeps: Vec<_> = plan
            .sweeps
            .iter()
            .zip(&per_sweep)
            .map(|(name, (n, r, f))| json!({ "name": name, "networks": n, "rows": r, "flops": f }))
            .collect();
        let value = json!({
            "name": plan.name, "seed": plan.seed, "networks": networks, "rows": rows, "flops": flops,
            "bytes": bytes.round(), "shapes": keys.len(), "chunks": plan.chunks.len(), "sweeps": sweeps,
            "varying": varying, "columns": plan.record.columns, "largest_network_bytes": memory,
            "cpu_seconds": seconds, "notes": plan.notes,
        });
        writeln!(out, "{value:#}")?;
        return Ok(Exit::Done);
    }
    writeln!(out, "{BOLD}{}{BOLD:#}  seed {}", plan.name, plan.seed)?;
    writeln!(out)?;
    let mut lines = vec![vec![left("sweep"), right("networks"), right("rows"), right("work")]];
    for (name, (n, r, f)) in plan.sweeps.iter().zip(&per_sweep).filter(|(_, (n, _, _))| *n > 0) {
        lines.push(vec![left(name), right(human::count(*n)), right(human::count(*r)), right(human::flops(*f))]);
    }
    lines.push(vec![
        left("total"),
        right(human::count(networks)),
        right(human::count(rows)),
        right(human::flops(flops)),
    ]);
    table::lines(&lines, 2).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out)?;
    let facts = [
        ("varying keys", if varying.is_empty() { "none".to_string() } else { varying.join(", ") }),
        ("columns", format!("{} statistics", plan.record.columns.len())),
        ("layers.csv", format!("about {}", human::bytes(bytes))),
        (
            "shapes",
            format!("{}, in {}", human::count(keys.len() as u64), human::plural(plan.chunks.len() as u64, "chunk")),
        ),
        ("memory", format!("about {} for the largest network", human::bytes(memory))),
        (
            "time",
            format!(
                "roughly {} on the CPU engine with {}",
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

/// Networks, rows and work of each sweep, and the memory of the largest network.
fn totals(plan: &Plan) -> (Vec<(u64, u64, f64)>, f64) {
    let empty = || (vec![(0, 0, 0.0); plan.sweeps.len()], 0.0);
    // Sums of whole numbers below 2^53: their order does not matter.
    (0..plan.len())
        .into_par_iter()
        .fold(empty, |(mut sweeps, memory), index| {
            let network = plan.network(index);
            let entry: &mut (u64, u64, f64) = &mut sweeps[network.sweep as usize];
            entry.0 += 1;
            entry.1 += recorded_rows(plan, &network.spec);
            entry.2 += network.spec.flops();
            (sweeps, f64::max(memory, network_bytes(&network.spec)))
        })
        .reduce(empty, |(mut a, x), (b, y)| {
            for (a, b) in a.iter_mut().zip(b) {
                *a = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            }
            (a, f64::max(x, y))
        })
}

/// Rows of `layers.csv` of one network.
fn recorded_rows(plan: &Plan, spec: &NetworkSpec) -> u64 {
    (0..spec.rows()).filter(|&layer| plan.record.layers.contains(layer)).count() as u64
}

/// Tensors of one network in f32: weights and their gradients, and what the backward pass needs of every layer.
fn network_bytes(spec: &NetworkSpec) -> f64 {
    let activations = f64::from(spec.batch_size) * f64::from(spec.width) * f64::from(spec.depth);
    4.0 * (spec.params() + 3.0 * activations)
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
            "index": network.index, "network": network.network_id, "configuration": network.configuration_id,
            "sweep": plan.sweeps[network.sweep as usize], "replicate": network.replicate,
            "seed": network.spec.seed, "keys": keys,
        });
        write!(out, "{comma}\n{line}")?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}
