//! `gradsweep dump`: the tensors of one network, held against their own arithmetic and against the tables.

use crate::command_line::{Place, RUN, SWEEP, code, stderr};

#[test]
fn a_dump_replays_by_its_own_arithmetic() {
    let place = Place::new(SWEEP);
    let arguments = ["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors", "--precision", "f64"];
    let dump = place.run(&arguments);
    assert_eq!(code(&dump), 0, "{}", stderr(&dump));
    let bytes = place.read("x.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let metadata = metadata.metadata().clone().expect("metadata");
    assert!(metadata["configuration"].contains("\"depth\":2"), "{}", metadata["configuration"]);
    assert_eq!((&*metadata["log2_scale"], &*metadata["log2_row_scale"]), ("{}", "{}"));
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data: Vec<f64> =
            view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
        (view.shape().to_vec(), data)
    };
    // tanh, mse, width 4, batch 4: forward through both layers and the readout, then delta of the readout.
    let (shape, mut h) = tensor("input");
    assert_eq!(shape, [4, 4]);
    for layer in 1..=3 {
        let ((shape, w), (_, z)) =
            (tensor(&format!("layers.{layer}.weight")), tensor(&format!("layers.{layer}.preact")));
        let (_, b) = tensor(&format!("layers.{layer}.bias"));
        let (rows, columns) = (shape[0], shape[1]);
        for sample in 0..4 {
            for i in 0..rows {
                let sum: f64 = (0..columns).map(|j| w[i * columns + j] * h[sample * columns + j]).sum();
                assert!((sum + b[i] - z[sample * rows + i]).abs() < 1e-12, "layer {layer}");
            }
        }
        h = z.iter().map(|v| v.tanh()).collect();
        if layer < 3 {
            let (_, act) = tensor(&format!("layers.{layer}.act"));
            assert!(act.iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-12), "layer {layer}");
        }
    }
    let ((_, y), (_, target), (_, delta)) =
        (tensor("layers.3.preact"), tensor("target"), tensor("layers.3.preact_grad"));
    for ((y, d), g) in y.iter().zip(&target).zip(&delta) {
        assert!(((y - d) / 4.0 - g).abs() < 1e-12);
    }
}

#[test]
fn a_dump_of_a_saturated_network_multiplies_out_to_its_norms() {
    let sweep = "name = \"t\"\n[[sweep]]\nname = \"s\"\ndepth = 4\nwidth = 16\nbatch_size = 8\ninit = \"mean_field\"\n\
                 sigma_w = 1000.0\nloss = \"cotangent\"\n";
    let place = Place::new(sweep);
    let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors"]);
    assert_eq!(code(&dump), 0, "{}", stderr(&dump));
    let bytes = place.read("x.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let metadata = metadata.metadata().clone().expect("metadata");
    let map = |name: &str| -> serde_json::Value { serde_json::from_str(&metadata[name]).expect("JSON") };
    let (scales, row_scales) = (map("log2_scale"), map("log2_row_scale"));
    assert!(scales.as_object().is_some_and(|m| !m.is_empty()), "{scales}");
    assert!(row_scales.as_object().is_some_and(|m| !m.is_empty()), "{row_scales}");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert!(file.tensor("cotangent").is_ok() && file.tensor("target").is_err());
    let run = place.run(&RUN);
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    let mut rows = csv::Reader::from_path(place.path("out/layers.csv")).expect("written");
    let mut compared = 0;
    for row in rows.deserialize::<std::collections::BTreeMap<String, String>>() {
        let row = row.expect("a row");
        for quantity in ["preact_grad", "act_grad"] {
            let Ok(want) = row[&format!("{quantity}_log10_l2")].parse::<f64>() else { continue };
            let name = format!("layers.{}.{quantity}", row["layer"]);
            let view = file.tensor(&name).expect("there");
            let columns = view.shape()[1];
            let values: Vec<f64> = view
                .data()
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four"))))
                .collect();
            let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
            assert_eq!(zeros, row[&format!("{quantity}_zero_frac")].parse::<f64>().expect("a number"), "{name}");
            // log2 of each row's sum of squares, then log2 of their sum.
            let scale = scales[&name].as_f64().unwrap_or(0.0);
            let parts: Vec<f64> = values
                .chunks_exact(columns)
                .enumerate()
                .map(|(b, x)| {
                    let shift = row_scales[&name][b].as_f64().unwrap_or(0.0);
                    x.iter().map(|v| v * v).sum::<f64>().log2() + 2.0 * (scale + shift)
                })
                .collect();
            let top = parts.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let got = 0.5 * (top + parts.iter().map(|p| (p - top).exp2()).sum::<f64>().log2()) * 2f64.log10();
            assert!((got - want).abs() < 1e-5 * want.abs().max(1.0), "{name}: {got}, want {want}");
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn a_dump_is_the_same_file_every_time() {
    let place = Place::new(SWEEP);
    let dump = || {
        let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors"]);
        assert_eq!(code(&dump), 0, "{}", stderr(&dump));
        place.read("x.safetensors")
    };
    let first = dump();
    assert!((0..3).all(|_| dump() == first));
    // The tensors start where the format wants them, and the whole entry for people stands first.
    let header = u64::from_le_bytes(first[..8].try_into().expect("eight")) as usize;
    assert_eq!(header % 8, 0);
    assert!(first[8..].starts_with(br#"{"__metadata__":{"configuration":"{"#));
    let file = safetensors::SafeTensors::deserialize(&first).expect("a safetensors file");
    assert_eq!(file.tensor("layers.1.weight").expect("there").shape(), [4, 4]);
}
