//! Runs one network forward and backward by its program and fills its records. One thread, no knowledge of batches.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::activate::{activate, log2_floor};
use super::kernels::{Pairs, abs_max, cosine_gaps};
use super::loss;
use super::moments::{Accumulator, Detail};
use super::norm;
use super::real::Real;
use super::rows::{reconcile, sum_rows};
use super::tensor::{Tensor, exponent_for, power, scale_in_place};
use super::trace::Trace;
use super::workspace::{Layer, Workspace};
use crate::engine::GivenTensors;
use crate::network::{Input, NetworkSpec};
use crate::program::{Op, Program, Slot};
use crate::sampler::tensors::{NetworkData, TargetData, fill_bias, fill_weight};
use crate::stats::{Count, Quantity, Record, RecordMask, Scaled, Sum};

/// Rows and summary of one pass at initialisation.
#[derive(Debug)]
pub struct Outcome {
    /// One record per row: input, hidden layers, readout if there is one.
    pub records: Vec<Record>,
    pub loss: Scaled,
}

/// One network at work.
pub struct Runner<'a, T: Real, S: Simd> {
    pub spec: &'a NetworkSpec,
    pub program: &'a Program,
    pub mask: RecordMask,
    pub simd: S,
    pub workspace: &'a mut Workspace<T>,
    pub records: Vec<Record>,
    pub trace: Option<&'a mut Trace>,
}

/// A product's exponent: 2^t is the typical size of its stored elements if nothing is taken out.
pub(super) fn typical_product(parts: &[Option<i32>], terms: usize) -> i32 {
    let half_log = libm::ilogb((terms as f64).sqrt());
    parts.iter().copied().sum::<Option<i32>>().map_or(0, |s| s + half_log)
}

impl<T: Real, S: Simd> Runner<'_, T, S> {
    /// Forward and backward pass on `data`, with `given` weights or drawn ones.
    pub fn run(mut self, data: &NetworkData<T>, given: Option<&GivenTensors>) -> Outcome {
        self.prepare(data, given);
        self.forward();
        let loss = self.start_backward(data);
        self.backward();
        Outcome { records: self.records, loss }
    }

    fn batch(&self) -> usize {
        self.spec.batch_size as usize
    }
    pub(super) fn detail(&self, quantity: Quantity) -> Detail {
        let wanted = self.mask.contains(RecordMask::quantity(quantity));
        Detail {
            kurtosis: wanted && self.mask.contains(RecordMask::KURTOSIS),
            quantiles: wanted && self.mask.contains(RecordMask::QUANTILES),
        }
    }
    pub(super) fn record(&mut self, layer: u32) -> &mut Record {
        &mut self.records[layer as usize]
    }
    pub(super) fn set_sum(&mut self, layer: u32, sum: Sum, value: Scaled) {
        self.record(layer).sums[sum as usize] = value;
    }
    pub(super) fn set_count(&mut self, layer: u32, count: Count, value: u64) {
        self.record(layer).counts[count as usize] = value;
    }
    pub(super) fn observe(&mut self, layer: u32, name: &str, shape: &[usize], tensor: &Tensor<T>) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("layers.{layer}.{name}"), shape, tensor);
        }
    }

    /// Draws or copies weights, biases and input, with the weights' statistics.
    fn prepare(&mut self, data: &NetworkData<T>, given: Option<&GivenTensors>) {
        let simd = self.simd;
        let spec = self.spec;
        let rows = spec.rows() as usize;
        self.records = vec![Record::EMPTY; rows];
        if self.workspace.layers.len() < rows {
            self.workspace.layers.resize_with(rows, Layer::default);
        }
        self.workspace.act_grads.clear();
        self.workspace.act_grads.resize_with(spec.depth as usize + 1, Tensor::default);
        let detail = self.detail(Quantity::Weight);
        for layer in 1..rows as u32 {
            let (rows, columns) = (spec.fan_out(layer) as usize, spec.fan_in(layer) as usize);
            let mut state = std::mem::take(&mut self.workspace.layers[layer as usize]);
            let draws = &mut self.workspace.draws;
            let weight = &mut state.weight;
            let bias = &mut state.bias;
            let biased = spec.layer_has_bias(layer);
            if let Some(given) = given {
                let i = layer as usize - 1;
                weight.data.clear();
                weight.data.extend(given.weights[i].iter().map(|&v| T::from_f64(v)));
                weight.exponent = 0;
                bias.data.clear();
                bias.data.extend(given.biases[i].iter().filter(|_| biased).map(|&v| T::from_f64(v)));
                bias.exponent = 0;
            } else {
                weight.resize(rows * columns);

                weight.exponent = T::fill(&mut weight.data, draws, |out| {
                    T::dispatch(
                        simd,
                        #[inline(always)]
                        || fill_weight(spec, layer, out),
                    )
                });
                bias.resize(if biased { rows } else { 0 });
                bias.exponent =
                    if biased { T::fill(&mut bias.data, draws, |out| fill_bias(spec, layer, out)) } else { 0 };
            }
            bias.abs_max = abs_max(&bias.data);
            let mut acc = Accumulator::new(detail);
            T::dispatch(
                simd,
                #[inline(always)]
                || {
                    weight.data.chunks_exact(columns).for_each(|row| _ = acc.row(simd, row));
                    state.weight_units.fill(simd, &weight.data, columns);
                },
            );
            weight.abs_max = acc.abs_max();
            let exponent = weight.exponent;
            self.record(layer).moments[Quantity::Weight as usize] = acc.finish(exponent);
            self.observe(layer, "weight", &[rows, columns], &state.weight);
            if biased {
                self.observe(layer, "bias", &[rows], &state.bias);
            }
            self.workspace.layers[layer as usize] = state;
        }
        let mut input = std::mem::take(&mut self.workspace.layers[0].act);
        input.data.clear();
        input.data.extend_from_slice(&data.input);
        input.exponent = 0;
        input.rows.clear();
        self.recorded(0, Quantity::Act, spec.input_size as usize, &mut input);
        self.cosines(0, Quantity::Act, spec.input_size as usize, &input);
        self.workspace.layers[0].act = input;
    }

    /// Moments of a tensor that no other pass reads row by row; fills `squares` (of the stored rows) and `abs_max`, and
    /// gives rows that lie far apart exponents of their own.
    pub(super) fn recorded(&mut self, layer: u32, quantity: Quantity, columns: usize, tensor: &mut Tensor<T>) {
        let simd = self.simd;
        let mut acc = Accumulator::new(self.detail(quantity));
        let squares = &mut self.workspace.squares;
        squares.clear();
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                for row in tensor.data.chunks_exact(columns) {
                    squares.push(acc.row(simd, row).square);
                }
            },
        );
        reconcile(simd, tensor, columns, &mut acc, &mut self.workspace.squares);
        let exponent = tensor.exponent;
        self.record(layer).moments[quantity as usize] = acc.finish(exponent);
    }

    /// Cosines between samples, from the row squares of the pass before.
    pub(super) fn cosines(&mut self, layer: u32, quantity: Quantity, columns: usize, tensor: &Tensor<T>) {
        let simd = self.simd;
        if !self.mask.contains(RecordMask::COS) {
            return;
        }
        let pairs = if self.spec.input == Input::CorrelatedPairs { Pairs::Adjacent } else { Pairs::All };
        let workspace = &mut *self.workspace;
        let (squares, rows) = (&workspace.squares, &mut workspace.rows);
        let (gap, count) = T::dispatch(
            simd,
            #[inline(always)]
            || cosine_gaps(simd, &tensor.data, columns, squares, pairs, rows),
        );
        let cosine = Scaled::from(count as f64 - gap);
        match quantity {
            Quantity::Preact => {
                self.set_sum(layer, Sum::PreactCos, cosine);
                self.set_sum(layer, Sum::PreactCosGap, Scaled::from(gap));
                self.set_count(layer, Count::PreactPairs, count);
            }
            Quantity::Act => {
                self.set_sum(layer, Sum::ActCos, cosine);
                self.set_count(layer, Count::ActPairs, count);
            }
            _ => {
                self.set_sum(layer, Sum::GradCos, cosine);
                self.set_count(layer, Count::GradPairs, count);
            }
        }
    }

    /// Takes the tensor behind a slot out of the workspace; [`Runner::put`] returns it.
    pub(super) fn take(&mut self, layer: u32, slot: Slot) -> Tensor<T> {
        std::mem::take(self.place(layer, slot))
    }
    pub(super) fn put(&mut self, layer: u32, slot: Slot, tensor: Tensor<T>) {
        *self.place(layer, slot) = tensor;
    }
    fn place(&mut self, layer: u32, slot: Slot) -> &mut Tensor<T> {
        let layers = &mut self.workspace.layers;
        match slot {
            Slot::Act { back } => &mut layers[(layer - back) as usize].act,
            Slot::Preact => &mut self.workspace.preact,
            Slot::PhiArg | Slot::FinalAct => &mut layers[layer as usize].phi_arg,
            Slot::Phi => &mut layers[layer as usize].phi,
        }
    }
    /// Columns of the tensor behind a slot.
    fn columns(&self, layer: u32, slot: Slot) -> usize {
        let size = match slot {
            Slot::Act { back } if layer == back => self.spec.input_size,
            Slot::Preact => self.spec.fan_out(layer),
            _ => self.spec.width,
        };
        size as usize
    }

    fn forward(&mut self) {
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
                let columns = self.columns(layer, src);
                let state = &mut self.workspace.layers[layer as usize].norm;
                let spec = self.spec;
                T::dispatch(
                    simd,
                    #[inline(always)]
                    || norm::forward(spec.norm, spec.norm_eps, &z, columns, &mut u, state),
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
                self.finish_act(layer, dst, &mut to);
                self.put(layer, dst, to);
            }
        }
    }

    /// Moments and cosines of a layer's output.
    fn finish_act(&mut self, layer: u32, dst: Slot, act: &mut Tensor<T>) {
        let columns = self.columns(layer, dst);
        self.recorded(layer, Quantity::Act, columns, act);
        self.cosines(layer, Quantity::Act, columns, act);
        act.normalise();
    }

    /// z = W src + b, with its moments and cosines.
    fn linear(&mut self, layer: u32, src: Slot, dst: Slot) {
        let simd = self.simd;
        let (batch, fan_in) = (self.batch(), self.columns(layer, src));
        let fan_out = self.columns(layer, dst);
        let (mut x, mut z) = (self.take(layer, src), self.take(layer, dst));
        x.normalise();
        let state = &mut self.workspace.layers[layer as usize];
        let (weight, bias) = (&state.weight, &state.bias);
        let product = typical_product(&[x.log2_max(), weight.log2_max()], fan_in) + x.exponent + weight.exponent;
        let typical = match bias.log2_max() {
            Some(b) if x.log2_max().is_none() || weight.log2_max().is_none() => b + bias.exponent,
            Some(b) => product.max(b + bias.exponent),
            None => product,
        };
        z.exponent = exponent_for::<T>(typical);
        z.resize(batch * fan_out);
        z.rows.clone_from(&x.rows);
        let alpha = power::<T>(x.exponent + weight.exponent - z.exponent);
        matmul(
            MatMut::from_row_major_slice_mut(&mut z.data, batch, fan_out),
            Accum::Replace,
            MatRef::from_row_major_slice(&x.data, batch, fan_in),
            MatRef::from_row_major_slice(&weight.data, fan_out, fan_in).transpose(),
            alpha,
            Par::Seq,
        );
        if let (false, Some(b)) = (z.rows.is_empty(), bias.log2_max()) {
            z.raise_rows(fan_out, b + bias.exponent);
        }
        // A bias of zeros has no size, and its scale may be out of range: infinity times 0 is NaN.
        let scale_of = |row: i32| bias.log2_max().map_or(T::ZERO, |_| power::<T>(bias.exponent - z.exponent - row));
        let mut scales = z.rows.iter().map(|&row| scale_of(row)).collect::<Vec<T>>().into_iter();
        let bias_scale = scale_of(0);
        let mut acc = Accumulator::new(self.detail(Quantity::Preact));
        let bias = &self.workspace.layers[layer as usize].bias.data;
        let squares = &mut self.workspace.squares;
        squares.clear();
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                for row in z.data.chunks_exact_mut(fan_out) {
                    let bias_scale = scales.next().unwrap_or(bias_scale);
                    for (z, b) in row.iter_mut().zip(bias) {
                        *z += *b * bias_scale;
                    }
                    squares.push(acc.row(simd, row).square);
                }
            },
        );
        reconcile(simd, &mut z, fan_out, &mut acc, squares);
        let exponent = z.exponent;
        self.record(layer).moments[Quantity::Preact as usize] = acc.finish(exponent);
        self.cosines(layer, Quantity::Preact, fan_out, &z);
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
        let mut acc = Accumulator::new(self.detail(Quantity::Act));
        let squares = &mut self.workspace.squares;
        let (activation, floor) = (&self.spec.activation, log2_floor(self.spec.depth));
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                activate(
                    simd,
                    (activation, floor),
                    &u,
                    columns,
                    (&mut h, &mut phi_grad),
                    &mut stats,
                    (&mut acc, squares),
                )
            },
        );
        let elements = u.data.len() as u64;
        self.set_count(layer, Count::PhiElements, elements);
        self.set_count(layer, Count::Saturated, stats.saturated);
        self.set_count(layer, Count::Active, stats.active);
        self.set_count(layer, Count::Units, columns as u64);
        self.set_count(layer, Count::DeadUnits, stats.dead_units);
        self.set_sum(layer, Sum::PhiGrad, Scaled::new(stats.sum, phi_grad.exponent));
        self.set_sum(layer, Sum::PhiGradSquare, Scaled::new(stats.units.square.iter().sum(), 2 * phi_grad.exponent));
        if dst == (Slot::Act { back: 0 }) {
            let exponent = h.exponent;
            self.record(layer).moments[Quantity::Act as usize] = acc.finish(exponent);
            self.cosines(layer, Quantity::Act, columns, &h);
        }
        let state = &mut self.workspace.layers[layer as usize];
        (state.phi_grad, state.phi_stats) = (phi_grad, stats);
        self.put(layer, src, u);
        self.put(layer, dst, h);
    }

    /// dst = skip + a * branch.
    fn add(&mut self, layer: u32, skip: Slot, branch: Slot, dst: Slot) {
        let simd = self.simd;
        let (from, other, mut out) = (self.take(layer, skip), self.take(layer, branch), self.take(layer, dst));
        let a = self.spec.residual_scale;
        let columns = self.columns(layer, dst);
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
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                for ((o, s), b) in out
                    .data
                    .chunks_exact_mut(columns)
                    .zip(from.data.chunks_exact(columns))
                    .zip(other.data.chunks_exact(columns))
                {
                    skip_square += T::dot(simd, s, s);
                    branch_square += T::dot(simd, b, b);
                    for ((o, s), b) in o.iter_mut().zip(s).zip(b) {
                        *o = *s * skip_scale + *b * branch_scale;
                    }
                }
            },
        );
        self.set_sum(layer, Sum::SkipSquare, Scaled::new(skip_square, 2 * from.exponent));
        self.set_sum(layer, Sum::BranchSquare, Scaled::new(branch_square * a * a, 2 * other.exponent));
        self.put(layer, skip, from);
        self.put(layer, branch, other);
        self.finish_act(layer, dst, &mut out);
        self.put(layer, dst, out);
    }

    /// Loss and the gradient that starts the backward pass.
    fn start_backward(&mut self, data: &NetworkData<T>) -> Scaled {
        let batch = self.batch();
        let (depth, grad) = (self.spec.depth as usize, &mut self.workspace.preact_grad);
        let loss = match &data.target {
            TargetData::Dense(target) => loss::mse(&self.workspace.preact, target, batch, grad),
            TargetData::Labels(labels) => {
                loss::cross_entropy(&self.workspace.preact, labels, batch, log2_floor(self.spec.depth), grad)
            }
            TargetData::Cotangent(g) => {
                let start = &mut self.workspace.act_grads[depth];
                start.data.clear();
                start.data.extend_from_slice(g);
                start.exponent = 0;
                start.rows.clear();
                start.abs_max = abs_max(&start.data);
                return Scaled::ABSENT;
            }
        };
        grad.abs_max = abs_max(&grad.data);
        grad.normalise();
        loss
    }
}

/// dst (+)= scale * src by powers of two, at the larger exponent; `scale` is the true factor of the new part.
pub(super) fn accumulate<T: Real>(dst: &mut Tensor<T>, src: &Tensor<T>, scale: f64) {
    let fresh = dst.data.is_empty();
    let apart = !(dst.rows.is_empty() && src.rows.is_empty());
    if apart && !fresh {
        let columns = src.data.len() / src.rows.len().max(dst.rows.len());
        let old = std::mem::take(dst);
        sum_rows(&old, src, scale, columns, dst);
        return;
    }
    let size =
        |t: &Tensor<T>, a: f64| (a != 0.0).then(|| t.log2_max().map(|m| m + t.exponent + libm::ilogb(a))).flatten();
    let old = if fresh { None } else { size(dst, 1.0) };
    let exponent = match (old, size(src, scale)) {
        (Some(_), None) => return,
        (None, None) => src.exponent,
        (None, Some(_)) => src.exponent,
        (Some(a), Some(b)) => {
            let top = a.max(b);
            if (top - dst.exponent).abs() <= T::ORDINARY / 2 { dst.exponent } else { top }
        }
    };
    let factor = T::from_f64(libm::scalbn(scale, src.exponent - exponent));
    if fresh || old.is_none() {
        dst.rows.clone_from(&src.rows);
        dst.data.clear();
        dst.data.extend(src.data.iter().map(|v| *v * factor));
    } else {
        if exponent != dst.exponent {
            scale_in_place(&mut dst.data, dst.exponent - exponent);
        }
        for (d, s) in dst.data.iter_mut().zip(&src.data) {
            *d += *s * factor;
        }
    }
    dst.exponent = exponent;
    dst.abs_max = abs_max(&dst.data);
}
