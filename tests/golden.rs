//! The engines against gradients computed elsewhere in float64 (`golden/mlp.json`: weights and data by an integer hash, so
//! that anyone can rebuild them).

use gradsweep::engine::cpu::SimdLevel;
use gradsweep::engine::{GivenTensors, Precision};
use gradsweep::network::{ActivationKind, Loss, NetworkSpec, Norm, Residual};
use gradsweep::sampler::tensors::{NetworkData, TargetData};
use gradsweep::stats::Quantity;
use serde_json::Value;

use crate::support::{l2, run_cpu_at, spec};

/// u(l, i, j) of the golden file: a hash to [-1, 1].
pub fn hash(l: u64, i: u64, j: u64) -> f64 {
    let v = (31 * i * i + 17 * j * j + 101 * i * j + 971 * l + 7 * i + 13 * j + 5) % 2003;
    (v as f64 - 1001.0) / 1001.0
}

fn matrix(rows: u64, columns: u64, f: impl Fn(u64, u64) -> f64) -> Vec<f64> {
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect()
}

/// The network and tensors of a golden case.
pub fn golden_case(case: &Value) -> (NetworkSpec, GivenTensors) {
    let number = |key: &str| case[key].as_f64().expect(key);
    let int = |key: &str| case[key].as_u64().expect(key);
    let (depth, width, inputs, outputs, batch) = (int("depth"), int("width"), int("d_in"), int("d_out"), int("batch"));
    let activation = match case["act"].as_str().unwrap() {
        "sigmoid" => ActivationKind::Sigmoid,
        "tanh" => ActivationKind::Tanh,
        "relu" => ActivationKind::Relu,
        "elu" => ActivationKind::Elu,
        "gelu" => ActivationKind::Gelu,
        "softplus" => ActivationKind::Softplus,
        "hard_tanh" => ActivationKind::HardTanh,
        other => panic!("golden activation {other}"),
    };
    let norm = match case["norm"].as_str().unwrap() {
        "none" => Norm::None,
        "batch" => Norm::Batch,
        "layer" => Norm::Layer,
        "rms" => Norm::Rms,
        other => panic!("golden norm {other}"),
    };
    let residual = number("residual_alpha");
    let loss = if case["loss"] == "mse" { Loss::Mse } else { Loss::CrossEntropy };
    let spec = NetworkSpec {
        depth: depth as u32,
        width: width as u32,
        batch_size: batch as u32,
        input_size: inputs as u32,
        output_size: outputs as u32,
        activation: activation.into(),
        norm,
        residual: if residual == 0.0 { Residual::None } else { Residual::PostAct },
        residual_scale: residual,
        loss,
        ..spec()
    };
    let gain = number("gain");
    let shape = |l: u64| (if l == depth { outputs } else { width }, if l == 0 { inputs } else { width });
    let weights = (0..=depth).map(|l| {
        let (rows, columns) = shape(l);
        matrix(rows, columns, |i, j| gain * (3.0 / columns as f64).sqrt() * hash(l, i, j))
    });
    let biases = (0..=depth).map(|l| matrix(shape(l).0, 1, |i, _| 0.1 * hash(l + 50, i, 0)));
    let target = match loss {
        Loss::Mse => TargetData::Dense(matrix(batch, outputs, |b, k| hash(200, b, k))),
        _ => TargetData::Labels((0..batch).map(|b| ((3 * b + 1) % outputs) as u32).collect()),
    };
    let data = NetworkData { input: matrix(batch, inputs, |b, j| 1.5 * hash(100, b, j)), target };
    (spec, GivenTensors { weights: weights.collect(), biases: biases.collect(), data })
}

pub fn golden_cases() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/mlp.json")).expect("valid JSON")
}

fn check(precision: Precision, level: SimdLevel, tolerance: f64) {
    for case in golden_cases() {
        let id = case["id"].as_str().unwrap();
        let (spec, given) = golden_case(&case);
        let result = run_cpu_at(&spec, Some(given), precision, level);
        let near = |what: &str, got: f64, want: f64| {
            assert!((got - want).abs() <= tolerance * want.abs(), "{id} {what}: {got}, want {want}");
        };
        near("loss", result.loss.value().unwrap(), case["loss_value"].as_f64().unwrap());
        for layer in 1..=spec.depth as usize + 1 {
            let record = &result.rows[layer].record;
            let want = |key: &str| case[key][layer - 1].as_f64();
            near(&format!("dW_{layer}"), l2(record, Quantity::WeightGrad), want("dW_fro").unwrap());
            if let Some(delta) = want("dz_fro") {
                near(&format!("dz_{layer}"), l2(record, Quantity::PreactGrad), delta);
            }
            if spec.layer_has_bias(layer as u32) {
                near(&format!("db_{layer}"), l2(record, Quantity::BiasGrad), want("db_l2").unwrap());
            } else {
                // Exactly zero in theory; the golden file holds rounding noise.
                assert!(want("db_l2").unwrap() < 1e-12);
                assert_eq!(record.moments(Quantity::BiasGrad).count, 0);
            }
        }
    }
}

#[test]
fn float64_meets_the_golden_gradients() {
    check(Precision::F64, SimdLevel::Auto, 1e-9);
    check(Precision::F64, SimdLevel::Portable, 1e-9);
}

#[test]
fn float32_meets_the_golden_gradients() {
    check(Precision::F32, SimdLevel::Auto, 1e-5);
}

#[test]
fn float32_without_vector_instructions_meets_the_golden_gradients() {
    check(Precision::F32, SimdLevel::Portable, 1e-5);
}
