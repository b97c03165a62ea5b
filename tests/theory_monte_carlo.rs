//! Theory against drawn networks of width 2000: length, correlation and gradient, layer by layer, within four standard
//! errors of a mean over seeds and nothing added. At that width theory's own error, of the order of layer / width, is a
//! tenth of a standard error; at the widths of `theory.rs` it is not.

use std::collections::BTreeMap;

use crate::theory::{Cells, number, rows, run};

const SEEDS: usize = 12;

/// Both phases and the edge between them, with and without bias; every norm; residual sums with and without one; images. The input is small,
/// so that the first layer costs nothing.
const WIDE: &str = r#"
schema_version = 1
name = "wide"
replicates = 12
[defaults]
width = 2000
depth = 4
input_size = 100
batch_size = 4
loss = "cotangent"
init = "mean_field"
[record]
statistics = ["preact", "preact_cos", "log10_grad_ratio", "preact_grad"]
[[sweep]]
name = "pairs"
input = "correlated_pairs(0.6)"
zip = { activation = ["tanh", "relu", "gelu"], sigma_w = [0.9, 1.4142135624, 1.6], sigma_b = [0.3, 0.0, 0.4] }
[[sweep]]
name = "independent"
activation = "tanh"
sigma_w = 2.5
sigma_b = 0.3
[[sweep]]
name = "batches"
batch_size = 8
activation = "relu"
norm = "batch"
residual = "pre_act"
[[sweep]]
name = "norms"
zip = { activation = ["tanh", "relu"], norm = ["layer", "rms"] }
sigma_w = 1.5
sigma_b = 0.2
[[sweep]]
name = "sums"
activation = "tanh"
residual = ["pre_act", "post_act"]
sigma_w = 1.2
sigma_b = 0.2
[[sweep]]
name = "images"
input = "digits"
batch_size = 64
activation = "tanh"
sigma_w = 1.5
sigma_b = 0.1
"#;

/// The mean, and the standard error that the spread over seeds gives it.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn at_width_2000_theory_is_within_four_standard_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [layers, networks, theory] = run(folder.path(), WIDE);
    let mut measured: BTreeMap<(String, String), Vec<Cells>> = BTreeMap::new();
    for row in rows(&layers) {
        measured.entry((row["configuration"].clone(), row["layer"].clone())).or_default().push(row);
    }
    let mut compared = BTreeMap::new();
    let mut check = |what: &'static str, values: &[f64], want: f64, cell: &Cells| {
        assert_eq!(values.len(), SEEDS, "{what}: {cell:?}");
        let (mean, error) = mean_and_error(values);
        assert!((mean - want).abs() < 4.0 * error, "{what}: {mean} +- {error}, not {want}: {cell:?}");
        let (count, deviations): &mut (u32, f64) = compared.entry(what).or_default();
        (*count, *deviations) = (*count + 1, *deviations + ((mean - want) / error).powi(2));
        error
    };
    for row in rows(&theory) {
        let group = &measured[&(row["configuration"].clone(), row["layer"].clone())];
        let all = |column: &str, of: fn(f64) -> f64| -> Vec<f64> {
            group.iter().filter_map(|row| number(row, column)).map(of).collect()
        };
        // Theory is exact for means of squares, and for the cosine as the ratio of two sums over units.
        if let Some(rms) = number(&row, "predicted_preact_rms") {
            let q = rms * rms;
            let error = check("q", &all("preact_rms", |rms| rms * rms), q, &row);
            assert!(error < 0.1 * q, "{error} of {q}: {row:?}");
        }
        if let Some(cosine) = number(&row, "predicted_preact_cos") {
            let error = check("c", &all("preact_cos", |c| c), cosine, &row);
            assert!(error < 0.05, "{error}: {row:?}");
        }
        if let Some(ratio) = number(&row, "predicted_log10_grad_ratio") {
            let factor = 10f64.powf(ratio);
            let error = check("chi", &all("log10_grad_ratio", |r| 10f64.powf(r)), factor, &row);
            assert!(error < 0.1 * factor, "{error} of {factor}: {row:?}");
        }
    }
    // From the last layer to the first: the logarithm of the mean, or, where it is known what finite width takes from it,
    // the mean of the logarithm.
    let mut totals: BTreeMap<String, Vec<Cells>> = BTreeMap::new();
    for row in rows(&networks) {
        totals.entry(row["configuration"].clone()).or_default().push(row);
    }
    for group in totals.values() {
        let logs: Vec<f64> = group.iter().filter_map(|row| number(row, "log10_grad_ratio_total")).collect();
        let total = number(&group[0], "predicted_log10_grad_ratio_total").expect("theory is known here");
        let shift = number(&group[0], "predicted_finite_width_shift");
        assert_eq!(shift.is_some(), group[0]["sweep"] == "independent", "{:?}", group[0]);
        let powers: Vec<f64> = logs.iter().map(|log| 10f64.powf(*log)).collect();
        match shift {
            Some(shift) => {
                // Deviations are in units of the spread over seeds, so theirs is 1; of 12 values it is known to 20 %.
                let deviations: Vec<f64> = group.iter().filter_map(|row| number(row, "grad_ratio_deviation")).collect();
                let (mean, error) = mean_and_error(&deviations);
                let spread = error * (SEEDS as f64).sqrt();
                assert!(mean.abs() < 4.0 * error && (0.5..1.8).contains(&spread), "{mean} +- {error}: {deviations:?}");
                check("total", &logs, total + shift, &group[0])
            }
            None => check("total", &powers, 10f64.powf(total), &group[0]),
        };
    }
    println!("{compared:?}");
    let counts: Vec<u32> = compared.values().map(|c| c.0).collect();
    assert_eq!(counts, [40, 30, 40, 10], "{compared:?}");
    // Errors that were estimated too large would let everything pass: deviations are of their size, neighbouring layers
    // alike.
    for (what, (count, deviations)) in compared {
        let mean = deviations / f64::from(count);
        assert!((0.1..4.0).contains(&mean), "{what}: deviations of {mean} squared standard errors");
    }
}
