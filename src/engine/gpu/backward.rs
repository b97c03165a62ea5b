//! The backward half of a schedule: the loss, ops in reverse, each adding into its inputs' gradients (a head that nobody
//! has written means "set"), and the statistics of gradients.

use super::describe::LayerSlot;
use super::forward::row_of;
use super::kernels::Kernel;
use super::layout::{
    FLAG_ARGUMENT, FLAG_CENTRE, FLAG_PATHS, NONE, Params, SLOT_BRANCH, SLOT_OLD, SLOT_SOURCE, SLOT_TARGET,
};
use super::memory::Region;
use super::schedule::{Bind, Builder, path_stride};
use super::tensors::{RowSlot, Tensor, What, head, slots, strips};
use crate::network::{Norm, Residual};
use crate::program::{Op, Slot};
use crate::stats::{Quantity, RecordMask};

/// Gradients while the schedule walks backwards.
#[derive(Debug)]
struct Gradients {
    /// dLoss/dh_l by l modulo the ring's length; the latest version of each.
    ring: Vec<Region>,
    acts: Vec<Option<Tensor>>,
    preact: Option<Tensor>,
    phi_arg: Option<Tensor>,
    phi: Option<Tensor>,
}

impl Builder<'_> {
    pub(super) fn backward(&mut self) {
        let deepest = self.deepest();
        let mut gradients = self.gradients();
        if self.has_readout() {
            let delta = self.loss();
            gradients.preact = Some(delta);
            self.layer_back(LayerSlot::Readout, &mut gradients);
        }
        let mut others = deepest;
        if let Some(plan) = self.small.take().filter(|plan| plan.first <= deepest) {
            let below = plan.first - 1;
            let region = gradients.ring[below as usize % gradients.ring.len()];
            gradients.acts[below as usize] = Some(self.backward_small(&plan, region));
            others = below;
        }
        for layer in (1..=others).rev() {
            // The networks that end here take dLoss/dh_L.
            let (first, alive) = (self.alive(layer + 1), self.alive(layer));
            if alive > first {
                let target = match gradients.acts[layer as usize] {
                    Some(tensor) => tensor,
                    None => self.act_grad_version(layer, &mut gradients),
                };
                self.copy(self.final_grad, target, first, alive - first, None);
            }
            self.layer_back(LayerSlot::Hidden(layer), &mut gradients);
        }
    }

    fn gradients(&mut self) -> Gradients {
        let key = *self.key();
        let deepest = self.deepest();
        let longest =
            self.program.sections.iter().flat_map(|s| &s.blocks).flat_map(|b| &b.ops).filter_map(|op| match op {
                Op::Add { skip: Slot::Act { back }, .. } => Some(*back),
                _ => None,
            });
        let length = longest.max().unwrap_or(1).min(deepest) + 1;
        let (columns, networks) = (key.width.max(key.input_size), self.networks());
        let ring = (0..length).map(|_| self.ledger.gradient_words(key.batch_size, columns, networks)).collect();
        Gradients { ring, acts: vec![None; deepest as usize + 1], preact: None, phi_arg: None, phi: None }
    }

    /// A new version of dLoss/dh_layer: the next writer's target.
    fn act_grad_version(&mut self, layer: u32, gradients: &mut Gradients) -> Tensor {
        let region = gradients.ring[layer as usize % gradients.ring.len()];
        let columns = if layer == 0 { self.key().input_size } else { self.key().width };
        let old = gradients.acts[layer as usize];
        let tensor = self.ledger.gradient(region, self.key().batch_size, columns, old);
        gradients.acts[layer as usize] = Some(tensor);
        tensor
    }

    /// delta of the readout.
    fn loss(&mut self) -> Tensor {
        let networks = self.networks();
        let y = self.tensor(LayerSlot::Readout, Slot::Preact);
        let region = self.scratch("preact_grad");
        let delta = self.ledger.gradient(region, y.rows, y.columns, None);
        let measured = Some((RowSlot::Readout, What::Moments { quantity: Quantity::PreactGrad }));
        if let Some(labels) = self.labels {
            let softmax = self.ledger.words(2 * u64::from(y.row_pad()) * u64::from(networks));
            let params = Params { source_head: y.head, ..self.params(&delta) };
            let storage = [y.region, labels, softmax].map(Bind::Region);
            let storage: Vec<Bind> = std::iter::once(Bind::Heads).chain(storage).collect();
            let items = y.row_pad().div_ceil(64);
            let mut of_rows = storage.clone();
            of_rows.insert(1, Bind::Networks);
            of_rows.push(Bind::Region(delta.region));
            self.push(Kernel::CrossEntropyRows, params, of_rows, [items, 1, networks]);
            let list = [measured, Some((RowSlot::Readout, What::CrossEntropy))];
            let last = [Bind::Region(delta.region), Bind::Records, Bind::Histogram];
            let storage = storage.into_iter().chain(last).collect();
            self.push_measured(Kernel::CrossEntropy, params, &list, storage, [items, 1, networks]);
        } else {
            let goal = self.goal.expect("without labels there is a dense goal: made in `start`");
            let items = strips(y.columns);
            let list = [measured, Some((RowSlot::Readout, What::MeanSquared))];
            let params = Params { source_head: y.head, other_head: goal.head, ..self.params(&delta) };
            let storage = std::iter::once(Bind::Heads).chain([y.region, goal.region, delta.region].map(Bind::Region));
            let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
            self.push_measured(Kernel::Mse, params, &list, storage, [items, 1, networks]);
        }
        delta
    }

    fn layer_back(&mut self, slot: LayerSlot, gradients: &mut Gradients) {
        let ops = self.ops(slot);
        for (index, &op) in ops.iter().enumerate().rev() {
            let earlier: Vec<Slot> = ops[..index].iter().flat_map(|op| op.sources()).collect();
            self.backward_op(slot, op, &earlier, gradients);
        }
        self.complete();
        (gradients.preact, gradients.phi_arg, gradients.phi) = (None, None, None);
    }

    /// The gradient of an op's output.
    fn grad(&self, slot: LayerSlot, at: Slot, gradients: &Gradients) -> Tensor {
        let found = match (at, slot) {
            (Slot::Act { back }, LayerSlot::Hidden(layer)) => gradients.acts[(layer - back) as usize],
            (Slot::Act { .. }, LayerSlot::Readout) => Some(self.final_grad),
            (Slot::Preact, _) => gradients.preact,
            (Slot::PhiArg | Slot::FinalAct, _) => gradients.phi_arg,
            (Slot::Phi, _) => gradients.phi,
        };
        found.expect("the reverse of the ops writes a gradient before it reads it")
    }

    /// Where the gradient of an op's input goes: what it was before (`None`: nobody has written it) and the target.
    fn target(&mut self, slot: LayerSlot, at: Slot, gradients: &mut Gradients) -> (Option<Tensor>, Tensor) {
        let columns = self.columns(slot, at);
        match (at, slot) {
            (Slot::Act { back }, LayerSlot::Hidden(layer)) => {
                let old = gradients.acts[(layer - back) as usize];
                (old, self.act_grad_version(layer - back, gradients))
            }
            (Slot::Act { .. }, LayerSlot::Readout) => (None, self.final_grad),
            (Slot::Preact, _) => {
                let region = self.scratch("preact_grad");
                let tensor = self.ledger.gradient(region, self.key().batch_size, columns, None);
                gradients.preact = Some(tensor);
                (None, tensor)
            }
            (Slot::PhiArg | Slot::FinalAct, _) => {
                let region = self.scratch("phi_arg_grad");
                let tensor = self.ledger.gradient(region, self.key().batch_size, columns, None);
                gradients.phi_arg = Some(tensor);
                (None, tensor)
            }
            (Slot::Phi, _) => {
                let region = self.scratch("phi_grad");
                let tensor = self.ledger.gradient(region, self.key().batch_size, columns, None);
                gradients.phi = Some(tensor);
                (None, tensor)
            }
        }
    }

    /// What the kernel that adds into the gradient of `src` records of it: delta, and dLoss/dh of the layer below where no
    /// op before it (`earlier`: what those read) will add to it after this.
    fn grad_moments(&self, slot: LayerSlot, src: Slot, earlier: &[Slot]) -> Option<(RowSlot, What)> {
        let below = Slot::Act { back: 1 };
        let (row, quantity) = match (src, slot) {
            // The product of |delta|^2 over layers needs every layer.
            (Slot::Preact, _) => (row_of(slot), Quantity::PreactGrad),
            _ if src != below || earlier.contains(&below) => return None,
            (_, LayerSlot::Readout) => (RowSlot::Last, Quantity::ActGrad),
            (_, LayerSlot::Hidden(layer)) if self.selected(LayerSlot::Hidden(layer - 1)) => {
                (RowSlot::Layer(layer - 1), Quantity::ActGrad)
            }
            _ => return None,
        };
        Some((row, What::Moments { quantity }))
    }

    fn backward_op(&mut self, slot: LayerSlot, op: Op, earlier: &[Slot], gradients: &mut Gradients) {
        let alive = self.alive_at(slot);
        match op {
            Op::Linear { src, dst } => {
                let delta = self.grad(slot, dst, gradients);
                let source = self.tensor(slot, src);
                if self.selected(slot) {
                    self.similarity(row_of(slot), &[(Quantity::PreactGrad, delta)], alive);
                    self.complete();
                    let source = self.centred(slot, src, source);
                    self.weight_grad(slot, delta, source);
                    self.complete();
                }
                let weight = self.state(slot).weight.expect("weights are drawn in the forward half");
                let (old, target) = self.target(slot, src, gradients);
                let params = Params {
                    source_head: delta.head,
                    weight_head: weight.head,
                    old_head: head(old),
                    slots: slots(&[(SLOT_SOURCE, Some(delta)), (SLOT_OLD, old), (SLOT_TARGET, Some(target))]),
                    inner: delta.column_pad(),
                    ..self.params(&target)
                };
                let measured = self.grad_moments(slot, src, earlier);
                let storage = [delta.region, weight.region, target.region].map(Bind::Region);
                let storage = std::iter::once(Bind::Heads).chain(storage);
                let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
                self.push_product(Kernel::LinearBack, params, &[measured], storage, alive);
            }
            Op::Norm { src, dst } => {
                let (grad, z, u) = (self.grad(slot, dst, gradients), self.tensor(slot, src), self.tensor(slot, dst));
                let (old, target) = self.target(slot, src, gradients);
                let rows = self.key().norm != Norm::Batch;
                let flags = if self.key().norm == Norm::Layer { FLAG_CENTRE } else { 0 };
                let params = Params {
                    source_head: grad.head,
                    other_head: u.head,
                    weight_head: z.head,
                    old_head: head(old),
                    slots: slots(&[(SLOT_SOURCE, Some(grad)), (SLOT_OLD, old), (SLOT_TARGET, Some(target))]),
                    flags,
                    ..self.params(&target)
                };
                let inverse = self.state(slot).inverse.expect("the forward norm keeps its deviations");
                let storage = [grad.region, u.region, inverse, target.region].map(Bind::Region);
                let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage);
                let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
                let (kernel, groups) = if rows {
                    (Kernel::NormRowsBack, target.row_pad().div_ceil(32))
                } else {
                    (Kernel::NormColumnsBack, strips(target.columns))
                };
                let measured = self.grad_moments(slot, src, earlier);
                self.push_measured(kernel, params, &[measured], storage, [groups, 1, alive]);
            }
            Op::Activation { src, dst } => {
                let measured = self.grad_moments(slot, src, earlier);
                self.activation_back(slot, src, dst, measured, gradients);
            }
            Op::Add { skip, branch, dst } => {
                let grad = self.grad(slot, dst, gradients);
                let (old, skip) = self.target(slot, skip, gradients);
                let measured = self.grad_moments(slot, branch, earlier);
                let (_, branch) = self.target(slot, branch, gradients);
                let params = Params {
                    source_head: grad.head,
                    old_head: head(old),
                    branch_head: branch.head,
                    slots: slots(&[
                        (SLOT_SOURCE, Some(grad)),
                        (SLOT_OLD, old),
                        (SLOT_TARGET, Some(skip)),
                        (SLOT_BRANCH, Some(branch)),
                    ]),
                    ..self.params(&skip)
                };
                let storage = [grad.region, skip.region, branch.region].map(Bind::Region);
                let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage);
                let storage = storage.chain([Bind::Records, Bind::Histogram]).collect();
                let items = grad.row_pad().div_ceil(32);
                self.push_measured(Kernel::AddBack, params, &[measured], storage, [items, 1, alive]);
            }
            Op::Copy { src, dst } => {
                let grad = self.grad(slot, dst, gradients);
                let measured = self.grad_moments(slot, src, earlier);
                let (_, target) = self.target(slot, src, gradients);
                self.copy(grad, target, 0, alive, measured);
            }
        }
    }

    /// Backward of the activation, with the statistics of phi' and the path factors out of this layer's units.
    fn activation_back(
        &mut self,
        slot: LayerSlot,
        src: Slot,
        dst: Slot,
        measured: Option<(RowSlot, What)>,
        gradients: &mut Gradients,
    ) {
        let alive = self.alive_at(slot);
        let LayerSlot::Hidden(layer) = slot else { return };
        let (grad, u) = (self.grad(slot, dst, gradients), self.tensor(slot, src));
        let (old, target) = self.target(slot, src, gradients);
        let own = self.key().residual == Residual::PreAct;
        // pre_act: the paths run through this layer's own weights, else through the next layer's or the readout's.
        let next = match own {
            true => Some(*self.state(slot)),
            false if layer < self.deepest() => Some(*self.state(LayerSlot::Hidden(layer + 1))),
            false => None,
        };
        let readout = if own { None } else { self.has_readout().then(|| *self.state(LayerSlot::Readout)) };
        let dummy = u.region;
        let items = strips(target.columns);
        let params = Params {
            source_head: grad.head,
            other_head: u.head,
            weight_head: head(next.and_then(|s| s.weight)),
            bias_head: head(readout.and_then(|s| s.weight)),
            old_head: head(old),
            slots: slots(&[(SLOT_SOURCE, Some(grad)), (SLOT_OLD, old), (SLOT_TARGET, Some(target))]),
            // Under pre_act no network turns to the readout here.
            layer: if own { NONE } else { layer },
            path_layer: if own { layer } else { layer + 1 },
            path_stride: path_stride(self.key()),
            flags: FLAG_PATHS,
            ..self.params(&target)
        };
        let list = [Some((row_of(slot), What::Phi)), measured];
        let rows = [grad.region, u.region, target.region].map(Bind::Region);
        let rows = [Bind::Heads, Bind::Networks].into_iter().chain(rows).collect();
        self.push(Kernel::RowPowers, params, rows, [target.rows.div_ceil(32), 1, alive]);
        let storage = [grad.region, u.region, target.region].map(Bind::Region);
        let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage);
        let storage = storage.chain([Bind::PathColumns, Bind::Records, Bind::Histogram]).collect();
        self.push_measured(Kernel::ActivationBack, params, &list, storage, [items, 1, alive]);
        if self.wants(RecordMask::PATH_ABOVE_ONE) && self.selected(slot) {
            let weight = next.and_then(|s| s.weight);
            let readout = readout.and_then(|s| s.weight);
            let items = u.columns;
            let (record, record_stride) = self.ledger.record(row_of(slot), What::PathsAboveOne, items, 2, alive);
            let params = Params {
                flags: if own { FLAG_CENTRE } else { 0 },
                inner: weight.map_or(0, |w| w.rows),
                repeat_rows: weight.map_or(0, |w| w.row_pad()),
                readout_rows: readout.map_or(0, |w| w.rows),
                readout_row_pad: readout.map_or(0, |w| w.row_pad()),
                record,
                record_stride,
                ..params
            };
            let region = |w: Option<Tensor>| Bind::Region(w.map_or(dummy, |w| w.region));
            let storage = vec![
                Bind::Heads,
                Bind::Networks,
                Bind::Region(u.region),
                region(weight),
                region(readout),
                Bind::Records,
            ];
            self.push(Kernel::PathsAboveOne, params, storage, [items, 1, alive]);
        }
    }

    /// What dLoss/dW is formed from: under a batch norm that follows directly, h less its mean over the batch.
    fn centred(&mut self, slot: LayerSlot, src: Slot, h: Tensor) -> Tensor {
        let LayerSlot::Hidden(layer) = slot else { return h };
        if self.key().norm != Norm::Batch || self.key().residual == Residual::PreAct {
            return h;
        }
        // phi(u) may be a constant but for its last bits: where u is at hand, phi(u) - phi(0) comes of it.
        let below = LayerSlot::Hidden(layer - 1);
        let of_phi = |op: &Op| matches!(op, Op::Activation { dst: Slot::Act { back: 0 }, .. });
        let argument = match src {
            Slot::Act { back: 1 } if layer > 1 && self.ops(below).iter().any(of_phi) => self.state(below).phi_arg,
            _ => None,
        };
        let region = self.scratch("centred");
        let target = self.ledger.version(region, h.rows, h.columns);
        let source = argument.unwrap_or(h);
        let flags = if argument.is_some() { FLAG_ARGUMENT } else { 0 };
        let params = Params { source_head: source.head, flags, ..self.params(&target) };
        let storage = [source.region, target.region].map(Bind::Region);
        let storage = [Bind::Heads, Bind::Networks].into_iter().chain(storage).collect();
        self.push(Kernel::Centre, params, storage, [strips(h.columns), 1, self.alive_at(slot)]);
        target
    }

    /// Statistics of dLoss/dW.
    fn weight_grad(&mut self, slot: LayerSlot, delta: Tensor, source: Tensor) {
        let alive = self.alive_at(slot);
        let weight = self.state(slot).weight.expect("weights are drawn in the forward half");
        let params = Params {
            source_head: delta.head,
            other_head: source.head,
            weight_head: weight.head,
            target_head: NONE,
            slots: slots(&[(SLOT_SOURCE, Some(delta))]),
            inner: delta.row_pad(),
            ..self.params(&weight)
        };
        let bias = self.has_bias(slot).then_some((row_of(slot), What::Moments { quantity: Quantity::BiasGrad }));
        let list = [Some((row_of(slot), What::WeightGrad)), bias];
        let storage = vec![
            Bind::Heads,
            Bind::Region(delta.region),
            Bind::Region(source.region),
            Bind::Region(weight.region),
            Bind::Records,
            Bind::Histogram,
        ];
        self.push_product(Kernel::WeightGrad, params, &list, storage, alive);
    }
}
