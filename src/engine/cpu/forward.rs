//! The forward half of a network's run: ops in order, with the statistics of every tensor taken in the pass that writes
//! it.

use faer::MatRef;
use pulp::Simd;

use super::activate::{activate, log2_floor};
use super::deviation;
use super::network::{Runner, typical_product};
use super::norm;
use super::product::product;
use super::real::Real;
use super::rows::sum_rows;
use super::tensor::{Tensor, exponent_for, power};
use crate::network::Norm;
use crate::program::{Op, Slot};
use crate::stats::{Count, Quantity, Scaled, Sum};

impl<T: Real, S: Simd> Runner<'_, T, S> {
    pub(super) fn forward(&mut self) {
        let depth = self.spec.depth;
        for layer in 1..=depth + 1 {
            let Some(block) = self.program.block(layer, depth) else { continue };
            for op in &block.ops {
                self.forward_op(layer, *op);
            }
            if layer <= depth {
                let act = std::mem::take(&mut self.workspace.layers[layer as usize].act);
                self.observe(layer, "act", &[self.batch(), self.spec.width as usize], &act);
                self.workspace.layers[layer as usize].act = act;
            }
        }
    }

    fn forward_op(&mut self, layer: u32, op: Op) {
        let simd = self.simd;
        match op {
            Op::Linear { src, dst } => self.linear(layer, src, dst),
            Op::Norm { src, dst } => {
                let (z, mut u) = (self.take(layer, src), self.take(layer, dst));
                let rest = self.rest(layer, src).filter(|rest| !rest.data.is_empty()).map(std::mem::take);
                let columns = self.columns(layer, src);
                let state = &mut self.workspace.layers[layer as usize].norm;
                let spec = self.spec;
                T::dispatch(
                    simd,
                    #[inline(always)]
                    || norm::forward(spec.norm, spec.norm_eps, rest.as_ref().unwrap_or(&z), columns, &mut u, state),
                );
                self.put(layer, src, z);
                self.put(layer, dst, u);
            }
            Op::Activation { src, dst } => self.activation(layer, src, dst),
            Op::Add { skip, branch, dst } => self.add(layer, skip, branch, dst),
            Op::Copy { src, dst } => {
                let (from, mut to) = (self.take(layer, src), self.take(layer, dst));
                to.data.clone_from(&from.data);
                to.exponent = from.exponent;
                to.rows.clone_from(&from.rows);
                self.put(layer, src, from);
                self.set_rest(layer, dst, None);
                self.finish_act(layer, dst, &mut to);
                self.put(layer, dst, to);
            }
        }
    }

    /// Moments and cosines of a layer's output.
    fn finish_act(&mut self, layer: u32, dst: Slot, act: &mut Tensor<T>) {
        let columns = self.columns(layer, dst);
        self.recorded(layer, Quantity::Act, columns, act);
        act.normalise();
    }

    /// z = W src + b, with its moments and cosines.
    fn linear(&mut self, layer: u32, src: Slot, dst: Slot) {
        self.weights(layer);
        let simd = self.simd;
        let (batch, fan_in) = (self.batch(), self.columns(layer, src));
        let fan_out = self.columns(layer, dst);
        let (mut x, mut z) = (self.take(layer, src), self.take(layer, dst));
        x.normalise();
        let state = &mut self.workspace.layers[layer as usize];
        let (weight, bias) = (&state.weight, &state.bias);
        let size = typical_product(&[x.log2_max(), weight.log2_max()], fan_in) + x.exponent + weight.exponent;
        let typical = match bias.log2_max() {
            Some(b) if x.log2_max().is_none() || weight.log2_max().is_none() => b + bias.exponent,
            Some(b) => size.max(b + bias.exponent),
            None => size,
        };
        z.exponent = exponent_for::<T>(typical);
        z.resize(batch * fan_out);
        z.rows.clone_from(&x.rows);
        let alpha = power::<T>(x.exponent + weight.exponent - z.exponent);
        let (left, right) = (
            MatRef::from_row_major_slice(&x.data, batch, fan_in),
            MatRef::from_row_major_slice(&weight.data, fan_out, fan_in),
        );
        product(self.team, simd, &mut z.data, left, right.transpose(), alpha);
        if let (false, Some(b)) = (z.rows.is_empty(), bias.log2_max()) {
            z.raise_rows(fan_out, b + bias.exponent);
        }
        // A bias of zeros has no size, and its scale may be out of range: infinity times 0 is NaN.
        let scale_of = |row: i32| bias.log2_max().map_or(T::ZERO, |_| power::<T>(bias.exponent - z.exponent - row));
        let mut scales = z.rows.iter().map(|&row| scale_of(row)).collect::<Vec<T>>().into_iter();
        let bias_scale = scale_of(0);
        let bias = std::mem::take(&mut self.workspace.layers[layer as usize].bias);
        let biased = bias.data.iter().any(|b| *b != T::ZERO);
        let mut samples = self.samples(Some(Quantity::Preact), None);
        self.write_samples(fan_out, &mut z, &mut samples, |_, block| {
            for row in block.chunks_exact_mut(fan_out).filter(|_| biased) {
                let bias_scale = scales.next().unwrap_or(bias_scale);
                for (z, b) in row.iter_mut().zip(&bias.data) {
                    *z += *b * bias_scale;
                }
            }
        });
        self.workspace.layers[layer as usize].bias = bias;
        self.linear_rest(layer, src, fan_out);
        self.record_samples(layer, Quantity::Preact, samples, z.exponent);
        self.observe(layer, "preact", &[batch, fan_out], &z);
        self.put(layer, src, x);
        self.put(layer, dst, z);
    }

    /// dst = phi(src), with the statistics of phi' and, where dst is the layer's output, its own.
    fn activation(&mut self, layer: u32, src: Slot, dst: Slot) {
        let simd = self.simd;
        let columns = self.columns(layer, src);
        let (u, mut h) = (self.take(layer, src), self.take(layer, dst));
        let mut phi_grad = std::mem::take(&mut self.workspace.layers[layer as usize].phi_grad);
        let mut stats = std::mem::take(&mut self.workspace.layers[layer as usize].phi_stats);
        let output = dst == (Slot::Act { back: 0 });
        let mut samples = self.samples(output.then_some(Quantity::Act), None);
        let spec = self.spec;
        let (activation, floor) = (&spec.activation, log2_floor(spec.depth));
        T::dispatch(
            simd,
            #[inline(always)]
            || activate(simd, (activation, floor), &u, columns, (&mut h, &mut phi_grad), &mut stats, &mut samples),
        );
        let rest = (spec.norm == Norm::Batch).then(|| deviation::from_zero(activation, &u)).flatten();
        let elements = u.data.len() as u64;
        self.set_count(layer, Count::PhiElements, elements);
        self.set_count(layer, Count::Saturated, stats.saturated);
        self.set_count(layer, Count::Active, stats.active);
        self.set_count(layer, Count::Units, columns as u64);
        self.set_count(layer, Count::DeadUnits, stats.dead_units);
        self.set_sum(layer, Sum::PhiGrad, Scaled::new(stats.sum, phi_grad.exponent));
        self.set_sum(layer, Sum::PhiGradSquare, Scaled::new(stats.units.square.iter().sum(), 2 * phi_grad.exponent));
        if output {
            self.record_samples(layer, Quantity::Act, samples, h.exponent);
        } else {
            self.discard(samples);
        }
        let state = &mut self.workspace.layers[layer as usize];
        (state.phi_grad, state.phi_stats) = (phi_grad, stats);
        self.set_rest(layer, dst, rest);
        self.put(layer, src, u);
        self.put(layer, dst, h);
    }

    /// dst = skip + a * branch.
    fn add(&mut self, layer: u32, skip: Slot, branch: Slot, dst: Slot) {
        let simd = self.simd;
        let (from, other, mut out) = (self.take(layer, skip), self.take(layer, branch), self.take(layer, dst));
        let a = self.spec.residual_scale;
        let columns = self.columns(layer, dst);
        self.add_rest(layer, skip, branch, dst);
        if !(from.rows.is_empty() && other.rows.is_empty()) {
            sum_rows(&from, &other, a, columns, &mut out);
            self.set_sum(layer, Sum::SkipSquare, from.square(columns));
            self.set_sum(layer, Sum::BranchSquare, other.square(columns).times(Scaled::from(a * a)));
            self.put(layer, skip, from);
            self.put(layer, branch, other);
            self.finish_act(layer, dst, &mut out);
            self.put(layer, dst, out);
            return;
        }
        let size = |t: &Tensor<T>, scale: f64| {
            (scale != 0.0).then(|| t.log2_max().map(|m| m + t.exponent + libm::ilogb(scale))).flatten()
        };
        let typical = size(&from, 1.0).into_iter().chain(size(&other, a)).max().unwrap_or(0);
        out.exponent = exponent_for::<T>(typical);
        let skip_scale = power::<T>(from.exponent - out.exponent);
        let branch_scale = T::from_f64(libm::scalbn(a, other.exponent - out.exponent));
        out.resize(from.data.len());
        let (mut skip_square, mut branch_square) = (0.0, 0.0);
        let mut samples = self.samples(Some(Quantity::Act), None);
        self.write_samples(columns, &mut out, &mut samples, |first, out| {
            let (s, b) = (&from.data[first..first + out.len()], &other.data[first..first + out.len()]);
            skip_square += T::dot(simd, s, s);
            branch_square += T::dot(simd, b, b);
            for ((o, s), b) in out.iter_mut().zip(s).zip(b) {
                *o = *s * skip_scale + *b * branch_scale;
            }
        });
        self.record_samples(layer, Quantity::Act, samples, out.exponent);
        out.normalise();
        self.set_sum(layer, Sum::SkipSquare, Scaled::new(skip_square, 2 * from.exponent));
        self.set_sum(layer, Sum::BranchSquare, Scaled::new(branch_square * a * a, 2 * other.exponent));
        self.put(layer, skip, from);
        self.put(layer, branch, other);
        self.put(layer, dst, out);
    }
}
