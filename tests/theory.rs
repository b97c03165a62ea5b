//! `gradsweep theory`, `theory.csv` and the predicted columns of `networks.csv`, through the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assert_cmd::Command;

/// One row of a CSV, by column name.
pub type Cells = BTreeMap<String, String>;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.env_remove("GRADSWEEP_DEVICE");
    command
}

pub fn rows(bytes: &[u8]) -> Vec<Cells> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| row.expect("a CSV row")).collect()
}

pub fn number(row: &Cells, column: &str) -> Option<f64> {
    let cell = row.get(column).unwrap_or_else(|| panic!("no column {column} in {row:?}"));
    (!cell.is_empty()).then(|| cell.parse().unwrap_or_else(|_| panic!("{column} = {cell}")))
}

/// Writes a sweep file, runs it on the CPU engine and returns layers.csv, networks.csv and theory.csv.
pub fn run(folder: &Path, sweep: &str) -> [Vec<u8>; 3] {
    let (file, out) = (folder.join("sweep.toml"), folder.join("out"));
    std::fs::write(&file, sweep).expect("a temporary folder is writable");
    program().arg("run").arg(&file).arg("-o").arg(&out).args(["--device", "cpu", "-q"]).assert().success();
    ["layers.csv", "networks.csv", "theory.csv"].map(|name| std::fs::read(out.join(name)).expect("the run wrote it"))
}

/// Every form of layer whose theory is known, wide enough that one mean over replicates is sharp. Theory takes the last
/// gradient to be independent of the forward pass; with the growing outputs of residual sums mse does not give that.
const KNOWN: &str = r#"
schema_version = 1
name = "known"
replicates = 8
[defaults]
depth = 6
width = 256
batch_size = 16
init = "mean_field"
sigma_w = 1.4
sigma_b = 0.2
[[sweep]]
name = "plain"
activation = ["tanh", "relu", "gelu", "hard_tanh"]
[[sweep]]
name = "pairs"
activation = ["tanh", "relu"]
input = ["correlated_pairs(0.6)", "correlated_pairs(-0.5)"]
input_size = 100
[[sweep]]
name = "forms"
loss = "cotangent"
activation = ["tanh", "relu"]
norm = ["none", "layer", "batch"]
residual = ["post_act", "pre_act"]
[[sweep]]
name = "norms"
activation = "relu"
norm = ["rms", "batch"]
[[sweep]]
name = "images"
activation = ["tanh", "relu"]
norm = ["none", "layer"]
input = "digits"
loss = "cotangent"
batch_size = 128
"#;

#[test]
fn predicted_sizes_cosines_and_gradients_are_those_that_are_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [layers, _, theory] = run(folder.path(), KNOWN);
    let mut measured: BTreeMap<(String, String), Vec<Cells>> = BTreeMap::new();
    for row in rows(&layers) {
        measured.entry((row["configuration"].clone(), row["layer"].clone())).or_default().push(row);
    }
    let theory = rows(&theory);
    let mut compared = BTreeMap::new();
    for row in &theory {
        let group = &measured[&(row["configuration"].clone(), row["layer"].clone())];
        let mean = |column: &str| {
            let values: Vec<f64> = group.iter().filter_map(|row| number(row, column)).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (mean, (variance / n).sqrt())
        };
        // Width 256 adds a relative error of about layer/256 to sizes and cosines, beside the standard error.
        for (predicted, column, slack) in [
            ("predicted_preact_rms", "preact_rms", 0.03),
            ("predicted_act_rms", "act_rms", 0.03),
            ("predicted_preact_cos", "preact_cos", 0.03),
            ("predicted_log10_grad_ratio", "log10_grad_ratio", 0.03),
        ] {
            let Some(want) = number(row, predicted) else { continue };
            let (got, error) = mean(column);
            *compared.entry(column).or_insert(0) += 1;
            // The readout has 10 units.
            let slack = if row["layer_kind"] == "readout" { 0.3 } else { slack } * want.abs().max(1.0);
            assert!((got - want).abs() < 4.0 * error + slack, "{column}: {got} +- {error}, not {want}: {row:?}");
        }
    }
    let counts: Vec<i32> = compared.values().copied().collect();
    assert!(counts.iter().all(|&n| n >= 100), "{compared:?}");
}

#[test]
fn the_command_prints_the_table_that_a_run_writes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sweep = r#"
schema_version = 1
name = "both"
replicates = 2
[defaults]
width = 8
batch_size = 4
[record]
layers = [0, 1, 3, 4]
[[sweep]]
name = "a"
depth = [3, 1]
activation = ["relu", "tanh"]
[[sweep]]
name = "b"
depth = 3
activation = ["tanh", "sine"]
init = ["he_normal", "constant(0.1)"]
replicates = 3
"#;
    let [layers, networks, theory] = run(folder.path(), sweep);
    let file = folder.path().join("sweep.toml");
    let out = program().arg("theory").arg(&file).output().expect("it starts");
    assert!(out.status.success() && out.stdout == theory, "{}", String::from_utf8_lossy(&out.stderr));
    // Configurations in the order in which networks.csv first has them, each once.
    let (networks, theory) = (rows(&networks), rows(&theory));
    let unique = |rows: &[Cells]| {
        let mut seen = BTreeSet::new();
        let ids = rows.iter().map(|row| row["configuration"].clone());
        ids.filter(|id| seen.insert(id.clone())).collect::<Vec<_>>()
    };
    assert_eq!(unique(&theory), unique(&networks));
    assert_eq!(unique(&theory).len(), 7, "one of the eight points is planned by both sweeps");
    let keys = |rows: &[Cells]| -> BTreeSet<(String, String)> {
        rows.iter().map(|row| (row["configuration"].clone(), row["layer"].clone())).collect()
    };
    assert_eq!(keys(&theory), keys(&rows(&layers)));
    assert_eq!(theory.len(), keys(&theory).len());
    // Nothing is predicted of weights that are all equal.
    for row in theory.iter().filter(|row| row["init"] == "constant(0.1)") {
        assert!(row.iter().all(|(name, cell)| !name.starts_with("predicted_") || cell.is_empty()), "{row:?}");
    }
    let deviations =
        networks.iter().filter_map(|row| number(row, "grad_ratio_deviation").map(|deviation| (row, deviation)));
    for (row, deviation) in deviations.clone() {
        let [measured, mean, shift, scatter] = [
            "log10_grad_ratio_total",
            "predicted_log10_grad_ratio_total",
            "predicted_finite_width_shift",
            "predicted_seed_scatter",
        ]
        .map(|column| number(row, column).expect("known where the deviation is"));
        assert!((deviation * scatter - (measured - mean - shift)).abs() < 1e-9, "{row:?}");
    }
    assert_eq!(deviations.count(), networks.iter().filter(|r| r["depth"] == "3" && r["init"] == "he_normal").count());
    let short = program().arg("theory").arg(&file).args(["--per", "configuration"]).output().expect("it starts");
    for (row, full) in rows(&short.stdout).iter().zip(unique(&networks)) {
        assert_eq!(row["configuration"], full);
        let network = networks.iter().find(|network| network["configuration"] == full).expect("it was run");
        for column in ["q_star", "chi_1", "phase", "predicted_log10_grad_ratio_total"] {
            assert_eq!(row[column], network[column], "{column}");
        }
    }
}

#[test]
fn a_column_exists_if_some_network_can_fill_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let header = |norm: &str, init: &str, depth: u32| {
        let sweep = format!(
            "schema_version = 1\nname = \"x\"\n[[sweep]]\nname = \"s\"\nwidth = 4\nbatch_size = 3\n\
             depth = {depth}\nnorm = \"{norm}\"\ninit = \"{init}\"\n"
        );
        let file = folder.path().join("columns.toml");
        std::fs::write(&file, sweep).expect("writable");
        let out = program().arg("theory").arg(&file).output().expect("it starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).expect("utf-8");
        text.lines().next().expect("a header").to_string()
    };
    let start = "configuration,sweep,layer,layer_kind";
    let sizes = "predicted_preact_rms,predicted_act_rms,predicted_preact_cos";
    let (ratio, total) = ("predicted_log10_grad_ratio", "predicted_log10_grad_to_last");
    let all = format!("{start},{sizes},{ratio},{total},predicted_finite_width_shift");
    assert_eq!(header("none", "he_normal", 2), all);
    assert_eq!(header("rms", "he_normal", 2), format!("{start},{sizes},{ratio},{total}"));
    assert_eq!(header("rms", "he_normal", 1), format!("{start},{sizes},{total}"));
    assert_eq!(header("none", "zeros", 2), start);
    // Batch norm has no theory at three samples.
    assert_eq!(header("batch", "he_normal", 2), start);
}

#[test]
fn one_activation_gets_the_published_numbers() {
    let json = |args: &[&str]| -> serde_json::Value {
        let out = program().arg("theory").args(args).arg("--json").output().expect("it starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).expect("JSON")
    };
    let close = |value: &serde_json::Value, want: f64, digits: i32| {
        let got = value.as_f64().expect("a number");
        assert!((got - want).abs() <= 0.51 * 10f64.powi(-digits), "{got} is not {want}");
    };
    let scale = |square: f64| square.sqrt().to_string();
    let chaotic = json(&["--activation", "tanh", "--sigma-w", &scale(2.5), "--sigma-b", &scale(0.05)]);
    close(&chaotic["q_star"], 1.0639584, 7);
    close(&chaotic["chi_1"], 1.1335157, 7);
    close(&chaotic["xi_grad"], 1.0 / 1.1335157f64.ln(), 3);
    assert_eq!(chaotic["phase"], "chaotic");
    close(&json(&["--activation", "tanh", "--sigma-b", "0.2"])["critical_sigma_w"], 1.30415, 5);
    close(&json(&["--activation", "sigmoid"])["chi_1"], 0.055721, 6);
    close(&json(&["--activation", "sigmoid"])["critical_sigma_w"], 10.149, 3);
    let softplus = json(&["--activation", "softplus"]);
    assert!(softplus["critical_sigma_w"].is_null());
    assert!(softplus["critical_error"].as_str().expect("a reason").contains("no critical point"));
    let line = json(&["--activation", "tanh", "--line"]);
    let points = line["line"].as_array().expect("points");
    assert_eq!(points.len(), 21);
    close(&points[4]["sigma_w"], 1.30415, 5);
}

#[test]
fn mistakes_of_the_command_line_are_usage_errors() {
    for (args, part) in [
        (&["--activation", "tanhh"][..], "did you mean `tanh`?"),
        (&["--activation", "tanh", "--sigma-w", "-1"], "a scale is a number"),
        (&["--activation", "tanh", "--line", "--sigma-b", "1"], "cannot be used with"),
        (&["sweep.toml", "--sigma-w", "2"], "cannot be used with"),
        (&[], "give a sweep file, or one activation with --activation"),
        (&["absent.toml"], "cannot read absent.toml"),
        (&["--line", "x.toml"], "cannot be used with"),
    ] {
        let out = program().arg("theory").args(args).output().expect("it starts");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
    let text = program().args(["theory", "--activation", "relu", "--sigma-w", "2"]).output().expect("it starts").stdout;
    let text = String::from_utf8(text).expect("utf-8");
    assert!(text.contains("chaotic") && text.contains("gradients explode") && text.contains("1.4142136"), "{text}");
}
