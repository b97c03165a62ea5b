//! A finished run, read back whole: cells of its tables by network, configuration and layer. For runs that fit into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::output::{TableReader, TableRow};

/// One network of a run.
#[derive(Clone, Debug, Default)]
pub struct ReadNetwork {
    /// Cells of networks.csv; empty ones are left out.
    pub cells: HashMap<String, String>,
    /// Cells of layers.csv by layer, in the order of [`ReadRun::layer_columns`]; NaN where empty or no number.
    pub layers: HashMap<u32, Vec<f64>>,
}

/// A run, read back.
#[derive(Clone, Debug, Default)]
pub struct ReadRun {
    pub layer_columns: Vec<String>,
    pub theory_columns: Vec<String>,
    pub networks: Vec<ReadNetwork>,
    /// Cells of theory.csv by configuration and layer.
    pub theory: HashMap<(String, u32), Vec<f64>>,
}

/// Hands each row to `visit` with the header, which it returns.
fn rows(path: &Path, mut visit: impl FnMut(&[String], TableRow)) -> io::Result<Vec<String>> {
    let named = |error: &dyn std::fmt::Display| io::Error::other(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|e| named(&e))?;
    let mut table = TableReader::new(file).map_err(|e| named(&e))?;
    let header = table.header().to_vec();
    while let Some(row) = table.next_row().map_err(|e| named(&e))? {
        visit(&header, row);
    }
    Ok(header)
}

fn place(header: &[String], column: &str) -> Option<usize> {
    header.iter().position(|name| name == column)
}

fn numbers(header: &[String], row: TableRow) -> Vec<f64> {
    (0..header.len()).map(|i| row.number(Some(i)).unwrap_or(f64::NAN)).collect()
}

/// Reads the tables of a run directory.
pub fn read_run(directory: &Path) -> io::Result<ReadRun> {
    let mut run = ReadRun::default();
    let mut places = HashMap::new();
    rows(&directory.join("networks.csv"), |header, row| {
        let cells = header.iter().enumerate().map(|(i, name)| (name.clone(), row.text(Some(i)).into_owned()));
        let cells: HashMap<String, String> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
        places.insert(row.text(place(header, "network")).into_owned(), run.networks.len());
        run.networks.push(ReadNetwork { cells, layers: HashMap::new() });
    })?;
    run.layer_columns = rows(&directory.join("layers.csv"), |header, row| {
        let network = places.get(row.text(place(header, "network")).as_ref()).copied();
        if let (Some(network), Some(layer)) = (network, row.integer(place(header, "layer"))) {
            run.networks[network].layers.insert(layer as u32, numbers(header, row));
        }
    })?;
    let mut theory = HashMap::new();
    run.theory_columns = rows(&directory.join("theory.csv"), |header, row| {
        if let Some(layer) = row.integer(place(header, "layer")) {
            let configuration = row.text(place(header, "configuration")).into_owned();
            theory.insert((configuration, layer as u32), numbers(header, row));
        }
    })?;
    run.theory = theory;
    Ok(run)
}
