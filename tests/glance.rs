//! The small plot at the end of a run, held against the tables.

use std::collections::BTreeMap;
use std::fs;

use gradsweep::report::{Style, glance};

use crate::command_line::Place;
use crate::report_page::run;

const SWEEP: &str = r#"schema_version = 1
name = "look"
replicates = 5
[defaults]
batch_size = 4
width = 12
loss = "cotangent"
[[sweep]]
name = "grid"
depth = [3, 6, 9]
activation = ["tanh", "relu"]
init = ["he_normal", "xavier_normal"]
"#;

/// Cells of these columns of every row.
fn cells<const N: usize>(place: &Place, table: &str, columns: [&str; N]) -> Vec<[String; N]> {
    let text = String::from_utf8(place.read(table)).expect("text");
    let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
    let places = columns.map(|name| header.iter().position(|c| *c == name).unwrap_or_else(|| panic!("no {name}")));
    let rows = text.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    rows.map(|row| places.map(|i| row[i].to_string())).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn a_line_ends_with_what_layers_csv_says_of_its_first_and_last_layer() {
    let place = run(SWEEP);
    let mut norms: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for [depth, layer, activation, init, norm] in
        cells(&place, "out/layers.csv", ["depth", "layer", "activation", "init", "preact_grad_log10_l2"])
    {
        if depth == "9" && (layer == "1" || layer == "9") {
            let line = norms.entry((format!("{activation}, {init}"), layer)).or_default();
            line.push(norm.parse().expect("a gradient"));
        }
    }
    let lines = glance(&place.path("out"), Style::Blocks).unwrap();
    assert_eq!(lines[0], "log10 |dLoss/dz| from the first layer to the last at depth = 9:");
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for line in &lines[1..5] {
        let (label, rest) = line.trim().split_once("  ").expect("a label");
        let words: Vec<&str> = rest.split_whitespace().collect();
        let mut of = |layer: &str| median(norms.get_mut(&(label.to_string(), layer.to_string())).expect(label));
        assert_eq!(words[1], format!("{:+.1}", of("1") - of("9")), "{line}");
        assert_eq!(words[0].chars().count(), 9, "a bar a layer: {line}");
    }
    assert!(lines[5].ends_with("medians over seeds"), "{}", lines[5]);
}

#[test]
fn without_curves_a_line_ends_with_what_networks_csv_says() {
    let place = run(&format!("{SWEEP}[record]\nstatistics = [\"act_mean\"]\n"));
    let with_other_columns = glance(&place.path("out"), Style::Blocks).unwrap();
    fs::remove_file(place.path("out/layers.csv")).unwrap();
    let lines = glance(&place.path("out"), Style::Blocks).unwrap();
    assert_eq!(lines, with_other_columns);
    assert_eq!(lines[0], "log10 |dLoss/dz| of the first layer against the last at depth = 9:");
    let rows = cells(&place, "out/networks.csv", ["depth", "activation", "init", "log10_grad_ratio_total"]);
    for line in &lines[1..5] {
        let (label, _) = line.trim().split_once("  ").expect("a label");
        let ratios = rows.iter().filter(|[depth, a, i, _]| depth == "9" && format!("{a}, {i}") == label);
        let mut changes: Vec<f64> = ratios.map(|row| row[3].parse::<f64>().expect("a ratio") / 2.0).collect();
        assert!(line.ends_with(&format!("  {:+.1}", median(&mut changes))), "{line}");
    }
}
