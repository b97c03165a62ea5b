//! Every sum and count of a record against plain loops over the dumped tensors of the same network.

use gradsweep::engine::Precision;
use gradsweep::engine::cpu::{NamedTensor, SimdLevel, tensors};
use gradsweep::network::{ActivationKind, Init, InitKind, Input, Loss, NetworkSpec, Norm, Residual};
use gradsweep::stats::{Count, Quantity, Record, Sum};

use crate::support::{run_cpu_at, spec};

struct Matrix {
    columns: usize,
    data: Vec<f64>,
}

impl Matrix {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks(self.columns)
    }
}

fn get(all: &[NamedTensor], name: &str) -> Option<Matrix> {
    let t = all.iter().find(|t| t.name == name)?;
    let data = t.data.iter().enumerate().map(|(i, v)| v * 2f64.powi(t.log2_scale_at(i))).collect();
    Some(Matrix { columns: *t.shape.last().unwrap(), data })
}

fn near(what: &str, got: f64, want: f64, tolerance: f64, scale: f64) {
    assert!((got - want).abs() <= tolerance * scale.abs().max(want.abs()), "{what}: {got}, want {want}");
}

/// Sum of cosines and number of pairs.
fn cosines(m: &Matrix, adjacent: bool) -> (f64, u64) {
    let rows: Vec<&[f64]> = m.rows().collect();
    let norm = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (mut sum, mut pairs) = (0.0, 0);
    for a in 0..rows.len() {
        for b in a + 1..rows.len() {
            if adjacent && !(a % 2 == 0 && b == a + 1) {
                continue;
            }
            let (na, nb) = (norm(rows[a]), norm(rows[b]));
            if na > 0.0 && nb > 0.0 {
                sum += rows[a].iter().zip(rows[b]).map(|(x, y)| x * y).sum::<f64>() / (na * nb);
                pairs += 1;
            }
        }
    }
    (sum, pairs)
}

fn check_moments(name: &str, record: &Record, quantity: Quantity, m: &Matrix, tolerance: f64) {
    let got = record.moments(quantity);
    let n = m.data.len() as f64;
    let unit = 2f64.powi(got.exponent);
    let mean = m.data.iter().sum::<f64>() / n;
    let power = |k: i32| m.data.iter().map(|v| (v - mean).powi(k)).sum::<f64>();
    let deviation = (power(2) / n).sqrt();
    let rms = (m.data.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
    assert_eq!(got.count, m.data.len() as u64, "{name}");
    assert_eq!(got.zeros, m.data.iter().filter(|v| **v == 0.0).count() as u64, "{name}: zeros");
    assert_eq!(got.nonfinite, 0, "{name}");
    near(&format!("{name} mean"), got.mean * unit, mean, tolerance, rms);
    near(&format!("{name} m2"), got.m2 * unit * unit, power(2), tolerance, rms * rms * 1e-6);
    if deviation > 1e-6 * rms {
        near(&format!("{name} m3"), got.m3 * unit.powi(3), power(3), 3.0 * tolerance, deviation.powi(3) * n);
        near(&format!("{name} m4"), got.m4 * unit.powi(4), power(4), 3.0 * tolerance, 0.0);
    }
    let max = m.data.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    near(&format!("{name} max"), got.abs_max * unit, max, tolerance, 0.0);
    let mut sorted: Vec<f64> = m.data.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    for (percent, value) in [5, 25, 50, 75, 95].into_iter().zip(got.abs_quantiles) {
        let want = sorted[percent * (sorted.len() - 1) / 100];
        assert!(value * unit >= 0.87 * want && value * unit <= 1.13 * want, "{name} p{percent}: {value} {want}");
    }
}

fn check(spec: &NetworkSpec, precision: Precision, level: SimdLevel, tolerance: f64) {
    let all = tensors(spec, None, None, precision);
    let result = run_cpu_at(spec, None, precision, level);
    let adjacent = spec.input == Input::CorrelatedPairs;
    let facts = spec.activation.facts();
    for row in &result.rows {
        let (l, record) = (row.layer, &row.record);
        let label =
            format!("{} {:?} {:?} {:?} layer {l}", spec.activation.canonical(), spec.norm, spec.residual, precision);
        let tensor = |name: &str| {
            if l == 0 && name == "act" { get(&all, "input") } else { get(&all, &format!("layers.{l}.{name}")) }
        };
        for quantity in Quantity::ALL {
            match tensor(quantity.name()) {
                Some(m) => check_moments(&format!("{label} {}", quantity.name()), record, quantity, &m, tolerance),
                None => assert_eq!(record.moments(quantity).count, 0, "{label} {}", quantity.name()),
            }
        }
        let sum = |s: Sum| record.sum(s).value().unwrap_or(f64::NAN);
        for (name, which, count) in [
            ("preact", Sum::PreactCos, Count::PreactPairs),
            ("act", Sum::ActCos, Count::ActPairs),
            ("preact_grad", Sum::GradCos, Count::GradPairs),
        ] {
            if let Some(m) = tensor(name) {
                let (want, pairs) = cosines(&m, adjacent);
                assert_eq!(record.count(count), pairs, "{label} {name} pairs");
                near(&format!("{label} {name} cosine"), sum(which), want, tolerance, pairs as f64);
                if name == "preact" {
                    near(&format!("{label} gap"), sum(Sum::PreactCosGap), pairs as f64 - want, tolerance, pairs as f64);
                }
            }
        }
        if let (Some(w), Some(g)) = (tensor("weight"), tensor("weight_grad")) {
            let products = || w.data.iter().zip(&g.data).map(|(a, b)| a * b);
            near(
                &format!("{label} <W, dW>"),
                sum(Sum::WeightDotGrad),
                products().sum(),
                tolerance,
                products().map(f64::abs).sum(),
            );
        }
        if let Some(delta) = tensor("preact_grad") {
            let logs: Vec<f64> = delta
                .rows()
                .map(|r| r.iter().map(|v| v * v).sum::<f64>())
                .filter(|s| *s > 0.0)
                .map(|s| 0.5 * s.log10())
                .collect();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            assert_eq!(record.count(Count::GradSamples), logs.len() as u64);
            near(
                &format!("{label} spread"),
                sum(Sum::SampleLogGradDeviation),
                logs.iter().map(|v| (v - mean).powi(2)).sum(),
                tolerance,
                1.0,
            );
        }
        // u is z only in plain and post_act layers without norm.
        let plain = spec.norm == Norm::None && spec.residual != Residual::PreAct;
        if l == 0 || l > spec.depth || !plain {
            continue;
        }
        let u = tensor("preact").unwrap();
        let slope: Vec<f64> = u.data.iter().map(|&v| spec.activation.derivative(v)).collect();
        near(&format!("{label} phi'"), sum(Sum::PhiGrad), slope.iter().sum(), tolerance, slope.len() as f64);
        near(&format!("{label} phi'^2"), sum(Sum::PhiGradSquare), slope.iter().map(|v| v * v).sum(), tolerance, 0.0);
        assert_eq!(record.count(Count::PhiElements), u.data.len() as u64);
        assert_eq!(record.count(Count::Active), u.data.iter().filter(|v| **v > 0.0).count() as u64);
        let saturated = |(v, d): (&f64, &f64)| {
            d.abs() < 0.01 * facts.sup_derivative && (*v <= facts.knee[0] || *v >= facts.knee[1])
        };
        assert_eq!(
            record.count(Count::Saturated),
            u.data.iter().zip(&slope).filter(|p| saturated(*p)).count() as u64,
            "{label}"
        );
        let flat = |v: f64| v <= facts.flat[0] || v >= facts.flat[1];
        let dead = (0..u.columns).filter(|j| u.rows().all(|r| flat(r[*j]))).count();
        assert_eq!(record.count(Count::DeadUnits), dead as u64, "{label}");
        let Some(w) = get(&all, &format!("layers.{}.weight", l + 1)) else {
            assert_eq!(record.count(Count::Paths), 0);
            continue;
        };
        let (mut abs, mut square, mut max, mut above, mut paths) = (0.0, 0.0, 0.0f64, 0, 0);
        for out in w.rows() {
            for s in slope.chunks(u.columns) {
                for (w, d) in out.iter().zip(s) {
                    let f = (w * d).abs();
                    abs += f;
                    square += f * f;
                    max = max.max(f);
                    above += u64::from(f > 1.0);
                    paths += 1;
                }
            }
        }
        assert_eq!(record.count(Count::Paths), paths);
        assert_eq!(record.count(Count::PathsAboveOne), above, "{label}: paths above 1");
        near(&format!("{label} paths"), sum(Sum::PathAbs), abs, tolerance, 0.0);
        near(&format!("{label} paths^2"), sum(Sum::PathSquare), square, tolerance, 0.0);
        near(&format!("{label} path max"), sum(Sum::PathMax), max, tolerance, 0.0);
    }
}

fn cases() -> Vec<NetworkSpec> {
    let base = NetworkSpec {
        depth: 3,
        width: 11,
        input_size: 7,
        batch_size: 34,
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.8, sigma_b: Some(0.3) },
        ..spec()
    };
    let mut list = Vec::new();
    for (i, kind) in [
        ActivationKind::Tanh,
        ActivationKind::Relu,
        ActivationKind::HardTanh,
        ActivationKind::Silu,
        ActivationKind::Relu6,
    ]
    .into_iter()
    .enumerate()
    {
        for residual in [Residual::None, Residual::PostAct, Residual::PreAct] {
            for norm in [Norm::None, Norm::Batch, Norm::Layer] {
                let loss = [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent][(i + list.len()) % 3];
                let input = if list.len() % 4 == 0 { Input::CorrelatedPairs } else { Input::Gaussian };
                list.push(NetworkSpec {
                    activation: kind.into(),
                    residual,
                    norm,
                    loss,
                    input,
                    input_param: 0.6,
                    seed: list.len() as u64,
                    ..base.clone()
                });
            }
        }
    }
    // Few samples, so that some units are dead; one sample, so that nothing is correlated.
    list.push(NetworkSpec { activation: ActivationKind::Relu.into(), batch_size: 2, ..base.clone() });
    list.push(NetworkSpec { batch_size: 1, width: 1, input_size: 1, ..base });
    list
}

#[test]
fn float64_records_equal_plain_loops_over_the_tensors() {
    cases().iter().for_each(|case| check(case, Precision::F64, SimdLevel::Auto, 1e-10));
}

#[test]
fn float32_records_equal_plain_loops_over_the_tensors() {
    cases().iter().for_each(|case| check(case, Precision::F32, SimdLevel::Auto, 1e-5));
}

#[test]
fn float32_records_without_vector_instructions_equal_plain_loops_over_the_tensors() {
    cases().iter().for_each(|case| check(case, Precision::F32, SimdLevel::Portable, 1e-5));
}

/// The largest width that there is, forwards and backwards, against sums in float64.
#[test]
fn the_widest_layer_equals_plain_loops() {
    let n = 2048;
    let init = Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.8, sigma_b: Some(0.3) };
    let spec = NetworkSpec {
        depth: 1,
        width: n,
        input_size: n,
        batch_size: 1,
        init,
        loss: Loss::Cotangent,
        seed: 5,
        ..spec()
    };
    check(&spec, Precision::F32, SimdLevel::Auto, 1e-5);
    let all = tensors(&spec, None, None, Precision::F32);
    let tensor = |name: &str| get(&all, name).unwrap_or_else(|| panic!("{name} is dumped"));
    let (x, w, b, cotangent) =
        (tensor("input"), tensor("layers.1.weight"), tensor("layers.1.bias"), tensor("cotangent"));
    let n = n as usize;
    let z: Vec<f64> =
        w.rows().zip(&b.data).map(|(row, b)| row.iter().zip(&x.data).map(|(w, x)| w * x).sum::<f64>() + b).collect();
    let delta: Vec<f64> = z.iter().zip(&cotangent.data).map(|(z, g)| g / z.cosh().powi(2)).collect();
    let x_grad: Vec<f64> = (0..n).map(|j| (0..n).map(|i| w.data[i * n + j] * delta[i]).sum()).collect();
    let w_grad: Vec<f64> = delta.iter().flat_map(|d| x.data.iter().map(move |x| d * x)).collect();
    let h: Vec<f64> = z.iter().map(|z| z.tanh()).collect();
    for (name, want) in [
        ("layers.1.preact", &z),
        ("layers.1.act", &h),
        ("layers.1.preact_grad", &delta),
        ("layers.0.act_grad", &x_grad),
        ("layers.1.weight_grad", &w_grad),
        ("layers.1.bias_grad", &delta),
    ] {
        let got = tensor(name);
        assert_eq!(got.data.len(), want.len(), "{name}");
        let rms = (want.iter().map(|v| v * v).sum::<f64>() / want.len() as f64).sqrt();
        for (got, want) in got.data.iter().zip(want) {
            // Sums of 2048 terms of float32, and slopes that amplify what z is off by.
            assert!((got - want).abs() <= 2e-5 * rms, "{name}: {got}, want {want}");
        }
    }
}
