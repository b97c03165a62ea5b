//! `grad_ratio_deviation` is what its name says at the default width and batch size: over seeds its mean is 0 and its spread
//! 1, or its cell is empty; and a predicted total lies within that scatter, or is empty.

use crate::aligned::configurations;
use crate::theory::number;

const SEEDS: usize = 48;

fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Both sides of the edge of chaos and the edge, with and without bias, both losses; what has no theory at the end.
const DEFAULT_SIZE: &str = r#"
schema_version = 1
name = "seeds"
replicates = 48
[defaults]
width = 128
batch_size = 64
depth = [8, 32]
[record]
layers = [1]
statistics = ["log10_grad_ratio"]
[[sweep]]
name = "phases"
init = "mean_field"
loss = "cotangent"
[sweep.zip]
activation = ["tanh", "tanh", "tanh", "erf", "linear"]
sigma_w = [1.0, 1.5, 2.5, 1.5, 1.0]
sigma_b = [0.0, 0.1, 0.0, 0.3, 0.0]
[[sweep]]
name = "initialisations"
loss = "cotangent"
zip = { activation = ["relu", "selu", "gelu", "tanh"], init = ["he_normal", "lecun_normal", "xavier_normal", "he_uniform"] }
[[sweep]]
name = "readout"
loss = "mse"
zip = { activation = ["relu", "selu", "gelu", "tanh"], init = ["he_normal", "lecun_normal", "xavier_normal", "he_normal"] }
[[sweep]]
name = "unstable"
replicates = 2
depth = 32
init = "he_normal"
activation = ["gelu", "silu", "softplus"]
loss = ["cotangent", "mse"]
[[sweep]]
name = "unknown"
replicates = 2
depth = 8
init = ["orthogonal", "he_normal"]
input = ["gaussian", "digits", "correlated_pairs(0.5)"]
where = ["init == \"orthogonal\" || input != \"gaussian\""]
"#;

#[test]
fn a_deviation_has_mean_0_and_spread_1_at_the_default_size_or_is_empty() {
    let (mut filled, mut empty) = (0, 0);
    for group in configurations(DEFAULT_SIZE) {
        let first = &group[0];
        let name = ["activation", "init", "sigma_w", "loss_function", "input", "depth"].map(|key| first[key].as_str());
        let name = name.join(" ");
        let deviations: Vec<f64> = group.iter().filter_map(|row| number(row, "grad_ratio_deviation")).collect();
        if matches!(first["sweep"].as_str(), "unstable" | "unknown") {
            empty += 1;
            let shifts = group.iter().filter_map(|row| number(row, "predicted_finite_width_shift")).count();
            assert_eq!((deviations.len(), shifts), (0, 0), "{name}");
            continue;
        }
        filled += 1;
        assert_eq!(deviations.len(), SEEDS, "{name}");
        let n = SEEDS as f64;
        let (mean, spread) = mean_and_spread(&deviations);
        println!("{name}: {mean:.2} {spread:.2}");
        // Theory is of the first order in depth/width, here up to 1/4: it knows the mean to a fraction of the scatter.
        assert!(mean.abs() < 4.0 * spread / n.sqrt() + 0.2, "{name}: mean {mean}, spread {spread}");
        // A spread of 48 values is known to 10 %.
        assert!((0.6..1.6).contains(&spread), "{name}: mean {mean}, spread {spread}");
    }
    assert_eq!((filled, empty), (26, 11));
}

/// Where infinite width is unstable, where few units of a layer are not saturated, where few features or the norm's own scatter matter, and where none of it does.
const HONEST: &str = r#"
schema_version = 1
name = "honest"
replicates = 32
[defaults]
batch_size = 16
[record]
layers = [1]
statistics = ["log10_grad_ratio"]
[[sweep]]
name = "unstable"
replicates = 2
depth = 32
init = "he_normal"
activation = ["gelu", "silu", "softplus"]
loss = ["cotangent", "cross_entropy"]
[[sweep]]
name = "crowded"
replicates = 2
depth = 32
norm = "batch"
batch_size = 128
activation = ["tanh", "linear"]
[[sweep]]
name = "saturated"
replicates = 2
depth = 4
width = 64
init = "mean_field"
sigma_w = [300.0, 1000.0]
activation = ["tanh", "sigmoid"]
where = ["activation == \"tanh\" || sigma_w > 500"]
loss = "cotangent"
[[sweep]]
name = "aligned"
depth = 16
width = 64
zip = { activation = ["linear", "relu", "selu"], init = ["he_normal", "he_normal", "lecun_normal"] }
loss = ["mse", "cross_entropy"]
[[sweep]]
name = "normed"
depth = 48
width = 64
norm = ["layer", "rms"]
activation = ["tanh", "elu", "leaky_relu"]
loss = "cotangent"
[[sweep]]
name = "few_features"
depth = 8
input_size = 3
init = "lecun_normal"
activation = ["tanh", "selu", "gelu"]
loss = "cotangent"
[[sweep]]
name = "batch"
depth = 6
norm = "batch"
activation = ["tanh", "gelu"]
loss = "cotangent"
"#;

#[test]
fn a_predicted_total_is_within_a_seventh_of_a_decade_or_the_scatter_or_it_is_empty() {
    let (mut filled, mut empty) = (0, 0);
    for group in configurations(HONEST) {
        let first = &group[0];
        let name = ["sweep", "activation", "norm", "loss_function"].map(|key| first[key].as_str()).join(" ");
        let predicted = number(first, "predicted_log10_grad_ratio_total");
        if matches!(first["sweep"].as_str(), "unstable" | "crowded" | "saturated") {
            empty += 1;
            assert_eq!(predicted, None, "{name}");
            continue;
        }
        filled += 1;
        let logs: Vec<f64> = group.iter().filter_map(|row| number(row, "log10_grad_ratio_total")).collect();
        let n = logs.len() as f64;
        let (middle, spread) = mean_and_spread(&logs);
        let got = middle + (logs.iter().map(|x| 10f64.powf(x - middle)).sum::<f64>() / n).log10();
        let want = predicted.expect("theory is known");
        println!("{name}: {got:.3}, predicted {want:.3}, scatter {spread:.3}");
        let tolerance = 0.15f64.max(spread).min(0.25) + 3.0 * spread / n.sqrt();
        assert!((got - want).abs() < tolerance, "{name}: {got}, predicted {want}, scatter {spread}");
    }
    assert_eq!((filled, empty), (17, 11));
}
