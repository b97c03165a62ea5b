//! The forward half of a schedule: draws, ops in order, and the statistics of forward tensors.

use super::describe::{Drawn, LayerSlot};
use super::kernels::Kernel;
use super::layout::{FLAG_CENTRE, FLAG_ROWS, FLAG_SPREAD, NONE, Params, SLOT_SOURCE, SLOT_TARGET, draw_grid};
use super::schedule::{Bind, Builder, path_stride};
use super::tensors::{RowSlot, Tensor, What, head, padded, slots, strips};
use crate::network::{Loss, Norm};
use crate::program::{Op, Slot};
use crate::stats::{Quantity, RecordMask};

/// Words of a record of cosines (`shaders/kernels/cosines.wgsl`).
const COSINE_WORDS: u32 = 8;

/// The row of a layer.
pub(super) fn row_of(slot: LayerSlot) -> RowSlot {
    match slot {
        LayerSlot::Hidden(layer) => RowSlot::Layer(layer),
        LayerSlot::Readout => RowSlot::Readout,
    }
}

impl Builder<'_> {
    pub(super) fn forward(&mut self) {
        let (key, networks) = (*self.key(), self.networks());
        let input = self.ledger.tensor(key.batch_size, key.input_size, networks);
        let measured = self.act_moments(LayerSlot::Hidden(0), Slot::Act { back: 0 });
        self.draw(Drawn::Input, input, networks, input.rows, measured);
        self.acts.push(input);
        if self.selected(LayerSlot::Hidden(0)) {
            self.similarity(RowSlot::Layer(0), &[(Quantity::Act, input)], networks);
        }
        self.start();
        self.complete();
        let small = self.plan_small();
        let others = small.as_ref().map_or(self.deepest(), |plan| (plan.first - 1).min(self.deepest()));
        for layer in 1..=others {
            let slot = LayerSlot::Hidden(layer);
            let alive = self.alive(layer);
            let act = self.ledger.tensor(key.batch_size, key.width, alive);
            self.acts.push(act);
            self.layer(slot);
            if self.has_readout() {
                // The networks that end here hand their h_L to the readout.
                let first = self.alive(layer + 1);
                let gathered = self.final_act.expect("a readout has a place for h_L: made in `start`");
                self.copy(act, gathered, first, alive - first, None);
            }
            self.complete();
        }
        if let Some(plan) = small {
            self.forward_small(plan);
        }
        if self.has_readout() {
            self.layer(LayerSlot::Readout);
        }
    }

    /// Goals, labels and the readout's own weights, which the path factors of every network's last layer need.
    fn start(&mut self) {
        let (key, networks) = (*self.key(), self.networks());
        if !self.has_readout() {
            let repeat = if key.loss == Loss::CotangentShared { 1 } else { key.batch_size };
            let grad = self.final_grad;
            let measured = What::Moments { quantity: Quantity::ActGrad };
            self.draw(Drawn::Goal, grad, networks, repeat, Some((RowSlot::Last, measured)));
            return;
        }
        if self.has_labels() {
            self.labels = Some(self.ledger.words(u64::from(networks) * u64::from(padded(key.batch_size))));
        } else {
            let goal = self.ledger.tensor(key.batch_size, key.output_size, networks);
            self.draw(Drawn::Goal, goal, networks, goal.rows, None);
            self.goal = Some(goal);
        }
        self.final_act = Some(self.ledger.tensor(key.batch_size, key.width, networks));
        self.weights(LayerSlot::Readout);
    }

    /// What the kernel that writes `at` of a layer records of it: h, where its row is wanted.
    fn act_moments(&self, slot: LayerSlot, at: Slot) -> Option<(RowSlot, What)> {
        let wanted = at == Slot::Act { back: 0 } && self.selected(slot);
        wanted.then(|| (row_of(slot), What::Moments { quantity: Quantity::Act }))
    }

    fn draw(
        &mut self,
        drawn: Drawn,
        tensor: Tensor,
        networks: u32,
        repeat_rows: u32,
        measured: Option<(RowSlot, What)>,
    ) {
        let flags = if tensor.slot.is_some() { FLAG_ROWS } else { 0 };
        let params = Params { draw: self.drawn.len() as u32, repeat_rows, flags, ..self.params(&tensor) };
        self.drawn.push((drawn, tensor, networks));
        let [across, down] = draw_grid((tensor.stride() / 4) as u32);
        let storage = [Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table, Bind::Records].into_iter();
        let storage = storage.chain([Bind::Region(tensor.region), Bind::Histogram]).collect();
        self.push_measured(Kernel::Draw, params, &[measured], storage, [across, down, networks]);
    }

    /// Draws W and b of a layer, with the statistics of W.
    fn weights(&mut self, slot: LayerSlot) {
        let (fan_in, fan_out, alive) = (self.fan_in(slot), self.fan_out(slot), self.alive_at(slot));
        let weight = self.ledger.tensor(fan_out, fan_in, alive);
        let bias = self.has_bias(slot).then(|| self.ledger.tensor(1, fan_out, alive));
        if let Some(bias) = bias {
            self.draw(Drawn::Bias(slot), bias, alive, 1, None);
        }
        let what = What::Moments { quantity: Quantity::Weight };
        let params = Params {
            draw: self.drawn.len() as u32,
            repeat_rows: fan_out,
            path_layer: if let LayerSlot::Hidden(layer) = slot { layer } else { NONE },
            path_stride: path_stride(self.key()),
            ..self.params(&weight)
        };
        self.drawn.push((Drawn::Weight(slot), weight, alive));
        let storage = [Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table].into_iter();
        let last = [Bind::Region(weight.region), Bind::PathColumns, Bind::Records, Bind::Histogram];
        let storage = storage.chain(last).collect();
        let groups = [strips(fan_in), 1, alive];
        self.push_measured(Kernel::DrawWeights, params, &[Some((row_of(slot), what))], storage, groups);
        let state = self.state(slot);
        (state.weight, state.bias) = (Some(weight), bias);
    }

    /// One layer: its ops, with the statistics of z and h, and the cosines that follow them in the same compute pass.
    fn layer(&mut self, slot: LayerSlot) {
        if slot != LayerSlot::Readout {
            self.weights(slot);
            self.complete();
        }
        for op in self.ops(slot) {
            self.forward_op(slot, op);
        }
        if !self.selected(slot) {
            return;
        }
        let preact = self.tensor(slot, Slot::Preact);
        let mut tensors = vec![(Quantity::Preact, preact)];
        if let LayerSlot::Hidden(layer) = slot {
            tensors.push((Quantity::Act, self.acts[layer as usize]));
        }
        self.similarity(row_of(slot), &tensors, self.alive_at(slot));
    }

    /// The place of an op's result: memory of its own where the backward pass reads it, else scratch.
    fn result(&mut self, slot: LayerSlot, at: Slot) -> Tensor {
        if let (Slot::Act { back: 0 }, LayerSlot::Hidden(layer)) = (at, slot) {
            return self.acts[layer as usize];
        }
        let kept = self.ops(slot).iter().any(|op| match *op {
            Op::Linear { src, .. } | Op::Activation { src, .. } => src == at,
            Op::Norm { dst, .. } => dst == at,
            _ => false,
        });
        let (rows, columns, alive) = (self.key().batch_size, self.columns(slot, at), self.alive_at(slot));
        let tensor = if kept {
            self.ledger.tensor(rows, columns, alive)
        } else {
            let name = if at == Slot::Preact { "preact" } else { "phi" };
            let region = self.scratch(name);
            self.ledger.version(region, rows, columns)
        };
        let state = self.state(slot);
        match at {
            Slot::Preact => state.preact = Some(tensor),
            Slot::Phi => state.phi = Some(tensor),
            Slot::PhiArg | Slot::FinalAct | Slot::Act { .. } => state.phi_arg = Some(tensor),
        }
        tensor
    }

    fn forward_op(&mut self, slot: LayerSlot, op: Op) {
        let alive = self.alive_at(slot);
        match op {
            Op::Linear { src, dst } => {
                let (x, z) = (self.tensor(slot, src), self.result(slot, dst));
                let state = *self.state(slot);
                let weight = state.weight.expect("weights are drawn before a layer's ops");
                let params = Params {
                    source_head: x.head,
                    weight_head: weight.head,
                    bias_head: head(state.bias),
                    inner: x.column_pad(),
                    ..self.params(&z)
                };
                let bias = state.bias.map_or(weight.region, |b| b.region);
                let what = What::Moments { quantity: Quantity::Preact };
                let measured = self.selected(slot).then(|| (row_of(slot), what));
                let storage = [x.region, weight.region, bias, z.region].map(Bind::Region);
                let storage = std::iter::once(Bind::Heads).chain(storage);
                let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
                self.push_product(Kernel::Linear, params, &[measured], storage, alive);
            }
            Op::Norm { src, dst } => {
                let (z, u) = (self.tensor(slot, src), self.result(slot, dst));
                let rows = self.key().norm != Norm::Batch;
                let size = if rows { u.row_pad() } else { u.column_pad() };
                let inverse = self.ledger.words(u64::from(size) * u64::from(alive));
                self.state(slot).inverse = Some(inverse);
                let flags = if self.key().norm == Norm::Layer { FLAG_CENTRE } else { 0 };
                let params = Params { source_head: z.head, flags, ..self.params(&u) };
                let storage = [z.region, u.region, inverse].map(Bind::Region);
                let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage).collect();
                let (kernel, groups) = if rows {
                    (Kernel::NormRows, u.row_pad().div_ceil(32))
                } else {
                    (Kernel::NormColumns, strips(u.columns))
                };
                self.push(kernel, params, storage, [groups, 1, alive]);
            }
            Op::Activation { src, dst } => {
                let (u, h) = (self.tensor(slot, src), self.result(slot, dst));
                // pre_act without a norm has phi's argument in the layer's input.
                self.state(slot).phi_arg = Some(u);
                let params = Params { source_head: u.head, ..self.params(&h) };
                let measured = self.act_moments(slot, dst);
                let params = self.with_records(params, &[measured], strips(h.columns), alive);
                let storage = [u.region, h.region].map(Bind::Region);
                let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage);
                let storage: Vec<Bind> = storage.chain([Bind::Records, Bind::Histogram]).collect();
                self.push(Kernel::Activation, params, storage.clone(), [strips(h.columns), 1, alive]);
                if self.request.rewrites {
                    self.push(Kernel::ActivationRewrite, params, storage, [strips(h.columns), 1, alive]);
                }
                self.quantiles(&[measured], alive);
            }
            Op::Add { skip, branch, dst } => {
                let (s, b) = (self.tensor(slot, skip), self.tensor(slot, branch));
                let h = self.result(slot, dst);
                let items = strips(h.columns);
                let list = [self.act_moments(slot, dst), Some((row_of(slot), What::Residual))];
                let params = Params { source_head: s.head, other_head: b.head, ..self.params(&h) };
                let storage = [s.region, b.region, h.region].map(Bind::Region);
                let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage);
                let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
                self.push_measured(Kernel::Add, params, &list, storage, [items, 1, alive]);
            }
            Op::Copy { src, dst } => {
                let (from, to) = (self.tensor(slot, src), self.result(slot, dst));
                let measured = self.act_moments(slot, dst);
                self.copy(from, to, 0, alive, measured);
            }
        }
    }

    /// Copies networks `first .. first + count`; only a copy of all from the first may be measured.
    pub(super) fn copy(&mut self, from: Tensor, to: Tensor, first: u32, count: u32, measured: Option<(RowSlot, What)>) {
        let flags = if from.slot.is_some() { FLAG_ROWS } else { 0 };
        let slots = slots(&[(SLOT_SOURCE, Some(from)), (SLOT_TARGET, Some(to))]);
        let params = Params { source_head: from.head, first, flags, slots, ..self.params(&to) };
        let groups = (to.stride() as u32).div_ceil(256);
        let storage =
            vec![Bind::Heads, Bind::Region(from.region), Bind::Region(to.region), Bind::Records, Bind::Histogram];
        self.push_measured(Kernel::Copy, params, &[measured], storage, [groups, 1, count]);
    }

    /// What the norms of whole samples come before, of one or two tensors of equal shape: cosines between the samples, and the
    /// spread of delta's norms. No workgroup that writes a tensor in tiles knows them, so that they have dispatches of their
    /// own, in the compute pass that writes the tensor.
    pub(super) fn similarity(&mut self, row: RowSlot, tensors: &[(Quantity, Tensor)], alive: u32) {
        let spread = tensors[0].0 == Quantity::PreactGrad;
        if !self.wants(RecordMask::COS) && !spread {
            return;
        }
        let count = tensors.len() as u32;
        let (first, other) = (tensors[0].1, tensors[tensors.len() - 1].1);
        let rows = if first.slot.is_some() { FLAG_ROWS } else { 0 };
        let items = first.rows.div_ceil(32);
        let (record, record_stride) =
            if spread { self.ledger.record(row, What::Spread, items, 8, alive) } else { (0, 0) };
        let params = Params {
            source_head: first.head,
            other_head: other.head,
            flags: if spread { FLAG_SPREAD | rows } else { rows },
            record,
            record_stride,
            slots: slots(&[(SLOT_SOURCE, Some(first))]),
            ..self.params(&first)
        };
        let regions = [first.region, other.region, self.directions].map(Bind::Region);
        let storage = std::iter::once(Bind::Heads).chain(regions).chain([Bind::Records]).collect();
        self.push(Kernel::SampleDirections, params, storage, [items, count, alive]);
        if !self.wants(RecordMask::COS) {
            return;
        }
        let items = strips(first.columns);
        let record_stride = count * items * COSINE_WORDS;
        let record = self.ledger.reserve(record_stride, alive);
        let other_record = items * COSINE_WORDS;
        for (i, &(quantity, _)) in tensors.iter().enumerate() {
            let (offset, what) = (record + i as u32 * other_record, What::Cosines { quantity });
            self.ledger.expect(row, what, offset, record_stride, (items, COSINE_WORDS), alive);
        }
        let params = Params { record, record_stride, other_record, ..self.params(&first) };
        let storage = regions.into_iter().chain([Bind::Records]).collect();
        self.push(Kernel::Cosines, params, storage, [items, count, alive]);
    }
}
