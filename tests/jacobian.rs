//! The columns `jacobian_*`: singular values of dh_L/dh_0 against differences of the dumped network's own outputs, closed
//! forms, and the refusals.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use gradsweep::engine::cpu::{CpuEngine, tensors};
use gradsweep::engine::{Batch, Engine, GivenTensors, LayerSelection, NetworkResult, Precision};
use gradsweep::network::{ActivationKind, Init, InitKind, Loss, NetworkSpec};
use gradsweep::program::ProgramKey;
use gradsweep::sampler::tensors::{NetworkData, TargetData};
use gradsweep::stats::{RecordMask, Spectrum};

fn spec(activation: ActivationKind, depth: u32, width: u32, input_size: u32) -> NetworkSpec {
    NetworkSpec {
        input_size,
        activation: activation.into(),
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.3, sigma_b: Some(0.3) },
        loss: Loss::Cotangent,
        seed: 11,
        ..NetworkSpec::plain(depth, width, 1)
    }
}

fn spectrum(spec: &NetworkSpec) -> Spectrum {
    let batch = Batch {
        key: ProgramKey::of(spec),
        networks: vec![spec.clone()],
        mask: RecordMask::BASIC.union(RecordMask::JACOBIAN),
        layers: LayerSelection::All,
        dataset: None,
        given: None,
    };
    let mut engine = CpuEngine::new(Precision::F64, 1).expect("one thread");
    engine.submit(std::sync::Arc::new(batch)).expect("it fits");
    let mut results: Vec<NetworkResult> = Vec::new();
    engine.next(&mut results).expect("it runs");
    let rows = &results[0].rows;
    assert!(rows[..spec.depth as usize].iter().all(|row| row.record.spectrum.max.mantissa.is_nan()));
    rows[spec.depth as usize].record.spectrum
}

/// dh_L/dx by central differences of the engine's forward pass, [width][input].
fn differences(spec: &NetworkSpec) -> Vec<Vec<f64>> {
    let all = tensors(spec, None, None, Precision::F64);
    let find = |name: &str| all.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("{name}")).data.clone();
    let layers = 1..=spec.depth;
    let weights: Vec<Vec<f64>> = layers.clone().map(|l| find(&format!("layers.{l}.weight"))).collect();
    let biases: Vec<Vec<f64>> = layers.map(|l| find(&format!("layers.{l}.bias"))).collect();
    let (input, cotangent) = (find("input"), find("cotangent"));
    let output = |input: Vec<f64>| {
        let data = NetworkData { input, target: TargetData::Cotangent(cotangent.clone()) };
        let given = GivenTensors { weights: weights.clone(), biases: biases.clone(), data };
        let name = format!("layers.{}.act", spec.depth);
        let all = tensors(spec, None, Some(&given), Precision::F64);
        all.into_iter().find(|t| t.name == name).expect("it is observed").data
    };
    let h = 1e-5;
    let mut columns = Vec::new();
    for j in 0..input.len() {
        let shifted = |by: f64| {
            let mut x = input.clone();
            x[j] += by;
            output(x)
        };
        let (above, below) = (shifted(h), shifted(-h));
        columns.push(above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * h)).collect::<Vec<f64>>());
    }
    (0..spec.width as usize).map(|i| columns.iter().map(|column| column[i]).collect()).collect()
}

#[test]
fn the_moments_of_the_spectrum_are_those_of_the_difference_quotients() {
    for (activation, depth, width, input) in [
        (ActivationKind::Tanh, 3, 6, 6),
        (ActivationKind::Gelu, 2, 5, 8),
        (ActivationKind::Sigmoid, 4, 7, 3),
        (ActivationKind::Relu, 2, 8, 8),
    ] {
        let spec = spec(activation, depth, width, input);
        let (found, jacobian) = (spectrum(&spec), differences(&spec));
        // tr J J^T and tr (J J^T)^2 are the sums of s^2 and s^4; J J^T and J^T J share them.
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let values = f64::from(width.min(input));
        let second = jacobian.iter().map(|row| dot(row, row)).sum::<f64>() / values;
        let pairs = jacobian.iter().flat_map(|a| jacobian.iter().map(move |b| dot(a, b).powi(2)));
        let fourth = pairs.sum::<f64>() / values;
        let close = |got: Option<f64>, want: f64| {
            let got = got.expect("in range");
            assert!((got / want - 1.0).abs() < 1e-7, "{activation:?}: {got} {want}");
        };
        close(found.mean_square.value(), second);
        close(found.m4_ratio.value(), fourth / (second * second));
        // The largest by power iteration.
        let mut v = vec![1.0; input as usize];
        let mut largest = 0.0;
        for _ in 0..3000 {
            let u: Vec<f64> = jacobian.iter().map(|row| dot(row, &v)).collect();
            largest = dot(&u, &u).sqrt() / dot(&v, &v).sqrt();
            v = (0..input as usize).map(|j| jacobian.iter().zip(&u).map(|(row, u)| row[j] * u).sum()).collect();
            let norm = dot(&v, &v).sqrt();
            v.iter_mut().for_each(|x| *x /= norm);
        }
        close(found.max.value(), largest);
        assert!(found.min.value().expect("in range") <= second.sqrt());
    }
}

#[test]
fn orthogonal_linear_networks_are_isometries_and_vanishing_ones_keep_their_size() {
    let mut orthogonal = spec(ActivationKind::Linear, 30, 24, 24);
    orthogonal.init.kind = InitKind::Orthogonal;
    let found = spectrum(&orthogonal);
    for value in [found.min, found.max, found.mean_square, found.m4_ratio] {
        assert!((value.value().expect("in range") - 1.0).abs() < 1e-5, "{found:?}");
    }
    // 1e-30 per layer is 1e-900 in all: outside float64, inside the record.
    orthogonal.init.gain = 1e-30;
    let found = spectrum(&orthogonal);
    assert_eq!(found.max.value(), None);
    assert!((found.max.log10_abs().expect("it has a size") + 900.0).abs() < 1e-4, "{found:?}");
    assert!((found.m4_ratio.value().expect("in range") - 1.0).abs() < 1e-5);
}

fn attempt(folder: &Path, keys: &str, args: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("sweep.toml");
    let text = format!(
        "schema_version = 1\nname = \"j\"\n[record]\nstatistics = [\"jacobian\"]\n[[sweep]]\nname = \"s\"\ndepth = 3\n{keys}\n"
    );
    fs::write(&file, text).expect("writable");
    let out = Command::new(env!("CARGO_BIN_EXE_gradsweep"))
        .env_remove("GRADSWEEP_DEVICE")
        .args(["run", "-q", "-o", "-"])
        .arg(&file)
        .args(args)
        .output()
        .expect("it starts");
    let text = if out.status.success() { out.stdout } else { out.stderr };
    (out.status.code(), String::from_utf8(text).expect("utf-8"))
}

#[test]
fn what_cannot_be_had_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let f64 = ["--precision", "f64"];
    for (keys, args, reason) in [
        ("width = 8\nbatch_size = 1", &[][..], "add --precision f64"),
        ("width = 8\nbatch_size = [1, 4]", &f64, "for one sample (batch_size = 1), and a network here has 4"),
        ("width = 300\nbatch_size = 1", &f64, "width and input_size up to 256, and a network here has 300"),
        ("width = 8\nbatch_size = 1\nnorm = \"rms\"", &f64, "without norm and residual"),
    ] {
        let (code, text) = attempt(folder.path(), keys, args);
        assert_eq!(code, Some(2), "{keys}: {text}");
        assert!(text.contains(reason), "{keys}: {text}");
    }
    let (code, text) = attempt(folder.path(), "width = 8\nbatch_size = 1", &f64);
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with("jacobian_sv_min,jacobian_sv_mean_sq,jacobian_sv_max,jacobian_sv_m4_ratio"),
        "{}",
        lines[0]
    );
    let filled = |line: &&&str| !line.ends_with(",,,");
    assert_eq!(lines[1..].iter().filter(filled).count(), 1, "the last hidden layer has them: {text}");
}
