//! `layers.csv`: one row per network, recorded step and layer. The column order is known from the plan, before the
//! first network has run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fields::Field;
use super::text::{header, push_cell, push_int, push_text, push_value};
use crate::config::Key;
use crate::engine::{LayerSelection, NetworkResult};
use crate::network::spec::LayerKind;
use crate::plan::{Plan, PlannedNetwork, RecordPlan};
use crate::stats::catalog::{self, RowContext, StatisticRow};

/// Formats rows of `layers.csv`.
#[derive(Clone, Debug)]
pub struct LayersWriter {
    sweeps: Vec<String>,
    varying: Vec<Key>,
    layers: LayerSelection,
    columns: Vec<&'static StatisticRow>,
    /// Of the network formatted last, to reserve memory by; 0 before the first one.
    row_bytes: Arc<AtomicUsize>,
}

/// The columns before the varying keys.
const FIXED: [Field; 9] = [
    Field::new("network", "string", "id of the network"),
    Field::new("configuration", "string", "id of all keys but the replicate"),
    Field::new("sweep", "string", "name of the sweep"),
    Field::new("replicate", "integer", "number of the independent draw"),
    Field::new("step", "integer", "training step; 0 = at initialisation"),
    Field::new("layer", "integer", "0 = input, 1 = nearest the input"),
    Field::new("layer_kind", "string", "input, hidden or readout"),
    Field::new("fan_in", "integer", "inputs of the layer's weights"),
    Field::new("fan_out", "integer", "outputs of the layer's weights"),
];

impl LayersWriter {
    pub fn new(plan: &Plan) -> Self {
        LayersWriter::of(&plan.sweeps, &plan.varying, &plan.record)
    }

    /// From the parts of a plan that decide the table.
    pub fn of(sweeps: &[String], varying: &[Key], record: &RecordPlan) -> Self {
        let find = |name: &String| catalog::find(name).expect("the plan takes its columns from the catalog");
        LayersWriter {
            sweeps: sweeps.to_vec(),
            varying: varying.to_vec(),
            layers: record.layers.clone(),
            columns: record.columns.iter().map(find).collect(),
            row_bytes: Arc::default(),
        }
    }

    /// All columns, in order.
    pub fn fields(&self) -> Vec<Field> {
        let keys = self.varying.iter().map(|key| Field::of_key(key.name(), *key));
        FIXED.into_iter().chain(keys).chain(self.columns.iter().map(|row| Field::of_statistic(row))).collect()
    }

    /// The header line.
    pub fn header(&self) -> Vec<u8> {
        header(&self.fields())
    }

    /// The rows that engines must record: those of the plan, and the rows after them where a formula looks at these.
    pub fn recorded_layers(&self) -> LayerSelection {
        catalog::layers_for(&self.columns, &self.layers)
    }

    /// Appends the rows of one network, and returns their number. The rows of `result` are in the order that the engine
    /// promises.
    pub fn append_network(&self, planned: &PlannedNetwork, result: &NetworkResult, out: &mut Vec<u8>) -> u64 {
        let (prefix, keys) = self.repeated(planned);
        let start = out.len();
        let row_bytes = self.row_bytes.load(Ordering::Relaxed);
        // Floats take up to 17 digits, and many cells are shorter: as the rows before were.
        out.reserve(result.rows.len() * if row_bytes > 0 { row_bytes } else { 15 * self.columns.len() });
        let mut rows = 0;
        for (i, row) in result.rows.iter().enumerate() {
            if !self.layers.contains(row.layer) {
                continue;
            }
            let next = result.rows.get(i + 1).filter(|n| n.step == row.step && n.layer == row.layer + 1);
            let spec = &planned.spec;
            let kind = spec.layer_kind(row.layer);
            out.extend_from_slice(&prefix);
            push_int(out, row.step.into());
            out.push(b',');
            push_int(out, row.layer.into());
            out.push(b',');
            out.extend_from_slice(kind.name().as_bytes());
            if kind == LayerKind::Input {
                out.extend_from_slice(b",,");
            } else {
                out.push(b',');
                push_int(out, spec.fan_in(row.layer).into());
                out.push(b',');
                push_int(out, spec.fan_out(row.layer).into());
            }
            out.extend_from_slice(&keys);
            let context = RowContext { spec, layer: row.layer, this: &row.record, next: next.map(|n| &n.record) };
            for column in &self.columns {
                out.push(b',');
                push_cell(out, column.cell(&context));
            }
            out.push(b'\n');
            rows += 1;
        }
        if rows > 0 {
            // With a fiftieth to spare.
            let mean = (out.len() - start) / rows as usize;
            self.row_bytes.store(mean + mean / 50 + 1, Ordering::Relaxed);
        }
        rows
    }

    /// What all rows of a network share: the columns up to `step`, and those of the varying keys.
    fn repeated(&self, planned: &PlannedNetwork) -> (Vec<u8>, Vec<u8>) {
        let (mut prefix, mut keys) = (Vec::with_capacity(128), Vec::with_capacity(128));
        push_text(&mut prefix, &planned.network_id);
        prefix.push(b',');
        push_text(&mut prefix, &planned.configuration_id);
        prefix.push(b',');
        push_text(&mut prefix, self.sweeps.get(planned.sweep as usize).map_or("", String::as_str));
        prefix.push(b',');
        push_int(&mut prefix, planned.replicate.into());
        prefix.push(b',');
        for key in &self.varying {
            keys.push(b',');
            push_value(&mut keys, planned.value(*key));
        }
        (prefix, keys)
    }
}
