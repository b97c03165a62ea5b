//! The sweep files in `configs/`: each plans, says what it shows, and shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use gradsweep::config::{Overrides, SweepFile};
use gradsweep::network::{ActivationKind, InitKind, NetworkSpec, Norm, Residual};
use gradsweep::plan::Plan;
use gradsweep::theory::{Phase, Prediction, predict};
use tempfile::TempDir;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file").to_string_lossy().into_owned()
}

fn plan(path: &Path, overrides: &Overrides) -> Plan {
    let text = fs::read_to_string(path).expect("utf-8");
    let name = path.to_string_lossy();
    let file = SweepFile::parse(&text, &name, overrides).unwrap_or_else(|e| panic!("{e}"));
    Plan::new(&file).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_sweep_file_plans_and_says_what_to_look_for() {
    let names: Vec<String> = files().iter().map(|path| stem(path)).collect();
    assert_eq!(names, EXPECTED, "every file has its expectation below");
    for path in files() {
        let plan = plan(&path, &Overrides::default());
        assert!(plan.notes.is_empty(), "{}: {:?}", path.display(), plan.notes);
        assert_eq!(plan.name, stem(&path).replace('_', "-"));
        let text = fs::read_to_string(&path).expect("utf-8");
        for part in ["# Known result: ", "# Source", "# Look for: "] {
            assert!(text.contains(part), "{}: {part}", path.display());
        }
    }
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/depth_init_activation.toml");
    assert!(plan(&main, &Overrides::default()).len() >= 2000);
}

/// The files whose expectations are tested here.
const EXPECTED: [&str; 7] = [
    "batchnorm_explodes",
    "depth_init_activation",
    "digits",
    "phase_diagram_tanh",
    "relu_he_vs_xavier",
    "residual",
    "sigmoid_vanishing",
];

/// One row of a CSV, by column name.
type Cells = BTreeMap<String, String>;

fn number(cells: &Cells, column: &str) -> Option<f64> {
    let cell = cells.get(column).unwrap_or_else(|| panic!("no column {column}"));
    (!cell.is_empty()).then(|| cell.parse().unwrap_or_else(|_| panic!("{column} = {cell}")))
}

/// All replicates of one configuration of a run.
struct Group {
    spec: NetworkSpec,
    prediction: Prediction,
    /// Rows of networks.csv.
    networks: Vec<Cells>,
    /// Rows of layers.csv, all replicates.
    layers: Vec<Cells>,
}

struct Run {
    groups: Vec<Group>,
    _folder: TempDir,
}

fn read(path: &Path) -> Vec<Cells> {
    let mut reader = csv::Reader::from_path(path).expect("the run wrote it");
    reader.deserialize().map(|row| row.expect("a CSV row")).collect()
}

/// Runs `configs/<name>.toml` through the program on the CPU engine, smaller by `set`, and reads its tables back.
fn run(name: &str, set: &[&str]) -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name).with_extension("toml");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let output = folder.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    command.arg("run").arg(&path).arg("-o").arg(&output).args(["--device", "cpu", "-q"]);
    for text in set {
        command.args(["--set", text]);
    }
    command.assert().success();
    let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), ..Overrides::default() };
    let plan = plan(&path, &overrides);
    let networks = read(&output.join("networks.csv"));
    assert_eq!(networks.len() as u64, plan.len());
    let mut layers: BTreeMap<String, Vec<Cells>> = BTreeMap::new();
    for row in read(&output.join("layers.csv")) {
        layers.entry(row["configuration"].clone()).or_default().push(row);
    }
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for row in networks {
        assert_eq!(row["status"], "ok");
        let id = row["configuration"].clone();
        let group = groups.entry(id.clone()).or_insert_with(|| {
            let spec = plan.network(row["index"].parse().expect("an integer")).spec;
            let prediction = predict(&spec);
            Group { spec, prediction, networks: Vec::new(), layers: layers.remove(&id).expect("has layers") }
        });
        group.networks.push(row);
    }
    Run { groups: groups.into_values().collect(), _folder: folder }
}

/// Mean and standard error.
fn estimate(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

impl Group {
    fn column(&self, name: &str) -> Vec<f64> {
        self.networks.iter().map(|row| number(row, name).expect(name)).collect()
    }

    /// A column of layers.csv in row `layer`, one value per replicate.
    fn layer(&self, layer: u32, name: &str) -> Vec<f64> {
        let layer = layer.to_string();
        self.layers.iter().filter(|row| row["layer"] == layer).map(|row| number(row, name).expect(name)).collect()
    }

    /// Fails unless the mean over replicates is within 4 standard errors of `expected`.
    #[track_caller]
    fn agrees(&self, what: &str, values: &[f64], expected: f64) {
        let (mean, error) = estimate(values);
        assert!(
            (mean - expected).abs() < 4.0 * error,
            "{what} {mean} +- {error}, expected {expected}: {:?}",
            self.spec
        );
    }

    /// The total change of the gradient is the predicted one, and the error small against `effect` decades.
    #[track_caller]
    fn agrees_with_theory(&self, effect: f64) {
        let p = &self.prediction;
        let expected = p.log10_grad_ratio_total.expect("theory is known here") + p.finite_width_shift.unwrap_or(0.0);
        let values = self.column("log10_grad_ratio_total");
        self.agrees("log10_grad_ratio_total", &values, expected);
        let error = estimate(&values).1;
        assert!(error < 0.1 * effect, "{error} says little: {:?}", self.spec);
    }
}

#[test]
fn depth_init_activation_follows_the_sum_of_log_chi() {
    // 56 means are compared: with few replicates a standard error alone would be off by half now and then.
    let run = run("depth_init_activation", &["sweep.grid.depth=[6]", "replicates=16"]);
    assert_eq!(run.groups.len(), 56);
    for group in &run.groups {
        // The initialisations differ by 5 layers of at least a factor 2.
        group.agrees_with_theory(5.0 * 2f64.log10());
        let (mean, _) = estimate(&group.column("log10_grad_ratio_total"));
        match (group.spec.init.kind, group.spec.activation.kind) {
            (InitKind::PytorchDefault, _) => assert!(mean < -1.0, "vanishes with everything: {:?}", group.spec),
            (InitKind::HeNormal | InitKind::HeUniform | InitKind::Critical, ActivationKind::Relu) => {
                assert!(mean.abs() < 0.25, "keeps: {mean}");
            }
            _ => {}
        }
    }
}

#[test]
fn sigmoid_vanishing_loses_its_decades_per_layer() {
    let run = run("sigmoid_vanishing", &["sweep.vanishing.depth=[20]", "sweep.healthy.depth=[10]"]);
    assert_eq!(run.groups.len(), 3);
    for group in &run.groups {
        group.agrees_with_theory(2.0);
        if group.spec.init.kind == InitKind::Critical {
            continue;
        }
        for layer in 1..group.spec.depth {
            assert!(group.layer(layer, "path_factor_abs_max").iter().all(|&f| f < 1.0));
        }
        if group.spec.activation.kind == ActivationKind::Sigmoid {
            let slope = 0.5 * 0.055721f64.log10();
            for measured in group.column("grad_decades_per_layer") {
                assert!((measured - slope).abs() < 0.01, "{measured} against {slope}");
            }
        }
    }
}

#[test]
fn relu_he_vs_xavier_keeps_halves_or_leaves_a_sixth() {
    let run = run("relu_he_vs_xavier", &["sweep.init.depth=[10]", "sweep.batch_1.depth=[30]", "defaults.width=128"]);
    assert_eq!(run.groups.len(), 6);
    for group in &run.groups {
        let values = group.column("log10_grad_ratio_total");
        if group.spec.batch_size == 1 {
            // Hanin: ln has variance 5 (L-1)/n and mean -2.5 (L-1)/n.
            let ln: Vec<f64> = values.iter().map(|v| v * std::f64::consts::LN_10).collect();
            let variance = 5.0 * 29.0 / 128.0;
            group.agrees("ln", &ln, -0.5 * variance);
            let mean = estimate(&ln).0;
            group.agrees("ln variance", &ln.iter().map(|v| (v - mean).powi(2)).collect::<Vec<_>>(), variance);
            continue;
        }
        let factor: f64 = match group.spec.init.kind {
            InitKind::HeNormal | InitKind::HeUniform => 1.0,
            InitKind::XavierNormal | InitKind::XavierUniform => 0.5,
            _ => 1.0 / 6.0,
        };
        group.agrees("ratio", &values, 9.0 * factor.log10());
        group.agrees_with_theory(9.0 * 2f64.log10());
    }
}

#[test]
fn phase_diagram_tanh_changes_sign_at_the_edge_of_chaos() {
    let run = run(
        "phase_diagram_tanh",
        &[
            "sweep.plane.sigma_w={linspace=[0.5,3.5],num=4}",
            "sweep.plane.sigma_b={linspace=[0.0,1.0],num=3}",
            "defaults.depth=20",
            "replicates=6",
        ],
    );
    assert_eq!(run.groups.len(), 12);
    let mut rows: BTreeMap<u64, Vec<&Group>> = BTreeMap::new();
    for group in &run.groups {
        group.agrees_with_theory(5.0);
        let field = group.prediction.mean_field.expect("plain layers");
        let (mean, _) = estimate(&group.column("log10_grad_ratio_total"));
        assert_eq!(mean < 0.0, field.phase == Some(Phase::Ordered), "{:?}", group.spec);
        rows.entry(group.spec.init.sigma_b.expect("given").to_bits()).or_default().push(group);
        // The forward-only estimate deep in the network is chi at the fixed point.
        let (chi, _) = estimate(&group.layer(15, "chi"));
        assert!((chi / field.chi_1.expect("tanh") - 1.0).abs() < 0.12, "{chi}: {field:?}");
    }
    // Along each row of the diagram, depth scales are largest where chi_1 is nearest to 1.
    for row in rows.values() {
        let distance = |g: &Group| g.prediction.mean_field.as_ref().and_then(|f| f.chi_1).expect("tanh").ln().abs();
        let scale = |g: &Group| estimate(&g.column("depth_scale")).0;
        let nearest = row.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("four points");
        let largest = row.iter().max_by(|a, b| scale(a).total_cmp(&scale(b))).expect("four points");
        let all: Vec<_> = row.iter().map(|g| (g.spec.init.sigma_w, distance(g), scale(g))).collect();
        assert_eq!(largest.spec, nearest.spec, "{all:?}");
    }
}

#[test]
fn batchnorm_explodes_whatever_the_weights() {
    let run = run(
        "batchnorm_explodes",
        &[
            "defaults.depth=8",
            "defaults.width=256",
            "sweep.batch_norm.batch_size=[8,16]",
            "sweep.without.batch_size=[8,16]",
        ],
    );
    assert_eq!(run.groups.len(), 14);
    for group in &run.groups {
        group.agrees_with_theory(3.0);
        let (mean, error) = estimate(&group.column("log10_grad_ratio_total"));
        if group.spec.norm == Norm::Batch {
            assert!(mean > 4.0 * error, "explodes: {mean} +- {error}");
            assert!(group.column("grad_decades_per_layer").iter().sum::<f64>() > 0.0);
        }
    }
}

#[test]
fn residual_networks_grow_polynomially_under_a_norm() {
    let run = run("residual", &["sweep.relu.depth=[16]", "sweep.scaled.depth=[16]", "sweep.tanh.depth=[16]"]);
    assert_eq!(run.groups.len(), 8);
    for group in &run.groups {
        group.agrees_with_theory(3.0);
        let (input, top) = (group.layer(0, "act_grad_log10_l2"), group.layer(16, "act_grad_log10_l2"));
        let ratios: Vec<f64> = input.iter().zip(&top).map(|(a, b)| 2.0 * (a - b)).collect();
        group.agrees("act_grad", &ratios, group.prediction.log10_act_grad_ratio_total.expect("known"));
        let (spec, relu) = (&group.spec, group.spec.activation.kind == ActivationKind::Relu);
        match (spec.residual, spec.norm) {
            (Residual::PreAct, Norm::Layer | Norm::Rms) => {
                group.agrees("L + 1", &ratios, 17f64.log10());
                // The stream has the variance l where branch l of variance 1 joins it.
                for layer in [1, 4, 16] {
                    let (ratio, _) = estimate(&group.layer(layer, "branch_ratio"));
                    let scaled = ratio * f64::from(layer).sqrt();
                    assert!((scaled - 1.0).abs() < 0.05, "{ratio} at layer {layer}: {spec:?}");
                }
            }
            (Residual::PreAct, Norm::None) if relu && spec.residual_scale == 1.0 => {
                group.agrees("2^L", &ratios, 16.0 * 2f64.log10());
            }
            (Residual::PreAct, Norm::None) if relu => {
                group.agrees("(1 + 1/L)^L", &ratios, 16.0 * (17.0f64 / 16.0).log10());
            }
            _ => {}
        }
    }
}

#[test]
fn digits_show_the_same_factors_as_noise() {
    let run = run("digits", &["sweep.relu.depth=[8]", "sweep.tanh.depth=[8]"]);
    assert_eq!(run.groups.len(), 5);
    for group in &run.groups {
        group.agrees_with_theory(7.0 * 2f64.log10());
        // Only ReLU's correlations have no other fixed point: tanh at sigma_b = 0 leaves a cosine of 0 where it is.
        let relu = group.spec.activation.kind == ActivationKind::Relu;
        let cosines: Vec<f64> = [0, 1, 4, 8].map(|layer| estimate(&group.layer(layer, "act_cos")).0).to_vec();
        assert!(!relu || cosines.windows(2).all(|pair| pair[0] < pair[1]), "{cosines:?}: {:?}", group.spec);
        if group.spec.init.kind == InitKind::PytorchDefault {
            let (loss, _) = estimate(&group.column("loss"));
            assert!((loss / 10f64.ln() - 1.0).abs() < 0.02, "{loss}");
        }
    }
}
