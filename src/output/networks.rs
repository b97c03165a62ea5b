//! `networks.csv`: one row per network, with its whole configuration, what became of it, and the summary of its
//! gradients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::fields::Field;
use super::text::{header, push_int, push_optional, push_text, push_value};
use super::theory::{predicted_field, push_theory};
use crate::config::Key;
use crate::engine::NetworkResult;
use crate::plan::{Plan, PlannedNetwork};
use crate::stats::summary::{COLUMNS, Summary, Verdict, summarise};
use crate::theory::Known;
use crate::theory::columns::{NETWORK_COLUMNS, NetworkColumn, NetworkTheory};

/// Formats rows of `networks.csv`.
#[derive(Clone)]
pub struct NetworksWriter {
    sweeps: Vec<String>,
    verdict_decades: f64,
    predicted: Vec<&'static NetworkColumn>,
    theory: Theories,
}

/// What theory says of the configurations asked for last: replicates come together. Shared by all threads.
#[derive(Clone, Debug, Default)]
struct Theories(Arc<Mutex<HashMap<String, NetworkTheory>>>);

/// Configurations remembered.
const KEPT: usize = 8192;

impl Theories {
    fn of(&self, planned: &PlannedNetwork) -> NetworkTheory {
        if let Ok(known) = self.0.lock()
            && let Some(theory) = known.get(&*planned.configuration_id)
        {
            return *theory;
        }
        let theory = NetworkTheory::of(&planned.spec);
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(planned.configuration_id.to_string(), theory);
        }
        theory
    }
}

const IDENTITY: [Field; 6] = [
    Field::new("network", "string", "id of the network"),
    Field::new("configuration", "string", "id of all keys but the replicate"),
    Field::new("index", "integer", "position in plan order"),
    Field::new("sweep", "string", "name of the sweep"),
    Field::new("replicate", "integer", "number of the independent draw"),
    Field::new("seed", "integer", "53-bit key of every random number of the network"),
];

/// The column of a key. `loss` is the value of the loss here, so the key of that name is `loss_function`.
fn key_column(key: Key) -> &'static str {
    if key == Key::Loss { "loss_function" } else { key.name() }
}

impl NetworksWriter {
    pub fn new(plan: &Plan) -> Self {
        NetworksWriter::of(&plan.sweeps, plan.verdict_decades, &plan.known)
    }

    /// From the parts of a plan that decide the table.
    pub fn of(sweeps: &[String], verdict_decades: f64, known: &Known) -> Self {
        let predicted = NETWORK_COLUMNS.iter().filter(|column| (column.exists)(known)).collect();
        NetworksWriter { sweeps: sweeps.to_vec(), verdict_decades, predicted, theory: Theories::default() }
    }

    /// Names of the columns that theory fills.
    pub fn predicted(&self) -> Vec<&'static str> {
        self.predicted.iter().map(|column| column.name).collect()
    }

    /// All columns, in order.
    pub fn fields(&self) -> Vec<Field> {
        let keys = Key::ALL.iter().map(|key| Field::of_key(key_column(*key), *key));
        let summary = COLUMNS.iter().map(|&(name, unit, doc)| match unit {
            "word" | "text" => Field::new(name, "string", doc),
            _ => Field { unit, ..Field::new(name, "number", doc) },
        });
        let predicted = self.predicted.iter().map(|column| predicted_field(column));
        IDENTITY.into_iter().chain(keys).chain(summary).chain(predicted).collect()
    }

    /// The header line.
    pub fn header(&self) -> Vec<u8> {
        header(&self.fields())
    }

    /// Appends the row of one network and returns its summary.
    pub fn append_network(&self, planned: &PlannedNetwork, result: &NetworkResult, out: &mut Vec<u8>) -> Summary {
        let summary = summarise(&planned.spec, result, self.verdict_decades);
        push_text(out, &planned.network_id);
        out.push(b',');
        push_text(out, &planned.configuration_id);
        out.push(b',');
        push_int(out, planned.index);
        out.push(b',');
        push_text(out, self.sweeps.get(planned.sweep as usize).map_or("", String::as_str));
        out.push(b',');
        push_int(out, planned.replicate.into());
        out.push(b',');
        push_int(out, planned.spec.seed);
        for key in Key::ALL.iter() {
            out.push(b',');
            push_value(out, planned.value(*key));
        }
        out.push(b',');
        push_text(out, summary.status.name());
        out.push(b',');
        push_text(out, result.error.as_deref().unwrap_or(""));
        let numbers = [
            summary.loss,
            summary.log10_loss,
            summary.log10_grad_ratio_total,
            summary.grad_decades_per_layer,
            summary.grad_fit_r2,
            summary.depth_scale,
        ];
        for number in numbers {
            out.push(b',');
            push_optional(out, number);
        }
        out.push(b',');
        push_text(out, summary.verdict.map_or("", Verdict::name));
        out.push(b',');
        push_optional(out, summary.max_trainable_depth);
        if !self.predicted.is_empty() {
            let theory = self.theory.of(planned);
            for column in &self.predicted {
                out.push(b',');
                push_theory(out, column.value(&theory, summary.log10_grad_ratio_total));
            }
        }
        out.push(b'\n');
        summary
    }
}
