//! The dispatches of small networks: two of a range of layers, `forward_small` and `backward_small`, and two that draw
//! its W and b, instead of about twelve a layer (`small.rs` says which networks). The readout, the loss, and layer 1 of
//! an input of another padded size are the other kernels'.

use super::describe::{Drawn, LayerSlot};
use super::forward::row_of;
use super::kernels::{Kernel, Tile};
use super::layout::{FLAG_COSINES, FLAG_MOMENTS, FLAG_PATHS, NONE, Params, RECORD_WORDS, draw_grid};
use super::memory::Region;
use super::schedule::{Bind, Builder, path_stride};
use super::small::{Range, ranges};
use super::tensors::{RowSlot, Tensor, What, padded, strips};
use crate::stats::{Quantity, RecordMask};

/// Words of a forward record, and of a backward one before the spread's.
const FORWARD_WORDS: u32 = 2 * RECORD_WORDS + 2 * COSINE_WORDS;
const BACKWARD_WORDS: u32 = 5 * RECORD_WORDS + COSINE_WORDS;
const COSINE_WORDS: u32 = 8;
const SPREAD_WORDS: u32 = 8;
/// The tensors of a range: [W | b | z | h], each [layer, network, ..].
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    range: Range,
    region: Region,
    /// Networks of every layer: those alive at the first.
    networks: u32,
    /// Word offsets.
    biases: u32,
    preacts: u32,
    acts: u32,
}

/// First heads of what has one a layer, from layer 0 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SmallHeads {
    weight: u32,
    bias: u32,
    preact: u32,
    act: u32,
    delta: u32,
    grad: u32,
}

/// What a schedule keeps of its small networks.
#[derive(Clone, Debug)]
pub(super) struct SmallPlan {
    lanes: u32,
    pub first: u32,
    heads: SmallHeads,
    stacks: Vec<Stack>,
}

impl Builder<'_> {
    /// Where the networks of a schedule are small: how they run. Layer 1 is left to the other kernels where the input has
    /// another padded size than the layers.
    pub(super) fn plan_small(&mut self) -> Option<SmallPlan> {
        let key = *self.key();
        let lanes = self.request.small.lanes(&key, self.request.mask)?;
        let deepest = self.deepest();
        let mut block = || {
            let first = self.ledger.heads;
            self.ledger.heads += deepest + 1;
            first
        };
        let heads =
            SmallHeads { weight: block(), bias: block(), preact: block(), act: block(), delta: block(), grad: block() };
        let first = if padded(key.input_size) == padded(key.width) { 1 } else { 2 };
        Some(SmallPlan { lanes, first, heads, stacks: Vec::new() })
    }

    /// The forward half of all layers from the plan's first on.
    pub(super) fn forward_small(&mut self, mut plan: SmallPlan) {
        for range in ranges(self.key(), plan.lanes, plan.first, self.deepest()) {
            let stack = self.stack(range, &plan.heads);
            self.draw_stack(&stack, &plan.heads);
            self.complete();
            self.run_forward(&stack, &plan);
            if let Some(gathered) = self.final_act {
                for layer in range.first..=range.last {
                    // The networks that end here hand their h_L to the readout.
                    let (first, alive) = (self.alive(layer + 1), self.alive(layer));
                    self.copy(self.acts[layer as usize], gathered, first, alive - first, None);
                }
            }
            self.complete();
            plan.stacks.push(stack);
        }
        self.small = Some(plan);
    }

    /// Memory of a range, and the tensors of its layers in it.
    fn stack(&mut self, range: Range, heads: &SmallHeads) -> Stack {
        let key = *self.key();
        let networks = self.alive(range.first);
        let (rows, columns) = (padded(key.batch_size), padded(key.width));
        let layers = u64::from(range.last - range.first + 1) * u64::from(networks);
        let sizes = [columns * columns, 8 * columns, rows * columns, rows * columns];
        let offset = |parts: usize| layers * sizes[..parts].iter().map(|&s| u64::from(s)).sum::<u64>();
        let region = self.ledger.words(offset(4));
        // Every part is whole blocks of 256 bytes. Beyond 2^32 words the region fits no binding, and the batch is refused.
        let place = |part: usize, layer: u32| Region {
            offset: region.offset
                + 4 * (offset(part) + u64::from(layer - range.first) * u64::from(networks) * u64::from(sizes[part])),
            size: 4 * u64::from(networks) * u64::from(sizes[part]),
            ..region
        };
        for layer in range.first..=range.last {
            let slot = LayerSlot::Hidden(layer);
            let (fan_in, bias) = (self.fan_in(slot), self.has_bias(slot));
            let tensor = |part: usize, rows: u32, columns: u32, head: u32| Tensor {
                region: place(part, layer),
                rows,
                columns,
                head: head + layer,
                slot: None,
            };
            let preact = tensor(2, key.batch_size, key.width, heads.preact);
            let act = tensor(3, key.batch_size, key.width, heads.act);
            let state = self.state(slot);
            state.weight = Some(tensor(0, key.width, fan_in, heads.weight));
            state.bias = bias.then(|| tensor(1, 1, key.width, heads.bias));
            (state.preact, state.phi_arg) = (Some(preact), Some(preact));
            self.acts.push(act);
        }
        Stack { range, region, networks, biases: offset(1) as u32, preacts: offset(2) as u32, acts: offset(3) as u32 }
    }

    /// Draws W, with its statistics, and b of a range's layers: a dispatch each, or two where the input has a size of its own.
    fn draw_stack(&mut self, stack: &Stack, heads: &SmallHeads) {
        let Range { first, last } = stack.range;
        let own = first == 1 && last > 1 && self.key().input_size != self.key().width;
        let parts = if own { vec![(1, 1), (2, last)] } else { vec![(first, last)] };
        for (first, last) in parts {
            let layers = last - first + 1;
            let slot = LayerSlot::Hidden(first);
            if let Some(bias) = self.state(slot).bias {
                let params = Params { draw: self.drawn.len() as u32, stacked: stack.networks, ..self.params(&bias) };
                let params = Params { target_head: heads.bias + first, repeat_rows: 1, ..params };
                for layer in first..=last {
                    let bias = self.state(LayerSlot::Hidden(layer)).bias.expect("all layers of a range have a bias");
                    self.drawn.push((Drawn::Bias(LayerSlot::Hidden(layer)), bias, self.alive(layer)));
                }
                let [across, _] = draw_grid((bias.stride() / 4) as u32);
                let region = self.stacked_region(stack, bias.region);
                let storage = [Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table, Bind::Records].into_iter();
                let storage = storage.chain([Bind::Region(region), Bind::Histogram]).collect();
                self.push(Kernel::Draw, params, storage, [across, layers, stack.networks]);
            }
            let weight = self.state(slot).weight.expect("a range's tensors exist");
            let items = strips(weight.columns);
            let stride = items * RECORD_WORDS;
            let record = self.ledger.reserve(layers * stride, stack.networks);
            let params = Params {
                draw: self.drawn.len() as u32,
                stacked: stack.networks,
                path_layer: first,
                path_stride: path_stride(self.key()),
                record,
                record_stride: stride,
                flags: FLAG_MOMENTS,
                ..self.params(&weight)
            };
            for layer in first..=last {
                let slot = LayerSlot::Hidden(layer);
                let weight = self.state(slot).weight.expect("a range's tensors exist");
                self.drawn.push((Drawn::Weight(slot), weight, self.alive(layer)));
                let what = What::Moments { quantity: Quantity::Weight };
                let offset = record + (layer - first) * stack.networks * stride;
                self.ledger.expect(row_of(slot), what, offset, stride, (items, RECORD_WORDS), self.alive(layer));
            }
            let region = self.stacked_region(stack, weight.region);
            let storage = [Bind::Heads, Bind::Networks, Bind::Draws, Bind::Table].into_iter();
            let last = [Bind::Region(region), Bind::PathColumns, Bind::Records, Bind::Histogram];
            let storage = storage.chain(last).collect();
            self.push(Kernel::DrawWeights, params, storage, [items, layers, stack.networks]);
        }
    }

    /// From a tensor of the stack on to the stack's end.
    fn stacked_region(&self, stack: &Stack, tensor: Region) -> Region {
        Region { size: stack.region.offset + stack.region.size - tensor.offset, ..tensor }
    }

    /// Parameters of a range's dispatch, whose records have so many words a layer and network.
    fn range_params(&mut self, stack: &Stack, heads: &SmallHeads, words: u32) -> Params {
        let Range { first, last } = stack.range;
        let layers = last - first + 1;
        let below = self.acts[first as usize - 1];
        let act = self.acts[first as usize];
        Params {
            layer: first,
            last_layer: last,
            stacked: stack.networks,
            source_columns: below.columns,
            source_head: below.head,
            weight_head: heads.weight + first,
            old_head: heads.preact + first,
            target_head: heads.act + first,
            biases: stack.biases,
            preacts: stack.preacts,
            acts: stack.acts,
            record: self.ledger.reserve(layers * words, stack.networks),
            record_stride: words,
            flags: if self.wants(RecordMask::COS) { FLAG_COSINES } else { 0 },
            slots: 0,
            ..self.params(&act)
        }
    }

    /// Expects words of a range's records: those at `word` of a layer's, for the row given.
    fn expect_small(
        &mut self,
        params: &Params,
        layer: u32,
        word: u32,
        (items, words): (u32, u32),
        row: RowSlot,
        what: What,
    ) {
        let offset = params.record + (layer - params.layer) * params.stacked * params.record_stride + word;
        let alive = self.alive(layer);
        self.ledger.expect(row, what, offset, params.record_stride, (items, words), alive);
    }

    fn push_small(&mut self, kernel: Kernel, params: Params, storage: Vec<Bind>, lanes: u32) {
        self.push(kernel, params, storage, [1, 1, params.stacked]);
        if let Some(last) = self.dispatches.last_mut() {
            let layers = f64::from(params.last_layer - params.layer + 1);
            last.tile = Tile::Columns(lanes);
            // One product forward, two backward, and what costs as much as fifteen multiply-adds an element.
            let products = if kernel == Kernel::ForwardSmall { 2.0 } else { 4.0 };
            last.flops *= layers * (products * f64::from(params.column_pad) + 30.0) / 30.0;
        }
    }

    fn run_forward(&mut self, stack: &Stack, plan: &SmallPlan) {
        let mut params = self.range_params(stack, &plan.heads, FORWARD_WORDS);
        let first = LayerSlot::Hidden(stack.range.first);
        params.bias_head = if self.has_bias(first) { plan.heads.bias + stack.range.first } else { NONE };
        for layer in stack.range.first..=stack.range.last {
            if !self.selected(LayerSlot::Hidden(layer)) {
                continue;
            }
            let row = RowSlot::Layer(layer);
            for (i, quantity) in [Quantity::Preact, Quantity::Act].into_iter().enumerate() {
                let i = i as u32;
                let moments = What::Moments { quantity };
                self.expect_small(&params, layer, i * RECORD_WORDS, (1, RECORD_WORDS), row, moments);
                if self.wants(RecordMask::COS) {
                    let word = 2 * RECORD_WORDS + i * COSINE_WORDS;
                    self.expect_small(&params, layer, word, (1, COSINE_WORDS), row, What::Cosines { quantity });
                }
            }
        }
        let below = self.acts[stack.range.first as usize - 1].region;
        let storage = [Bind::Heads, Bind::Networks].into_iter();
        let storage = storage.chain([stack.region, below].map(Bind::Region)).chain([Bind::Records]).collect();
        self.push_small(Kernel::ForwardSmall, params, storage, plan.lanes);
    }

    /// dLoss/dh of a layer, as the small kernels leave it.
    fn small_grad(&mut self, region: Region, layer: u32, heads: &SmallHeads) -> Tensor {
        let columns = if layer == 0 { self.key().input_size } else { self.key().width };
        Tensor { region, rows: self.key().batch_size, columns, head: heads.grad + layer, slot: Some(0) }
    }

    /// The backward half of the same layers; `region`: memory for dLoss/dh. Returns that below them.
    pub(super) fn backward_small(&mut self, plan: &SmallPlan, region: Region) -> Tensor {
        for stack in plan.stacks.iter().rev() {
            let Range { first, last } = stack.range;
            for layer in first..=last {
                // The networks that end here take dLoss/dh_L.
                let (next, alive) = (self.alive(layer + 1), self.alive(layer));
                let target = self.small_grad(region, layer, &plan.heads);
                self.copy(self.final_grad, target, next, alive - next, None);
            }
            self.run_backward(stack, plan, region);
            self.complete();
        }
        self.small_grad(region, plan.first - 1, &plan.heads)
    }

    fn run_backward(&mut self, stack: &Stack, plan: &SmallPlan, region: Region) {
        let Range { first, last } = stack.range;
        let samples = self.key().batch_size.div_ceil(32);
        let words = BACKWARD_WORDS + samples * SPREAD_WORDS;
        let mut params = self.range_params(stack, &plan.heads, words);
        let bias = self.has_bias(LayerSlot::Hidden(first));
        params.bias_head = plan.heads.delta + first;
        params.branch_head = plan.heads.grad + first - 1;
        params.path_stride = path_stride(self.key());
        params.flags |= if bias { FLAG_MOMENTS } else { 0 } | if self.has_readout() { FLAG_PATHS } else { 0 };
        for layer in first..=last {
            let row = RowSlot::Layer(layer);
            let moments = |quantity| What::Moments { quantity };
            // The product of |delta|^2 over layers needs every layer.
            let mut list = vec![(1, moments(Quantity::PreactGrad))];
            if self.selected(LayerSlot::Hidden(layer)) {
                list.extend([(0, What::Phi), (2, What::WeightGrad)]);
                list.extend(bias.then(|| (3, moments(Quantity::BiasGrad))));
                if self.wants(RecordMask::COS) {
                    let what = What::Cosines { quantity: Quantity::PreactGrad };
                    self.expect_small(&params, layer, 5 * RECORD_WORDS, (1, COSINE_WORDS), row, what);
                }
                self.expect_small(&params, layer, BACKWARD_WORDS, (samples, SPREAD_WORDS), row, What::Spread);
            }
            for (place, what) in list {
                self.expect_small(&params, layer, place * RECORD_WORDS, (1, RECORD_WORDS), row, what);
            }
            if self.selected(LayerSlot::Hidden(layer - 1)) {
                let (row, what) = (RowSlot::Layer(layer - 1), moments(Quantity::ActGrad));
                self.expect_small(&params, layer, 4 * RECORD_WORDS, (1, RECORD_WORDS), row, what);
            }
        }
        let below = self.acts[first as usize - 1].region;
        let delta = self.scratch("preact_grad");
        let storage = [Bind::Heads, Bind::Networks].into_iter();
        let storage = storage.chain([stack.region, below, region, delta].map(Bind::Region));
        let storage = storage.chain([Bind::PathColumns, Bind::Records]).collect();
        self.push_small(Kernel::BackwardSmall, params, storage, plan.lanes);
    }
}
