//! Tests over the planes of sigma_w and sigma_b, for every row of the activation table: what theory gives out is a number
//! or nothing, moves monotonically where it must, and jumps nowhere but where a fixed point ceases to attract.

use super::critical::critical;
use super::mean_field::{MeanField, Phase, mean_field};
use super::predict::predict;
use super::simulation::spec;
use crate::network::{Activation, ActivationKind, Init, NetworkSpec, Norm, Residual, activation::TABLE};

/// Odd or shifted odd functions whose slope falls on both sides of 0: one phase boundary, no divergence.
const SIGMOIDAL: [ActivationKind; 7] = [
    ActivationKind::Tanh,
    ActivationKind::Erf,
    ActivationKind::Softsign,
    ActivationKind::HardTanh,
    ActivationKind::ScaledTanh,
    ActivationKind::Sigmoid,
    ActivationKind::HardSigmoid,
];

fn weights() -> impl Iterator<Item = f64> + Clone {
    (1..=45).map(|i| 0.1 * f64::from(i))
}

fn biases() -> impl Iterator<Item = f64> + Clone {
    [0.0, 0.01, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0].into_iter()
}

fn activations() -> impl Iterator<Item = Activation> {
    TABLE.iter().map(|row| Activation::from(row.kind))
}

/// A fixed point on a scale that ends at 1, where it diverges.
fn bounded(q: Option<f64>) -> f64 {
    q.map_or(1.0, |q| q / (1.0 + q))
}

/// Where `f` jumps by more than `step` between `a` and `b`: the half that changes more is halved again until it changes
/// by less, or is too small to halve.
fn jump(f: &dyn Fn(f64) -> f64, a: f64, b: f64, step: f64) -> Option<[f64; 2]> {
    let (mut a, mut b) = ((a, f(a)), (b, f(b)));
    while (b.1 - a.1).abs() > step {
        let middle = 0.5 * (a.0 + b.0);
        if b.0 - a.0 < 1e-12 * b.0 || middle <= a.0 || middle >= b.0 {
            return Some([a.0, b.0]);
        }
        let middle = (middle, f(middle));
        if (middle.1 - a.1).abs() > (b.1 - middle.1).abs() { b = middle } else { a = middle }
    }
    None
}

fn numbers(field: &MeanField) -> [Option<f64>; 6] {
    [field.q_star, field.chi_1, field.c_star, field.xi_q, field.xi_c, field.xi_grad]
}

#[test]
fn every_number_of_every_activation_is_finite_and_in_its_range_or_absent() {
    let extremes = [0.0, 1e-300, 1e-20, 1e-6, 1e6, 1e20, 1e100, 1e154, 1e300, f64::MAX];
    for activation in activations() {
        let name = activation.canonical();
        let all = || weights().chain(extremes);
        for (sigma_w, sigma_b) in all().flat_map(|w| biases().chain(extremes).map(move |b| (w, b))) {
            let field = mean_field(&activation, sigma_w, sigma_b);
            let here = format!("{name} {sigma_w} {sigma_b}: {field:?}");
            assert!(numbers(&field).iter().flatten().all(|v| v.is_finite() && *v >= 0.0), "{here}");
            assert!(field.c_star.is_none_or(|c| c <= 1.0), "{here}");
            assert_eq!(field.chi_1.is_some(), field.phase.is_some(), "{here}");
            assert_eq!(field.phase, field.chi_1.map(Phase::of), "{here}");
        }
        for sigma_b in biases().chain(extremes).map(Some).chain([None]) {
            if let Ok(point) = critical(&activation, sigma_b) {
                assert!([point.sigma_w, point.sigma_b, point.q].iter().all(|v| v.is_finite() && *v >= 0.0), "{name}");
            }
        }
    }
}

/// Where iteration from q_1 leaves its fixed point for good: lines through 0 have one at a single scale without bias, and
/// the variance of functions that end in a rising line can pass the point from which it diverges.
fn may_jump(activation: &Activation, at: [f64; 2], sigma_b: f64) -> bool {
    let facts = activation.facts();
    // Straight on both sides of 0: without bias nothing holds the variance at chi = 1.
    let [below, above] = facts.slopes_at_zero;
    let near_zero = 1e-6;
    let straight =
        activation.value(near_zero) == above * near_zero && activation.value(-near_zero) == -below * near_zero;
    let diverges = at.map(|w| mean_field(activation, w, sigma_b).q_star.is_none());
    let rising = facts.far.iter().any(|line| line.slope != 0.0);
    (straight && sigma_b == 0.0) || (rising && diverges == [false, true])
}

#[test]
fn q_star_grows_with_both_scales_and_jumps_only_where_the_variance_leaves_its_fixed_point() {
    let mut jumps = 0;
    for activation in activations() {
        let name = activation.canonical();
        let q = |w: f64, b: f64| bounded(mean_field(&activation, w, b).q_star);
        for sigma_b in biases() {
            let line: Vec<(f64, f64)> = weights().map(|w| (w, q(w, sigma_b))).collect();
            for pair in line.windows(2) {
                let ((a, q_a), (b, q_b)) = (pair[0], pair[1]);
                assert!(q_b >= q_a - 1e-9, "{name} at {a} and {b}, {sigma_b}: {q_a} {q_b}");
                if let Some(at) = jump(&|w| q(w, sigma_b), a, b, 0.02) {
                    jumps += 1;
                    assert!(may_jump(&activation, at, sigma_b), "{name} at {at:?}, {sigma_b}");
                }
            }
        }
        for sigma_w in weights().step_by(4) {
            let line: Vec<(f64, f64)> = (0..=40).map(|i| 0.05 * f64::from(i)).map(|b| (b, q(sigma_w, b))).collect();
            for pair in line.windows(2) {
                assert!(pair[1].1 >= pair[0].1 - 1e-9, "{name} at {sigma_w}, {pair:?}");
            }
        }
    }
    assert!(jumps > 10, "{jumps}: a search that finds none would say nothing");
}

#[test]
fn sigmoidal_activations_have_one_phase_boundary_and_move_to_one_side() {
    for kind in SIGMOIDAL {
        let activation = Activation::from(kind);
        let name = activation.canonical();
        let at = |w: f64, b: f64| {
            let field = mean_field(&activation, w, b);
            let chi_1 = field.chi_1.expect("bounded functions have a fixed point");
            let c_star = field.c_star.expect("and so has the cosine");
            (chi_1, c_star)
        };
        for sigma_b in biases() {
            let line: Vec<(f64, f64)> = weights().map(|w| at(w, sigma_b)).collect();
            for (pair, w) in line.windows(2).zip(weights()) {
                // More weight: larger gradients, less alike samples.
                assert!(pair[1].0 > pair[0].0, "{name} at {w}, {sigma_b}: {pair:?}");
                assert!(pair[1].1 <= pair[0].1 + 1e-9, "{name} at {w}, {sigma_b}: {pair:?}");
            }
        }
        for sigma_w in weights().step_by(4) {
            let line: Vec<(f64, f64)> = (0..=40).map(|i| at(sigma_w, 0.05 * f64::from(i))).collect();
            for (pair, i) in line.windows(2).zip(0..) {
                // More bias: a flatter place of the function, and more alike samples.
                assert!(pair[1].0 <= pair[0].0 + 1e-12, "{name} at {sigma_w}, step {i}: {pair:?}");
                assert!(pair[1].1 >= pair[0].1 - 1e-6, "{name} at {sigma_w}, step {i}: {pair:?}");
            }
        }
    }
}

#[test]
fn factors_and_cosines_are_continuous_wherever_the_fixed_point_is() {
    let scale = |xi: Option<f64>| xi.map_or(1.0, |xi| xi / (1.0 + xi));
    for activation in activations() {
        let name = activation.canonical();
        for sigma_b in biases() {
            let field = |w: f64| mean_field(&activation, w, sigma_b);
            let chi = |w: f64| bounded(field(w).chi_1);
            let cosine = |w: f64| field(w).c_star.unwrap_or(f64::NAN);
            let grad = |w: f64| scale(field(w).xi_grad);
            let angle = |w: f64| scale(field(w).xi_c);
            let length = |w: f64| scale(field(w).xi_q);
            let outputs: [(&str, &dyn Fn(f64) -> f64); 5] =
                [("chi_1", &chi), ("c*", &cosine), ("xi_grad", &grad), ("xi_c", &angle), ("xi_q", &length)];
            let line: Vec<f64> = weights().collect();
            for pair in line.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                let q = |w: f64| bounded(field(w).q_star);
                if jump(&q, a, b, 0.02).is_some() || field(a).q_star.is_none() || field(b).q_star.is_none() {
                    continue;
                }
                for (what, f) in outputs {
                    let Some(at) = jump(f, a, b, 0.05) else { continue };
                    // Without bias, samples that were parallel part at once where chi passes 1.
                    let phases = at.map(|w| field(w).phase);
                    let part =
                        what == "c*" && sigma_b == 0.0 && phases == [Some(Phase::Critical), Some(Phase::Chaotic)];
                    assert!(part, "{what} of {name} at {at:?}, {sigma_b}: {phases:?}");
                }
            }
        }
    }
}

#[test]
fn everything_moves_continuously_with_the_bias_too() {
    let scale = |xi: Option<f64>| xi.map_or(1.0, |xi| xi / (1.0 + xi));
    let (mut compared, mut jumps) = (0, 0);
    for activation in activations() {
        let name = activation.canonical();
        for sigma_w in weights().step_by(3) {
            let field = |b: f64| mean_field(&activation, sigma_w, b);
            let q = |b: f64| bounded(field(b).q_star);
            let chi = |b: f64| bounded(field(b).chi_1);
            let cosine = |b: f64| field(b).c_star.unwrap_or(f64::NAN);
            let grad = |b: f64| scale(field(b).xi_grad);
            let angle = |b: f64| scale(field(b).xi_c);
            let length = |b: f64| scale(field(b).xi_q);
            let outputs: [(&str, &dyn Fn(f64) -> f64); 5] =
                [("chi_1", &chi), ("c*", &cosine), ("xi_grad", &grad), ("xi_c", &angle), ("xi_q", &length)];
            let line: Vec<f64> = (0..=20).map(|i| 0.1 * f64::from(i)).collect();
            for pair in line.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                if let Some(at) = jump(&q, a, b, 0.02) {
                    jumps += 1;
                    // A larger bias may push the variance beyond the point from which it diverges.
                    let ends = at.map(|b| field(b).q_star.is_none());
                    assert_eq!(ends, [false, true], "q* of {name} at {sigma_w}, {at:?}");
                    continue;
                }
                if field(a).q_star.is_none() || field(b).q_star.is_none() {
                    continue;
                }
                for (what, f) in outputs {
                    compared += 1;
                    assert_eq!(jump(f, a, b, 0.05), None, "{what} of {name} at {sigma_w}, {a} to {b}");
                }
            }
        }
    }
    assert!(compared > 10_000 && jumps > 0, "{compared} {jumps}");
}

#[test]
fn the_edge_of_chaos_is_one_line_that_parts_the_phases() {
    for activation in activations() {
        let name = activation.canonical();
        let edge = |b: f64| critical(&activation, Some(b)).ok().map(|point| point.sigma_w);
        let line: Vec<(f64, Option<f64>)> = (0..=80).map(|i| 0.05 * f64::from(i)).map(|b| (b, edge(b))).collect();
        let parts = line.chunk_by(|a, b| a.1.is_some() == b.1.is_some()).filter(|part| part[0].1.is_some()).count();
        assert_eq!(parts, usize::from(activation.kind != ActivationKind::Softplus), "{name}");
        for pair in line.windows(2) {
            let ((a, Some(w_a)), (b, Some(w_b))) = (pair[0], pair[1]) else { continue };
            let at = jump(&|b| edge(b).expect("between two that exist"), a, b, 0.01 * w_a);
            assert_eq!(at, None, "{name}");
            assert!(w_b > w_a || !SIGMOIDAL.contains(&activation.kind), "{name} at {a} and {b}: {w_a} {w_b}");
        }
        for (sigma_b, edge) in line {
            let Some(edge) = edge else { continue };
            let phase = |factor: f64| mean_field(&activation, factor * edge, sigma_b).phase;
            assert_eq!(phase(1.0), Some(Phase::Critical), "{name} {sigma_b}");
            assert_eq!(phase(0.97), Some(Phase::Ordered), "{name} {sigma_b}");
            // Beyond it the variance may have no fixed point.
            assert!(matches!(phase(1.03), Some(Phase::Chaotic) | None), "{name} {sigma_b}: {:?}", phase(1.03));
        }
    }
}

#[test]
fn predicted_gradients_and_what_width_adds_move_continuously_with_the_scales() {
    let forms = || Norm::TABLE.iter().flat_map(|norm| Residual::TABLE.iter().map(move |residual| (norm, residual)));
    for activation in activations() {
        for ((norm, residual), sigma_b) in forms().flat_map(|form| [0.0, 0.3].map(|b| (form, b))) {
            let predicted = |sigma_w: f64| {
                let base = spec(activation.kind, sigma_w);
                let init = Init { sigma_b: Some(sigma_b), ..base.init };
                let form = NetworkSpec { norm: norm.word, residual: residual.word, init, activation, ..base };
                predict(&NetworkSpec { depth: 6, ..form })
            };
            let total = |sigma_w: f64| predicted(sigma_w).log10_grad_ratio_total;
            // No number between two that exist ends the search.
            let shift = |sigma_w: f64| predicted(sigma_w).finite_width_shift.unwrap_or(f64::NAN);
            let scatter = |sigma_w: f64| predicted(sigma_w).seed_scatter.unwrap_or(f64::NAN);
            let name = format!("{} {} {} {sigma_b}", activation.canonical(), norm.name, residual.name);
            let line: Vec<f64> = weights().step_by(4).collect();
            for pair in line.windows(2) {
                // It may end where a layer's norm divides by eps.
                let (Some(_), Some(_)) = (total(pair[0]), total(pair[1])) else { continue };
                let between = |w: f64| total(w).unwrap_or_else(|| panic!("{name} at {w}: known on both sides"));
                assert_eq!(jump(&between, pair[0], pair[1], 0.1), None, "{name}");
                assert_eq!(jump(&shift, pair[0], pair[1], 0.05), None, "shift of {name}");
                assert_eq!(jump(&scatter, pair[0], pair[1], 0.05), None, "scatter of {name}");
            }
        }
    }
}
