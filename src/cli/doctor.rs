//! `gradsweep doctor`: every engine of this machine against the float64 CPU engine, with numbers.

use std::io::Write;

use serde_json::json;

use super::console::{BOLD, Console, GREEN, RED};
use super::exit::{Exit, Failure};
use super::table::{self, left, right};
use crate::config::{Overrides, SweepFile};
use crate::engine::check::{self, Comparison, Deviation};
use crate::engine::select::{self, DeviceInfo, DeviceSelection};
use crate::engine::{Engine, EngineError, EngineInfo, Precision};
use crate::plan::Plan;

/// Check every engine against the float64 CPU engine
///
/// Runs over a hundred small networks (every activation, initialisation, norm, residual form, loss and input, odd shapes,
/// extreme scales) on each device, compares the loss and the norms and quantiles of all tensors in every row with
/// the float64 CPU engine's, and prints one line per check: the largest relative error beside what rounding explains, and the
/// largest one of a quantile beside what the bins of its histogram explain. Exit code 1 if a check fails.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep doctor                      the CPU engine and every adapter, software adapters too
  gradsweep doctor --device llvmpipe")]
pub struct Args {
    /// Check only this device (see `gradsweep devices`)
    #[arg(long, env = "GRADSWEEP_DEVICE", value_name = "DEVICE")]
    device: Option<DeviceSelection>,
    /// Spoil a norm by one part in a hundred and a quantile by an octave: two checks of every engine must then fail
    #[arg(long, hide = true)]
    inject_fault: bool,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let devices = match &args.device {
        Some(selection) => select::choose(selection, &select::devices_for(selection))?,
        None => select::devices(),
    };
    let file = SweepFile::parse(&check::sweep(), "doctor", &Overrides::default())?;
    let plan = Plan::new(&file)?;
    let cpu = select::choose(&DeviceSelection::Cpu, &select::devices_for(&DeviceSelection::Cpu))?;
    let reference = {
        let mut oracle = select::open_device(&cpu[0], Precision::F64, None)?;
        check::results(&mut *oracle, &plan)?
    };
    let mut out = console.out();
    let mut failures = 0;
    let mut report = Vec::new();
    for device in &devices {
        if !console.json {
            // Before the work: a software adapter takes minutes on a busy machine.
            writeln!(out, "{BOLD}{} ({}){BOLD:#}, f32, against cpu f64", device.name, device.kind)?;
            out.flush()?;
        }
        let outcome = examine(device, &plan, args.inject_fault)
            .map(|(info, results)| (info, check::compare(&plan, &reference, &results)));
        match outcome {
            Ok((EngineInfo { label, notes, .. }, comparisons)) => {
                failures += comparisons.iter().filter(|c| !c.passed()).count();
                if !console.json {
                    lines(&plan, &comparisons).iter().try_for_each(|line| writeln!(out, "{line}"))?;
                    notes.iter().try_for_each(|note| writeln!(out, "  {note}"))?;
                }
                let checks: Vec<_> = comparisons.iter().map(to_json).collect();
                report.push(json!({ "device": label, "checks": checks, "notes": notes }));
            }
            Err(error) => {
                failures += 1;
                if !console.json {
                    writeln!(out, "  {RED}FAIL{RED:#}  {error}")?;
                }
                let device = format!("{} ({})", device.name, device.kind);
                report.push(json!({ "device": device, "error": error.to_string() }));
            }
        }
    }
    if console.json {
        writeln!(out, "{:#}", json!(report))?;
    } else if failures == 0 {
        writeln!(out, "{GREEN}all checks passed{GREEN:#}")?;
    } else {
        writeln!(out, "{RED}{failures} failed{RED:#}")?;
    }
    out.flush()?;
    Ok(if failures == 0 { Exit::Done } else { Exit::Failed })
}

fn examine(device: &DeviceInfo, plan: &Plan, inject_fault: bool) -> Result<(EngineInfo, check::Results), EngineError> {
    let mut engine: Box<dyn Engine> = select::open_device(device, Precision::F32, None)?;
    let mut results = check::results(&mut *engine, plan)?;
    if inject_fault {
        check::spoil(&mut results);
    }
    Ok((engine.info().clone(), results))
}

/// One line per check; under a failed one, which network it was.
fn lines(plan: &Plan, comparisons: &[Comparison]) -> Vec<String> {
    let row = |c: &Comparison| {
        let mark = if c.passed() { left("ok").style(GREEN) } else { left("FAIL").style(RED) };
        let what = match &c.fault {
            Some((_, fault)) => fault.clone(),
            None => {
                let of = |worst: &Deviation| format!("{:.1e} of {:.1e} allowed", worst.error, worst.tolerance);
                let text = |worst: &Deviation| format!("{}: {}", of(worst), worst.place);
                match c.fails_by_quantiles() {
                    false => format!("worst {}; quantiles {}", text(&c.worst), of(&c.worst_quantile)),
                    true => format!("worst {}", text(&c.worst_quantile)),
                }
            }
        };
        vec![mark, left(&c.name), right(c.networks.to_string()), left("networks"), left(what)]
    };
    let lines = table::lines(&comparisons.iter().map(row).collect::<Vec<_>>(), 2);
    let culprit = |c: &Comparison| {
        let worst = if c.fails_by_quantiles() { &c.worst_quantile } else { &c.worst };
        let network = c.fault.as_ref().map_or(worst.network, |(network, _)| *network);
        (!c.passed()).then(|| format!("        network {network}: {}", plan.configuration(network)))
    };
    lines.into_iter().zip(comparisons).flat_map(|(line, c)| [Some(line), culprit(c)]).flatten().collect()
}

fn to_json(c: &Comparison) -> serde_json::Value {
    json!({
        "check": c.name, "networks": c.networks, "passed": c.passed(), "error": c.worst.error,
        "tolerance": c.worst.tolerance, "place": c.worst.place, "network": c.worst.network,
        "quantile_error": c.worst_quantile.error, "quantile_tolerance": c.worst_quantile.tolerance,
        "quantile_place": c.worst_quantile.place, "quantile_network": c.worst_quantile.network,
        "fault": c.fault.as_ref().map(|(_, fault)| fault),
    })
}
