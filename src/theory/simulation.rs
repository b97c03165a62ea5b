//! A plain float64 network for the tests of this module: nested loops over the sampler's weights, backpropagation written
//! out, no scaling. It shares no code with the engines.

use crate::network::{
    ActivationKind, Architecture, Init, InitKind, Input, Loss, NetworkSpec, Norm, Residual, Target, Training,
};
use crate::sampler::tensors::{TargetData, fill_bias, fill_weight, network_data};

type Matrix = Vec<Vec<f64>>;

/// Ratios of squared norms of one run.
pub struct Run {
    /// |delta_1|^2 / |delta_L|^2.
    pub grad_ratio: f64,
    /// |dLoss/dx|^2 / |dLoss/dh_L|^2.
    pub act_grad_ratio: f64,
}

pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn square(m: &Matrix) -> f64 {
    m.iter().flatten().map(|v| v * v).sum()
}

fn widen(values: &[f32], columns: usize) -> Matrix {
    values.chunks_exact(columns).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
}

fn transposed(m: &Matrix) -> Matrix {
    (0..m[0].len()).map(|j| m.iter().map(|row| row[j]).collect()).collect()
}

/// x W^T + b for rows x.
fn linear(x: &Matrix, w: &Matrix, b: &[f64]) -> Matrix {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    x.iter().map(|row| w.iter().zip(b).map(|(w, b)| dot(row, w) + b).collect()).collect()
}

/// Normalises each vector of `rows` and returns the divisors.
fn normalise(rows: &mut Matrix, centre: bool, eps: f64) -> Vec<f64> {
    rows.iter_mut()
        .map(|row| {
            let n = row.len() as f64;
            let mean = if centre { row.iter().sum::<f64>() / n } else { 0.0 };
            row.iter_mut().for_each(|v| *v -= mean);
            let divisor = (row.iter().map(|v| v * v).sum::<f64>() / n + eps).sqrt();
            row.iter_mut().for_each(|v| *v /= divisor);
            divisor
        })
        .collect()
}

/// The backward pass of [`normalise`]; `normal` is its output.
fn normalise_back(grad: &Matrix, normal: &Matrix, divisors: &[f64], centre: bool) -> Matrix {
    let rows = grad.iter().zip(normal).zip(divisors);
    rows.map(|((g, u), s)| {
        let n = g.len() as f64;
        let mean = if centre { g.iter().sum::<f64>() / n } else { 0.0 };
        let along = g.iter().zip(u).map(|(g, u)| g * u).sum::<f64>() / n;
        g.iter().zip(u).map(|(g, u)| (g - mean - u * along) / s).collect()
    })
    .collect()
}

struct Normalised {
    out: Matrix,
    divisors: Vec<f64>,
}

fn norm(spec: &NetworkSpec, x: &Matrix) -> Normalised {
    match spec.norm {
        Norm::None => Normalised { out: x.clone(), divisors: Vec::new() },
        Norm::Batch => {
            let mut columns = transposed(x);
            let divisors = normalise(&mut columns, true, spec.norm_eps);
            Normalised { out: transposed(&columns), divisors }
        }
        _ => {
            let mut out = x.clone();
            let divisors = normalise(&mut out, spec.norm == Norm::Layer, spec.norm_eps);
            Normalised { out, divisors }
        }
    }
}

fn norm_back(spec: &NetworkSpec, n: &Normalised, grad: &Matrix) -> Matrix {
    match spec.norm {
        Norm::None => grad.clone(),
        Norm::Batch => {
            let back = normalise_back(&transposed(grad), &transposed(&n.out), &n.divisors, true);
            transposed(&back)
        }
        _ => normalise_back(grad, &n.out, &n.divisors, spec.norm == Norm::Layer),
    }
}

fn map(a: &Matrix, f: impl Fn(f64) -> f64) -> Matrix {
    a.iter().map(|row| row.iter().map(|&v| f(v)).collect()).collect()
}

fn combine(a: &Matrix, b: &Matrix, f: impl Fn(f64, f64) -> f64) -> Matrix {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()).collect()
}

/// Runs a network with a cotangent loss forwards and backwards.
pub fn simulate(spec: &NetworkSpec) -> Run {
    let data = network_data(spec, None);
    let (width, depth) = (spec.width as usize, spec.depth as usize);
    let TargetData::Cotangent(cotangent) = &data.target else { panic!("the simulation takes cotangents") };
    let (weights, biases): (Vec<Matrix>, Vec<Vec<f64>>) = (1..=spec.depth)
        .map(|l| {
            let columns = spec.fan_in(l) as usize;
            let (mut w, mut b) = (vec![0.0; width * columns], vec![0.0; width]);
            assert_eq!((fill_weight(spec, l, &mut w), fill_bias(spec, l, &mut b)), (0, 0), "ordinary scales");
            (widen(&w, columns), b.iter().map(|&v| f64::from(v)).collect())
        })
        .unzip();
    let a = spec.residual_scale;
    let mut acts = vec![widen(&data.input, spec.input_size as usize)];
    let mut normals = Vec::new();
    for l in 1..=depth {
        let (w, b) = (&weights[l - 1], &biases[l - 1]);
        if spec.is_linear_stem(l as u32) {
            normals.push(norm(spec, &acts[0]));
            acts.push(linear(&acts[0], w, b));
            continue;
        }
        let form = spec.layer_residual(l as u32);
        let argument = if form == Residual::PreAct { acts[l - 1].clone() } else { linear(&acts[l - 1], w, b) };
        let normal = norm(spec, &argument);
        let phi = map(&normal.out, |u| spec.activation.value(u));
        acts.push(match form {
            Residual::PreAct => combine(&acts[l - 1], &linear(&phi, w, b), |h, z| h + a * z),
            Residual::PostAct => combine(&acts[l - spec.residual_every as usize], &phi, |h, p| h + a * p),
            Residual::None => phi,
        });
        normals.push(normal);
    }
    let mut grads: Vec<Matrix> = acts.iter().map(|h| map(h, |_| 0.0)).collect();
    grads[depth] = widen(cotangent, width);
    let mut squares = vec![0.0; depth];
    for l in (1..=depth).rev() {
        let (w, normal) = (&weights[l - 1], &normals[l - 1]);
        let none = vec![0.0; w[0].len()];
        let through = |grad: &Matrix| {
            norm_back(spec, normal, &combine(grad, &map(&normal.out, |u| spec.activation.derivative(u)), |g, d| g * d))
        };
        let back = |delta: &Matrix| linear(delta, &transposed(w), &none);
        let grad = grads[l].clone();
        let add = |to: &mut Matrix, from: &Matrix| *to = combine(to, from, |a, b| a + b);
        let delta = if spec.is_linear_stem(l as u32) {
            add(&mut grads[0], &back(&grad));
            grad
        } else {
            match spec.layer_residual(l as u32) {
                Residual::PreAct => {
                    let delta = map(&grad, |g| a * g);
                    add(&mut grads[l - 1], &grad);
                    add(&mut grads[l - 1], &through(&back(&delta)));
                    delta
                }
                Residual::PostAct => {
                    let delta = through(&map(&grad, |g| a * g));
                    add(&mut grads[l - spec.residual_every as usize], &grad);
                    add(&mut grads[l - 1], &back(&delta));
                    delta
                }
                Residual::None => {
                    let delta = through(&grad);
                    add(&mut grads[l - 1], &back(&delta));
                    delta
                }
            }
        };
        squares[l - 1] = square(&delta);
    }
    Run { grad_ratio: squares[0] / squares[depth - 1], act_grad_ratio: square(&grads[0]) / square(&grads[depth]) }
}

/// A plain network of moderate size.
pub fn spec(activation: ActivationKind, sigma_w: f64) -> NetworkSpec {
    NetworkSpec {
        architecture: Architecture::Mlp,
        depth: 16,
        width: 64,
        batch_size: 16,
        input_size: 64,
        output_size: 10,
        activation: activation.into(),
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w, sigma_b: Some(0.0) },
        bias: true,
        norm: Norm::None,
        norm_eps: 1e-5,
        norm_affine: false,
        final_norm: false,
        residual: Residual::None,
        residual_scale: 1.0,
        residual_every: 1,
        loss: Loss::Cotangent,
        input: Input::Gaussian,
        input_param: 0.0,
        target: Target::Gaussian,
        training: Training::default(),
        seed: 0,
    }
}

mod tests {
    use super::super::predict;
    use super::*;
    use crate::network::ActivationKind::*;

    #[test]
    fn measured_networks_agree_within_four_standard_errors() {
        let base =
            |kind, sigma_w| NetworkSpec { width: 128, input_size: 128, depth: 6, batch_size: 8, ..spec(kind, sigma_w) };
        let with_bias = |mut s: NetworkSpec, sigma_b| {
            s.init.sigma_b = Some(sigma_b);
            s
        };
        let cases = [
            base(Relu, 2f64.sqrt()),
            NetworkSpec { batch_size: 1, depth: 12, ..base(Relu, 2f64.sqrt()) },
            base(Tanh, 1.6),
            with_bias(base(Gelu, 1.5), 0.3),
            with_bias(base(Sigmoid, 2.0), 0.2),
            NetworkSpec { norm: Norm::Layer, ..base(Tanh, 1.0) },
            NetworkSpec { norm: Norm::Rms, ..with_bias(base(Softplus, 1.2), 0.5) },
            NetworkSpec { residual: Residual::PreAct, ..base(Relu, 2f64.sqrt()) },
            NetworkSpec { residual: Residual::PreAct, input_size: 40, ..with_bias(base(Silu, 1.2), 0.3) },
            NetworkSpec { residual: Residual::PostAct, ..base(Tanh, 1.3) },
            NetworkSpec { residual: Residual::PostAct, residual_scale: 0.5, residual_every: 3, ..base(Relu, 1.2) },
            NetworkSpec { residual: Residual::PostAct, residual_every: 2, input_size: 40, ..base(Tanh, 1.2) },
            NetworkSpec { residual: Residual::PreAct, norm: Norm::Layer, ..base(Relu, 2f64.sqrt()) },
            NetworkSpec { residual: Residual::PostAct, norm: Norm::Rms, ..base(Tanh, 1.0) },
            NetworkSpec { norm: Norm::Batch, batch_size: 8, ..base(Relu, 1.0) },
            NetworkSpec { norm: Norm::Batch, batch_size: 8, residual: Residual::PreAct, ..base(Relu, 2f64.sqrt()) },
            NetworkSpec { norm: Norm::Batch, batch_size: 8, residual: Residual::PostAct, ..base(Tanh, 1.0) },
            NetworkSpec {
                norm: Norm::Batch,
                batch_size: 8,
                residual: Residual::PreAct,
                loss: Loss::CotangentShared,
                ..base(Tanh, 1.5)
            },
        ];
        for (i, case) in cases.iter().enumerate() {
            let p = predict(case);
            let runs: Vec<Run> =
                (0..24).map(|seed| simulate(&NetworkSpec { seed: 1000 + seed, ..case.clone() })).collect();
            let ratios: Vec<f64> = runs.iter().map(|run| run.grad_ratio).collect();
            let act_ratios: Vec<f64> = runs.iter().map(|run| run.act_grad_ratio).collect();
            for (values, want) in [(&ratios, p.log10_grad_ratio_total), (&act_ratios, p.log10_act_grad_ratio_total)] {
                // The prediction is the logarithm of the mean.
                let (mean, error) = mean_and_error(values);
                let want = want.expect("theory is known here");
                let (got, error) = (mean.log10(), error / mean * std::f64::consts::LOG10_E);
                assert!((got - want).abs() < 4.0 * error, "case {i}: {got} +- {error}, predicted {want}");
                assert!(error < if case.batch_size == 1 { 0.08 } else { 0.04 }, "case {i}: {error} says little");
            }
            if let (Some(total), Some(shift)) = (p.log10_grad_ratio_total, p.finite_width_shift) {
                let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.log10()).collect();
                let (mean, error) = mean_and_error(&logs);
                assert!((mean - total - shift).abs() < 4.0 * error, "case {i}: {mean} +- {error}, {total} {shift}");
                // The relative error of a standard deviation from 24 values is 15%.
                let scatter = error * 24f64.sqrt() / p.seed_scatter.expect("given with the shift");
                assert!((0.5..1.7).contains(&scatter), "case {i}: scatter {scatter} of the predicted");
            }
        }
    }
}
