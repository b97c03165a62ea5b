//! The dispatches of a batch, derived from the program's sections, blocks and ops: a pure function of key, depths, mask and
//! limits. Networks stand in order of falling depth, so that those alive at a layer are a prefix.

use super::describe::{Drawn, LayerSlot};
use super::kernels::{Kernel, Products, Tile};
use super::layout::{FLAG_HISTOGRAM, FLAG_MOMENTS, Params, SLOT_TARGET, SLOT_WORDS};
use super::memory::{MemoryLimits, Region};
use super::small::Small;
use super::small_layers::SmallPlan;
use super::tensors::{Ledger, RowSlot, Tensor, What, padded, slots};
use crate::engine::LayerSelection;
use crate::network::{Loss, Norm, Residual, bias_precedes_batch_norm};
use crate::program::{Op, Program, ProgramKey, Slot};
use crate::stats::{Quantity, RecordMask};

/// Words of a record of quantiles (`shaders/kernels/quantiles.wgsl`).
const QUANTILE_WORDS: u32 = 24;

/// A storage binding; shared buffers are placed after the schedule is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    Heads,
    Networks,
    Draws,
    Table,
    Records,
    Histogram,
    PathColumns,
    Region(Region),
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pub kernel: Kernel,
    pub tile: Tile,
    pub params: Params,
    pub storage: Vec<Bind>,
    pub groups: [u32; 3],
    /// Estimated work, to cut submissions by.
    pub flops: f64,
    /// Every tensor that is written up to here has its statistics: a compute pass may end.
    pub complete: bool,
}

/// What a schedule is built for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub key: &'a ProgramKey,
    /// Falling.
    pub depths: &'a [u32],
    pub mask: RecordMask,
    pub layers: &'a LayerSelection,
    pub limits: MemoryLimits,
    pub products: Products,
    pub small: Small,
    /// How some network's h is written depends on the whole of its u (`describe::rewrites`).
    pub rewrites: bool,
}

/// Everything that a batch does on the device.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub dispatches: Vec<Dispatch>,
    pub ledger: Ledger,
    /// Tensors that are drawn, with their draw index (the position here).
    pub drawn: Vec<(Drawn, Tensor, u32)>,
    /// Forward tensors that outlive the batch, for checks: the layer, its name and where it lies.
    pub forward: Vec<(LayerSlot, &'static str, Tensor)>,
    /// Class labels, [network, padded batch].
    pub labels: Option<Region>,
    pub heads: Region,
    pub networks: Region,
    pub draws: Region,
    pub records: Region,
    pub histogram: Region,
    /// Sums of |w| per column of every layer's weights, [layer, network, `path_stride`] of vec4.
    pub path_columns: Region,
}

/// Tensors of one layer that outlive it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LayerTensors {
    pub weight: Option<Tensor>,
    pub bias: Option<Tensor>,
    pub preact: Option<Tensor>,
    pub phi_arg: Option<Tensor>,
    pub phi: Option<Tensor>,
    /// One over the norm's deviations.
    pub inverse: Option<Region>,
}

/// A schedule in the making.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub request: Request<'a>,
    pub program: Program,
    pub ledger: Ledger,
    pub dispatches: Vec<Dispatch>,
    pub drawn: Vec<(Drawn, Tensor, u32)>,
    pub labels: Option<Region>,
    /// h_0 ..= h_L.
    pub acts: Vec<Tensor>,
    /// Index 1 ..= L, then the readout.
    pub layers: Vec<LayerTensors>,
    /// h_L of every network, gathered for the readout.
    pub final_act: Option<Tensor>,
    pub goal: Option<Tensor>,
    /// dLoss/dh_L of every network.
    pub final_grad: Tensor,
    /// Memory for tensors that are done with inside their layer, by purpose.
    pub scratch: Vec<(&'static str, Region)>,
    pub directions: Region,
    /// The layers that ran whole in a workgroup.
    pub small: Option<SmallPlan>,
}

impl Dispatch {
    /// Whether it fills histograms: a pipeline of its own, which has the memory for it.
    pub fn counts(&self) -> bool {
        self.params.flags & FLAG_HISTOGRAM != 0
    }
}

impl Schedule {
    pub fn new(request: Request<'_>) -> Self {
        let networks = request.depths.len() as u32;
        let mut builder = Builder::new(request);
        builder.forward();
        builder.backward();
        let forward = builder.forward_tensors();
        let Builder { mut ledger, dispatches, drawn, labels, request, .. } = builder;
        let count = u64::from(networks);
        let heads = ledger.words(u64::from(ledger.heads) * count * (size_of::<super::layout::Head>() as u64 / 4));
        let infos = ledger.words(count * (size_of::<super::layout::Network>() as u64 / 4));
        let draws = ledger.words(drawn.len() as u64 * count * (size_of::<super::layout::Draw>() as u64 / 4));
        let records = ledger.words(ledger.record_words);
        let slots = if request.mask.contains(RecordMask::QUANTILES) { HISTOGRAMS } else { 0 };
        let histogram = ledger.words(u64::from(slots) * count * u64::from(SLOT_WORDS));
        // Layers 0 to the deepest and the readout.
        let layers = u64::from(request.depths.first().copied().unwrap_or(0)) + 2;
        let path_columns = ledger.words(4 * layers * count * u64::from(path_stride(request.key)));
        Schedule {
            dispatches,
            ledger,
            drawn,
            forward,
            labels,
            heads,
            networks: infos,
            draws,
            records,
            histogram,
            path_columns,
        }
    }

    /// Device memory; `u64::MAX` where some tensor fits no binding.
    pub fn bytes(&self) -> u64 {
        self.ledger.slabs.bytes()
    }
}

/// Histograms that one dispatch fills: of what it writes, or of dW and db. They are read off before the next one counts.
const HISTOGRAMS: u32 = 2;

/// Places of a layer in `path_columns`.
pub(super) fn path_stride(key: &ProgramKey) -> u32 {
    padded(key.width.max(key.input_size))
}

impl<'a> Builder<'a> {
    fn new(request: Request<'a>) -> Self {
        let networks = request.depths.len() as u32;
        let key = request.key;
        let program = Program::new(*key);
        let deepest = request.depths.first().copied().unwrap_or(0);
        let mut ledger = Ledger::new(request.limits);
        let final_grad = ledger.gradient_words(key.batch_size, key.width, networks);
        let final_grad = ledger.gradient(final_grad, key.batch_size, key.width, None);
        let directions = ledger.words(u64::from(networks) * u64::from(padded(key.batch_size)) * 4);
        Builder {
            program,
            ledger,
            dispatches: Vec::new(),
            drawn: Vec::new(),
            labels: None,
            acts: Vec::new(),
            layers: vec![LayerTensors::default(); deepest as usize + 2],
            final_act: None,
            goal: None,
            final_grad,
            scratch: Vec::new(),
            directions,
            small: None,
            request,
        }
    }

    pub fn key(&self) -> &ProgramKey {
        self.request.key
    }
    pub fn networks(&self) -> u32 {
        self.request.depths.len() as u32
    }
    pub fn deepest(&self) -> u32 {
        self.request.depths.first().copied().unwrap_or(0)
    }
    /// Networks of at least this depth: a prefix.
    pub fn alive(&self, layer: u32) -> u32 {
        self.request.depths.partition_point(|&d| d >= layer) as u32
    }
    pub fn wants(&self, part: RecordMask) -> bool {
        self.request.mask.contains(part)
    }
    /// Whether the row of a layer is asked for; the readout's number differs, so its row always is.
    pub fn selected(&self, slot: LayerSlot) -> bool {
        match slot {
            LayerSlot::Hidden(layer) => self.request.layers.contains(layer),
            LayerSlot::Readout => true,
        }
    }
    pub fn alive_at(&self, slot: LayerSlot) -> u32 {
        match slot {
            LayerSlot::Hidden(layer) => self.alive(layer),
            LayerSlot::Readout => self.networks(),
        }
    }
    pub fn fan_in(&self, slot: LayerSlot) -> u32 {
        if slot == LayerSlot::Hidden(1) { self.key().input_size } else { self.key().width }
    }
    pub fn fan_out(&self, slot: LayerSlot) -> u32 {
        if slot == LayerSlot::Readout { self.key().output_size } else { self.key().width }
    }
    pub fn has_readout(&self) -> bool {
        self.key().loss.has_readout()
    }
    /// A bias exists unless batch norm follows directly (as `NetworkSpec::layer_has_bias`).
    pub fn has_bias(&self, slot: LayerSlot) -> bool {
        let key = self.key();
        let hidden = matches!(slot, LayerSlot::Hidden(_));
        key.bias && !(hidden && bias_precedes_batch_norm(key.norm, key.residual))
    }
    pub fn state(&mut self, slot: LayerSlot) -> &mut LayerTensors {
        let last = self.layers.len() - 1;
        match slot {
            LayerSlot::Hidden(layer) => &mut self.layers[layer as usize],
            LayerSlot::Readout => &mut self.layers[last],
        }
    }
    /// h_l and W_l of every layer, z_l where no norm follows it, and the prediction: what nothing overwrites.
    fn forward_tensors(&mut self) -> Vec<(LayerSlot, &'static str, Tensor)> {
        let mut list = Vec::new();
        let plain = self.key().norm == Norm::None && self.key().residual != Residual::PreAct;
        for layer in 1..=self.deepest() {
            let slot = LayerSlot::Hidden(layer);
            list.push((slot, "act", self.acts[layer as usize]));
            list.extend(self.state(slot).weight.map(|w| (slot, "weight", w)));
            list.extend(self.state(slot).preact.filter(|_| plain).map(|z| (slot, "preact", z)));
        }
        list.extend(self.state(LayerSlot::Readout).preact.map(|y| (LayerSlot::Readout, "preact", y)));
        list
    }

    /// The ops of a layer, in forward order.
    pub fn ops(&self, slot: LayerSlot) -> Vec<Op> {
        let deepest = self.deepest();
        let layer = slot.layer(deepest);
        self.program.block(layer, deepest).map(|b| b.ops.clone()).unwrap_or_default()
    }

    /// Memory for a tensor that is done with inside its layer.
    pub fn scratch(&mut self, name: &'static str) -> Region {
        if let Some((_, region)) = self.scratch.iter().find(|(n, _)| *n == name) {
            return *region;
        }
        let key = self.key();
        let widest = key.width.max(key.output_size).max(key.input_size);
        let (rows, networks) = (key.batch_size, self.networks());
        let region = self.ledger.gradient_words(rows, widest, networks);
        self.scratch.push((name, region));
        region
    }

    /// Parameters that every kernel reads, for a tensor that is written.
    pub fn params(&self, written: &Tensor) -> Params {
        Params {
            networks: self.networks(),
            rows: written.rows,
            columns: written.columns,
            row_pad: written.row_pad(),
            column_pad: written.column_pad(),
            target_head: written.head,
            repeat_rows: written.rows.max(1),
            slots: slots(&[(SLOT_TARGET, Some(*written))]),
            ..Params::default()
        }
    }

    /// Adds a dispatch over `networks` networks.
    pub fn push(&mut self, kernel: Kernel, params: Params, storage: Vec<Bind>, groups: [u32; 3]) {
        if groups.contains(&0) {
            return;
        }
        let elements = f64::from(params.row_pad) * f64::from(params.column_pad) * f64::from(groups[2]);
        let flops =
            elements * if kernel.row().inner_contiguous.is_some() { 2.0 * f64::from(params.inner) } else { 30.0 };
        self.dispatches.push(Dispatch { kernel, tile: Tile::Flat, params, storage, groups, flops, complete: false });
    }

    /// Every tensor that has been written has its statistics: the compute pass may end here.
    pub fn complete(&mut self) {
        if let Some(last) = self.dispatches.last_mut() {
            last.complete = true;
        }
    }

    /// Parameters with room for the records of a dispatch of `items` workgroups a network, side by side in each; a record of
    /// moments switches them on.
    pub fn with_records(
        &mut self,
        params: Params,
        list: &[Option<(RowSlot, What)>],
        items: u32,
        networks: u32,
    ) -> Params {
        if list.iter().all(Option::is_none) {
            return params;
        }
        let (record, record_stride) = self.ledger.records(list, items, networks);
        let moments = list.iter().any(|entry| matches!(entry, Some((_, What::Moments { .. }))));
        let flags = if moments { FLAG_MOMENTS } else { 0 };
        let flags = if self.counted(list).is_empty() { flags } else { flags | FLAG_HISTOGRAM };
        Params { record, record_stride, flags: params.flags | flags, ..params }
    }

    /// The tensors whose histograms a dispatch with these records fills, in the order of their slots.
    fn counted(&self, list: &[Option<(RowSlot, What)>]) -> Vec<(RowSlot, Quantity)> {
        if !self.wants(RecordMask::QUANTILES) {
            return Vec::new();
        }
        let counted = list.iter().flatten().filter_map(|&(row, what)| match what {
            What::Moments { quantity } => Some((row, quantity)),
            What::WeightGrad => Some((row, Quantity::WeightGrad)),
            _ => None,
        });
        counted.filter(|(row, _)| !matches!(row, RowSlot::Layer(l) if !self.request.layers.contains(*l))).collect()
    }

    /// Reads quantiles off the histograms that the last dispatch, with these records, has filled, and clears them.
    pub fn quantiles(&mut self, list: &[Option<(RowSlot, What)>], networks: u32) {
        let counted = self.counted(list);
        let expect = |&(row, quantity): &(RowSlot, Quantity)| {
            let what = What::Quantiles { quantity };
            self.ledger.record(row, what, 1, QUANTILE_WORDS, networks)
        };
        let records: Vec<(u32, u32)> = counted.iter().map(expect).collect();
        let Some(&(record, record_stride)) = records.first() else { return };
        let params = Params {
            networks: self.networks(),
            record,
            record_stride,
            other_record: records.last().map_or(0, |last| last.0 - record),
            ..Params::default()
        };
        let groups = [networks, records.len() as u32, 1];
        self.push(Kernel::Quantiles, params, vec![Bind::Histogram, Bind::Records], groups);
    }

    /// Adds a dispatch that measures what it writes: a record a workgroup for each entry of the list, and quantiles.
    pub fn push_measured(
        &mut self,
        kernel: Kernel,
        params: Params,
        list: &[Option<(RowSlot, What)>],
        storage: Vec<Bind>,
        groups: [u32; 3],
    ) {
        let params = self.with_records(params, list, groups[0] * groups[1], groups[2]);
        self.push(kernel, params, storage, groups);
        self.quantiles(list, groups[2]);
    }

    /// Adds a matrix product, with a record a tile for each entry of the list.
    pub fn push_product(
        &mut self,
        kernel: Kernel,
        params: Params,
        list: &[Option<(RowSlot, What)>],
        storage: Vec<Bind>,
        networks: u32,
    ) {
        let tile = self.request.products.tile(params.row_pad, params.column_pad);
        let groups = [tile.groups(params.row_pad, params.column_pad), 1, networks];
        let params = self.with_records(params, list, groups[0], networks);
        self.push(kernel, params, storage, groups);
        if let Some(last) = self.dispatches.last_mut() {
            last.tile = tile;
        }
        self.quantiles(list, networks);
    }

    /// The tensor in a slot, where it exists.
    pub fn tensor(&mut self, slot: LayerSlot, at: Slot) -> Tensor {
        let missing = "the program writes a slot before it reads it";
        match (at, slot) {
            (Slot::Act { back }, LayerSlot::Hidden(layer)) => self.acts[(layer - back) as usize],
            (Slot::Act { .. }, LayerSlot::Readout) => self.final_act.expect(missing),
            (Slot::Preact, _) => self.state(slot).preact.expect(missing),
            (Slot::PhiArg | Slot::FinalAct, _) => self.state(slot).phi_arg.expect(missing),
            (Slot::Phi, _) => self.state(slot).phi.expect(missing),
        }
    }

    /// Columns of a slot.
    pub fn columns(&self, slot: LayerSlot, at: Slot) -> u32 {
        match (at, slot) {
            (Slot::Act { back }, LayerSlot::Hidden(layer)) if layer == back => self.key().input_size,
            (Slot::Preact, _) => self.fan_out(slot),
            _ => self.key().width,
        }
    }

    /// The first pass of a cross-entropy needs labels, everything else a dense goal.
    pub fn has_labels(&self) -> bool {
        self.key().loss == Loss::CrossEntropy
    }
}

#[cfg(test)]
mod tests;
