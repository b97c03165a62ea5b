//! Reads a run directory: the manifest for what was planned, the two tables in one pass each, and the predictions where
//! there are any.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::data::{Run, metric};
use super::networks::Index;
use super::seek::Ordered;
use super::{ReportError, edge, glance as look, layers, networks};
use crate::output::ReadError;
use crate::run::human;
use crate::store::{Manifest, State};

/// How much of a run the figures hold.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Layers of configurations with curves.
    pub curve_points: u64,
    /// Layers of configurations with distributions: each is fifteen numbers.
    pub distribution_points: u64,
}

impl Budget {
    /// A page that opens at once: some 5 MB of numbers.
    pub const PAGE: Budget = Budget { curve_points: 120_000, distribution_points: 20_000 };
    /// Everything, for a picture of a few configurations.
    pub const PLOT: Budget = Budget { curve_points: 4_000_000, distribution_points: 0 };
}

/// Layers of `layers.csv` that are read for a look: a tenth of a second, more than it draws.
const GLANCE_LAYERS: u32 = 1 << 14;

/// Reads the run in `directory`.
pub fn read(directory: &Path, budget: Budget) -> Result<Run, ReportError> {
    let (mut run, index) = read_networks(directory)?;
    run.notes.push(aggregation(&run));
    read_layers(directory, &index, budget, &mut run)?;
    run.edges = edge::edges(&run);
    run.threshold = threshold(&run);
    Ok(run)
}

/// A look at the run in `directory`, as lines of text; empty where there is nothing to see. It reads `networks.csv` and, of
/// `layers.csv`, the rows of a few networks.
pub fn glance(directory: &Path, style: look::Style) -> Result<Vec<String>, ReportError> {
    let (mut run, mut index) = read_networks(directory)?;
    let Some(mut chosen) = look::choose(&run) else { return Ok(Vec::new()) };
    // Layers that are not looked at take no room.
    let mut depths = vec![0; index.depths.len()];
    chosen.lines.iter().for_each(|c| depths[*c] = index.depths[*c]);
    index.depths = depths;
    let layers: u32 = index.depths.iter().sum();
    let seeds = (GLANCE_LAYERS / layers.max(1)).max(1);
    chosen.seeds = Some(seeds);
    if let Some(file) = open(&directory.join("layers.csv"))? {
        let path = || directory.join("layers.csv");
        let failed = |source| ReportError::Disk { action: "read", path: path(), source };
        let wanted = first_networks(&run, &chosen.lines, seeds);
        let found = match Ordered::new(file, &index.networks).map_err(failed)? {
            Some(mut table) => table.rows(wanted).map_err(failed)?,
            None => None,
        };
        if let Some(rows) = found {
            table("layers.csv", directory, layers::read(&rows[..], &index, Budget::PAGE, &mut run))?;
        }
    }
    Ok(look::draw(&run, &chosen, style))
}

/// Positions of the first networks of these configurations, in runs.
fn first_networks(run: &Run, configurations: &[usize], most: u32) -> Vec<Range<u32>> {
    let mut left = vec![0; run.configurations.len()];
    configurations.iter().for_each(|c| left[*c] = most);
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for (position, c) in (0u32..).zip(&run.networks.configuration) {
        let left = &mut left[*c as usize];
        if *left == 0 {
            continue;
        }
        *left -= 1;
        match ranges.last_mut() {
            Some(range) if range.end == position => range.end += 1,
            _ => ranges.push(position..position + 1),
        }
    }
    ranges
}

/// The run as `networks.csv` and the manifest tell it.
fn read_networks(directory: &Path) -> Result<(Run, Index), ReportError> {
    let manifest = manifest(directory)?;
    let mut run = Run { name: name(directory, manifest.as_ref()), ..Run::default() };
    let Some(file) = open(&directory.join("networks.csv"))? else {
        return Err(without_tables(directory, manifest.as_ref()));
    };
    let index = table("networks.csv", directory, networks::read(file, &mut run))?;
    let found = run.networks.id.len() as u64;
    if found == 0 {
        let file = directory.join("networks.csv");
        return Err(ReportError::NoRun(format!("{}: has no networks, so there is nothing to show", file.display())));
    }
    if let Some(manifest) = &manifest {
        keep_chosen(&mut run, &manifest.identity.varying);
    }
    let planned = manifest.as_ref().map_or(found, |m| m.identity.networks);
    if found < planned {
        run.notes.push(format!(
            "this run is not complete: the page shows {} of {}",
            human::count(found),
            human::plural(planned, "network")
        ));
    }
    Ok((run, index))
}

/// Of the keys with several values those that the sweep file varies: others, like the input size that is the width,
/// follow from them.
fn keep_chosen(run: &mut Run, varying: &[String]) {
    let keys = &run.keys;
    let key_of = |column: &str| if column == "loss_function" { "loss" } else { column }.to_string();
    run.varying.retain(|k| keys[*k].name == "sweep" || varying.contains(&key_of(&keys[*k].name)));
}

fn read_layers(directory: &Path, index: &Index, budget: Budget, run: &mut Run) -> Result<(), ReportError> {
    match open(&directory.join("layers.csv"))? {
        Some(file) => table("layers.csv", directory, layers::read(file, index, budget, run))?,
        None => run.notes.push("there is no layers.csv, so the figures over layers are left out".to_string()),
    }
    if let Some(file) = open(&directory.join("theory.csv"))? {
        table("theory.csv", directory, layers::read_theory(file, index, run))?;
    }
    Ok(())
}

fn table<T>(name: &str, directory: &Path, result: Result<T, ReadError>) -> Result<T, ReportError> {
    result.map_err(|e| ReportError::Table { path: directory.join(name), reason: e.to_string() })
}

/// An open file, or `None` where there is none.
fn open(path: &Path) -> Result<Option<File>, ReportError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Disk { action: "read", path: path.to_path_buf(), source }),
    }
}

/// The manifest, if there is one; a run without it still has its tables.
fn manifest(directory: &Path) -> Result<Option<Manifest>, ReportError> {
    let path: PathBuf = directory.join("manifest.json");
    if !directory.is_dir() {
        return Err(ReportError::NoRun(format!("{}: there is no such directory", directory.display())));
    }
    let Some(file) = open(&path)? else { return Ok(None) };
    let manifest = serde_json::from_reader(io::BufReader::new(file));
    manifest.map(Some).map_err(|e| ReportError::Table { path, reason: format!("not readable ({e})") })
}

fn name(directory: &Path, manifest: Option<&Manifest>) -> String {
    let folder = || directory.canonicalize().ok()?.file_name().map(|n| n.to_string_lossy().into_owned());
    manifest.map(|m| m.identity.name.clone()).or_else(folder).unwrap_or_else(|| "run".to_string())
}

fn without_tables(directory: &Path, manifest: Option<&Manifest>) -> ReportError {
    let shown = directory.display();
    match manifest {
        Some(m) if m.state == State::Running => ReportError::Unfinished(format!(
            "{shown}: this run is unfinished ({} of {} networks are done), and its tables appear at the end; run the \
             same `gradsweep run` again to finish it",
            human::count(m.counts.networks),
            human::count(m.identity.networks)
        )),
        _ => ReportError::NoRun(format!("{shown}: no networks.csv here; name the directory of a finished run")),
    }
}

/// What the page aggregates, in a sentence.
fn aggregation(run: &Run) -> String {
    let (networks, configurations) = (run.networks.id.len() as u64, run.configurations.len() as u64);
    let most = run.configurations.iter().map(|c| c.networks).max().unwrap_or(0);
    let networks = human::plural(networks, "network");
    if most < 2 {
        return format!("{networks}, one per configuration: there are no bands over seeds");
    }
    format!(
        "{networks} in {}: figures show medians over the seeds of a configuration (up to {most}) with bands from the \
         10 % to the 90 % quantile; networks whose gradient is exactly zero count as lowest and are counted beside; \
         different configurations are never averaged together",
        human::plural(configurations, "configuration")
    )
}

/// The verdict's threshold, from max_trainable_depth = 1 + threshold / |grad_decades_per_layer|.
fn threshold(run: &Run) -> Option<f64> {
    let [slopes, depths] =
        ["grad_decades_per_layer", "max_trainable_depth"].map(|name| &run.networks.metrics[metric(name)]);
    let pairs = slopes.iter().zip(depths).filter_map(|(s, d)| Some((s.get()?, d.get()?)));
    let mut thresholds: Vec<f64> = pairs.map(|(slope, depth)| (depth - 1.0) * slope.abs()).collect();
    thresholds.sort_by(f64::total_cmp);
    let middle = thresholds.get(thresholds.len() / 2)?;
    Some((middle * 1e6).round() / 1e6)
}
