//! The backward half of a network's run: ops in reverse, each adding into its inputs' gradients, with the statistics of
//! every gradient taken in the pass that writes it.

use std::f64::consts::{LOG10_2, LOG10_E};

use faer::MatRef;
use pulp::Simd;

use super::kernels::{logarithms, paths_above};
use super::moments::{Accumulator, block_rows};
use super::network::{Runner, typical_product};
use super::product::product;
use super::real::Real;
use super::rows::for_outer_product;
use super::samples::{ColumnSums, Samples};
use super::tensor::{Tensor, accumulate, power};
use crate::network::Residual;
use crate::program::{Op, Slot};
use crate::stats::{Count, Quantity, RecordMask, Scaled, Sum};

impl<T: Real, S: Simd> Runner<'_, T, S> {
    pub(super) fn backward(&mut self) {
        let depth = self.spec.depth;
        for layer in (1..=depth + 1).rev() {
            let Some(block) = self.program.block(layer, depth) else { continue };
            // The step through an activation at the end of a block takes those of dLoss/dh as well.
            let joint = matches!(block.ops.last(), Some(Op::Activation { .. }));
            if layer <= depth && !joint {
                self.record_act_grad(layer);
            }
            for op in block.ops.iter().rev() {
                self.backward_op(layer, *op);
            }
            if layer <= depth {
                self.path_factors(layer);
            }
        }
        self.record_act_grad(0);
    }

    fn record_act_grad(&mut self, layer: u32) {
        let mut grad = std::mem::take(&mut self.workspace.act_grads[layer as usize]);
        let columns = if layer == 0 { self.spec.input_size } else { self.spec.width } as usize;
        self.recorded(layer, Quantity::ActGrad, columns, &mut grad);
        grad.normalise();
        self.observe(layer, "act_grad", &[self.batch(), columns], &grad);
        self.workspace.act_grads[layer as usize] = grad;
    }

    /// Adds `scale * grad` into the gradient of `slot`.
    fn give(&mut self, layer: u32, slot: Slot, grad: &mut Tensor<T>, scale: f64) {
        let simd = self.simd;
        let place = match slot {
            Slot::Act { back } => {
                let place = &mut self.workspace.act_grads[(layer - back) as usize];
                if place.data.is_empty() && scale == 1.0 {
                    std::mem::swap(place, grad);
                } else {
                    place.know_max(simd);
                    grad.know_max(simd);
                    accumulate(simd, place, grad, scale);
                }
                return;
            }
            Slot::Preact => &mut self.workspace.preact_grad,
            Slot::PhiArg => &mut self.workspace.phi_arg_grad,
            Slot::Phi => &mut self.workspace.phi_grad_in,
            Slot::FinalAct => &mut self.workspace.final_grad,
        };
        // Every other slot has one reader, so one writer of its gradient.
        if scale == 1.0 {
            std::mem::swap(place, grad);
        } else {
            place.data.clear();
            accumulate(simd, place, grad, scale);
        }
    }

    /// The gradient of an op's output.
    fn take_grad(&mut self, layer: u32, slot: Slot) -> Tensor<T> {
        std::mem::take(match slot {
            Slot::Act { back } => &mut self.workspace.act_grads[(layer - back) as usize],
            Slot::Preact => &mut self.workspace.preact_grad,
            Slot::PhiArg => &mut self.workspace.phi_arg_grad,
            Slot::Phi => &mut self.workspace.phi_grad_in,
            Slot::FinalAct => &mut self.workspace.final_grad,
        })
    }

    fn backward_op(&mut self, layer: u32, op: Op) {
        let simd = self.simd;
        match op {
            Op::Add { skip, branch, dst } => {
                let mut grad = self.take_grad(layer, dst);
                grad.know_max(simd);
                let scale = self.spec.residual_scale;
                // The branch takes a copy, the skip the tensor itself.
                let mut copy = self.spare();
                copy.data.clear();
                accumulate(simd, &mut copy, &grad, scale);
                self.give(layer, branch, &mut copy, 1.0);
                self.recycle(copy);
                self.give(layer, skip, &mut grad, 1.0);
                self.recycle(grad);
            }
            Op::Copy { src, dst } => {
                let mut grad = self.take_grad(layer, dst);
                self.give(layer, src, &mut grad, 1.0);
                self.recycle(grad);
            }
            Op::Activation { src, dst } => self.activation_backward(layer, src, dst),
            Op::Norm { src, dst } => {
                let mut grad = self.take_grad(layer, dst);
                grad.know_max(simd);
                grad.normalise();
                let spec = self.spec;
                let columns = spec.width as usize;
                let mut out = self.spare();
                let state = &mut self.workspace.layers[layer as usize];
                let (u, norm) = (&state.phi_arg, &mut state.norm);
                T::dispatch(
                    simd,
                    #[inline(always)]
                    || super::norm::backward(spec.norm, &grad, u, columns, norm, &mut out),
                );
                out.normalise();
                self.give(layer, src, &mut out, 1.0);
                self.recycle(out);
                self.recycle(grad);
            }
            Op::Linear { src, dst } => self.linear_backward(layer, src, dst),
        }
    }

    /// dLoss/du = dLoss/dphi * phi'(u), with the statistics of delta_l where u is z_l and of dLoss/dh_l where phi is h_l.
    fn activation_backward(&mut self, layer: u32, src: Slot, dst: Slot) {
        let columns = self.spec.width as usize;
        let mut grad = self.take_grad(layer, dst);
        let phi_grad = std::mem::take(&mut self.workspace.layers[layer as usize].phi_grad);
        let mut out = self.spare();
        out.resize(grad.data.len());
        let sums = self.spec.layer_has_bias(layer).then_some(columns);
        let mut delta = (src == Slot::Preact).then(|| self.samples(Some(Quantity::PreactGrad), sums));
        let mut shift = 0;
        if dst == (Slot::Act { back: 0 }) {
            let mut samples = self.samples(Some(Quantity::ActGrad), None);
            // As if nothing had to be scaled, which the statistics then tell.
            self.times_slope(&grad, &phi_grad, shift, &mut out, (Some(&mut samples), delta.as_mut()));
            let exponent = grad.exponent;
            let changed = samples.reconcile(self.simd, &mut grad, columns);
            self.record_samples(layer, Quantity::ActGrad, samples, grad.exponent);
            grad.normalise();
            self.observe(layer, "act_grad", &[self.batch(), columns], &grad);
            shift = Self::slope_shift(&grad, &phi_grad);
            if changed || grad.exponent != exponent || shift != 0 {
                delta.iter_mut().for_each(|delta| delta.restart(columns));
                self.times_slope(&grad, &phi_grad, shift, &mut out, (None, delta.as_mut()));
            }
        } else {
            grad.know_max(self.simd);
            shift = Self::slope_shift(&grad, &phi_grad);
            self.times_slope(&grad, &phi_grad, shift, &mut out, (None, delta.as_mut()));
        }
        out.exponent = grad.exponent + phi_grad.exponent + shift;
        out.rows = grad.joint_rows(&phi_grad);
        out.abs_max = Tensor::<T>::UNKNOWN;
        self.delta = delta;
        self.workspace.layers[layer as usize].phi_grad = phi_grad;
        self.give(layer, src, &mut out, 1.0);
        self.recycle(out);
        self.recycle(grad);
    }

    /// The power of two that [`Runner::times_slope`] takes out: 0 in the ordinary range.
    fn slope_shift(grad: &Tensor<T>, phi_grad: &Tensor<T>) -> i32 {
        let typical = typical_product(&[grad.log2_max(), phi_grad.log2_max()], 1);
        if typical.abs() > T::ORDINARY / 2 { typical } else { 0 }
    }

    /// out = grad * phi' 2^-shift, with statistics of `grad` and of `out`, in one pass.
    fn times_slope(
        &self,
        grad: &Tensor<T>,
        phi_grad: &Tensor<T>,
        shift: i32,
        out: &mut Tensor<T>,
        (mut of_grad, mut of_out): (Option<&mut Samples<T>>, Option<&mut Samples<T>>),
    ) {
        let (simd, scale) = (self.simd, power::<T>(-shift));
        let columns = self.spec.width as usize;
        let block = block_rows(columns) * columns;
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                let blocks = out.data.chunks_mut(block).zip(grad.data.chunks(block)).zip(phi_grad.data.chunks(block));
                for ((out, grad), slope) in blocks {
                    if let Some(samples) = &mut of_grad {
                        samples.rows(simd, grad, columns);
                    }
                    for ((o, g), d) in out.iter_mut().zip(grad).zip(slope) {
                        *o = (*g * scale) * *d;
                    }
                    if let Some(samples) = &mut of_out {
                        samples.rows(simd, out, columns);
                    }
                }
            },
        );
    }

    /// Statistics of delta_l, dW_l and db_l, and the gradient of the layer's input.
    fn linear_backward(&mut self, layer: u32, src: Slot, dst: Slot) {
        let batch = self.spec.batch_size as usize;
        let (fan_in, fan_out) = (self.spec.fan_in(layer) as usize, self.spec.fan_out(layer) as usize);
        let mut delta = self.take_grad(layer, dst);
        let biased = self.spec.layer_has_bias(layer);
        let mut samples = match self.delta.take() {
            Some(mut samples) => {
                samples.reconcile(self.simd, &mut delta, fan_out);
                samples
            }
            None => {
                let mut samples = self.samples(Some(Quantity::PreactGrad), biased.then_some(fan_out));
                self.write_samples(fan_out, &mut delta, &mut samples, |_, _| ());
                samples
            }
        };
        self.sample_spread(layer, &delta, &samples.squares);
        let exponent = delta.exponent;
        delta.normalise();
        if biased {
            let sums = if delta.exponent == exponent { samples.sums() } else { None };
            self.bias_grad(layer, fan_out, &delta, sums);
        }
        self.record_samples(layer, Quantity::PreactGrad, samples, exponent);
        self.observe(layer, "preact_grad", &[batch, fan_out], &delta);
        match self.centred_source(layer, src) {
            Some(source) => self.weight_grad(layer, fan_out, fan_in, &delta, &source),
            None => {
                let source = self.take(layer, src);
                self.weight_grad(layer, fan_out, fan_in, &delta, &source);
                self.put(layer, src, source);
            }
        }
        // dLoss/dsrc = delta W.
        let mut grad = self.spare();
        let weight = &self.workspace.layers[layer as usize].weight;
        let typical = typical_product(&[delta.log2_max(), weight.log2_max()], fan_out);
        let shift = if typical.abs() > T::ORDINARY / 2 { typical } else { 0 };
        grad.resize(batch * fan_in);
        grad.exponent = delta.exponent + weight.exponent + shift;
        grad.rows.clone_from(&delta.rows);
        let (left, right) = (
            MatRef::from_row_major_slice(&delta.data, batch, fan_out),
            MatRef::from_row_major_slice(&weight.data, fan_out, fan_in),
        );
        product(self.team, self.simd, &mut grad.data, left, right, power::<T>(-shift));
        grad.abs_max = Tensor::<T>::UNKNOWN;
        self.give(layer, src, &mut grad, 1.0);
        self.recycle(grad);
        self.recycle(delta);
    }

    /// Spread over samples of log10 |delta_l(b)|, from the squares of the stored rows.
    fn sample_spread(&mut self, layer: u32, delta: &Tensor<T>, squares: &[f64]) {
        let (simd, logs) = (self.simd, &mut self.workspace.logs);
        logs.clear();
        logs.extend(squares.iter().filter(|&&s| s > 0.0 && s < f64::INFINITY));
        T::dispatch(
            simd,
            #[inline(always)]
            || logarithms(logs),
        );
        logs.iter_mut().for_each(|log| *log *= 0.5 * LOG10_E);
        if !delta.rows.is_empty() {
            let valid = squares.iter().enumerate().filter(|(_, s)| **s > 0.0 && **s < f64::INFINITY);
            logs.iter_mut().zip(valid).for_each(|(log, (b, _))| *log += f64::from(delta.row(b)) * LOG10_2);
        }
        let count = logs.len();
        let mean = logs.iter().sum::<f64>() / count as f64;
        let deviation = logs.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
        self.set_sum(layer, Sum::SampleLogGradDeviation, Scaled::from(deviation));
        self.set_count(layer, Count::GradSamples, count as u64);
    }

    /// dLoss/db, the sums of delta over samples, of which `sums` may be at hand.
    fn bias_grad(&mut self, layer: u32, fan_out: usize, delta: &Tensor<T>, sums: Option<&[f64]>) {
        let simd = self.simd;
        let mut acc = Accumulator::new(self.detail(Quantity::BiasGrad));
        let workspace = &mut *self.workspace;
        workspace.bias_grad.clear();
        match sums {
            Some(sums) => workspace.bias_grad.extend_from_slice(sums),
            None => {
                let mut sums = ColumnSums::default();
                sums.begin(fan_out);
                let flat = delta.flat(&mut workspace.rows[1]);
                flat.chunks(block_rows(fan_out) * fan_out).for_each(|rows| sums.rows(rows, fan_out));
                workspace.bias_grad.extend_from_slice(sums.finish());
            }
        }
        acc.row(simd, &self.workspace.bias_grad[..]);
        self.record(layer).moments[Quantity::BiasGrad as usize] = acc.finish(delta.exponent);
        if self.trace.is_some() {
            let data = self.workspace.bias_grad.iter().map(|&v| T::from_f64(v)).collect();
            self.observe(
                layer,
                "bias_grad",
                &[fan_out],
                &Tensor { data, exponent: delta.exponent, ..Tensor::default() },
            );
        }
    }

    /// dLoss/dW = delta^T source, its moments and <W, dW>.
    fn weight_grad(&mut self, layer: u32, fan_out: usize, fan_in: usize, delta: &Tensor<T>, source: &Tensor<T>) {
        let simd = self.simd;
        let batch = self.spec.batch_size as usize;
        let mut grad = std::mem::take(&mut self.workspace.weight_grad);
        grad.resize(fan_out * fan_in);
        let typical = typical_product(&[delta.log2_max(), source.log2_max()], batch);
        let shift = if typical.abs() > T::ORDINARY / 2 { typical } else { 0 };
        grad.exponent = delta.exponent + source.exponent + shift;
        let mut rows = &delta.data;
        if !(delta.rows.is_empty() && source.rows.is_empty()) {
            let buffer = &mut self.workspace.rows[1];
            grad.exponent = for_outer_product(delta, source, buffer) + shift;
            rows = buffer;
        }
        let (left, right) = (
            MatRef::from_row_major_slice(rows, batch, fan_out),
            MatRef::from_row_major_slice(&source.data, batch, fan_in),
        );
        product(self.team, simd, &mut grad.data, left.transpose(), right, power::<T>(-shift));
        let mut acc = Accumulator::new(self.detail(Quantity::WeightGrad));
        let weight = &self.workspace.layers[layer as usize].weight;
        let squares = &mut self.workspace.squares;
        squares.clear();
        let weight_dot_grad = acc.matrix(self.team, simd, &grad.data, fan_in, Some(&weight.data), squares);
        let exponent = grad.exponent + weight.exponent;
        self.set_sum(layer, Sum::WeightDotGrad, Scaled::new(weight_dot_grad, exponent));
        self.record(layer).moments[Quantity::WeightGrad as usize] = acc.finish(grad.exponent);
        self.observe(layer, "weight_grad", &[fan_out, fan_in], &grad);
        self.workspace.weight_grad = grad;
    }

    /// Sum, sum of squares, maximum and (full) count above 1 of f = |W phi'| over all paths out of the layer's units:
    /// W_{l+1}, or a W_l under `pre_act`.
    fn path_factors(&mut self, layer: u32) {
        let spec = self.spec;
        if self.record(layer).counts[Count::PhiElements as usize] == 0 {
            return;
        }
        let (next, scale) = match spec.layer_residual(layer) {
            Residual::PreAct => (layer, spec.residual_scale.abs()),
            _ => (layer + 1, 1.0),
        };
        if next >= spec.rows() {
            return;
        }
        let fan_out = u64::from(spec.fan_out(next));
        let (phi, out) = (&self.workspace.layers[layer as usize], &self.workspace.layers[next as usize]);
        let (units, weights) = (&phi.phi_stats.units, &out.weight_units);
        let exponent = phi.phi_grad.exponent + out.weight.exponent;
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let largest = units.max.iter().zip(&weights.max).map(|(a, b)| a.to_f64() * b.to_f64()).fold(0.0, f64::max);
        let abs = Scaled::new(scale * sum(&units.abs, &weights.abs), exponent);
        let square = Scaled::new(scale * scale * sum(&units.square, &weights.square), 2 * exponent);
        let max = Scaled::new(scale * largest, exponent);
        let above = self.mask.contains(RecordMask::PATH_ABOVE_ONE).then(|| {
            let bound = libm::scalbn(1.0 / scale, -exponent);
            paths_above(&out.weight.data, phi.phi_grad.flat(&mut Vec::new()), spec.width as usize, bound)
        });
        let elements = phi.phi_grad.data.len() as u64;
        self.set_sum(layer, Sum::PathAbs, abs);
        self.set_sum(layer, Sum::PathSquare, square);
        self.set_sum(layer, Sum::PathMax, max);
        self.set_count(layer, Count::Paths, elements * fan_out);
        if let Some(above) = above {
            self.set_count(layer, Count::PathsAboveOne, above);
        }
    }
}
