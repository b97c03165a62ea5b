//! From engine to column: every statistic of every row, as the float64 engine records it and the catalog computes it,
//! against its definition evaluated on the network's tensors.

use std::collections::HashMap;

use gradsweep::engine::cpu::{CpuEngine, tensors};
use gradsweep::engine::{Batch, LayerSelection, NetworkResult, Precision};
use gradsweep::network::{Activation, ActivationKind, Input, Loss, NetworkSpec, Norm, Residual};
use gradsweep::stats::catalog::{self, CATALOG, Cell, RowContext, StatisticRow};

use crate::support::{batch, run_batch, run_cpu, spec};

/// A tensor in true values.
#[derive(Clone)]
struct Matrix {
    columns: usize,
    x: Vec<f64>,
}

impl Matrix {
    fn rows(&self) -> Vec<&[f64]> {
        self.x.chunks(self.columns).collect()
    }
    fn map(&self, f: impl Fn(f64) -> f64) -> Matrix {
        Matrix { columns: self.columns, x: self.x.iter().map(|v| f(*v)).collect() }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
fn mean(x: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = x.len() as f64;
    x.sum::<f64>() / n
}

/// What a cell should be.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// Up to rounding, relative to the value or to this scale, whichever is larger.
    Near(f64, f64),
    Within(f64, f64),
}

struct Network {
    spec: NetworkSpec,
    tensors: HashMap<String, Matrix>,
}

impl Network {
    fn new(spec: NetworkSpec) -> Self {
        let named = tensors(&spec, None, None, Precision::F64).into_iter().map(|t| {
            let columns = *t.shape.last().expect("no scalars");
            let x = t.data.iter().enumerate().map(|(i, v)| libm::scalbn(*v, t.log2_scale_at(i))).collect();
            (t.name, Matrix { columns, x })
        });
        let mut tensors: HashMap<String, Matrix> = named.collect();
        tensors.insert("layers.0.act".into(), tensors["input"].clone());
        Network { spec, tensors }
    }

    fn get(&self, layer: u32, name: &str) -> Option<&Matrix> {
        self.tensors.get(&format!("layers.{layer}.{name}"))
    }

    /// u_l, the argument of phi, from the tensor before it.
    fn argument(&self, layer: u32) -> Option<Matrix> {
        if layer == 0 || layer > self.spec.depth || self.spec.is_linear_stem(layer) {
            return None;
        }
        let source = match self.spec.residual {
            Residual::PreAct => self.get(layer - 1, "act")?,
            _ => self.get(layer, "preact")?,
        };
        Some(norm(&self.spec, source))
    }

    fn samples_are_pairs(&self) -> bool {
        self.spec.input == Input::CorrelatedPairs
    }

    /// Mean cosine over pairs of samples.
    fn cosine(&self, x: &Matrix) -> Option<f64> {
        let rows = x.rows();
        let mut cosines = Vec::new();
        for j in 0..rows.len() {
            for i in 0..j {
                if !self.samples_are_pairs() || (i % 2 == 0 && j == i + 1) {
                    cosines.push(dot(rows[i], rows[j]) / (dot(rows[i], rows[i]) * dot(rows[j], rows[j])).sqrt());
                }
            }
        }
        (!cosines.is_empty()).then(|| mean(cosines.into_iter()))
    }

    /// Every column of a row that has a value.
    fn expected(&self, layer: u32) -> HashMap<String, Expect> {
        let mut out = HashMap::new();
        for quantity in ["preact", "act", "preact_grad", "act_grad", "weight", "weight_grad", "bias_grad"] {
            if let Some(x) = self.get(layer, quantity) {
                moments(&mut out, quantity, &x.x);
            }
        }
        let mut put = |name: &str, value: f64, scale: f64| {
            out.insert(name.to_string(), Expect::Near(value, scale));
        };
        for (name, quantity) in [("preact_cos", "preact"), ("act_cos", "act"), ("grad_cos", "preact_grad")] {
            if let Some(cosine) = self.get(layer, quantity).and_then(|x| self.cosine(x)) {
                put(name, cosine, 1.0);
                if quantity == "preact" {
                    put("preact_cos_gap", 1.0 - cosine, 1.0);
                }
            }
        }
        if let Some(delta) = self.get(layer, "preact_grad") {
            if self.spec.batch_size > 1 {
                let logs: Vec<f64> = delta.rows().iter().map(|d| dot(d, d).sqrt().log10()).collect();
                let middle = mean(logs.iter().copied());
                put("sample_log10_grad_std", mean(logs.iter().map(|v| (v - middle).powi(2))).sqrt(), 1.0);
            }
            let (weight, grad) = (self.get(layer, "weight").unwrap(), self.get(layer, "weight_grad").unwrap());
            put("weight_dot_grad", dot(&weight.x, &grad.x), dot(&grad.x, &grad.x).sqrt());
            if let (Some(next), true) = (self.get(layer + 1, "preact_grad"), layer <= self.spec.depth) {
                put("log10_grad_ratio", (dot(&delta.x, &delta.x) / dot(&next.x, &next.x)).log10(), 1.0);
            }
        }
        if let Some(u) = self.argument(layer) {
            self.activation(&mut out, layer, &u);
        }
        out
    }

    /// Columns of a layer with an activation.
    fn activation(&self, out: &mut HashMap<String, Expect>, layer: u32, u: &Matrix) {
        let spec = &self.spec;
        let mut put = |name: &str, value: f64| {
            out.insert(name.to_string(), Expect::Near(value, value.abs()));
        };
        let (phi, facts) = (spec.activation, spec.activation.facts());
        let slope = u.map(|u| phi.derivative(u));
        let n = u.x.len() as f64;
        let count = |f: &dyn Fn(f64) -> bool| u.x.iter().filter(|u| f(**u)).count() as f64;
        put("phi_grad_mean", mean(slope.x.iter().copied()));
        put("phi_grad_rms", mean(slope.x.iter().map(|v| v * v)).sqrt());
        let small = |u: f64| phi.derivative(u).abs() < 0.01 * facts.sup_derivative;
        put("saturated_frac", count(&|u| small(u) && (u <= facts.knee[0] || u >= facts.knee[1])) / n);
        put("active_frac", count(&|u| u > 0.0) / n);
        let flat = |u: f64| u <= facts.flat[0] || u >= facts.flat[1];
        let rows = u.rows();
        let dead = (0..u.columns).filter(|&j| rows.iter().all(|row| flat(row[j]))).count();
        put("dead_frac", dead as f64 / u.columns as f64);
        let pre = spec.residual == Residual::PreAct;
        let (weight, scale) = if pre {
            (self.get(layer, "weight"), spec.residual_scale.abs())
        } else {
            (self.get(layer + 1, "weight"), 1.0)
        };
        if let Some(weight) = weight {
            let rows = slope.rows();
            let paths: Vec<f64> = weight
                .rows()
                .iter()
                .flat_map(|w| rows.iter().flat_map(|s| w.iter().zip(*s).map(|(w, s)| scale * (w * s).abs())))
                .collect();
            let square = mean(paths.iter().map(|f| f * f));
            put("path_factor_abs_mean", mean(paths.iter().copied()));
            put("path_factor_rms", square.sqrt());
            put("path_factor_abs_max", paths.iter().copied().fold(0.0, f64::max));
            put("path_factor_gt1_frac", paths.iter().filter(|f| **f > 1.0).count() as f64 / paths.len() as f64);
            put("path_gain", weight.rows().len() as f64 * square);
            if spec.norm == Norm::None && spec.residual == Residual::None {
                let w2 = mean(weight.x.iter().map(|v| v * v));
                put("chi", f64::from(spec.width) * w2 * mean(slope.x.iter().map(|v| v * v)));
            }
        }
        if spec.layer_residual(layer) != Residual::None {
            let back = if pre { 1 } else { spec.residual_every };
            let skip = self.get(layer - back, "act").unwrap();
            let branch = if pre { self.get(layer, "preact").unwrap().clone() } else { u.map(|u| phi.value(u)) };
            let ratio = dot(&branch.x, &branch.x) / dot(&skip.x, &skip.x);
            put("branch_ratio", spec.residual_scale.abs() * ratio.sqrt());
        }
    }
}

/// u = norm(z), by its definition.
fn norm(spec: &NetworkSpec, z: &Matrix) -> Matrix {
    let mut out = z.clone();
    let columns = z.columns;
    let mut whiten = |indices: &[usize], centre: bool| {
        let middle = if centre { mean(indices.iter().map(|&i| z.x[i])) } else { 0.0 };
        let variance = mean(indices.iter().map(|&i| (z.x[i] - middle).powi(2)));
        indices.iter().for_each(|&i| out.x[i] = (z.x[i] - middle) / (variance + spec.norm_eps).sqrt());
    };
    let rows = z.x.len() / columns;
    let row = |b: usize| (b * columns..(b + 1) * columns).collect::<Vec<_>>();
    match spec.norm {
        Norm::None => {}
        Norm::Batch => (0..columns).for_each(|j| whiten(&(0..rows).map(|b| b * columns + j).collect::<Vec<_>>(), true)),
        Norm::Layer => (0..rows).for_each(|b| whiten(&row(b), true)),
        Norm::Rms => (0..rows).for_each(|b| whiten(&row(b), false)),
    }
    out
}

fn moments(out: &mut HashMap<String, Expect>, quantity: &str, x: &[f64]) {
    let middle = mean(x.iter().copied());
    let power = |k: i32| mean(x.iter().map(|v| (v - middle).powi(k)));
    let l2 = dot(x, x).sqrt();
    let rms = l2 / (x.len() as f64).sqrt();
    let mut sorted: Vec<f64> = x.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let max = sorted[sorted.len() - 1];
    let mut put = |name: &str, expect: Expect| {
        out.insert(format!("{quantity}_{name}"), expect);
    };
    put("mean", Expect::Near(middle, rms));
    put("std", Expect::Near(power(2).sqrt(), rms));
    put("rms", Expect::Near(rms, rms));
    put("l2", Expect::Near(l2, l2));
    put("abs_max", Expect::Near(max, max));
    if l2 > 0.0 {
        put("log10_l2", Expect::Near(l2.log10(), 1.0));
        put("log10_abs_max", Expect::Near(max.log10(), 1.0));
    }
    put("zero_frac", Expect::Near(mean(x.iter().map(|v| f64::from(*v == 0.0))), 0.0));
    put("nonfinite", Expect::Near(0.0, 0.0));
    if power(2) > 1e-20 * rms * rms {
        put("kurtosis", Expect::Near(power(4) / power(2).powi(2), 1.0));
    }
    for (name, q) in [("abs_p05", 0.05), ("abs_p25", 0.25), ("abs_p50", 0.5), ("abs_p75", 0.75), ("abs_p95", 0.95)] {
        let rank = q * (sorted.len() - 1) as f64;
        // A bin is a quarter of its lower edge wide, and the rank lies between two elements.
        put(name, Expect::Within(sorted[rank.floor() as usize] / 1.25, sorted[rank.ceil() as usize] * 1.25));
    }
}

fn networks() -> Vec<NetworkSpec> {
    let base = || {
        let mut base = NetworkSpec { width: 12, input_size: 12, depth: 5, batch_size: 6, ..spec() };
        base.init.sigma_b = Some(0.3);
        base.init.gain = 1.7;
        base
    };
    let activations = [ActivationKind::Tanh, ActivationKind::Relu, ActivationKind::Gelu, ActivationKind::HardTanh];
    let mut all = Vec::new();
    for (i, kind) in activations.into_iter().enumerate() {
        for norm in [Norm::None, Norm::Batch, Norm::Layer, Norm::Rms] {
            let structures =
                [(Residual::None, 1), (Residual::PostAct, 1), (Residual::PostAct, 2), (Residual::PreAct, 1)];
            for (j, (residual, residual_every)) in structures.into_iter().enumerate() {
                let loss = [Loss::Mse, Loss::Cotangent, Loss::CrossEntropy, Loss::CotangentShared][(i + j) % 4];
                let target = match loss {
                    Loss::CrossEntropy => gradsweep::network::Target::Classes,
                    _ => gradsweep::network::Target::Gaussian,
                };
                let input_size = if (i + j).is_multiple_of(2) { 12 } else { 7 };
                let activation = Activation::from(kind);
                let residual_scale = if residual == Residual::None { 1.0 } else { 0.6 };
                let seed = 77 + all.len() as u64;
                let varied =
                    NetworkSpec { activation, norm, residual, residual_every, residual_scale, loss, target, ..base() };
                all.push(NetworkSpec { input_size, seed, bias: i != 2, ..varied });
            }
        }
    }
    all.push(NetworkSpec { input: Input::CorrelatedPairs, input_param: 0.6, batch_size: 7, ..base() });
    all.push(NetworkSpec { batch_size: 1, ..base() });
    all.push(NetworkSpec { depth: 1, output_size: 1, ..base() });
    all
}

#[test]
fn every_column_is_its_definition_on_the_networks_tensors() {
    let mut filled: HashMap<&str, usize> = HashMap::new();
    for spec in networks() {
        let (network, result) = (Network::new(spec.clone()), run_cpu(&spec, None, Precision::F64));
        assert_eq!(result.rows.len() as u32, spec.rows());
        for (i, row) in result.rows.iter().enumerate() {
            let expected = network.expected(row.layer);
            let next = result.rows.get(i + 1).map(|n| &n.record);
            let context = RowContext { spec: &spec, layer: row.layer, this: &row.record, next };
            for column in CATALOG.iter() {
                let place = || format!("{} of row {} in {spec:?}", column.name, row.layer);
                let found = match column.cell(&context) {
                    Cell::Empty => {
                        assert!(!expected.contains_key(&column.name), "{} is empty", place());
                        continue;
                    }
                    Cell::Int(v) => v as f64,
                    Cell::Float(v) => v,
                };
                *filled.entry(&column.name).or_default() += 1;
                match *expected.get(&column.name).unwrap_or_else(|| panic!("{} should be empty", place())) {
                    // Two float64 evaluations of five layers and their sums: far below 1e-9, far above one formula
                    // mistaken for another.
                    Expect::Near(right, scale) => {
                        let close = (found - right).abs() <= 1e-9 * right.abs().max(scale);
                        assert!(close, "{}: {found} is not {right}", place());
                    }
                    Expect::Within(low, high) => {
                        let inside = (low..=high).contains(&found);
                        assert!(inside, "{}: {found} is not in {low}..{high}", place());
                    }
                }
            }
        }
    }
    // Those on request are tested in `jacobian.rs`.
    for column in CATALOG.iter().filter(|column| column.level != catalog::Level::Request) {
        assert!(filled.get(&*column.name).is_some_and(|&n| n >= 20), "{} was hardly tested", column.name);
    }
}

/// A run with only `columns` recorded.
fn run_masked(spec: &NetworkSpec, columns: &[&StatisticRow], layers: LayerSelection) -> NetworkResult {
    let mask = catalog::mask_for(columns);
    let layers = catalog::layers_for(columns, &layers);
    let mut engine = CpuEngine::new(Precision::F32, 1).expect("starts");
    run_batch(&mut engine, Batch { mask, layers, ..batch(vec![spec.clone()], None) }).remove(0)
}

fn cells(spec: &NetworkSpec, result: &NetworkResult, column: &StatisticRow) -> Vec<(u32, Cell)> {
    let next = |i: usize| result.rows.get(i + 1).filter(|n| n.layer == result.rows[i].layer + 1).map(|n| &n.record);
    let rows = result.rows.iter().enumerate();
    rows.map(|(i, row)| {
        let context = RowContext { spec, layer: row.layer, this: &row.record, next: next(i) };
        (row.layer, column.cell(&context))
    })
    .collect()
}

#[test]
fn a_column_does_not_depend_on_what_else_is_recorded() {
    let plain = NetworkSpec { batch_size: 6, depth: 3, ..spec() };
    let residual = NetworkSpec { residual: Residual::PostAct, norm: Norm::Batch, ..plain.clone() };
    let all: Vec<&StatisticRow> = CATALOG.iter().collect();
    for spec in [plain, residual] {
        let whole = run_masked(&spec, &all, LayerSelection::All);
        for column in &all {
            let alone = run_masked(&spec, &[column], LayerSelection::All);
            assert_eq!(cells(&spec, &alone, column), cells(&spec, &whole, column), "{}", column.name);
            // Of two layers, the cells are those of a run that records all.
            let thin = run_masked(&spec, &[column], LayerSelection::Only(vec![0, 2]));
            let wanted = |list: Vec<(u32, Cell)>| -> Vec<(u32, Cell)> {
                list.into_iter().filter(|(layer, _)| [0, 2].contains(layer)).collect()
            };
            assert_eq!(wanted(cells(&spec, &thin, column)), wanted(cells(&spec, &whole, column)), "{}", column.name);
            // The summary of a network needs no column.
            assert_eq!((&thin.delta_squares, thin.loss), (&whole.delta_squares, whole.loss), "{}", column.name);
        }
    }
}
