//! Predictions against closed forms, and their ends.

use super::super::simulation::spec;
use super::*;
use crate::network::{Activation, ActivationKind, InitKind, Loss, Target, activation::TABLE};

fn he() -> f64 {
    2f64.sqrt()
}

#[track_caller]
fn close(got: Option<f64>, want: f64, tolerance: f64) {
    let got = got.expect("theory is known here");
    assert!((got - want).abs() < tolerance, "{got}, not {want}");
}

fn with_init(kind: InitKind) -> NetworkSpec {
    let mut s = spec(ActivationKind::Relu, 1.0);
    s.init.kind = kind;
    if kind == InitKind::PytorchDefault {
        s.init.sigma_b = None;
    }
    s
}

#[test]
fn relu_keeps_halves_or_takes_a_sixth() {
    for (kind, factor) in [
        (InitKind::HeNormal, 1.0),
        (InitKind::HeUniform, 1.0),
        (InitKind::XavierNormal, 0.5),
        (InitKind::XavierUniform, 0.5),
        (InitKind::PytorchDefault, 1.0 / 6.0),
    ] {
        let p = predict(&with_init(kind));
        assert_eq!(p.log10_grad_ratios.len(), 15);
        for ratio in &p.log10_grad_ratios {
            assert!((ratio - f64::log10(factor)).abs() < 1e-12, "{kind:?}: {ratio}");
        }
        close(p.log10_grad_ratio_total, 15.0 * f64::log10(factor), 1e-9);
    }
}

#[test]
fn hanins_variance_at_batch_1() {
    let mut s = spec(ActivationKind::Relu, he());
    s.batch_size = 1;
    let p = predict(&s);
    let ln = 5.0 * 15.0 / 64.0;
    close(p.seed_scatter, f64::sqrt(ln) * std::f64::consts::LOG10_E, 1e-12);
    close(p.finite_width_shift, -0.5 * ln * std::f64::consts::LOG10_E, 1e-12);
    // About -0.8 decades at L = 200, n = 256.
    (s.depth, s.width, s.input_size) = (200, 256, 256);
    close(predict(&s).finite_width_shift, -0.8, 0.05);
    // Independent cotangents average the own part away; 60 networks of batch 16 gave -0.36 +- 0.08 and a scatter of 0.61.
    s.batch_size = 16;
    close(predict(&s).finite_width_shift, -0.36, 0.08);
    close(predict(&s).seed_scatter, 0.61, 0.1);
}

#[test]
fn sigmoid_loses_about_250_decades_at_depth_200() {
    let mut s = spec(ActivationKind::Sigmoid, 1.0);
    (s.depth, s.width, s.input_size) = (200, 256, 256);
    close(predict(&s).log10_grad_ratio_total, -250.0, 1.0);
}

#[test]
fn per_sample_norms_lose_phi_prime_over_phi() {
    for norm in [Norm::Layer, Norm::Rms] {
        for (kind, factor, digits) in [
            (ActivationKind::Relu, 1.0, 1e-4),
            (ActivationKind::Tanh, 1.178, 6e-4),
            (ActivationKind::Sigmoid, 0.153, 6e-4),
        ] {
            for sigma_w in [0.7, 3.0] {
                let s = NetworkSpec { norm, width: 1 << 24, ..spec(kind, sigma_w) };
                let last = *predict(&s).log10_grad_ratios.last().unwrap();
                assert!((10f64.powf(last) - factor).abs() < digits, "{kind:?}: {}", 10f64.powf(last));
            }
        }
    }
}

#[test]
fn batch_norm_explodes_per_layer() {
    let sizes =
        NetworkSpec { norm: Norm::Batch, width: 1 << 16, input_size: 1 << 16, ..spec(ActivationKind::Relu, 1.0) };
    let s = |kind, batch_size| NetworkSpec { activation: Activation::from(kind), batch_size, ..sizes.clone() };
    let last = |p: Prediction| 10f64.powf(*p.log10_grad_ratios.last().unwrap());
    assert!((last(predict(&s(ActivationKind::Relu, 2048))) - 1.467).abs() < 1e-3);
    assert!((last(predict(&s(ActivationKind::Relu, 32))) - 1.521).abs() < 1.5e-3);
    assert!((last(predict(&s(ActivationKind::Linear, 10))) - 8.0 / 7.0).abs() < 1e-4);
    for (batch, known) in [(3, false), (4, false), (5, false), (6, true)] {
        assert_eq!(predict(&s(ActivationKind::Relu, batch)).log10_grad_ratio_total.is_some(), known, "{batch}");
    }
}

#[test]
fn pre_act_residual_networks_grow_as_the_closed_forms_say() {
    let mut s = spec(ActivationKind::Relu, he());
    s.residual = Residual::PreAct;
    for (a, depth) in [(1.0, 16), (0.5, 7), (0.25, 100)] {
        (s.residual_scale, s.depth) = (a, depth);
        close(predict(&s).log10_act_grad_ratio_total, f64::from(depth) * f64::log10(1.0 + a * a), 1e-9);
    }
    (s.residual_scale, s.depth) = (0.1, 100);
    close(predict(&s).log10_act_grad_ratio_total, std::f64::consts::LOG10_E, 0.01);
    // Pre-layer-norm: L + 1, and (L + 1)/2 from delta_L to delta_1.
    (s.residual_scale, s.depth, s.norm) = (1.0, 32, Norm::Layer);
    let p = predict(&s);
    close(p.log10_act_grad_ratio_total, 33f64.log10(), 1e-4);
    close(p.log10_grad_ratio_total, 16.5f64.log10(), 1e-4);
    // Pre-batch-norm: the product of the closed form, 82 at 32 and 218 at 64 for large B.
    (s.norm, s.batch_size) = (Norm::Batch, 4096);
    for (depth, quoted) in [(32u32, 82.0), (64, 218.0)] {
        s.depth = depth;
        let product: f64 =
            (0..depth).map(|l| 1.0 + 1.0 / (1.0 + f64::from(l) * (1.0 - std::f64::consts::FRAC_1_PI))).product();
        assert!((product - quoted).abs() < 0.6);
        close(predict(&s).log10_act_grad_ratio_total, product.log10(), 2e-3);
    }
}

#[test]
fn tanh_residual_networks_grow_slower_than_any_exponential() {
    let total = |depth| {
        let s = NetworkSpec { residual: Residual::PreAct, depth, ..spec(ActivationKind::Tanh, 1.0) };
        predict(&s).log10_act_grad_ratio_total.unwrap()
    };
    let rates: Vec<f64> = [8, 16, 32, 64, 128, 256].map(|d| total(d) / f64::from(d)).to_vec();
    assert!(rates.windows(2).all(|pair| pair[1] < 0.85 * pair[0]), "{rates:?}");
}

#[test]
fn skips_around_rectifiers_grow_by_the_gradients_mean_once_the_network_is_deep() {
    let total = |kind, depth, width| {
        let s = NetworkSpec { residual: Residual::PostAct, depth, width, input_size: width, ..spec(kind, 1.0) };
        predict(&s).log10_grad_ratio_total.expect("theory is known")
    };
    // Shallow: 1 + sigma_w^2/2 per layer.
    assert!((total(ActivationKind::Relu, 16, 1 << 30) / 15.0 - 1.5f64.log10()).abs() < 1e-6);
    // Deep: the gradient's square grows downwards as that of h grows upwards, by x^2 with x^2 = 3/2 + 2 m c, where c =
    // 1/sqrt(2 pi) is the mean of a rectifier and m = c/(x - 1) that of h, in units of its root mean square.
    let deep = total(ActivationKind::Relu, 301, 1 << 20) - total(ActivationKind::Relu, 300, 1 << 20);
    let x = 10f64.powf(deep / 2.0);
    let square = 1.5 + 1.0 / (std::f64::consts::PI * (x - 1.0));
    assert!((x * x / square - 1.0).abs() < 1e-4 && x > 1.4, "{x}");
    // 600 networks of width 128, depth 16, he_normal, in float64 and written apart from this crate: 5.393 +- 0.008.
    let s =
        NetworkSpec { residual: Residual::PostAct, width: 128, input_size: 128, ..spec(ActivationKind::Relu, he()) };
    close(predict(&s).log10_grad_ratio_total, 5.393, 0.02);
    // Odd functions leave activations without a mean.
    let odd = |width| total(ActivationKind::Tanh, 64, width);
    assert!((odd(64) - odd(1 << 30)).abs() < 1e-9);
}

#[test]
fn a_readout_turns_the_gradient_towards_the_activations() {
    // Linear networks: with J = prod (1 + W_l) the part of dLoss/dh_L along h_L = J h_0 becomes J^T J h_0, whose square
    // grows by 2 (1 + 3/4 k)/(1 + 3/4 (k - 1)) in step k: traces of (J^T J)^2 over those of J^T J squared add up
    // under free multiplication, and are 7/4 for one layer. All else grows by 2.
    let total = |width, loss| {
        let s = NetworkSpec {
            residual: Residual::PreAct,
            loss,
            width,
            input_size: width,
            ..spec(ActivationKind::Linear, 1.0)
        };
        predict(&s).log10_grad_ratio_total.expect("theory is known")
    };
    let plain = 15.0 * 2f64.log10();
    assert!((total(128, Loss::Cotangent) - plain).abs() < 1e-9);
    assert!((total(1 << 30, Loss::Mse) - plain).abs() < 1e-6);
    // Outputs of 10 units, far above their targets, weighted by their squares: (10 + 1)/128 beyond an isotropic vector.
    let share: f64 = 11.0 / 128.0;
    let want = ((1.0 + share * (1.0 + 0.75 * 15.0)) / (1.0 + share)).log10();
    let gain = total(128, Loss::Mse) - plain;
    assert!((gain - want).abs() < 0.005, "{gain} {want}");
}

#[test]
fn orthogonal_linear_is_an_isometry() {
    let mut s = spec(ActivationKind::Linear, 1.0);
    s.init.kind = InitKind::Orthogonal;
    (s.depth, s.input_size) = (100, 32);
    close(predict(&s).log10_grad_ratio_total, 0.0, 1e-12);
    s.init.kind = InitKind::Identity;
    close(predict(&s).log10_grad_ratio_total, 0.0, 1e-12);
}

#[test]
fn digits_are_predicted_from_their_own_spread() {
    let digits = NetworkSpec { input: Input::Digits, ..spec(ActivationKind::Tanh, 1.0) };
    let even = predict_from(&digits, &Inputs::alike(61.0 / 64.0, 0.0)).log10_grad_ratio_total.unwrap();
    assert!((predict(&digits).log10_grad_ratio_total.unwrap() - even).abs() > 0.02);
    // Relu does not see the input's size.
    let relu = NetworkSpec { input: Input::Digits, ..spec(ActivationKind::Relu, 1.0) };
    close(predict(&relu).log10_grad_ratio_total, -15.0 * 2f64.log10(), 1e-9);
}

#[test]
fn every_row_of_every_table_is_a_number_or_nothing() {
    let inits =
        [InitKind::HeNormal, InitKind::TruncatedNormal, InitKind::Zeros, InitKind::Constant, InitKind::Identity];
    for row in &TABLE {
        for norm in Norm::TABLE {
            for residual in Residual::TABLE {
                for kind in inits {
                    let mut s = spec(row.kind, 1.0);
                    s.activation = Activation::from(row.kind);
                    (s.norm, s.residual, s.depth) = (norm.word, residual.word, 5);
                    (s.init.kind, s.init.param) = (kind, 0.1);
                    let p = predict(&s);
                    let isotropic = matches!(kind, InitKind::HeNormal | InitKind::TruncatedNormal)
                        || (kind == InitKind::Identity
                            && row.kind == ActivationKind::Linear
                            && norm.word == Norm::None
                            && residual.word == Residual::None);
                    let name = format!("{} {} {} {kind:?}", row.name, norm.name, residual.name);
                    assert_eq!(p.log10_grad_ratio_total.is_some(), isotropic, "{name}");
                    let numbers =
                        [p.log10_grad_ratio_total, p.log10_act_grad_ratio_total, p.finite_width_shift, p.seed_scatter];
                    assert!(numbers.iter().flatten().all(|v| v.is_finite()), "{name}: {p:?}");
                }
            }
        }
    }
}

#[test]
fn a_readout_of_activations_beyond_float64_turns_the_gradient_as_any_other() {
    // Far above its target an output's gradient is the output; with targets of 0 it is at any size.
    for (kind, layers) in [(ActivationKind::Linear, 512), (ActivationKind::Relu, 512), (ActivationKind::LeakyRelu, 200)]
    {
        for init in [InitKind::Normal, InitKind::Orthogonal] {
            let mut large = NetworkSpec { depth: layers, width: 2048, loss: Loss::Mse, ..spec(kind, 1.0) };
            (large.init.kind, large.init.param) = (init, 1.0);
            large.input_size = large.width;
            let step = if init == InitKind::Normal { 2048f64.log10() } else { 0.0 };
            large.init.gain = if init == InitKind::Orthogonal { 40.0 } else { 1.0 };
            let step = step + 2.0 * large.init.gain.log10();
            let mut even = large.clone();
            even.target = Target::Zeros;
            even.init.gain *= libm::exp10(-0.5 * step);
            let name = format!("{kind:?} {init:?}");
            let [large, even] = [large, even].map(|s| predict(&s));
            let (got, want) = (&large.log10_grad_ratios, &even.log10_grad_ratios);
            assert_eq!(got.len(), layers as usize - 1, "{name}");
            for (got, want) in got.iter().zip(want) {
                assert!((got - want - step).abs() < 2e-3, "{name}: {got} {want} {step}");
            }
            // What has no number has no cell.
            assert!(large.act_rms.last().is_some_and(|rms| rms.is_nan()), "{name}");
            assert!(large.preact_cos.last().is_some_and(|cosine| cosine.is_nan()), "{name}");
            assert!(!large.preact_rms.iter().chain(&large.act_rms).any(|rms| rms.is_infinite()), "{name}");
        }
    }
    // A softmax of outputs so large is 0 and 1 with depth 100, q = 1e200, and without a number.
    let top = |depth| {
        let s = NetworkSpec { depth, loss: Loss::CrossEntropy, ..spec(ActivationKind::Relu, 10.0 * he()) };
        *predict(&s).log10_grad_ratios.last().expect("theory is known")
    };
    assert!((top(100) - top(300)).abs() < 1e-4, "{} {}", top(100), top(300));
    assert!(top(300) > 2.003);
}

#[test]
fn extreme_scales_and_depths_stay_finite() {
    let at_width = |width, kind, gain: f64| {
        let s = NetworkSpec { depth: 1024, width, ..spec(kind, gain * he()) };
        predict(&s).log10_grad_ratio_total
    };
    let total = |kind, gain| at_width(64, kind, gain);
    let layers = 1023.0;
    for gain in [10.0, 0.1] {
        close(at_width(4096, ActivationKind::Relu, gain), layers * 2.0 * f64::log10(gain), 1e-6);
    }
    // Without end ever smaller arguments, where tanh is a line: its slope at the first layers is below 1 by q_1 and less.
    // 24 drawn networks have -1744.4 +- 0.5, and the mean of the logarithm lies 1023 (ln 32 - psi(32))/ln 10 = 7.0 lower.
    let small = layers * f64::log10(0.02);
    close(at_width(4096, ActivationKind::Tanh, 0.1), small - 2.0 * 0.02 / std::f64::consts::LN_10, 1e-3);
    // Ever larger ones, where GELU is a rectifier: 24 drawn networks have 2030.3 +- 0.9, 17.4 lower by Hanin's shift, of
    // which the expansion around the first layers knows nothing.
    close(at_width(4096, ActivationKind::Gelu, 10.0), layers * 2.0, 0.01);
    assert_eq!(total(ActivationKind::Gelu, 10.0), None);
    // Arguments that cover many periods, whose squared cosines have the mean 1/2. 24 drawn networks of batch size 1 have
    // 3010 +- 0.7, and the shift there is -12.1.
    close(at_width(4096, ActivationKind::Sine, 30.0), layers * f64::log10(900.0), 1e-6);
    // One unit in 700 is not saturated, and a layer has 64: the mean of the slopes is none that a network has. Drawn
    // networks lose 13 decades per layer where the mean gains 2.
    assert_eq!(total(ActivationKind::Sigmoid, 1e3), None);
    let p = predict(&spec(ActivationKind::Sigmoid, 1e3));
    assert!(p.log10_grad_ratios.iter().all(|ratio| ratio.is_nan()), "{:?}", p.log10_grad_ratios);
    assert_eq!((p.finite_width_shift, p.seed_scatter), (None, None));
    // Wide enough, they are many again.
    let wide = NetworkSpec { width: 1 << 20, ..spec(ActivationKind::Sigmoid, 1e3) };
    assert!(predict(&wide).log10_grad_ratio_total.is_some());
}

#[test]
fn what_less_than_one_unit_of_a_layer_decides_is_left_empty() {
    // All units of all branches are saturated: a network has |g| of the skips alone, and the mean 10^140 of it.
    let saturated = |kind, residual, scale: f64, gain| {
        predict(&NetworkSpec { residual, residual_scale: gain, loss: Loss::Cotangent, ..spec(kind, scale) })
    };
    for kind in [ActivationKind::Tanh, ActivationKind::Softsign, ActivationKind::HardTanh] {
        for residual in [Residual::PreAct, Residual::PostAct] {
            let name = format!("{kind:?} {residual:?}");
            let far = saturated(kind, residual, 1e20, 1.0);
            assert_eq!((far.log10_grad_ratio_total, far.log10_act_grad_ratio_total), (None, None), "{name}");
            assert!(saturated(kind, residual, 1.5, 1.0).log10_grad_ratio_total.is_some(), "{name}");
        }
    }
    // The skips alone are left of branches that are small besides.
    let small = saturated(ActivationKind::Tanh, Residual::PostAct, 1e4, 1e-6);
    close(small.log10_act_grad_ratio_total, 0.0, 1e-2);
    assert_eq!(small.log10_grad_ratio_total, None, "delta is the gradient of those units");
    // Slopes that are nearly one: batch norm's samples stay as they lie, as in linear layers.
    let normed = |slope| {
        let mut s = NetworkSpec { norm: Norm::Batch, depth: 64, width: 128, ..spec(ActivationKind::LeakyRelu, 1.0) };
        (s.activation.param, s.input_size, s.batch_size) = (slope, 128, 16);
        predict(&s).log10_grad_ratio_total
    };
    assert!(normed(0.01).is_some());
    assert_eq!(normed(0.9), None);
}
