//! `theory.csv`: what theory predicts of every configuration, layer by layer. A function of the plan alone, made a block
//! of configurations at a time, so that its size does not matter.

use std::io;

use rayon::prelude::*;

use super::fields::Field;
use super::text::{header, push_float, push_int, push_optional, push_text, push_value};
use crate::config::Key;
use crate::engine::LayerSelection;
use crate::plan::{Plan, PlannedNetwork};
use crate::theory::columns::{LAYER_COLUMNS, LayerColumn, NETWORK_COLUMNS, NetworkColumn, NetworkTheory, TheoryCell};
use crate::theory::predict;

/// Configurations formatted at one time.
const BLOCK: usize = 512;

/// Formats rows of `theory.csv`.
#[derive(Clone)]
pub struct TheoryWriter {
    sweeps: Vec<String>,
    varying: Vec<Key>,
    layers: LayerSelection,
    columns: Vec<&'static LayerColumn>,
    summary: Vec<&'static NetworkColumn>,
}

const CONFIGURATION: Field = Field::new("configuration", "string", "id of all keys but the replicate");
const SWEEP: Field = Field::new("sweep", "string", "name of the sweep that plans it first");
const LAYER: Field = Field::new("layer", "integer", "0 = input, 1 = nearest the input");
const LAYER_KIND: Field = Field::new("layer_kind", "string", "input, hidden or readout");

impl TheoryWriter {
    pub fn new(plan: &Plan) -> Self {
        TheoryWriter {
            sweeps: plan.sweeps.clone(),
            varying: plan.varying.clone(),
            layers: plan.record.layers.clone(),
            columns: LAYER_COLUMNS.iter().filter(|column| (column.exists)(&plan.known)).collect(),
            summary: NETWORK_COLUMNS.iter().filter(|c| (c.exists)(&plan.known) && !c.compares).collect(),
        }
    }

    fn keys(&self) -> impl Iterator<Item = Field> {
        self.varying.iter().map(|key| Field::of_key(key.name(), *key))
    }

    /// All columns, in order.
    pub fn fields(&self) -> Vec<Field> {
        let predicted = self.columns.iter().map(|c| Field { unit: c.unit, ..Field::new(c.name, "number", c.doc) });
        [CONFIGURATION, SWEEP, LAYER, LAYER_KIND].into_iter().chain(self.keys()).chain(predicted).collect()
    }

    /// The columns of the shorter table, one row per configuration.
    pub fn summary_fields(&self) -> Vec<Field> {
        let predicted = self.summary.iter().map(|column| predicted_field(column));
        [CONFIGURATION, SWEEP].into_iter().chain(self.keys()).chain(predicted).collect()
    }

    /// Hands the whole table to `out` in blocks, header first, and returns the number of its rows.
    pub fn write(&self, plan: &Plan, out: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
        self.blocks(plan, &self.fields(), |network, out| self.append_layers(network, out), out)
    }

    /// The same for the table with one row per configuration.
    pub fn write_summary(&self, plan: &Plan, out: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
        self.blocks(plan, &self.summary_fields(), |network, out| self.append_summary(network, out), out)
    }

    fn blocks(
        &self,
        plan: &Plan,
        fields: &[Field],
        append: impl Fn(&PlannedNetwork, &mut Vec<u8>) + Sync,
        mut out: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        out(&header(fields))?;
        let mut rows = 0;
        let mut configurations = plan.configurations();
        loop {
            let block: Vec<u64> = configurations.by_ref().take(BLOCK).collect();
            if block.is_empty() {
                return Ok(rows);
            }
            let format = |&index: &u64| {
                let mut bytes = Vec::new();
                append(&plan.network(index), &mut bytes);
                bytes
            };
            for bytes in block.par_iter().map(format).collect::<Vec<_>>() {
                rows += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
                out(&bytes)?;
            }
        }
    }

    fn append_start(&self, planned: &PlannedNetwork, out: &mut Vec<u8>) {
        push_text(out, &planned.configuration_id);
        out.push(b',');
        push_text(out, self.sweeps.get(planned.sweep as usize).map_or("", String::as_str));
    }

    fn append_keys(&self, planned: &PlannedNetwork, out: &mut Vec<u8>) {
        for key in &self.varying {
            out.push(b',');
            push_value(out, planned.value(*key));
        }
    }

    fn append_layers(&self, planned: &PlannedNetwork, out: &mut Vec<u8>) {
        let spec = &planned.spec;
        let prediction = predict(spec);
        let (mut start, mut keys) = (Vec::new(), Vec::new());
        self.append_start(planned, &mut start);
        self.append_keys(planned, &mut keys);
        for layer in (0..spec.rows()).filter(|&layer| self.layers.contains(layer)) {
            out.extend_from_slice(&start);
            out.push(b',');
            push_int(out, layer.into());
            out.push(b',');
            out.extend_from_slice(spec.layer_kind(layer).name().as_bytes());
            out.extend_from_slice(&keys);
            for column in &self.columns {
                out.push(b',');
                push_optional(out, column.value(&prediction, layer));
            }
            out.push(b'\n');
        }
    }

    fn append_summary(&self, planned: &PlannedNetwork, out: &mut Vec<u8>) {
        let theory = NetworkTheory::of(&planned.spec);
        self.append_start(planned, out);
        self.append_keys(planned, out);
        for column in &self.summary {
            out.push(b',');
            push_theory(out, column.value(&theory, None));
        }
        out.push(b'\n');
    }
}

/// A predicted column of `networks.csv`.
pub fn predicted_field(column: &'static NetworkColumn) -> Field {
    match column.unit {
        "word" => Field::new(column.name, "string", column.doc),
        unit => Field { unit, ..Field::new(column.name, "number", column.doc) },
    }
}

pub fn push_theory(out: &mut Vec<u8>, cell: TheoryCell) {
    match cell {
        // Adding 0 turns -0.0 into 0.0.
        TheoryCell::Number(value) => value.into_iter().for_each(|v| push_float(out, v + 0.0)),
        TheoryCell::Phase(phase) => out.extend_from_slice(phase.map_or("", |phase| phase.name()).as_bytes()),
    }
}
