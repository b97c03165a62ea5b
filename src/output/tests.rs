//! The rules that both tables keep.

use super::{LayersWriter, NetworksWriter};
use crate::config::{Key, Value};
use crate::engine::{LayerSelection, NetworkResult, Row};
use crate::network::{Loss, NetworkSpec, Residual};
use crate::plan::{PlannedNetwork, RecordPlan};
use crate::stats::catalog::{self, Cell, RowContext, formula_tests::records, tests::spec};
use crate::stats::{Count, Quantity, Record, Scaled, Sum};
use crate::theory::Known;

const VARYING: [Key; 4] = [Key::Depth, Key::Activation, Key::SigmaW, Key::Bias];

/// Everything that theory can know.
fn known() -> Known {
    Known { mean_field: true, moments: true, ratios: true, cosine: true, width: true }
}

fn sweeps() -> Vec<String> {
    vec!["first".into(), "second.part".into()]
}

fn writer(varying: &[Key], statistics: &[&str], layers: LayerSelection) -> LayersWriter {
    let columns = catalog::columns(statistics).unwrap();
    let mask = catalog::mask_for(&columns);
    let columns = columns.iter().map(|row| row.name.clone()).collect();
    LayersWriter::of(&sweeps(), varying, &RecordPlan { mask, layers, columns })
}

/// A writer of all layers.
fn all(statistics: &[&str]) -> LayersWriter {
    writer(&VARYING, statistics, LayerSelection::All)
}

fn planned(spec: NetworkSpec) -> PlannedNetwork {
    let mut values = vec![None; Key::ALL.len()];
    values[Key::Depth as usize] = Some(Value::Int(spec.depth.into()));
    values[Key::Activation as usize] = Some(Value::Word("leaky_relu(0.2)".into()));
    values[Key::Bias as usize] = Some(Value::Bool(true));
    values[Key::Loss as usize] = Some(Value::Word("mse".into()));
    values[Key::Gain as usize] = Some(Value::Float(1.0));
    PlannedNetwork {
        index: 41,
        sweep: 1,
        replicate: 3,
        configuration_id: "c-0123456789abcdef".into(),
        network_id: "n-fedcba9876543210".into(),
        spec: NetworkSpec { seed: (1 << 53) - 1, ..spec },
        values: values.into(),
    }
}

fn result(spec: &NetworkSpec, shift: i32) -> NetworkResult {
    let (record, _) = records(shift);
    let rows = (0..spec.rows()).map(|layer| Row { step: 0, layer, record }).collect();
    let delta_squares = (0..spec.depth).map(|l| Scaled::new(1.0, shift * (l as i32 + 1))).collect();
    NetworkResult { slot: 0, rows, delta_squares, loss: Scaled::from(0.25), error: None }
}

/// Header and records as text.
fn read(bytes: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(bytes);
    let line = |record: &csv::StringRecord| record.iter().map(str::to_string).collect();
    let header = line(reader.headers().unwrap());
    (header, reader.records().map(|r| line(&r.expect("every row is as long as the header"))).collect())
}

fn layers(writer: &LayersWriter, planned: &PlannedNetwork, result: &NetworkResult) -> (Vec<String>, Vec<Vec<String>>) {
    let mut out = writer.header();
    writer.append_network(planned, result, &mut out);
    read(&out)
}

fn networks(planned: &PlannedNetwork, result: &NetworkResult) -> (Vec<String>, Vec<Vec<String>>) {
    let writer = NetworksWriter::of(&sweeps(), 2.0, &known());
    let mut out = writer.header();
    writer.append_network(planned, result, &mut out);
    read(&out)
}

#[test]
fn rows_start_with_ids_then_varying_keys_then_statistics() {
    let writer = all(&["chi", "preact_mean"]);
    let spec = NetworkSpec { depth: 2, input_size: 5, ..spec() };
    let (header, rows) = layers(&writer, &planned(spec.clone()), &result(&spec, 0));
    let fixed = "network,configuration,sweep,replicate,step,layer,layer_kind,fan_in,fan_out";
    assert_eq!(header.join(","), format!("{fixed},depth,activation,sigma_w,bias,preact_mean,chi"));
    let start = |row: &[String]| row[..13].join(",");
    let ids = "n-fedcba9876543210,c-0123456789abcdef,second.part,3,0";
    let keys = "2,leaky_relu(0.2),,true";
    assert_eq!(start(&rows[0]), format!("{ids},0,input,,,{keys}"));
    assert_eq!(start(&rows[1]), format!("{ids},1,hidden,5,8,{keys}"));
    assert_eq!(start(&rows[3]), format!("{ids},3,readout,8,3,{keys}"));
    assert_eq!(rows.len(), 4);
    assert!(rows[0][13].is_empty() && !rows[3][13].is_empty());
    assert!(!rows[2][14].is_empty() && rows[3][14].is_empty());
}

#[test]
fn every_cell_reads_back_as_the_value_of_its_formula() {
    let writer = all(&["full"]);
    for spec in [spec(), NetworkSpec { residual: Residual::PreAct, loss: Loss::Cotangent, ..spec() }] {
        for shift in [0, -1200, 20_000] {
            let result = result(&spec, shift);
            let (header, rows) = layers(&writer, &planned(spec.clone()), &result);
            assert_eq!(rows.len(), result.rows.len());
            for (i, row) in rows.iter().enumerate() {
                let next = result.rows.get(i + 1).map(|n| &n.record);
                let context = RowContext { spec: &spec, layer: i as u32, this: &result.rows[i].record, next };
                for (name, text) in header.iter().zip(row).skip(13) {
                    match catalog::find(name).unwrap().cell(&context) {
                        Cell::Empty => assert_eq!(text, "", "{name}"),
                        Cell::Int(v) => assert_eq!(text, &v.to_string(), "{name}"),
                        Cell::Float(v) => {
                            assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits(), "{name}");
                            assert!(text.contains(['.', 'e']), "{name}: {text}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn no_infinity_and_no_nan_reaches_the_text() {
    let broken = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let writer = all(&["full"]);
    for value in broken {
        let mut record = records(0).0;
        for quantity in Quantity::ALL {
            let m = &mut record.moments[quantity as usize];
            (m.mean, m.m2, m.m3, m.m4, m.abs_max) = (value, value, value, value, value);
            m.abs_quantiles = [value; 5];
        }
        Sum::ALL.iter().for_each(|&s| record.sums[s as usize] = Scaled::new(value, 5));
        Count::ALL.iter().for_each(|&c| record.counts[c as usize] = 0);
        let mut result = result(&spec(), 0);
        result.rows.iter_mut().for_each(|row| row.record = record);
        result.loss = Scaled::from(value);
        result.delta_squares[2] = Scaled::from(value);
        let (header, rows) = layers(&writer, &planned(spec()), &result);
        let (network_header, network_rows) = networks(&planned(spec()), &result);
        let cells = |header: &[String], rows: &[Vec<String>]| -> Vec<(String, String)> {
            rows.iter().flat_map(|row| header.iter().cloned().zip(row.iter().cloned())).collect()
        };
        for (name, text) in cells(&header, &rows).into_iter().chain(cells(&network_header, &network_rows)) {
            let text = text.to_lowercase();
            assert!(!text.contains("nan") && !text.contains("inf") && !text.contains("none"), "{name}: {text}");
        }
    }
}

#[test]
fn only_the_selected_layers_are_written_and_their_ratios_are_complete() {
    let writer = writer(&VARYING, &["flow"], LayerSelection::Only(vec![1, 4]));
    assert_eq!(writer.recorded_layers(), LayerSelection::Only(vec![1, 2, 4, 5]));
    let mut recorded = result(&spec(), 0);
    recorded.rows.retain(|row| writer.recorded_layers().contains(row.layer));
    let (header, rows) = layers(&writer, &planned(spec()), &recorded);
    let ratio = header.iter().position(|name| name == "log10_grad_ratio").unwrap();
    assert_eq!(rows.iter().map(|row| row[5].as_str()).collect::<Vec<_>>(), ["1", "4"]);
    assert!(rows.iter().all(|row| row[ratio] == "0.0"), "equal neighbours");
    // Without the neighbour the ratio is missing, and never taken from another row or step.
    recorded.rows.retain(|row| row.layer != 2);
    recorded.rows.iter_mut().filter(|row| row.layer == 5).for_each(|row| row.step = 1);
    let (_, rows) = layers(&writer, &planned(spec()), &recorded);
    assert!(rows.iter().all(|row| row[ratio].is_empty()));
}

#[test]
fn a_network_row_has_every_key_and_its_summary() {
    let (header, rows) = networks(&planned(spec()), &result(&spec(), -6));
    let cell = |name: &str| rows[0][header.iter().position(|h| h == name).expect(name)].as_str();
    assert_eq!(rows.len(), 1);
    for key in Key::ALL.iter().filter(|key| **key != Key::Loss) {
        cell(key.name());
    }
    assert_eq!((cell("network"), cell("configuration")), ("n-fedcba9876543210", "c-0123456789abcdef"));
    assert_eq!((cell("index"), cell("sweep"), cell("replicate")), ("41", "second.part", "3"));
    assert_eq!(cell("seed"), "9007199254740991");
    assert_eq!((cell("loss_function"), cell("loss"), cell("gain")), ("mse", "0.25", "1.0"));
    assert_eq!((cell("status"), cell("error"), cell("verdict")), ("ok", "", "exploding"));
    assert_eq!((cell("depth"), cell("width"), cell("bias")), ("6", "", "true"));
    // |delta_l|^2 = 2^(-6 l): from layer 6 to layer 1 the square grows by 2^30.
    let total: f64 = cell("log10_grad_ratio_total").parse().unwrap();
    assert!((total - 30.0 * 2f64.log10()).abs() < 1e-12);
}

#[test]
fn names_are_unique_in_both_tables() {
    let layers = writer(&Key::ALL, &["full"], LayerSelection::All);
    for fields in [layers.fields(), NetworksWriter::of(&sweeps(), 2.0, &known()).fields()] {
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        for name in names {
            let mut bytes = name.bytes();
            assert!(bytes.next().is_some_and(|b| b.is_ascii_lowercase()), "{name}");
            assert!(bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        }
    }
}

#[test]
fn an_error_text_survives_whatever_it_holds() {
    let text = "out of memory, \"8 GiB\" wanted\nmake the batch smaller,\r\nor the width";
    let failed = NetworkResult { rows: Vec::new(), error: Some(text.into()), ..result(&spec(), 0) };
    let (header, rows) = networks(&planned(spec()), &failed);
    let cell = |name: &str| rows[0][header.iter().position(|h| h == name).unwrap()].as_str();
    assert_eq!((cell("status"), cell("error"), cell("verdict"), cell("loss")), ("failed", text, "", ""));
    let (_, rows) = layers(&all(&["basic"]), &planned(spec()), &failed);
    assert!(rows.is_empty());
}

#[test]
fn a_record_of_an_engine_that_saw_nothing_leaves_the_cells_empty() {
    let mut result = result(&spec(), 0);
    result.rows.iter_mut().for_each(|row| row.record = Record::EMPTY);
    let (_, rows) = layers(&all(&["full"]), &planned(spec()), &result);
    assert!(rows.iter().all(|row| row[13..].iter().all(String::is_empty)));
}

#[test]
fn the_data_package_describes_every_column_of_both_tables() {
    let (layers, networks) =
        (writer(&Key::ALL, &["full"], LayerSelection::All), NetworksWriter::of(&sweeps(), 2.0, &known()));
    let tables = [("layers.csv", layers.fields()), ("networks.csv", networks.fields())];
    let package: serde_json::Value = serde_json::from_str(&super::datapackage("Depth.Sweep", &tables)).unwrap();
    assert_eq!((&package["name"], &package["title"]), (&"depth.sweep".into(), &"Depth.Sweep".into()));
    for (i, header) in [layers.header(), networks.header()].into_iter().enumerate() {
        let fields = package["resources"][i]["schema"]["fields"].as_array().unwrap();
        let names: Vec<&str> = fields.iter().map(|field| field["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(",") + "\n", String::from_utf8(header).unwrap());
        let kinds = ["string", "integer", "number", "boolean", "any"];
        assert!(fields.iter().all(|f| kinds.contains(&f["type"].as_str().unwrap())));
        assert!(fields.iter().all(|f| !f["description"].as_str().unwrap().is_empty()));
    }
    // The types are those of the cells.
    let (_, rows) = self::layers(&all(&["full"]), &planned(spec()), &result(&spec(), 0));
    for (field, text) in all(&["full"]).fields().iter().zip(&rows[2]).filter(|(_, text)| !text.is_empty()) {
        match field.kind {
            "integer" => assert!(text.parse::<u64>().is_ok(), "{}", field.name),
            "number" => assert!(text.parse::<f64>().is_ok() && text.parse::<u64>().is_err(), "{}", field.name),
            "boolean" => assert!(text == "true" || text == "false"),
            _ => {}
        }
    }
}
