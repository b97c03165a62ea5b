//! Predictions where the usual assumptions fail, over seeds on the CPU engine: gradients that are not independent of the
//! activations (residual sums without norm: without the aligned part predictions would lie up to 1.9 decades lower), units
//! that are not Gaussian, and samples of very different size.

use std::collections::BTreeMap;

use crate::theory::{Cells, number, rows, run};

/// The logarithm of the mean over seeds of 10^x, and its standard error.
fn log10_mean(logs: &[f64]) -> (f64, f64) {
    let n = logs.len() as f64;
    let middle = logs.iter().sum::<f64>() / n;
    let ratios: Vec<f64> = logs.iter().map(|x| 10f64.powf(x - middle)).collect();
    let mean = ratios.iter().sum::<f64>() / n;
    let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (middle + mean.log10(), (variance / n).sqrt() / mean * std::f64::consts::LOG10_E)
}

/// The networks of each configuration of a sweep.
pub fn configurations(sweep: &str) -> Vec<Vec<Cells>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [_, networks, _] = run(folder.path(), sweep);
    let mut groups: BTreeMap<String, Vec<Cells>> = BTreeMap::new();
    for row in rows(&networks) {
        groups.entry(row["configuration"].clone()).or_default().push(row);
    }
    groups.into_values().collect()
}

fn name(row: &Cells) -> String {
    ["residual", "residual_every", "depth", "activation", "init", "loss_function"]
        .map(|key| row[key].as_str())
        .join(" ")
}

const RESIDUAL: &str = r#"
schema_version = 1
name = "aligned"
replicates = 40
[defaults]
batch_size = 16
[record]
layers = [1]
statistics = ["log10_grad_ratio"]
[[sweep]]
name = "after"
residual = "post_act"
activation = ["relu", "gelu", "softplus", "elu"]
init = "he_normal"
loss = ["cotangent", "mse"]
[[sweep]]
name = "several_layers"
residual = "post_act"
residual_every = [2, 3]
activation = ["relu", "silu"]
init = "he_normal"
loss = "mse"
[[sweep]]
name = "before"
residual = "pre_act"
activation = ["relu", "gelu", "linear"]
init = "lecun_normal"
loss = ["cotangent", "mse"]
[[sweep]]
name = "orthogonal"
residual = ["post_act", "pre_act"]
activation = "relu"
init = "orthogonal"
gain = [1.0, 1.5]
loss = "mse"
[[sweep]]
name = "biases"
residual = ["post_act", "pre_act"]
activation = "relu"
init = "mean_field"
sigma_b = 0.5
input_size = 64
residual_scale = 0.5
output_size = 40
loss = "mse"
[[sweep]]
name = "softmax"
residual = ["post_act", "pre_act"]
activation = "gelu"
init = "he_normal"
loss = "cross_entropy"
"#;

#[test]
fn gradients_that_residual_sums_align_are_predicted() {
    let groups = configurations(RESIDUAL);
    assert_eq!(groups.len(), 26);
    for group in groups {
        let logs: Vec<f64> = group.iter().filter_map(|row| number(row, "log10_grad_ratio_total")).collect();
        let want = number(&group[0], "predicted_log10_grad_ratio_total").expect("theory is known");
        let (got, error) = log10_mean(&logs);
        println!("{}: {got:.3} +- {error:.3}, predicted {want:.3}", name(&group[0]));
        assert_eq!(logs.len(), 40);
        // Depth over width is 1/8: what it adds elsewhere is a few hundredths.
        assert!((got - want).abs() < 4.0 * error + 0.06, "{}: {got} +- {error}, predicted {want}", name(&group[0]));
        assert!(error < 0.08, "{}: {error} says little", name(&group[0]));
    }
}

const UNUSUAL: &str = r#"
schema_version = 1
name = "unusual"
replicates = 64
[record]
layers = [1]
statistics = ["log10_grad_ratio"]
[[sweep]]
name = "uniform_biases"
activation = "softsign"
init = "pytorch_default"
loss = ["cotangent", "mse"]
depth = 64
[[sweep]]
name = "few_features"
activation = ["tanh", "relu"]
init = "he_normal"
loss = "cotangent"
input_size = [2, 4, 16]
depth = 8
[[sweep]]
name = "two_features"
activation = "selu"
init = "lecun_normal"
loss = "mse"
input_size = 2
depth = 8
"#;

#[test]
fn deviations_have_mean_0_with_uniform_biases_and_few_features_or_are_empty() {
    let mut empty = 0;
    for group in configurations(UNUSUAL) {
        let deviations: Vec<f64> = group.iter().filter_map(|row| number(row, "grad_ratio_deviation")).collect();
        let name = format!("{} {}", name(&group[0]), group[0]["input_size"]);
        if deviations.is_empty() {
            // These are curved where the squares of 2 or 4 features scatter.
            assert!(!name.contains("relu") && (name.ends_with(" 2") || name.ends_with(" 4")), "{name}");
            empty += 1;
            continue;
        }
        let n = deviations.len() as f64;
        let mean = deviations.iter().sum::<f64>() / n;
        let spread = (deviations.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        println!("{name}: {mean:.2} {spread:.2}");
        assert!(mean.abs() < 4.0 * spread / n.sqrt() + 0.2, "{name}: mean {mean}, spread {spread}");
        assert!((0.6..1.6).contains(&spread), "{name}: mean {mean}, spread {spread}");
    }
    assert_eq!(empty, 3);
}
