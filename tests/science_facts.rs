//! Facts of the literature that a correct tool reproduces at initialisation, over seeds, on the CPU engine in its default
//! precision. Rule: |mean - expected| < 4 standard errors, and the standard error below 10% of the effect, so that a
//! test which passes also says something.

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::{Batch, NetworkResult, Precision};
use gradsweep::network::{ActivationKind, InitKind, Loss, NetworkSpec, Norm, Residual};
use gradsweep::stats::{Count, Quantity, RecordMask, Sum};
use gradsweep::theory::predict;

use crate::support::{batch, log10_l2, log10_total_ratio, run_batch, spec};

/// A bias-free plain network with sigma_w as given and independent cotangents.
pub fn plain(kind: ActivationKind, sigma_w: f64) -> NetworkSpec {
    let mut s = NetworkSpec {
        depth: 16,
        width: 128,
        input_size: 128,
        batch_size: 16,
        activation: kind.into(),
        loss: Loss::Cotangent,
        ..spec()
    };
    s.init.kind = InitKind::MeanField;
    s.init.sigma_w = sigma_w;
    s
}

fn he() -> f64 {
    2f64.sqrt()
}

/// The network at each of `seeds` seeds.
fn runs(spec: &NetworkSpec, seeds: u64) -> Vec<NetworkResult> {
    let mut engine = CpuEngine::new(Precision::F32, 2).expect("starts");
    let networks = (0..seeds).map(|k| NetworkSpec { seed: 7_000_003 * (k + 1), ..spec.clone() }).collect();
    let batch = Batch { mask: RecordMask::BASIC, ..batch(networks, None) };
    let results = run_batch(&mut engine, batch);
    assert!(results.iter().all(|r| r.error.is_none()));
    results
}

struct Estimate {
    mean: f64,
    error: f64,
}

fn estimate(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    Estimate { mean, error: (variance / n).sqrt() }
}

impl Estimate {
    /// The rule of this file; `effect` is what the standard error is compared with.
    #[track_caller]
    fn is(&self, expected: f64, effect: f64) {
        let Estimate { mean, error } = self;
        assert!(*error < 0.1 * effect.abs(), "{mean} +- {error} says little about {expected}");
        assert!((mean - expected).abs() < 4.0 * error, "{mean} +- {error}, expected {expected}");
    }
}

/// log10 |delta_1|^2/|delta_L|^2 per network, averaged.
fn total(spec: &NetworkSpec, seeds: u64) -> Estimate {
    estimate(&runs(spec, seeds).iter().map(log10_total_ratio).collect::<Vec<_>>())
}

/// log10 |delta_2|^2/|delta_L|^2 per network, averaged: layers that all see the same variance, unlike layer 1.
fn total_from_layer_2(spec: &NetworkSpec, seeds: u64) -> Estimate {
    let log = |r: &NetworkResult, layer: u32| r.delta_squares[layer as usize - 1].log10_abs().expect("not zero");
    estimate(&runs(spec, seeds).iter().map(|r| log(r, 2) - log(r, spec.depth)).collect::<Vec<_>>())
}

/// log10 |dLoss/dx|^2/|dLoss/dh_L|^2 per network, averaged.
fn act_total(spec: &NetworkSpec, seeds: u64) -> Estimate {
    let ratio = |r: &NetworkResult| {
        let log = |layer: u32| log10_l2(&r.rows[layer as usize].record, Quantity::ActGrad);
        2.0 * (log(0) - log(spec.depth))
    };
    estimate(&runs(spec, seeds).iter().map(ratio).collect::<Vec<_>>())
}

#[test]
fn relu_keeps_with_he_halves_with_xavier_and_leaves_a_sixth_with_pytorch() {
    for (kind, factor) in [
        (InitKind::HeNormal, 1.0),
        (InitKind::HeUniform, 1.0),
        (InitKind::XavierNormal, 0.5),
        (InitKind::XavierUniform, 0.5),
        (InitKind::PytorchDefault, 1.0 / 6.0),
    ] {
        let mut s = plain(ActivationKind::Relu, 1.0);
        s.init.kind = kind;
        s.init.sigma_b = if kind == InitKind::PytorchDefault { None } else { Some(0.0) };
        let layers = f64::from(s.depth - 1);
        let got = total(&s, 60);
        // The mean of the logarithm lies a little lower than the logarithm of the mean; the shift is itself predicted,
        // and small against the 15 layers' effect of a factor 2.
        let shift = predict(&s).finite_width_shift.expect("plain relu");
        assert!((-0.1..0.0).contains(&shift), "{shift}");
        got.is(layers * f64::log10(factor) + shift, layers * 2f64.log10());
    }
}

#[test]
fn single_samples_fluctuate_as_hanin_says() {
    let s = NetworkSpec { batch_size: 1, depth: 41, width: 100, input_size: 100, ..plain(ActivationKind::Relu, he()) };
    let count = 400;
    let logs: Vec<f64> = runs(&s, count).iter().map(|r| log10_total_ratio(r) * std::f64::consts::LN_10).collect();
    let expected = 40.0 / 100.0;
    let mean = estimate(&logs);
    mean.is(-2.5 * expected, 2.5 * expected);
    let squares: Vec<f64> = logs.iter().map(|v| (v - mean.mean).powi(2)).collect();
    estimate(&squares).is(5.0 * expected, 5.0 * expected);
}

#[test]
fn sigmoid_at_depth_200_loses_250_decades() {
    let s =
        NetworkSpec { depth: 200, width: 256, input_size: 256, batch_size: 2, ..plain(ActivationKind::Sigmoid, 1.0) };
    let got = total(&s, 6);
    assert!((got.mean + 250.0).abs() < 2.0, "{}", got.mean);
    let p = predict(&s);
    got.is(p.log10_grad_ratio_total.unwrap() + p.finite_width_shift.unwrap(), 250.0);
}

#[test]
fn batch_norm_explodes_at_its_known_rate() {
    // 1 << B << n. Per layer 1.522 for relu at batch 32, and pi/(pi - 1) for still larger ones; 1.581 would mean
    // statistics cut from the graph.
    let wide = |kind, sigma_w, batch_size, width| NetworkSpec {
        norm: Norm::Batch,
        batch_size,
        depth: 8,
        width,
        input_size: width,
        ..plain(kind, sigma_w)
    };
    let got = total_from_layer_2(&wide(ActivationKind::Relu, he(), 32, 768), 8);
    got.is(6.0 * 1.522f64.log10(), 6.0 * 1.522f64.log10());
    assert!(got.mean + 4.0 * got.error < 6.0 * 1.581f64.log10(), "{} +- {}", got.mean, got.error);
    // pi/(pi - 1) = 1.467 in the limit; the rate at a batch of 256 lies half a percent above it.
    let large = wide(ActivationKind::Relu, he(), 256, 1536);
    let rate = std::f64::consts::PI / (std::f64::consts::PI - 1.0);
    let prediction = |depth| {
        let p = predict(&NetworkSpec { depth, ..large.clone() });
        p.log10_grad_ratio_total.expect("known")
    };
    let expected = prediction(8) - prediction(2);
    assert!((expected / 6.0 - rate.log10()).abs() < 0.003, "{expected}");
    total_from_layer_2(&large, 4).is(expected, expected);
    // Linear: (B - 2)/(B - 3), whatever the scale of the weights.
    let effect = 6.0 * (6.0f64 / 5.0).log10();
    total_from_layer_2(&wide(ActivationKind::Linear, 0.3, 8, 256), 200).is(effect, effect);
}

#[test]
fn norms_per_sample_change_the_gradient_by_phi_prime_over_phi() {
    use ActivationKind::*;
    for (norm, kind, sigma_w, factor) in [
        (Norm::Layer, Relu, 0.5, 1.0),
        (Norm::Layer, Tanh, 0.5, 1.178),
        (Norm::Layer, Tanh, 4.0, 1.178),
        (Norm::Layer, Sigmoid, 4.0, 0.153),
        (Norm::Rms, Relu, 4.0, 1.0),
        (Norm::Rms, Tanh, 0.5, 1.178),
        (Norm::Rms, Sigmoid, 0.5, 0.153),
    ] {
        // Wide: corrections of order depth/width would show otherwise.
        let wide = NetworkSpec { width: 384, input_size: 384, batch_size: 8, ..plain(kind, sigma_w) };
        let effect = if factor == 1.0 { 2.0 } else { factor };
        let got = total_from_layer_2(&NetworkSpec { norm, depth: 14, ..wide }, 10);
        got.is(12.0 * f64::log10(factor), 12.0 * f64::log10(effect));
    }
}

#[test]
fn pre_activation_residuals_grow_as_the_closed_forms_say() {
    let residual = |kind, sigma_w| NetworkSpec { residual: Residual::PreAct, ..plain(kind, sigma_w) };
    let relu = residual(ActivationKind::Relu, he());
    let log2 = 2f64.log10();
    act_total(&relu, 40).is(16.0 * log2, 16.0 * log2);
    let quarter = NetworkSpec { residual_scale: 0.25, ..relu.clone() };
    // sigma_w^2 = 2, a = 1/sqrt(16): (1 + 1/16)^16, about e.
    let e = 16.0 * (17.0f64 / 16.0).log10();
    act_total(&quarter, 40).is(e, e);
    // Pre-layer-norm: L + 1, and (L + 1)/2 for delta.
    let layer_norm = NetworkSpec { norm: Norm::Layer, depth: 32, ..relu.clone() };
    act_total(&layer_norm, 24).is(33f64.log10(), 33f64.log10());
    total(&layer_norm, 24).is(16.5f64.log10(), 16.5f64.log10());
    // Pre-batch-norm: 82 at L = 32 for large batches; at B = 64 the exact recursion gives a little more.
    let batch_norm = NetworkSpec { norm: Norm::Batch, depth: 32, batch_size: 64, width: 256, input_size: 256, ..relu };
    let expected = predict(&batch_norm).log10_act_grad_ratio_total.expect("known");
    assert!((expected - 82f64.log10()).abs() < 0.04, "{expected}");
    act_total(&batch_norm, 12).is(expected, expected);
    // 218 at L = 64.
    let deeper = NetworkSpec { depth: 64, batch_size: 256, width: 512, input_size: 512, ..batch_norm };
    let expected = predict(&deeper).log10_act_grad_ratio_total.expect("known");
    assert!((expected - 218f64.log10()).abs() < 0.02, "{expected}");
    act_total(&deeper, 6).is(expected, expected);
}

#[test]
fn tanh_residuals_grow_slower_than_any_exponential() {
    let rate = |depth: u32| {
        let s = NetworkSpec { residual: Residual::PreAct, depth, ..plain(ActivationKind::Tanh, 1.0) };
        let got = act_total(&s, 8);
        (got.mean / f64::from(depth), got.error / f64::from(depth))
    };
    let rates = [8, 32, 128].map(rate);
    for pair in rates.windows(2) {
        assert!(pair[1].0 + 4.0 * pair[1].1 < 0.8 * pair[0].0 - 4.0 * pair[0].1, "{rates:?}");
    }
}

#[test]
fn orthogonal_linear_networks_are_isometries_for_every_seed() {
    let mut s = plain(ActivationKind::Linear, 1.0);
    s.init.kind = InitKind::Orthogonal;
    s.depth = 50;
    for r in runs(&s, 3) {
        for quantity in [Quantity::Act, Quantity::ActGrad] {
            let first = log10_l2(&r.rows[0].record, quantity);
            for row in &r.rows {
                // 50 matrices rounded to f32.
                assert!((log10_l2(&row.record, quantity) - first).abs() < 2e-6, "{quantity:?} at {}", row.layer);
            }
        }
    }
}

#[test]
fn gradients_shatter_with_distance_and_far_less_with_residual_sums() {
    let shared =
        NetworkSpec { loss: Loss::CotangentShared, depth: 32, batch_size: 32, ..plain(ActivationKind::Relu, he()) };
    let cosine = |r: &NetworkResult, layer: usize| {
        let record = &r.rows[layer].record;
        record.sum(Sum::GradCos).value().unwrap() / record.count(Count::GradPairs) as f64
    };
    let at = |s: &NetworkSpec, layer: usize| estimate(&runs(s, 8).iter().map(|r| cosine(r, layer)).collect::<Vec<_>>());
    let mut last = 2.0;
    for layer in [32, 24, 16, 8, 1] {
        let got = at(&shared, layer);
        assert!(got.mean + 2.0 * got.error < last, "layer {layer}: {} not below {last}", got.mean);
        last = got.mean;
    }
    let residual = NetworkSpec { residual: Residual::PreAct, residual_scale: 0.2, ..shared.clone() };
    assert!(at(&residual, 1).mean > 4.0 * last, "{} {last}", at(&residual, 1).mean);
    // Under batch norm the gradients of a batch sum to 0 per unit: the cosine is -1/(B-1) for samples of equal gradient
    // norm, and a little less where their norms have spread.
    let normed = NetworkSpec { norm: Norm::Batch, loss: Loss::Cotangent, ..shared };
    for layer in [1, 16, 31, 32] {
        let got = at(&normed, layer).mean * 31.0;
        assert!((-1.02..-0.75).contains(&got), "layer {layer}: {got}/(B-1)");
    }
}

#[test]
fn homogeneous_networks_have_equal_weight_dot_grad_at_every_row() {
    let mut s = NetworkSpec { loss: Loss::Mse, bias: false, depth: 9, ..plain(ActivationKind::Relu, 1.1) };
    for kind in [ActivationKind::Relu, ActivationKind::Linear, ActivationKind::LeakyRelu] {
        s.activation = kind.into();
        for r in runs(&s, 3) {
            let dots: Vec<f64> =
                r.rows[1..].iter().map(|row| row.record.sum(Sum::WeightDotGrad).value().unwrap()).collect();
            assert_eq!(dots.len(), 10);
            for dot in &dots {
                assert!((dot / dots[0] - 1.0).abs() < 1e-4, "{kind:?}: {dots:?}");
            }
        }
    }
}

#[test]
fn weights_before_a_norm_have_no_gradient_along_themselves() {
    for norm in [Norm::Layer, Norm::Rms, Norm::Batch] {
        let s = NetworkSpec { norm, norm_eps: 1e-12, depth: 6, ..plain(ActivationKind::Tanh, 1.0) };
        for r in runs(&s, 2) {
            for row in &r.rows[1..] {
                let record = &row.record;
                let along = record.sum(Sum::WeightDotGrad).value().unwrap().abs();
                let size = log10_l2(record, Quantity::Weight) + log10_l2(record, Quantity::WeightGrad);
                assert!(along < 1e-5 * 10f64.powf(size), "{norm:?}: {along}");
            }
        }
    }
}

#[test]
fn a_bias_before_batch_norm_has_no_gradient() {
    let s = NetworkSpec { norm: Norm::Batch, bias: true, ..plain(ActivationKind::Tanh, 1.0) };
    let with_norm = &runs(&s, 1)[0];
    assert!(with_norm.rows[1..].iter().all(|row| row.record.moments(Quantity::BiasGrad).count == 0));
    let without = &runs(&NetworkSpec { norm: Norm::None, ..s }, 1)[0];
    assert!(without.rows[1..].iter().all(|row| row.record.moments(Quantity::BiasGrad).count == 128));
}

#[test]
fn at_batch_1_a_weight_gradient_is_an_outer_product() {
    let s = NetworkSpec { batch_size: 1, ..plain(ActivationKind::Gelu, 1.5) };
    for r in runs(&s, 3) {
        for pair in r.rows.windows(2) {
            let product = log10_l2(&pair[1].record, Quantity::PreactGrad) + log10_l2(&pair[0].record, Quantity::Act);
            let got = log10_l2(&pair[1].record, Quantity::WeightGrad);
            assert!((got - product).abs() < 1e-5, "layer {}: {got} {product}", pair[1].layer);
        }
    }
}

#[test]
fn single_paths_vanish_where_the_sum_over_paths_does_not() {
    // He and relu at width 128: |w phi'| is 0.05 on average and about 0.5 at most, yet the gradient keeps its size.
    let s = plain(ActivationKind::Relu, he());
    let results = runs(&s, 8);
    let records: Vec<_> = results.iter().flat_map(|r| &r.rows[1..16]).map(|row| &row.record).collect();
    let average = |sum: Sum| {
        let values: Vec<f64> =
            records.iter().map(|r| r.sum(sum).value().unwrap() / r.count(Count::Paths) as f64).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let (mean, gain) = (average(Sum::PathAbs), 128.0 * average(Sum::PathSquare));
    assert!((mean - 0.05).abs() < 0.004, "{mean}");
    assert!((gain - 1.0).abs() < 0.08, "{gain}");
    for record in records {
        let largest = record.sum(Sum::PathMax).value().unwrap();
        assert!((0.35..0.8).contains(&largest), "{largest}");
    }
}

#[test]
fn the_edge_of_chaos_of_tanh_lies_where_published() {
    // sigma_w^2 = 1.760955 at sigma_b^2 = 0.05: below, gradients vanish; above, they explode.
    for square in [1.0_f64, 1.760955, 2.5] {
        let mut s = NetworkSpec { depth: 40, batch_size: 8, ..plain(ActivationKind::Tanh, square.sqrt()) };
        s.init.sigma_b = Some(0.05f64.sqrt());
        let p = predict(&s);
        let expected = p.log10_grad_ratio_total.expect("known") + p.finite_width_shift.expect("plain");
        // The effect is the 5 decades that separate the phases.
        total(&s, 24).is(expected, 5.0);
        match square {
            1.0 => assert!(expected < -4.5),
            2.5 => assert!(expected > 1.7),
            _ => assert!(expected.abs() < 0.5, "{expected}"),
        }
    }
}
