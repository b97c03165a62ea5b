//! The forward half of a schedule: draws, ops in order, and the statistics of forward tensors.

use super::describe::{Drawn, LayerSlot};
use super::kernels::Kernel;
use super::layout::{
    FLAG_CENTRE, FLAG_COLUMN_MOMENTS, FLAG_COSINES, FLAG_HISTOGRAM, FLAG_ROWS, FLAG_SPREAD, Params, RECORD_WORDS,
    SLOT_OTHER, SLOT_SOURCE, SLOT_TARGET,
};
use super::schedule::{Bind, Builder, HISTOGRAM_WEIGHT};
use super::tensors::{RowSlot, Tensor, What, head, padded, slots, strips};
use crate::network::{Loss, Norm};
use crate::program::{Op, Slot};
use crate::stats::{Quantity, RecordMask};

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
        self.draw(Drawn::Input, input, networks, input.rows);
        self.acts.push(input);
        if self.selected(LayerSlot::Hidden(0)) {
            let flags = self.stat_flags();
            self.tensor_stats(RowSlot::Layer(0), &[(Quantity::Act, input)], networks, flags);
        }
        self.start();
        for layer in 1..=self.deepest() {
            let slot = LayerSlot::Hidden(layer);
            let alive = self.alive(layer);
            let act = self.ledger.tensor(key.batch_size, key.width, alive);
            self.acts.push(act);
            self.layer(slot);
            if self.has_readout() {
                // The networks that end here hand their h_L to the readout.
                let first = self.alive(layer + 1);
                let gathered = self.final_act.expect("a readout has a place for h_L: made in `start`");
                self.copy(act, gathered, first, alive - first);
            }
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
            self.draw(Drawn::Goal, grad, networks, repeat);
            return;
        }
        if self.has_labels() {
            self.labels = Some(self.ledger.words(u64::from(networks) * u64::from(padded(key.batch_size))));
        } else {
            let goal = self.ledger.tensor(key.batch_size, key.output_size, networks);
            self.draw(Drawn::Goal, goal, networks, goal.rows);
            self.goal = Some(goal);
        }
        self.final_act = Some(self.ledger.tensor(key.batch_size, key.width, networks));
        self.weights(LayerSlot::Readout);
    }

    fn draw(&mut self, drawn: Drawn, tensor: Tensor, networks: u32, repeat_rows: u32) {
        let flags = if tensor.slot.is_some() { FLAG_ROWS } else { 0 };
        let params = Params { draw: self.drawn.len() as u32, repeat_rows, flags, ..self.params(&tensor) };
        self.drawn.push((drawn, tensor, networks));
        let storage = vec![Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table, Bind::Region(tensor.region)];
        let groups = (tensor.stride() as u32).div_ceil(256);
        self.push(Kernel::Draw, params, storage, [groups, 1, networks]);
    }

    /// Draws W and b of a layer, with the statistics of W.
    fn weights(&mut self, slot: LayerSlot) {
        let (fan_in, fan_out, alive) = (self.fan_in(slot), self.fan_out(slot), self.alive_at(slot));
        let weight = self.ledger.tensor(fan_out, fan_in, alive);
        let bias = self.has_bias(slot).then(|| self.ledger.tensor(1, fan_out, alive));
        if let Some(bias) = bias {
            self.draw(Drawn::Bias(slot), bias, alive, 1);
        }
        let columns = self.ledger.words(4 * u64::from(padded(fan_in)) * u64::from(alive));
        let what = What::Moments { quantity: Quantity::Weight, cosines: false };
        let (record, record_stride) = self.ledger.record(row_of(slot), what, strips(fan_in), RECORD_WORDS, alive);
        let params = Params { record, record_stride, ..self.params(&weight) };
        let params = Params { draw: self.drawn.len() as u32, repeat_rows: fan_out, ..params };
        self.drawn.push((Drawn::Weight(slot), weight, alive));
        let storage = [Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table].into_iter();
        let storage = storage.chain([weight.region, columns].map(Bind::Region)).chain([Bind::Records]).collect();
        self.push(Kernel::DrawWeights, params, storage, [strips(fan_in), 1, alive]);
        if self.wants(RecordMask::QUANTILES) {
            let params = Params { source_head: weight.head, histogram: HISTOGRAM_WEIGHT, ..params };
            let storage = vec![Bind::Heads, Bind::Region(weight.region), Bind::Histogram, Bind::Records];
            self.push(Kernel::WeightHistogram, params, storage, [strips(fan_in), 1, alive]);
        }
        self.quantiles(row_of(slot), &[(HISTOGRAM_WEIGHT, Quantity::Weight)], alive);
        let state = self.state(slot);
        (state.weight, state.bias, state.weight_columns) = (Some(weight), bias, Some(columns));
    }

    /// One layer: its ops, then the statistics of z and h.
    fn layer(&mut self, slot: LayerSlot) {
        if slot != LayerSlot::Readout {
            self.weights(slot);
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
        let flags = self.stat_flags();
        self.tensor_stats(row_of(slot), &tensors, self.alive_at(slot), flags);
    }

    /// What is wanted of a selected row's tensors.
    pub(super) fn stat_flags(&self) -> u32 {
        let cosines = if self.wants(RecordMask::COS) { FLAG_COSINES } else { 0 };
        let histogram = if self.wants(RecordMask::QUANTILES) { FLAG_HISTOGRAM } else { 0 };
        cosines | histogram
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
                let storage = [x.region, weight.region, bias, z.region].map(Bind::Region);
                let storage = std::iter::once(Bind::Heads).chain(storage).collect();
                self.push_product(Kernel::Linear, params, storage, alive);
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
                let storage = vec![Bind::Heads, Bind::Networks, Bind::Region(u.region), Bind::Region(h.region)];
                self.push(Kernel::Activation, params, storage.clone(), [strips(h.columns), 1, alive]);
                if self.request.tails {
                    self.push(Kernel::ActivationRewrite, params, storage, [strips(h.columns), 1, alive]);
                }
            }
            Op::Add { skip, branch, dst } => {
                let (s, b) = (self.tensor(slot, skip), self.tensor(slot, branch));
                let h = self.result(slot, dst);
                let items = strips(h.columns);
                let (record, record_stride) = self.ledger.record(row_of(slot), What::Residual, items, 8, alive);
                let params =
                    Params { source_head: s.head, other_head: b.head, record, record_stride, ..self.params(&h) };
                let storage = vec![
                    Bind::Heads,
                    Bind::Networks,
                    Bind::Region(s.region),
                    Bind::Region(b.region),
                    Bind::Region(h.region),
                    Bind::Records,
                ];
                self.push(Kernel::Add, params, storage, [items, 1, alive]);
            }
            Op::Copy { src, dst } => {
                let (from, to) = (self.tensor(slot, src), self.result(slot, dst));
                self.copy(from, to, 0, alive);
            }
        }
    }

    /// Copies networks `first .. first + count`.
    pub(super) fn copy(&mut self, from: Tensor, to: Tensor, first: u32, count: u32) {
        let flags = if from.slot.is_some() { FLAG_ROWS } else { 0 };
        let slots = slots(&[(SLOT_SOURCE, Some(from)), (SLOT_TARGET, Some(to))]);
        let params = Params { source_head: from.head, first, flags, slots, ..self.params(&to) };
        let storage = vec![Bind::Heads, Bind::Region(from.region), Bind::Region(to.region)];
        self.push(Kernel::Copy, params, storage, [(to.stride() as u32).div_ceil(256), 1, count]);
    }

    /// Moments, and by `flags` cosines, histograms, spread and column moments of one or two tensors of equal shape.
    pub(super) fn tensor_stats(&mut self, row: RowSlot, tensors: &[(Quantity, Tensor)], alive: u32, flags: u32) {
        let (first, second) = (tensors[0].1, tensors.get(1).map(|t| t.1));
        let count = tensors.len() as u32;
        let other = second.unwrap_or(first);
        let rows = if first.slot.is_some() { FLAG_ROWS } else { 0 };
        let slots = slots(&[(SLOT_SOURCE, Some(first)), (SLOT_OTHER, Some(other))]);
        let cosines = flags & FLAG_COSINES != 0;
        let spread = flags & FLAG_SPREAD != 0;
        if cosines || spread {
            let items = first.rows.div_ceil(32);
            let (record, record_stride) =
                if spread { self.ledger.record(row, What::Spread, items, 8, alive) } else { (0, 0) };
            let params = Params {
                source_head: first.head,
                other_head: other.head,
                flags: flags & FLAG_SPREAD | rows,
                record,
                record_stride,
                slots,
                ..self.params(&first)
            };
            let storage = vec![
                Bind::Heads,
                Bind::Region(first.region),
                Bind::Region(other.region),
                Bind::Region(self.directions),
                Bind::Records,
            ];
            // dLoss/dh has no cosine: only delta is measured then.
            let measured = if spread { 1 } else { count };
            self.push(Kernel::SampleDirections, params, storage, [items, measured, alive]);
        }
        let items = strips(first.columns);
        let step = 2 * RECORD_WORDS;
        let stride = count * items * step;
        let record = self.ledger.reserve(stride, alive);
        for (i, (quantity, _)) in tensors.iter().enumerate() {
            if *quantity == Quantity::ActGrad && self.fuses_act_grad() && row != RowSlot::Last {
                // Only its histogram is taken here.
                continue;
            }
            let offset = record + i as u32 * items * step;
            let what = What::Moments { quantity: *quantity, cosines: cosines && *quantity != Quantity::ActGrad };
            self.ledger.expect(row, what, offset, stride, (items, step), alive);
        }
        if flags & FLAG_COLUMN_MOMENTS != 0 {
            let what = What::Moments { quantity: Quantity::BiasGrad, cosines: false };
            self.ledger.expect(row, what, record + RECORD_WORDS, stride, (items, step), alive);
        }
        let params = Params {
            source_head: first.head,
            other_head: other.head,
            flags: flags & !FLAG_SPREAD | rows,
            slots,
            record,
            record_stride: stride,
            other_record: items * step,
            histogram: 0,
            ..self.params(&first)
        };
        let storage = vec![
            Bind::Heads,
            Bind::Networks,
            Bind::Region(first.region),
            Bind::Region(other.region),
            Bind::Region(self.directions),
            Bind::Records,
            Bind::Histogram,
        ];
        self.push(Kernel::TensorStats, params, storage, [items, count, alive]);
        let mut slots: Vec<(u32, Quantity)> = tensors.iter().enumerate().map(|(i, t)| (i as u32, t.0)).collect();
        if flags & FLAG_COLUMN_MOMENTS != 0 {
            slots.push((2, Quantity::BiasGrad));
        }
        if flags & FLAG_HISTOGRAM != 0 {
            self.quantiles(row, &slots, alive);
        }
    }

    /// Reads quantiles off histogram slots and clears them.
    pub(super) fn quantiles(&mut self, row: RowSlot, slots: &[(u32, Quantity)], alive: u32) {
        if !self.wants(RecordMask::QUANTILES) {
            return;
        }
        for &(slot, quantity) in slots {
            let what = What::Quantiles { quantity };
            let (record, record_stride) = self.ledger.record(row, what, 1, 24, alive);
            let params = Params {
                networks: self.networks(),
                rows: alive,
                histogram: slot,
                record,
                record_stride,
                ..Params::default()
            };
            self.push(Kernel::Quantiles, params, vec![Bind::Histogram, Bind::Records], [alive.div_ceil(64), 1, 1]);
        }
    }
}
