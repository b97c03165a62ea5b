//! Runs one network forward and backward by its program and fills its records, with no knowledge of batches.

use pulp::Simd;

use super::activate::log2_floor;
use super::kernels::abs_max;
use super::loss;
use super::moments::{Accumulator, Detail, block_rows};
use super::real::Real;
use super::samples::{Pairs, Samples};
use super::team::Team;
use super::tensor::Tensor;
use super::trace::Trace;
use super::workspace::{Layer, Workspace};
use crate::engine::GivenTensors;
use crate::network::{Input, NetworkSpec};
use crate::program::{Program, Slot};
use crate::sampler::tensors::{NetworkData, TargetData, fill_bias, fill_weight_part, scale_exponent};
use crate::stats::{Count, Quantity, Record, RecordMask, Scaled, Sum};

/// Weights of one draw, a whole number of the sampler's groups: a third of a millisecond.
const DRAWN_TOGETHER: usize = 1 << 17;

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
    /// Who helps with what is large.
    pub team: &'a Team,
    pub workspace: &'a mut Workspace<T>,
    pub records: Vec<Record>,
    /// Statistics of delta, from the pass that wrote it.
    pub delta: Option<Samples<T>>,
    pub trace: Option<&'a mut Trace>,
    /// Weights and biases that replace the drawn ones.
    pub given: Option<&'a GivenTensors>,
}

/// A product's exponent: 2^t is the typical size of its stored elements if nothing is taken out.
pub(super) fn typical_product(parts: &[Option<i32>], terms: usize) -> i32 {
    let half_log = libm::ilogb((terms as f64).sqrt());
    parts.iter().copied().sum::<Option<i32>>().map_or(0, |s| s + half_log)
}

impl<T: Real, S: Simd> Runner<'_, T, S> {
    /// Forward and backward pass on `data`.
    pub fn run(mut self, data: &NetworkData<T>) -> Outcome {
        self.prepare(data);
        self.forward();
        if self.mask.contains(RecordMask::JACOBIAN) && self.spec.batch_size == 1 {
            self.jacobian();
        }
        let loss = self.start_backward(data);
        self.backward();
        Outcome { records: self.records, loss }
    }

    pub(super) fn batch(&self) -> usize {
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

    /// Makes room, and copies the input.
    fn prepare(&mut self, data: &NetworkData<T>) {
        let spec = self.spec;
        let rows = spec.rows() as usize;
        self.records = vec![Record::EMPTY; rows];
        if self.workspace.layers.len() < rows {
            self.workspace.layers.resize_with(rows, Layer::default);
        }
        let mut gradients = std::mem::take(&mut self.workspace.act_grads);
        gradients.drain(..).for_each(|gradient| self.recycle(gradient));
        gradients.resize_with(spec.depth as usize + 1, Tensor::default);
        self.workspace.act_grads = gradients;
        let mut input = std::mem::take(&mut self.workspace.layers[0].act);
        input.data.clear();
        input.data.extend_from_slice(&data.input);
        input.exponent = 0;
        input.rows.clear();
        self.recorded(0, Quantity::Act, spec.input_size as usize, &mut input);
        self.workspace.layers[0].act = input;
        self.workspace.layers[0].act_rest.resize(0);
    }

    /// Draws or copies W_l and b_l, with the statistics of W_l. Just before they are used, while they are in the cache.
    pub(super) fn weights(&mut self, layer: u32) {
        let (simd, spec) = (self.simd, self.spec);
        let (rows, columns) = (spec.fan_out(layer) as usize, spec.fan_in(layer) as usize);
        let mut state = std::mem::take(&mut self.workspace.layers[layer as usize]);
        let draws = &mut self.workspace.draws;
        let weight = &mut state.weight;
        let bias = &mut state.bias;
        let biased = spec.layer_has_bias(layer);
        if let Some(given) = self.given {
            let i = layer as usize - 1;
            weight.data.clear();
            weight.data.extend(given.weights[i].iter().map(|&v| T::from_f64(v)));
            weight.exponent = 0;
            bias.data.clear();
            bias.data.extend(given.biases[i].iter().filter(|_| biased).map(|&v| T::from_f64(v)));
            bias.exponent = 0;
        } else {
            weight.resize(rows * columns);
            let (team, law) = (self.team, spec.weight_law(layer));
            weight.exponent = T::fill(&mut weight.data, draws, |out| {
                let part = if law.is_elementwise() { DRAWN_TOGETHER } else { out.len() };
                team.each(out.chunks_mut(part).enumerate(), |(i, out)| {
                    T::dispatch(
                        simd,
                        #[inline(always)]
                        || fill_weight_part(spec, layer, i * part, out),
                    );
                });
                scale_exponent(law.scale())
            });
            bias.resize(if biased { rows } else { 0 });
            bias.exponent = if biased { T::fill(&mut bias.data, draws, |out| fill_bias(spec, layer, out)) } else { 0 };
        }
        bias.abs_max = abs_max(&bias.data);
        let mut acc = Accumulator::new(self.detail(Quantity::Weight));
        let squares = &mut self.workspace.squares;
        squares.clear();
        acc.matrix(self.team, simd, &weight.data, columns, None, squares);
        state.weight_units.matrix(self.team, simd, &weight.data, columns);
        weight.abs_max = acc.abs_max();
        let exponent = weight.exponent;
        self.record(layer).moments[Quantity::Weight as usize] = acc.finish(exponent);
        self.observe(layer, "weight", &[rows, columns], &state.weight);
        if biased {
            self.observe(layer, "bias", &[rows], &state.bias);
        }
        self.workspace.layers[layer as usize] = state;
    }

    /// Statistics of a tensor of samples, ready for its rows: the plain ones where it is no quantity, cosines where the
    /// quantity has them, and sums over samples where `sums` says of how many columns.
    pub(super) fn samples(&mut self, quantity: Option<Quantity>, sums: Option<usize>) -> Samples<T> {
        let mut samples = self.workspace.samples.pop().unwrap_or_default();
        let pairs = if self.spec.input == Input::CorrelatedPairs { Pairs::Adjacent } else { Pairs::All };
        let compared = quantity.is_some_and(|q| q != Quantity::ActGrad) && self.mask.contains(RecordMask::COS);
        let detail = quantity.map_or(Detail::PLAIN, |q| self.detail(q));
        samples.begin(detail, compared.then_some(pairs), sums);
        samples
    }

    /// Writes a tensor by `write(first element, block)` and takes its statistics, block by block while it is in the cache;
    /// gives it its maximum and rows that lie far apart exponents of their own.
    pub(super) fn write_samples(
        &mut self,
        columns: usize,
        tensor: &mut Tensor<T>,
        samples: &mut Samples<T>,
        mut write: impl FnMut(usize, &mut [T]),
    ) {
        let simd = self.simd;
        let block = block_rows(columns) * columns;
        T::dispatch(
            simd,
            #[inline(always)]
            || {
                for (i, x) in tensor.data.chunks_mut(block).enumerate() {
                    write(i * block, x);
                    samples.rows(simd, x, columns);
                }
            },
        );
        samples.reconcile(simd, tensor, columns);
    }

    /// [`Runner::write_samples`] of a tensor that is written already, and its record.
    pub(super) fn recorded(&mut self, layer: u32, quantity: Quantity, columns: usize, tensor: &mut Tensor<T>) {
        let mut samples = self.samples(Some(quantity), None);
        self.write_samples(columns, tensor, &mut samples, |_, _| ());
        self.record_samples(layer, quantity, samples, tensor.exponent);
    }

    /// Enters the statistics of a tensor stored at `exponent`.
    pub(super) fn record_samples(&mut self, layer: u32, quantity: Quantity, mut samples: Samples<T>, exponent: i32) {
        self.record(layer).moments[quantity as usize] = samples.moments.finish(exponent);
        if let Some((gap, count)) = samples.cosines() {
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
        self.discard(samples);
    }

    /// Keeps the buffers.
    pub(super) fn discard(&mut self, samples: Samples<T>) {
        self.workspace.samples.push(samples);
    }

    /// A tensor to be overwritten, with a buffer if one is to spare.
    pub(super) fn spare(&mut self) -> Tensor<T> {
        self.workspace.spare.pop().unwrap_or_default()
    }
    /// Keeps the buffer of a tensor that is done with: a few, because not every gradient starts in one of these.
    pub(super) fn recycle(&mut self, tensor: Tensor<T>) {
        if tensor.data.capacity() > 0 && self.workspace.spare.len() < 4 {
            self.workspace.spare.push(tensor);
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
    pub(super) fn columns(&self, layer: u32, slot: Slot) -> usize {
        let size = match slot {
            Slot::Act { back } if layer == back => self.spec.input_size,
            Slot::Preact => self.spec.fan_out(layer),
            _ => self.spec.width,
        };
        size as usize
    }

    /// Loss and the gradient that starts the backward pass.
    fn start_backward(&mut self, data: &NetworkData<T>) -> Scaled {
        let batch = self.batch();
        let mut start = self.spare();
        let depth = self.spec.depth as usize;
        let loss = match &data.target {
            TargetData::Dense(target) => loss::mse(&self.workspace.preact, target, batch, &mut start),
            TargetData::Labels(labels) => {
                loss::cross_entropy(&self.workspace.preact, labels, batch, log2_floor(self.spec.depth), &mut start)
            }
            TargetData::Cotangent(g) => {
                start.data.clear();
                start.data.extend_from_slice(g);
                start.exponent = 0;
                start.rows.clear();
                start.abs_max = abs_max(&start.data);
                self.workspace.act_grads[depth] = start;
                return Scaled::ABSENT;
            }
        };
        start.abs_max = abs_max(&start.data);
        start.normalise();
        self.workspace.preact_grad = start;
        loss
    }
}
