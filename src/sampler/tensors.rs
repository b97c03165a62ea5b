//! The tensors of a network that come before any arithmetic: weights, biases, inputs, targets and cotangents, as f32
//! values that every engine agrees on bit for bit. An engine that draws on its own device must reproduce these.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::philox::philox4x32_blocks;
use super::{
    NORMAL_SCALE_LOG2, TensorId, UNIFORM_SCALE_LOG2, below, normal, normal::normal_integers, orthogonal::orthogonal,
    truncated_integer, uniform_integer, words,
};
use crate::data::Dataset;
use crate::network::{BiasLaw, Input, Loss, NetworkSpec, Target, WeightLaw};

/// Power of two taken out of a tensor drawn at `scale`: the stored value is `x * 2^-e`. 0 for every scale within
/// 2^+-40, so ordinary tensors hold their true values; floor(log2 |scale|) outside, so that no scale under- or
/// overflows f32.
pub fn scale_exponent(scale: f64) -> i32 {
    if scale == 0.0 || (2f64.powi(-40)..=2f64.powi(40)).contains(&scale.abs()) { 0 } else { libm::ilogb(scale) }
}

/// fl32(scale * 2^-e).
pub fn stored_scale(scale: f64) -> f32 {
    libm::scalbn(scale, -scale_exponent(scale)) as f32
}

/// Elements that are drawn together: eight Philox blocks.
const DRAWS: usize = 32;

/// How random words become integers. A trait, because its functions can be forced inline into the caller's SIMD dispatch
/// and closures cannot.
trait Draw {
    fn integers(&self, words: &[u32; DRAWS]) -> [i32; DRAWS];
}

struct NormalDraw<'a>(&'a normal::Steps);
struct TruncatedDraw<'a>(&'a normal::Table);
struct UniformDraw;

impl Draw for NormalDraw<'_> {
    #[inline(always)]
    fn integers(&self, words: &[u32; DRAWS]) -> [i32; DRAWS] {
        normal_integers(words, self.0)
    }
}
impl Draw for TruncatedDraw<'_> {
    #[inline(always)]
    fn integers(&self, words: &[u32; DRAWS]) -> [i32; DRAWS] {
        std::array::from_fn(|i| truncated_integer(words[i], self.0))
    }
}
impl Draw for UniformDraw {
    #[inline(always)]
    fn integers(&self, words: &[u32; DRAWS]) -> [i32; DRAWS] {
        std::array::from_fn(|i| uniform_integer(words[i]))
    }
}

/// One tensor of a network, or the part of it from element `first` on, a multiple of [`DRAWS`].
#[derive(Clone, Copy)]
struct Place {
    seed: u64,
    tensor: TensorId,
    layer: u32,
    first: usize,
}

fn whole(spec: &NetworkSpec, tensor: TensorId, layer: u32) -> Place {
    Place { seed: spec.seed, tensor, layer, first: 0 }
}

/// Fills `out` (row-major) with the integer draws of one tensor, times `unit`. Inlined into the caller's SIMD dispatch.
#[inline(always)]
fn fill(out: &mut [f32], place: Place, unit: f32, draw: &impl Draw) {
    let Place { seed, tensor, layer, first } = place;
    let key = [seed as u32, (seed >> 32) as u32];
    for (group, part) in out.chunks_mut(DRAWS).enumerate() {
        let block = ((first + group * DRAWS) / 4) as u32;
        let blocks = philox4x32_blocks::<{ DRAWS / 4 }>([block, layer, tensor as u32, 0], key);
        let words = std::array::from_fn(|i| (blocks[i / 4][i / 2 % 2] >> (32 * (i % 2))) as u32);
        let integers = draw.integers(&words);
        if let Ok(whole) = <&mut [f32; DRAWS]>::try_from(&mut *part) {
            for (x, integer) in whole.iter_mut().zip(integers) {
                *x = integer as f32 * unit;
            }
        } else {
            for (x, integer) in part.iter_mut().zip(integers) {
                *x = integer as f32 * unit;
            }
        }
    }
}

/// Multiplies an f32 by 2^-k exactly (the results are normal numbers for every scale in use).
fn unit(scale: f32, k: i32) -> f32 {
    scale * 2f32.powi(-k)
}

#[inline(always)]
fn fill_normal(mut out: &mut [f32], mut place: Place, scale: f32) {
    let unit = unit(scale, NORMAL_SCALE_LOG2);
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        let Place { seed, tensor, layer, first } = place;
        let (counter, key) = ([(first / 4) as u32, layer, tensor as u32, 0], [seed as u32, (seed >> 32) as u32]);
        // SAFETY: the processor has the instructions.
        let filled = unsafe { avx512::fill_normal(out, counter, key, unit, &normal::STEPS) };
        out = &mut out[filled..];
        place.first += filled;
    }
    fill(out, place, unit, &NormalDraw(&normal::STEPS));
}

/// Fills `out` with W of `layer`, [fan_out, fan_in] row-major, and returns the exponent e: W = out * 2^e.
#[inline(always)]
pub fn fill_weight(spec: &NetworkSpec, layer: u32, out: &mut [f32]) -> i32 {
    assert_eq!(out.len(), (spec.fan_out(layer) * spec.fan_in(layer)) as usize, "the buffer holds the whole matrix");
    fill_weight_part(spec, layer, 0, out)
}

/// [`fill_weight`] for the elements from `first` on, a multiple of 32. Laws that are not elementwise fill the whole matrix.
#[inline(always)]
pub fn fill_weight_part(spec: &NetworkSpec, layer: u32, first: usize, out: &mut [f32]) -> i32 {
    let (rows, cols) = (spec.fan_out(layer) as usize, spec.fan_in(layer) as usize);
    let law = spec.weight_law(layer);
    assert!(first.is_multiple_of(DRAWS) && first + out.len() <= rows * cols, "a part of the matrix");
    assert!(law.is_elementwise() || out.len() == rows * cols, "the buffer holds the whole matrix");
    let scale = stored_scale(law.scale());
    let place = Place { seed: spec.seed, tensor: TensorId::Weight, layer, first };
    match law {
        WeightLaw::Normal { .. } => fill_normal(out, place, scale),
        WeightLaw::Uniform { .. } => fill(out, place, unit(scale, UNIFORM_SCALE_LOG2), &UniformDraw),
        WeightLaw::TruncatedNormal { .. } => {
            fill(out, place, unit(scale, NORMAL_SCALE_LOG2), &TruncatedDraw(&normal::TABLE));
        }
        WeightLaw::Orthogonal { .. } => {
            fill_normal(out, place, 1.0);
            let draws: Vec<f64> = out.iter().map(|&x| f64::from(x)).collect();
            for (x, q) in out.iter_mut().zip(orthogonal(&draws, rows, cols)) {
                *x = q as f32 * scale;
            }
        }
        WeightLaw::Diagonal { .. } => {
            out.fill(0.0);
            out.iter_mut().step_by(cols + 1).take(rows.min(cols)).for_each(|x| *x = scale);
        }
        WeightLaw::Constant { .. } => out.fill(scale),
    }
    scale_exponent(law.scale())
}

/// Fills `out` with b of `layer`, `[fan_out]`, and returns the exponent e: b = out * 2^e.
pub fn fill_bias(spec: &NetworkSpec, layer: u32, out: &mut [f32]) -> i32 {
    assert_eq!(out.len(), spec.fan_out(layer) as usize, "the buffer holds the whole bias");
    match spec.bias_law(layer) {
        BiasLaw::Zero => {
            out.fill(0.0);
            0
        }
        BiasLaw::Normal { std } => {
            fill_normal(out, whole(spec, TensorId::Bias, layer), stored_scale(std));
            scale_exponent(std)
        }
        BiasLaw::Uniform { bound } => {
            let scale = unit(stored_scale(bound), UNIFORM_SCALE_LOG2);
            fill(out, whole(spec, TensorId::Bias, layer), scale, &UniformDraw);
            scale_exponent(bound)
        }
    }
}

/// What a network sees: inputs, and either a target (mse: dense, cross_entropy: labels) or a cotangent.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkData<F = f32> {
    /// x, [batch, input_size].
    pub input: Vec<F>,
    pub target: TargetData<F>,
}

/// Where the backward pass starts.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetData<F = f32> {
    /// d, [batch, output_size], for `mse`.
    Dense(Vec<F>),
    /// Class indices, `[batch]`, for `cross_entropy`.
    Labels(Vec<u32>),
    /// dLoss/dh_L, [batch, width], for both cotangents.
    Cotangent(Vec<F>),
}

impl<F: Copy> NetworkData<F> {
    /// The same data in another float type; in place where that has the same size.
    pub fn map<G>(self, convert: impl Fn(F) -> G) -> NetworkData<G> {
        let all = |v: Vec<F>| v.into_iter().map(&convert).collect();
        let target = match self.target {
            TargetData::Dense(d) => TargetData::Dense(all(d)),
            TargetData::Labels(labels) => TargetData::Labels(labels),
            TargetData::Cotangent(g) => TargetData::Cotangent(all(g)),
        };
        NetworkData { input: all(self.input), target }
    }
}

/// Draws inputs and targets of `spec`, inlined into the caller's SIMD dispatch. `dataset` is required when the input is a
/// data set, and is of no account otherwise: it may be there for others of the batch.
#[inline(always)]
pub fn network_data(spec: &NetworkSpec, dataset: Option<&Dataset>) -> NetworkData {
    let dataset = dataset.filter(|_| spec.input == Input::Digits);
    let order: Vec<usize> = dataset.map_or_else(Vec::new, |set| {
        let rows = set.labels.len() as u32;
        (0..spec.batch_size).map(|b| permuted(spec.seed, 0, b, rows) as usize).collect()
    });
    let input = input(spec, dataset, &order);
    let target = target(spec, dataset, &order, &input);
    NetworkData { input, target }
}

#[inline(always)]
fn input(spec: &NetworkSpec, dataset: Option<&Dataset>, order: &[usize]) -> Vec<f32> {
    let n = spec.input_size as usize;
    let mut x = vec![0.0; spec.batch_size as usize * n];
    if let Some(set) = dataset {
        for (row, &source) in x.chunks_exact_mut(n).zip(order) {
            row.copy_from_slice(&set.features[source * n..(source + 1) * n]);
        }
        return x;
    }
    fill_normal(&mut x, whole(spec, TensorId::Input, 0), 1.0);
    match spec.input {
        Input::Gaussian | Input::Digits => {}
        Input::Sphere => {
            for row in x.chunks_exact_mut(n) {
                let square: f64 = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
                let scale = if square > 0.0 { (n as f64 / square).sqrt() } else { 0.0 };
                row.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
            }
        }
        Input::CorrelatedPairs => {
            let c = spec.input_param;
            let s = (1.0 - c * c).max(0.0).sqrt();
            for pair in x.chunks_exact_mut(2 * n) {
                let (a, b) = pair.split_at_mut(n);
                for (a, b) in a.iter().zip(b) {
                    *b = (c * f64::from(*a) + s * f64::from(*b)) as f32;
                }
            }
        }
    }
    x
}

#[inline(always)]
fn target(spec: &NetworkSpec, dataset: Option<&Dataset>, order: &[usize], input: &[f32]) -> TargetData {
    let (batch, width, outputs) = (spec.batch_size as usize, spec.width as usize, spec.output_size as usize);
    match spec.loss {
        Loss::Cotangent => {
            let mut g = vec![0.0; batch * width];
            fill_normal(&mut g, whole(spec, TensorId::Cotangent, 0), 1.0);
            return TargetData::Cotangent(g);
        }
        Loss::CotangentShared => {
            let mut g = vec![0.0; width];
            fill_normal(&mut g, whole(spec, TensorId::Cotangent, 0), 1.0);
            return TargetData::Cotangent(g.repeat(batch));
        }
        Loss::Mse | Loss::CrossEntropy => {}
    }
    let dense = match spec.target {
        Target::Zeros => vec![0.0; batch * outputs],
        Target::Gaussian => {
            let mut d = vec![0.0; batch * outputs];
            fill_normal(&mut d, whole(spec, TensorId::Target, 0), 1.0);
            d
        }
        Target::Teacher => teacher(spec, input),
        Target::Classes => {
            let labels: Vec<u32> = match dataset {
                Some(set) => order.iter().map(|&i| set.labels[i]).collect(),
                None => (0..spec.batch_size)
                    .map(|b| below(words(spec.seed, TensorId::Label, 0, 0, b / 4)[b as usize % 4], spec.output_size))
                    .collect(),
            };
            if spec.loss == Loss::CrossEntropy {
                return TargetData::Labels(labels);
            }
            let mut d = vec![0.0; batch * outputs];
            for (row, &label) in d.chunks_exact_mut(outputs).zip(&labels) {
                row[label as usize] = 1.0;
            }
            d
        }
    };
    if spec.loss == Loss::CrossEntropy {
        let argmax = |row: &[f32]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }) as u32;
        return TargetData::Labels(dense.chunks_exact(outputs).map(argmax).collect());
    }
    TargetData::Dense(dense)
}

/// d = T x with T ~ N(0, 1/input_size), summed in float64.
fn teacher(spec: &NetworkSpec, input: &[f32]) -> Vec<f32> {
    let (n, outputs) = (spec.input_size as usize, spec.output_size as usize);
    let mut t = vec![0.0; outputs * n];
    fill_normal(&mut t, whole(spec, TensorId::Teacher, 0), (1.0 / n as f64).sqrt() as f32);
    let mut d = Vec::with_capacity(spec.batch_size as usize * outputs);
    for x in input.chunks_exact(n) {
        d.extend(
            t.chunks_exact(n)
                .map(|row| row.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32),
        );
    }
    d
}

/// Element `index` of a keyed random permutation of 0..n: a four-round Feistel network on the next even number of
/// bits, walked along its cycle until the result is below n. O(1) expected, no table.
pub fn permuted(seed: u64, stream: u32, index: u32, n: u32) -> u32 {
    let half = (32 - n.max(2).saturating_sub(1).leading_zeros()).div_ceil(2);
    let mask = (1u32 << half) - 1;
    let mut x = index;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4 {
            let f = words(seed, TensorId::Order, round, stream, right)[0] & mask;
            (left, right) = (right, left ^ f);
        }
        x = left << half | right;
        if x < n {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_a_permutation_that_depends_on_the_key() {
        for n in [1, 2, 3, 10, 1797] {
            let mut seen: Vec<u32> = (0..n).map(|i| permuted(99, 0, i, n)).collect();
            seen.sort_unstable();
            assert!(seen.iter().enumerate().all(|(i, &v)| v == i as u32), "n = {n}");
        }
        assert_ne!(
            (0..20).map(|i| permuted(1, 0, i, 1797)).collect::<Vec<_>>(),
            (0..20).map(|i| permuted(2, 0, i, 1797)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_matrix_in_parts_is_the_whole_matrix() {
        use crate::network::{Init, InitKind};
        for kind in [InitKind::HeNormal, InitKind::XavierUniform, InitKind::TruncatedNormal, InitKind::Constant] {
            let init = Init { kind, param: 0.3, gain: 1.0, sigma_w: 1.0, sigma_b: None };
            let spec = NetworkSpec { init, ..NetworkSpec::plain(2, 37, 6) };
            let mut whole = vec![f32::NAN; 37 * 37];
            fill_weight(&spec, 2, &mut whole);
            let mut parts = vec![f32::NAN; 37 * 37];
            for (i, part) in parts.chunks_mut(5 * DRAWS).enumerate() {
                fill_weight_part(&spec, 2, i * 5 * DRAWS, part);
            }
            assert_eq!(whole, parts, "{kind:?}");
        }
    }

    #[test]
    fn a_data_set_for_others_of_the_batch_changes_nothing() {
        let set = crate::data::load(Input::Digits).expect("digits are part of the program");
        for input in [Input::Gaussian, Input::Sphere, Input::CorrelatedPairs] {
            for target in [Target::Zeros, Target::Gaussian, Target::Teacher, Target::Classes] {
                for loss in [Loss::Mse, Loss::CrossEntropy, Loss::Cotangent, Loss::CotangentShared] {
                    let spec = NetworkSpec { input, target, loss, input_size: 64, ..NetworkSpec::plain(2, 8, 6) };
                    assert_eq!(network_data(&spec, Some(&set)), network_data(&spec, None), "{spec:?}");
                }
            }
        }
    }

    #[test]
    fn ordinary_scales_are_stored_as_they_are() {
        assert_eq!(scale_exponent(0.125), 0);
        assert_eq!(scale_exponent(1e-31), -103);
        assert_eq!(scale_exponent(0.0), 0);
        let stored = f64::from(stored_scale(1e-300));
        assert!((1.0..2.0).contains(&stored));
    }
}
