//! `gradsweep devices`: what this machine can compute on.

use std::io::Write;

use serde_json::json;

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::table::{self, left};
use crate::engine::select::{self, DeviceInfo, DeviceSelection};

/// List the devices of this machine
///
/// The marked device is the one that `--device auto` takes: a hardware GPU if there is one, else the CPU engine.
/// Software adapters run only when they are named.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep devices
  gradsweep run sweep.toml --device index:0
  gradsweep run sweep.toml --device llvmpipe")]
pub struct Args {}

pub fn run(_: &Args, console: &Console) -> Result<Exit, Failure> {
    let devices = select::devices();
    let auto = select::choose(&DeviceSelection::Auto, &devices)?;
    let is_auto = |device: &DeviceInfo| auto.contains(device);
    let mut out = console.out();
    if console.json {
        let list: Vec<_> = devices
            .iter()
            .map(|d| {
                json!({
                    "device": selector(d), "name": d.name, "kind": d.kind, "backend": d.backend,
                    "pci_bus": d.pci_bus, "driver": d.driver, "auto": is_auto(d),
                })
            })
            .collect();
        writeln!(out, "{:#}", json!(list))?;
        return Ok(Exit::Done);
    }
    let head = ["", "--device", "name", "kind", "backend", "pci bus", "driver"];
    let mut rows = vec![head.iter().map(|h| left(*h).style(BOLD)).collect::<Vec<_>>()];
    for device in &devices {
        rows.push(vec![
            left(if is_auto(device) { "*" } else { "" }),
            left(selector(device)),
            left(&device.name),
            left(&device.kind),
            left(&device.backend),
            left(&device.pci_bus),
            left(&device.driver),
        ]);
    }
    table::lines(&rows, 0).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    Ok(Exit::Done)
}

fn selector(device: &DeviceInfo) -> String {
    device.index.map_or("cpu".to_string(), |k| format!("index:{k}"))
}
