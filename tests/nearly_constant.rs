//! Batch norm over layers that are nearly constant: phi(0) is not zero and slopes are tiny, so that how samples differ
//! lies far below the rounding of h, and delta sums to zero over them. Against loops over numbers with an exponent each.

use gradsweep::engine::Precision;
use gradsweep::network::{ActivationKind, InitKind, Loss, NetworkSpec, Norm, Residual, Target};
use gradsweep::stats::Quantity;

use crate::range::range_case;
use crate::support::run_cpu;
use crate::wide::{Forward, Wide, narrow, norm, sum};

/// phi(u) - phi(0).
fn from_zero(kind: ActivationKind, u: Wide) -> Wide {
    let v = narrow(&[u])[0];
    let small = u.e < -900;
    match kind {
        ActivationKind::HardSigmoid => u.times(Wide::new(1.0 / 6.0, 0)),
        ActivationKind::Sigmoid if small => u.times(Wide::new(0.25, 0)),
        ActivationKind::Sigmoid => Wide::new((0.5 * v).tanh() * 0.5, 0),
        ActivationKind::Softplus if small => u.times(Wide::new(0.5, 0)),
        ActivationKind::Softplus => Wide::new((0.5 * v.exp_m1()).ln_1p(), 0),
        other => panic!("{other:?} has phi(0) = 0"),
    }
}

/// Batch norm of values less a constant: u, and 1/sqrt(var + eps) per unit.
struct Normed {
    u: Vec<Wide>,
    inverse: Vec<Wide>,
}

struct Shape {
    batch: usize,
    eps: f64,
}

impl Shape {
    fn mean(&self, x: &[Wide]) -> Vec<Wide> {
        let n = x.len() / self.batch;
        let part = Wide::new(1.0 / self.batch as f64, 0);
        (0..n).map(|j| sum((0..self.batch).map(|s| x[s * n + j])).times(part)).collect()
    }
    fn centred(&self, x: &[Wide]) -> Vec<Wide> {
        let mean = self.mean(x);
        let minus = Wide::new(-1.0, 0);
        x.iter().enumerate().map(|(k, v)| v.plus(mean[k % mean.len()].times(minus))).collect()
    }
    fn forward(&self, x: &[Wide]) -> Normed {
        let x = self.centred(x);
        let squares: Vec<Wide> = x.iter().map(|v| v.times(*v)).collect();
        let inverse = |v: &f64| Wide::new(1.0 / (v + self.eps).sqrt(), 0);
        let inverse: Vec<Wide> = narrow(&self.mean(&squares)).iter().map(inverse).collect();
        let u = x.iter().enumerate().map(|(k, v)| v.times(inverse[k % inverse.len()])).collect();
        Normed { u, inverse }
    }
    fn backward(&self, normed: &Normed, g: &[Wide]) -> Vec<Wide> {
        let products: Vec<Wide> = g.iter().zip(&normed.u).map(|(g, u)| g.times(*u)).collect();
        let (product, g) = (self.mean(&products), self.centred(g));
        let n = product.len();
        let pull = |k: usize| normed.u[k].times(product[k % n]).times(Wide::new(-1.0, 0));
        (0..g.len()).map(|k| g[k].plus(pull(k)).times(normed.inverse[k % n])).collect()
    }
    /// x W^T
    fn linear(&self, x: &[Wide], w: &[Wide]) -> Vec<Wide> {
        let inputs = x.len() / self.batch;
        let outputs = w.len() / inputs;
        let element = |s: usize, i: usize| sum((0..inputs).map(|j| x[s * inputs + j].times(w[i * inputs + j])));
        (0..self.batch * outputs).map(|k| element(k / outputs, k % outputs)).collect()
    }
    /// delta W
    fn back(&self, delta: &[Wide], w: &[Wide]) -> Vec<Wide> {
        let outputs = delta.len() / self.batch;
        let inputs = w.len() / outputs;
        let element = |s: usize, j: usize| sum((0..outputs).map(|i| delta[s * outputs + i].times(w[i * inputs + j])));
        (0..self.batch * inputs).map(|k| element(k / inputs, k % inputs)).collect()
    }
    /// delta^T x
    fn outer(&self, delta: &[Wide], x: &[Wide]) -> Vec<Wide> {
        let (outputs, inputs) = (delta.len() / self.batch, x.len() / self.batch);
        let element =
            |i: usize, j: usize| sum((0..self.batch).map(|s| delta[s * outputs + i].times(x[s * inputs + j])));
        (0..outputs * inputs).map(|k| element(k / inputs, k % inputs)).collect()
    }
}

fn add(a: &[Wide], b: &[Wide], scale: f64) -> Vec<Wide> {
    a.iter().zip(b).map(|(a, b)| a.plus(b.times(Wide::new(scale, 0)))).collect()
}

fn differences(spec: &NetworkSpec, precision: Precision) -> Vec<String> {
    let shape = Shape { batch: spec.batch_size as usize, eps: spec.norm_eps };
    let run = Forward::of(spec, precision);
    let has_skip = |layer: u32| spec.layer_residual(layer) == Residual::PostAct;
    // What h is less its constants.
    let mut rest = vec![run.get("input")];
    let mut normed = Vec::new();
    for layer in 1..=spec.depth {
        let below = rest.last().unwrap();
        let n = shape.forward(&shape.linear(below, &run.layer(layer, "weight")));
        let phi: Vec<Wide> = n.u.iter().map(|u| from_zero(spec.activation.kind, *u)).collect();
        rest.push(if has_skip(layer) { add(below, &phi, spec.residual_scale) } else { phi });
        normed.push(n);
    }
    let mut g = if spec.loss == Loss::Cotangent {
        run.get("cotangent")
    } else {
        // The readout of norm(h_L), with no bias.
        let (last, w) = (shape.forward(rest.last().unwrap()), run.layer(spec.depth + 1, "weight"));
        let target = run.get("target");
        let delta: Vec<Wide> = add(&shape.linear(&last.u, &w), &target, -1.0);
        let delta: Vec<Wide> = delta.iter().map(|v| v.times(Wide::new(1.0 / shape.batch as f64, 0))).collect();
        shape.backward(&last, &shape.back(&delta, &w))
    };
    let result = run_cpu(spec, None, precision);
    let mut out = Vec::new();
    for layer in (1..=spec.depth).rev() {
        let n = &normed[layer as usize - 1];
        let scale = if has_skip(layer) { spec.residual_scale } else { 1.0 };
        let slope = |u: &f64| Wide::new(spec.activation.derivative(*u) * scale, 0);
        let phi_grad: Vec<Wide> = narrow(&n.u).iter().map(slope).collect();
        let through: Vec<Wide> = g.iter().zip(phi_grad).map(|(g, d)| g.times(d)).collect();
        let delta = shape.backward(n, &through);
        let weight_grad = shape.outer(&delta, &shape.centred(&rest[layer as usize - 1]));
        let record = &result.rows[layer as usize].record;
        for (quantity, want) in
            [(Quantity::ActGrad, &g), (Quantity::PreactGrad, &delta), (Quantity::WeightGrad, &weight_grad)]
        {
            let got = 0.5 * record.moments(quantity).sum_of_squares().log10_abs().unwrap_or(f64::NAN);
            let tolerance = if precision == Precision::F32 { 1e-4 } else { 1e-6 };
            let close = (got - norm(want)).abs() < tolerance;
            if !close {
                let (name, gain) = (spec.activation.canonical(), spec.init.gain);
                out.push(format!(
                    "{name} gain {gain:e} {precision:?}: {quantity:?} of layer {layer}: {got}, want {}",
                    norm(want)
                ));
            }
        }
        let below = shape.back(&delta, &run.layer(layer, "weight"));
        g = if has_skip(layer) { add(&g, &below, 1.0) } else { below };
    }
    out
}

#[test]
fn batch_norm_sees_how_samples_differ_however_little() {
    use ActivationKind::{HardSigmoid, Sigmoid, Softplus};
    let mut found = Vec::new();
    for activation in [Sigmoid, HardSigmoid, Softplus] {
        for gain in [1.0, 0.1, 1e-2, 1e-3, 1e-5, 1e-10, 1e-30] {
            let plain =
                NetworkSpec { norm: Norm::Batch, ..range_case(activation, InitKind::LecunNormal, gain, 1.0, 5, 12, 7) };
            // The first layer changes the size, so that no skip carries the input.
            let skips =
                NetworkSpec { residual: Residual::PostAct, residual_scale: 0.5, input_size: 5, ..plain.clone() };
            let readout = NetworkSpec {
                loss: Loss::Mse,
                target: Target::Gaussian,
                output_size: 3,
                final_norm: true,
                ..plain.clone()
            };
            for spec in [plain, skips, readout] {
                found.extend([Precision::F32, Precision::F64].iter().flat_map(|&p| differences(&spec, p)));
            }
        }
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
