//! The CSVs as the tools of the field read them: pandas, polars and DuckDB must find the right types and the very
//! values, without options where they have a choice. `tests/readers/check.py` compares.

use std::fs;
use std::process::Command;

use gradsweep::config::{Key, Value};
use gradsweep::engine::{LayerSelection, NetworkResult, Row};
use gradsweep::network::{Init, InitKind, NetworkSpec};
use gradsweep::output::{LayersWriter, NetworksWriter};
use gradsweep::plan::{PlannedNetwork, RecordPlan};
use gradsweep::stats::catalog::{self, Cell, RowContext, StatisticRow};
use gradsweep::stats::{Count, Moments, Quantity, Record, Scaled, Sum};
use gradsweep::theory::Known;
use serde_json::{Value as Json, json};

use crate::python::run_script;

const NETWORKS: u32 = 48;
/// 48 networks of 502 rows: more than DuckDB looks at (20,480) before it decides on types.
const DEPTH: u32 = 500;
const VARYING: [Key; 4] = [Key::Activation, Key::SigmaW, Key::Bias, Key::Width];
const STATISTICS: [&str; 8] =
    ["preact_mean", "preact_l2", "preact_nonfinite", "preact_grad", "bias_grad", "flow", "phi_grad_mean", "act_cos"];

fn spec(network: u32) -> NetworkSpec {
    NetworkSpec {
        output_size: 3,
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.0, sigma_b: Some(0.1) },
        bias: !network.is_multiple_of(5),
        seed: (1 << 53) - 1 - u64::from(network),
        ..NetworkSpec::plain(DEPTH, 8, 4)
    }
}

fn planned(network: u32) -> PlannedNetwork {
    let spec = spec(network);
    let mut values = vec![None; Key::ALL.len()];
    let mut set = |key: Key, value: Value| values[key as usize] = Some(value);
    set(Key::Activation, Value::Word(["tanh", "leaky_relu(0.2)"][network as usize % 2].into()));
    set(Key::Bias, Value::Bool(spec.bias));
    set(Key::Norm, Value::Word("none".into()));
    set(Key::Loss, Value::Word("mse".into()));
    set(Key::Depth, Value::Int(DEPTH.into()));
    set(Key::Width, Value::Int(8));
    if network % 3 != 2 {
        // 1.0 a thousand times before the first 1.5.
        set(Key::SigmaW, Value::Float(if network < 45 { 1.0 } else { 1.5 }));
    }
    PlannedNetwork {
        index: network.into(),
        sweep: 0,
        replicate: network,
        configuration_id: format!("c-{network:016x}").into(),
        network_id: format!("n-{:016x}", !u64::from(network)),
        spec,
        values: values.into(),
    }
}

/// Numbers of every size, inside float64 and outside.
fn record(network: u32, layer: u32) -> Record {
    let mut record = Record::EMPTY;
    let mix = f64::from((network * 7919 + layer * 104_729) % 10_007) / 10_007.0;
    for quantity in Quantity::ALL {
        let exponent = (layer as i32 - 250) * (1 + network as i32 % 9);
        let m = Moments { exponent, count: 32, mean: mix - 0.5, m2: 1.0 + mix, abs_max: 1.0 + mix, ..Moments::NONE };
        record.moments[quantity as usize] = m;
    }
    let late = network > 44;
    record.counts[Count::PhiElements as usize] = 32;
    record.sums[Sum::PhiGrad as usize] = Scaled::from(if late { 32.0 * mix } else { 32.0 });
    record.sums[Sum::PhiGradSquare as usize] = Scaled::from(if late { 32.0 * mix } else { 32.0 });
    record.sums[Sum::WeightDotGrad as usize] = Scaled::new(-mix, layer as i32 - 250);
    record.counts[Count::ActPairs as usize] = if network.is_multiple_of(2) { 6 } else { 0 };
    record.sums[Sum::ActCos as usize] = Scaled::from(if late { 6.0 * mix } else { 6.0 });
    record.moments[Quantity::Preact as usize].nonfinite = u64::from(network == 47);
    record
}

fn result(network: u32) -> NetworkResult {
    let rows = (0..DEPTH + 2).map(|layer| Row { step: 0, layer, record: record(network, layer) }).collect();
    let octaves = network as i32 % 7 - 3;
    let mut delta_squares: Vec<Scaled> =
        (1..=DEPTH).map(|l| Scaled::new(1.0 + f64::from(l % 3), octaves * l as i32)).collect();
    let mut loss = Scaled::new(0.7, 20 * network as i32);
    let mut error = None;
    match network {
        10 => error = Some("out of memory, \"8 GiB\" wanted\nuse a smaller batch".to_string()),
        11 => loss = Scaled::from(f64::NAN),
        12 => delta_squares[3] = Scaled::ZERO,
        _ => {}
    }
    NetworkResult { slot: 0, rows, delta_squares, loss, error }
}

/// One column as the readers should find it.
struct Column {
    name: &'static str,
    kind: &'static str,
    values: Vec<Json>,
}

/// Floats travel as their bits, so that no text stands between the test and the reader.
fn float(value: f64) -> Json {
    json!(format!("{:016x}", value.to_bits()))
}

fn cell(cell: Cell) -> (&'static str, Json) {
    match cell {
        Cell::Empty => ("", Json::Null),
        Cell::Int(v) => ("int", json!(v)),
        Cell::Float(v) => ("float", float(v)),
    }
}

fn value(value: Option<&Value>) -> (&'static str, Json) {
    match value {
        None => ("", Json::Null),
        Some(Value::Int(v)) => ("int", json!(v)),
        Some(Value::Float(v)) => ("float", float(*v)),
        Some(Value::Bool(v)) => ("bool", json!(v)),
        Some(Value::Word(v)) => ("word", json!(v)),
    }
}

#[derive(Default)]
struct Expected(Vec<Column>);

impl Expected {
    fn push(&mut self, name: &'static str, (kind, value): (&'static str, Json)) {
        let at = self.0.iter().position(|c| c.name == name).unwrap_or_else(|| {
            self.0.push(Column { name, kind: "", values: Vec::new() });
            self.0.len() - 1
        });
        let column = &mut self.0[at];
        column.kind = if kind.is_empty() { column.kind } else { kind };
        column.values.push(value);
    }
    fn word(&mut self, name: &'static str, text: &str) {
        self.push(name, if text.is_empty() { ("word", Json::Null) } else { ("word", json!(text)) });
    }
    fn json(&self) -> String {
        let columns = self.0.iter().map(|c| json!({"name": c.name, "kind": c.kind, "values": c.values}));
        Json::Array(columns.collect()).to_string()
    }
}

fn expect_rows(
    expected: &mut Expected,
    columns: &[&'static StatisticRow],
    planned: &PlannedNetwork,
    result: &NetworkResult,
) {
    for (i, row) in result.rows.iter().enumerate() {
        let spec = &planned.spec;
        let size = |n: u32| if row.layer == 0 { ("int", Json::Null) } else { ("int", json!(n)) };
        expected.word("network", &planned.network_id);
        expected.word("configuration", &planned.configuration_id);
        expected.word("sweep", "only");
        expected.push("replicate", ("int", json!(planned.replicate)));
        expected.push("step", ("int", json!(0)));
        expected.push("layer", ("int", json!(row.layer)));
        expected.word("layer_kind", ["input", "hidden", "readout"][(row.layer + DEPTH - 1) as usize / DEPTH as usize]);
        expected.push("fan_in", size(8));
        expected.push("fan_out", size(if row.layer > DEPTH { 3 } else { 8 }));
        VARYING.iter().for_each(|key| expected.push(key.name(), value(planned.value(*key))));
        let next = result.rows.get(i + 1).map(|row| &row.record);
        let context = RowContext { spec, layer: row.layer, this: &row.record, next };
        for column in columns {
            expected.push(&column.name, cell(column.cell(&context)));
        }
    }
}

fn expect_network(expected: &mut Expected, planned: &PlannedNetwork, result: &NetworkResult) {
    let summary = gradsweep::stats::summary::summarise(&planned.spec, result, 2.0);
    expected.word("network", &planned.network_id);
    expected.push("index", ("int", json!(planned.index)));
    expected.push("seed", ("int", json!(planned.spec.seed)));
    expected.push("loss_function", value(planned.value(Key::Loss)));
    for key in [Key::Norm, Key::Depth, Key::SigmaW, Key::Bias] {
        expected.push(key.name(), value(planned.value(key)));
    }
    expected.word("status", summary.status.name());
    expected.word("error", result.error.as_deref().unwrap_or(""));
    expected.push("loss", cell(summary.loss.into()));
    expected.push("log10_loss", cell(summary.log10_loss.into()));
    expected.push("log10_grad_ratio_total", cell(summary.log10_grad_ratio_total.into()));
    expected.push("grad_decades_per_layer", cell(summary.grad_decades_per_layer.into()));
    expected.word("verdict", summary.verdict.map_or("", |v| v.name()));
    expected.push("max_trainable_depth", cell(summary.max_trainable_depth.into()));
}

#[test]
fn pandas_polars_and_duckdb_read_the_right_types_and_the_very_values() {
    let mut columns = catalog::columns(&STATISTICS).expect("the names are in the catalog");
    columns.retain(|row| catalog::can_fill(row, &spec(1)));
    let record = RecordPlan {
        mask: catalog::mask_for(&columns),
        layers: LayerSelection::All,
        columns: columns.iter().map(|row| row.name.clone()).collect(),
    };
    let sweeps = ["only".to_string()];
    let layers = LayersWriter::of(&sweeps, &VARYING, &record);
    let networks = NetworksWriter::of(&sweeps, 2.0, &Known::default());
    let (mut layers_csv, mut networks_csv) = (layers.header(), networks.header());
    let (mut expected_layers, mut expected_networks) = (Expected::default(), Expected::default());
    for network in 0..NETWORKS {
        let (planned, result) = (planned(network), result(network));
        layers.append_network(&planned, &result, &mut layers_csv);
        networks.append_network(&planned, &result, &mut networks_csv);
        expect_rows(&mut expected_layers, &columns, &planned, &result);
        expect_network(&mut expected_networks, &planned, &result);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in [
        ("layers.csv", &layers_csv[..]),
        ("layers.json", expected_layers.json().as_bytes()),
        ("networks.csv", &networks_csv[..]),
        ("networks.json", expected_networks.json().as_bytes()),
    ] {
        fs::write(folder.path().join(name), bytes).expect("the folder is writable");
    }
    if let Some(text) = run_script("check.py", &[folder.path()]) {
        assert_eq!(text.lines().filter(|line| line.ends_with("equal")).count(), 6, "{text}");
    }
}

/// Keys and structures that fill different columns, so that many cells are empty.
pub const SWEEP: &str = r#"
schema_version = 1
name = "Readers.1"
replicates = 2
[defaults]
width = 8
batch_size = 5
[[sweep]]
name = "scales"
depth = [3, 40]
activation = ["tanh", "relu", "leaky_relu(0.2)"]
init = "mean_field"
sigma_w = [1e-30, 1.0, 1e20]
sigma_b = [0.0, 0.5]
[[sweep]]
name = "structures"
depth = 6
input_size = [5, 8]
norm = ["none", "batch", "layer"]
residual = ["none", "post_act", "pre_act"]
residual_scale = [1.0, "1/sqrt(depth)"]
bias = [true, false]
loss = ["mse", "cotangent"]
[record]
statistics = "full"
"#;

#[test]
fn a_run_of_the_program_reads_alike_everywhere_with_the_types_of_its_data_package() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sweep, out) = (folder.path().join("sweep.toml"), folder.path().join("out"));
    fs::write(&sweep, SWEEP).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    let run = command.args(["run", "--device", "cpu", "-o"]).arg(&out).arg(&sweep).output().expect("it starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for table in ["layers.csv", "networks.csv"] {
        let text = fs::read_to_string(out.join(table)).expect("utf-8");
        let (lines, quotes) = (text.lines().count(), text.matches('"').count());
        assert!(lines > 100 && quotes == 0, "{table}: {lines} lines, {quotes} quotes");
        for cell in text.lines().skip(1).flat_map(|line| line.split(',')) {
            let lower = cell.to_lowercase();
            assert!(!["inf", "-inf", "nan", "-nan", "null"].contains(&lower.as_str()), "{cell} in {table}");
        }
    }
    if let Some(text) = run_script("check.py", &[&out]) {
        assert_eq!(text.lines().filter(|line| line.ends_with("rows equal")).count(), 3, "{text}");
    }
    if let Some(text) = run_script("package.py", &[&out]) {
        assert_eq!(text.trim(), "valid");
    }
}
