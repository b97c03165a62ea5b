//! Every column against its definition, computed from raw tensors in float64.

use std::collections::HashMap;

use super::tests::spec;
use super::*;
use crate::network::{ActivationKind, Residual};
use crate::stats::{Count, Moments, Scaled, Spectrum, Sum};

/// [rows, columns], row-major.
#[derive(Clone)]
struct Tensor {
    columns: usize,
    x: Vec<f64>,
}

/// Plain reproducible numbers in (-1, 1), a few of them exactly zero.
fn tensor(rows: usize, columns: usize, salt: u64) -> Tensor {
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let mut x: Vec<f64> = (0..rows * columns).map(|_| next()).collect();
    x.iter_mut().step_by(7).for_each(|v| *v = 0.0);
    Tensor { columns, x }
}

impl Tensor {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.x.chunks(self.columns)
    }
    /// Mean of `f` over pairs of rows.
    fn pairs(&self, f: impl Fn(&[f64], &[f64]) -> f64) -> (f64, u64) {
        let rows: Vec<&[f64]> = self.rows().collect();
        let (mut sum, mut count) = (0.0, 0);
        for i in 0..rows.len() {
            for j in 0..i {
                sum += f(rows[i], rows[j]);
                count += 1;
            }
        }
        (sum, count)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The tensors of one hidden row and of the row after it. Layer widths 8, batch 4.
struct Raw {
    z: Tensor,
    h: Tensor,
    delta: Tensor,
    act_grad: Tensor,
    weight: Tensor,
    weight_grad: Tensor,
    bias_grad: Tensor,
    next_weight: Tensor,
    next_delta: Tensor,
    skip: Tensor,
    branch: Tensor,
}

fn raw() -> Raw {
    let z = tensor(4, 8, 1);
    let h = Tensor { x: z.x.iter().map(|v| v.tanh()).collect(), ..z.clone() };
    Raw {
        h,
        delta: tensor(4, 8, 2),
        act_grad: tensor(4, 8, 3),
        weight: tensor(8, 8, 4),
        weight_grad: tensor(8, 8, 5),
        bias_grad: tensor(1, 8, 6),
        next_weight: tensor(8, 8, 7),
        next_delta: tensor(4, 8, 8),
        skip: tensor(4, 8, 9),
        branch: tensor(4, 8, 10),
        z,
    }
}

fn phi_grad(z: f64) -> f64 {
    1.0 - z.tanh() * z.tanh()
}

/// All path factors |W[i, j] phi'(u[b, j])|.
fn paths(raw: &Raw) -> Vec<f64> {
    let mut all = Vec::new();
    for w in raw.next_weight.rows() {
        for z in raw.z.rows() {
            all.extend(w.iter().zip(z).map(|(w, z)| 3.0 * (w * phi_grad(*z)).abs()));
        }
    }
    all
}

/// As an engine stores a tensor: x' = x 2^-e.
fn moments(tensor: &Tensor, e: i32) -> Moments {
    let x: Vec<f64> = tensor.x.iter().map(|v| libm::scalbn(*v, -e)).collect();
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let power = |k: i32| x.iter().map(|v| (v - mean).powi(k)).sum::<f64>();
    let mut sorted: Vec<f64> = x.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let quantile = |p: usize| sorted[p * (sorted.len() - 1) / 100];
    Moments {
        exponent: e,
        count: x.len() as u64,
        nonfinite: 0,
        zeros: x.iter().filter(|v| **v == 0.0).count() as u64,
        mean,
        m2: power(2),
        m3: power(3),
        m4: power(4),
        abs_max: sorted[sorted.len() - 1],
        abs_quantiles: [5, 25, 50, 75, 95].map(quantile),
    }
}

/// The two records of [`raw`], every tensor stored at an exponent of its own, and every sum times a power of two split
/// off; `shift` is added to the exponents of gradients (as if the loss were 2^shift times as large).
pub(crate) fn records(shift: i32) -> (Record, Record) {
    let raw = raw();
    let (mut this, mut next) = (Record::EMPTY, Record::EMPTY);
    let one = Scaled::from(1.0);
    this.spectrum = Spectrum { min: one, mean_square: one, max: one, m4_ratio: one };
    let mut set = |q: Quantity, tensor: &Tensor, e: i32| {
        let mut m = moments(tensor, e);
        m.exponent += if matches!(q, Quantity::Weight | Quantity::Preact | Quantity::Act) { 0 } else { shift };
        this.moments[q as usize] = m;
    };
    set(Quantity::Preact, &raw.z, 3);
    set(Quantity::Act, &raw.h, -2);
    set(Quantity::PreactGrad, &raw.delta, 5);
    set(Quantity::ActGrad, &raw.act_grad, -7);
    set(Quantity::Weight, &raw.weight, 0);
    set(Quantity::WeightGrad, &raw.weight_grad, 11);
    set(Quantity::BiasGrad, &raw.bias_grad, -1);
    next.moments[Quantity::Weight as usize] = moments(&raw.next_weight, -6);
    next.moments[Quantity::PreactGrad as usize] = moments(&raw.next_delta, 2);
    next.moments[Quantity::PreactGrad as usize].exponent += shift;

    let mut sum = |s: Sum, value: f64, e: i32| this.sums[s as usize] = Scaled::new(libm::scalbn(value, -e), e);
    sum(Sum::PhiGrad, raw.z.x.iter().map(|&z| phi_grad(z)).sum(), 3);
    sum(Sum::PhiGradSquare, raw.z.x.iter().map(|&z| phi_grad(z).powi(2)).sum(), -4);
    let paths = paths(&raw);
    sum(Sum::PathAbs, paths.iter().sum(), 7);
    sum(Sum::PathSquare, paths.iter().map(|f| f * f).sum(), -9);
    sum(Sum::PathMax, paths.iter().fold(0.0, |m: f64, f| m.max(*f)), 1);
    sum(Sum::PreactCos, raw.z.pairs(cosine).0, 0);
    sum(Sum::PreactCosGap, raw.z.pairs(|a, b| 1.0 - cosine(a, b)).0, 4);
    sum(Sum::ActCos, raw.h.pairs(cosine).0, 0);
    sum(Sum::GradCos, raw.delta.pairs(cosine).0, 0);
    let logs: Vec<f64> = raw.delta.rows().map(|d| 0.5 * dot(d, d).log10()).collect();
    let mean = logs.iter().sum::<f64>() / 4.0;
    sum(Sum::SampleLogGradDeviation, logs.iter().map(|v| (v - mean).powi(2)).sum(), 2);
    sum(Sum::WeightDotGrad, dot(&raw.weight.x, &raw.weight_grad.x), -3);
    sum(Sum::BranchSquare, dot(&raw.branch.x, &raw.branch.x), 8);
    sum(Sum::SkipSquare, dot(&raw.skip.x, &raw.skip.x), -5);
    this.sums[Sum::WeightDotGrad as usize].exponent += shift;

    let counts = [
        (Count::PhiElements, 32),
        (Count::Saturated, 3),
        (Count::Active, raw.z.x.iter().filter(|z| **z > 0.0).count() as u64),
        (Count::Units, 8),
        (Count::DeadUnits, 1),
        (Count::Paths, paths.len() as u64),
        (Count::PathsAboveOne, paths.iter().filter(|f| **f > 1.0).count() as u64),
        (Count::PreactPairs, 6),
        (Count::ActPairs, 6),
        (Count::GradPairs, 6),
        (Count::GradSamples, 4),
    ];
    counts.iter().for_each(|&(c, n)| this.counts[c as usize] = n);
    (this, next)
}

/// What each column is by definition.
fn expected() -> HashMap<String, f64> {
    let raw = raw();
    let mut all = HashMap::new();
    let quantities = [
        ("preact", &raw.z),
        ("act", &raw.h),
        ("preact_grad", &raw.delta),
        ("act_grad", &raw.act_grad),
        ("weight", &raw.weight),
        ("weight_grad", &raw.weight_grad),
        ("bias_grad", &raw.bias_grad),
    ];
    for (name, tensor) in quantities {
        let x = &tensor.x;
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let fourth = x.iter().map(|v| (v - mean).powi(4)).sum::<f64>() / n;
        let l2 = dot(x, x).sqrt();
        let mut sorted: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let max = sorted[sorted.len() - 1];
        let zeros = x.iter().filter(|v| **v == 0.0).count() as f64;
        let mut put = |statistic: &str, value: f64| all.insert(format!("{name}_{statistic}"), value);
        put("mean", mean);
        put("std", variance.sqrt());
        put("rms", l2 / n.sqrt());
        put("l2", l2);
        put("log10_l2", l2.log10());
        put("abs_max", max);
        put("log10_abs_max", max.log10());
        put("zero_frac", zeros / n);
        put("nonfinite", 0.0);
        put("kurtosis", fourth / (variance * variance));
        for (statistic, p) in [("abs_p05", 5), ("abs_p25", 25), ("abs_p50", 50), ("abs_p75", 75), ("abs_p95", 95)] {
            put(statistic, sorted[p * (sorted.len() - 1) / 100]);
        }
    }
    let mut put = |name: &str, value: f64| all.insert(name.to_string(), value);
    put("log10_grad_ratio", (dot(&raw.delta.x, &raw.delta.x) / dot(&raw.next_delta.x, &raw.next_delta.x)).log10());
    let slopes: Vec<f64> = raw.z.x.iter().map(|&z| phi_grad(z)).collect();
    let slope_square = dot(&slopes, &slopes) / 32.0;
    put("chi", 8.0 * dot(&raw.next_weight.x, &raw.next_weight.x) / 64.0 * slope_square);
    let paths = paths(&raw);
    let n = paths.len() as f64;
    let square = dot(&paths, &paths) / n;
    put("path_factor_abs_mean", paths.iter().sum::<f64>() / n);
    put("path_factor_rms", square.sqrt());
    put("path_factor_abs_max", paths.iter().copied().fold(0.0, f64::max));
    put("path_factor_gt1_frac", paths.iter().filter(|f| **f > 1.0).count() as f64 / n);
    put("path_gain", 8.0 * square);
    put("phi_grad_mean", slopes.iter().sum::<f64>() / 32.0);
    put("phi_grad_rms", slope_square.sqrt());
    put("saturated_frac", 3.0 / 32.0);
    put("dead_frac", 1.0 / 8.0);
    put("active_frac", raw.z.x.iter().filter(|z| **z > 0.0).count() as f64 / 32.0);
    put("preact_cos", raw.z.pairs(cosine).0 / 6.0);
    put("preact_cos_gap", 1.0 - raw.z.pairs(cosine).0 / 6.0);
    put("act_cos", raw.h.pairs(cosine).0 / 6.0);
    put("grad_cos", raw.delta.pairs(cosine).0 / 6.0);
    let logs: Vec<f64> = raw.delta.rows().map(|d| dot(d, d).sqrt().log10()).collect();
    let mean = logs.iter().sum::<f64>() / 4.0;
    put("sample_log10_grad_std", (logs.iter().map(|v| v * v).sum::<f64>() / 4.0 - mean * mean).sqrt());
    put("weight_dot_grad", dot(&raw.weight.x, &raw.weight_grad.x));
    put("branch_ratio", (dot(&raw.branch.x, &raw.branch.x) / dot(&raw.skip.x, &raw.skip.x)).sqrt());
    all
}

fn number(cell: Cell) -> Option<f64> {
    match cell {
        Cell::Empty => None,
        Cell::Int(v) => Some(v as f64),
        Cell::Float(v) => Some(v),
    }
}

/// The spec under which each column is defined in row 2.
fn spec_of(row: &StatisticRow) -> NetworkSpec {
    let residual = if row.name == "branch_ratio" { Residual::PostAct } else { Residual::None };
    NetworkSpec { residual, ..spec() }
}

/// All columns but those on request, which have tests of their own (`tests/jacobian.rs`).
fn in_sets() -> impl Iterator<Item = &'static StatisticRow> {
    CATALOG.iter().filter(|row| row.level != Level::Request)
}

#[test]
fn every_column_is_what_its_definition_says_of_raw_tensors() {
    let expected = expected();
    let (this, next) = records(0);
    for row in in_sets() {
        let spec = spec_of(row);
        let cell = row.cell(&RowContext { spec: &spec, layer: 2, this: &this, next: Some(&next) });
        let (found, right) = (number(cell).expect(&row.name), expected[&row.name]);
        // Sums of at most 256 terms of order 1 in two orders of summation.
        assert!((found - right).abs() <= 1e-12 * right.abs().max(1.0), "{}: {found} is not {right}", row.name);
    }
    assert_eq!(expected.len(), in_sets().count());
}

#[test]
fn gradients_outside_float64_keep_their_logarithms_and_ratios() {
    let shift = -20_000;
    let (near, far) = (records(0), records(shift));
    for row in in_sets() {
        let spec = spec_of(row);
        let cell = |(this, next): &(Record, Record)| {
            number(row.cell(&RowContext { spec: &spec, layer: 2, this, next: Some(next) }))
        };
        let (near, far) = (cell(&near).expect(&row.name), cell(&far));
        let gradient = row.group.ends_with("_grad") || row.name == "weight_dot_grad";
        match row.unit {
            "value" if gradient && near != 0.0 => assert_eq!(far, None, "{} is outside float64", row.name),
            "log10" if gradient => {
                let moved = far.expect(&row.name) - near;
                assert!((moved - f64::from(shift) * 2f64.log10()).abs() < 1e-9, "{}: {moved}", row.name);
            }
            _ => assert_eq!(far, Some(near), "{} does not depend on the size of the loss", row.name),
        }
    }
}

#[test]
fn path_gain_equals_chi_between_equal_widths_when_records_agree() {
    let (mut this, next) = records(0);
    let square = moments(&raw().next_weight, 0).sum_of_squares().times(this.sum(Sum::PhiGradSquare)).over(8.0.into());
    // Sum over i, j, b of (w_ij phi'_bj)^2 where every column of W has the same norm.
    this.sums[Sum::PathSquare as usize] = square;
    let spec = spec();
    let context = RowContext { spec: &spec, layer: 2, this: &this, next: Some(&next) };
    let value = |name: &str| number(find(name).unwrap().cell(&context)).unwrap();
    assert!((value("path_gain") / value("chi") - 1.0).abs() < 1e-14);
    let residual = NetworkSpec { residual: Residual::PreAct, output_size: 3, ..spec.clone() };
    let last = RowContext { spec: &residual, layer: 6, this: &this, next: Some(&next) };
    let own = number(find("path_gain").unwrap().cell(&last)).unwrap();
    assert!((own / value("path_gain") - 1.0).abs() < 1e-14, "pre_act counts the rows of W_l, not of the readout");
    let plain = RowContext { layer: 6, ..context };
    let readout = number(find("path_gain").unwrap().cell(&plain)).unwrap();
    assert!((readout * 8.0 / 3.0 / value("path_gain") - 1.0).abs() < 1e-14, "the readout has 3 rows");
}

#[test]
fn zero_is_never_missing_and_missing_never_zero() {
    let spec = NetworkSpec { activation: ActivationKind::Relu.into(), ..spec() };
    let (mut this, mut next) = records(0);
    let zeros = Tensor { columns: 8, x: vec![0.0; 32] };
    this.moments[Quantity::PreactGrad as usize] = moments(&zeros, -40);
    let cell = |name: &str, this: &Record, next: &Record| {
        find(name).unwrap().cell(&RowContext { spec: &spec, layer: 2, this, next: Some(next) })
    };
    for name in ["mean", "std", "rms", "l2", "abs_max", "abs_p50"] {
        assert_eq!(cell(&format!("preact_grad_{name}"), &this, &next), Cell::Float(0.0), "{name}");
    }
    assert_eq!(cell("preact_grad_zero_frac", &this, &next), Cell::Float(1.0));
    assert_eq!(cell("preact_grad_nonfinite", &this, &next), Cell::Int(0));
    for name in ["preact_grad_log10_l2", "preact_grad_log10_abs_max", "preact_grad_kurtosis", "log10_grad_ratio"] {
        assert_eq!(cell(name, &this, &next), Cell::Empty, "{name}");
    }
    next.moments[Quantity::PreactGrad as usize] = moments(&zeros, 0);
    assert_eq!(cell("log10_grad_ratio", &this, &next), Cell::Empty);
    this.counts[Count::DeadUnits as usize] = 0;
    this.counts[Count::Saturated as usize] = 0;
    assert_eq!(cell("dead_frac", &this, &next), Cell::Float(0.0));
    assert_eq!(cell("saturated_frac", &this, &next), Cell::Float(0.0));
    this.counts[Count::GradSamples as usize] = 1;
    assert_eq!(cell("sample_log10_grad_std", &this, &next), Cell::Empty);
    this.counts[Count::GradPairs as usize] = 0;
    assert_eq!(cell("grad_cos", &this, &next), Cell::Empty);
}

#[test]
fn non_finite_elements_are_counted_and_left_out() {
    let spec = spec();
    let (mut this, next) = records(0);
    let whole = this;
    let m = &mut this.moments[Quantity::PreactGrad as usize];
    (m.count, m.nonfinite) = (m.count + 8, 8);
    let cell = |name: &str, this: &Record| {
        find(name).unwrap().cell(&RowContext { spec: &spec, layer: 2, this, next: Some(&next) })
    };
    assert_eq!(cell("preact_grad_nonfinite", &this), Cell::Int(8));
    for name in ["mean", "std", "rms", "l2", "log10_l2", "abs_max", "kurtosis"] {
        let name = format!("preact_grad_{name}");
        assert_eq!(cell(&name, &this), cell(&name, &whole), "{name} is that of the finite elements");
    }
    assert_eq!(cell("log10_grad_ratio", &this), Cell::Empty, "the norm of such a gradient is not a number");
    let m = &mut this.moments[Quantity::PreactGrad as usize];
    *m = Moments { count: 32, nonfinite: 32, abs_max: 0.0, ..Moments::NONE };
    for row in CATALOG.iter().filter(|row| row.group == "preact_grad") {
        match row.statistic {
            "nonfinite" => assert_eq!(cell(&row.name, &this), Cell::Int(32)),
            "zero_frac" => assert_eq!(cell(&row.name, &this), Cell::Float(0.0)),
            _ => assert_eq!(cell(&row.name, &this), Cell::Empty, "{}", row.name),
        }
    }
}

#[test]
fn a_constant_tensor_has_no_kurtosis_and_a_normal_one_has_three() {
    let spec = spec();
    let kurtosis = |x: Vec<f64>| {
        let mut this = Record::EMPTY;
        this.moments[Quantity::Weight as usize] = moments(&Tensor { columns: 1, x }, 0);
        find("weight_kurtosis").unwrap().cell(&RowContext { spec: &spec, layer: 1, this: &this, next: None })
    };
    assert_eq!(kurtosis(vec![0.1; 1000]), Cell::Empty);
    assert_eq!(kurtosis(vec![-1.0, 1.0, -1.0, 1.0]), Cell::Float(1.0));
    // Normal quantiles at 200,000 equal steps of probability; the cut tails lower the fourth moment a little.
    let normal: Vec<f64> = (0..200_000)
        .map(|i| {
            let p = (f64::from(i) + 0.5) / 200_000.0;
            let (mut low, mut high) = (-9.0, 9.0);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                let below = 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < p;
                (low, high) = if below { (middle, high) } else { (low, middle) };
            }
            low
        })
        .collect();
    let Cell::Float(value) = kurtosis(normal) else { panic!("it has a kurtosis") };
    assert!((value - 3.0).abs() < 3e-3, "{value}");
}
