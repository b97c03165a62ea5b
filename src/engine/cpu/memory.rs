//! What networks take of the machine's memory, by the shapes of their tensors: a price before anything is allocated, and
//! what there is to pay it with.

use crate::engine::Precision;
use crate::network::{Loss, NetworkSpec, Norm, Residual};
use crate::program::ProgramKey;
use crate::stats::Scaled;

/// Bytes that are available now; 8 GiB where the system does not say.
pub fn available() -> u64 {
    crate::engine::available_memory().unwrap_or(8 << 30)
}

fn element(precision: Precision) -> u64 {
    match precision {
        Precision::F32 => 4,
        Precision::F64 => 8,
    }
}

/// Bytes of a thread that runs a network of this depth: its data and its workspace.
pub fn of_network(key: &ProgramKey, depth: u32, precision: Precision) -> u64 {
    let element = element(precision);
    let [b, n, inputs, outputs, depth] =
        [key.batch_size, key.width, key.input_size, key.output_size, depth].map(u64::from);
    let target = if key.loss.has_readout() { outputs } else { n };
    // As it was drawn, in float32, and as the engine takes it.
    let data = b * (inputs + target) * (4 + element);
    let weights = n * inputs + (depth - 1) * n * n + n * outputs;
    // What the backward pass needs of a layer: h and phi'; u behind a norm; phi beside a sum.
    let kept = 2
        + u64::from(key.norm != Norm::None)
        + u64::from(key.residual != Residual::None)
        // What batch norm reads where a layer is nearly constant.
        + if key.norm == Norm::Batch { 2 } else { 0 };
    let layers = depth * kept * b * n;
    // dLoss/dW of the layer at hand, and in float64 its draws.
    let largest_weight = n * inputs.max(n).max(outputs);
    let weight_grad = largest_weight * element + if precision == Precision::F64 { 4 * largest_weight } else { 0 };
    // x and dLoss/dx; y, dLoss/dy and what the loss makes of them.
    let ends = b * (2 * inputs + 3 * outputs);
    let softmax = if key.loss == Loss::CrossEntropy { b * outputs * size_of::<Scaled>() as u64 } else { 0 };
    // Gradients on their way down, each with a buffer that another one had before.
    let gradients = 5 * b * n + 2 * b * inputs.max(n).max(outputs);
    data + (weights + layers + ends + gradients) * element + weight_grad + softmax
}

/// Bytes of all tensors of a network together ([`super::tensors`]): in float64 beside the pass that makes them, and after
/// that beside their encoded bytes and the file that joins these.
pub fn of_tensors(spec: &NetworkSpec, precision: Precision) -> u64 {
    let [b, n, inputs, outputs] = [spec.batch_size, spec.width, spec.input_size, spec.output_size].map(u64::from);
    let readout = if spec.loss.has_readout() { outputs } else { 0 };
    let weights = n * inputs + u64::from(spec.depth - 1) * n * n + n * readout;
    // z, h and their gradients; x and its gradient; y, its gradient and the target, or the cotangent.
    let samples = b * (4 * n * u64::from(spec.depth) + 2 * inputs + if readout > 0 { 3 * readout } else { n });
    let elements = 2 * weights + samples;
    let made = of_network(&ProgramKey::of(spec), spec.depth, precision) + elements * 8;
    made.max(elements * (8 + 2 * element(precision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_covers_what_was_measured_without_exaggeration() {
        let plain = NetworkSpec::plain;
        let wide = NetworkSpec { input_size: 4096, output_size: 4096, ..plain(2, 64, 1024) };
        // Peak resident bytes of a process that ran two such networks on one thread, less the 17 MiB of one that ran none.
        let measured = [
            (wide.clone(), Precision::F32, 132),
            (wide, Precision::F64, 233),
            (NetworkSpec { input_size: 4096, ..plain(2, 64, 1024) }, Precision::F32, 83),
            (plain(8, 512, 4096), Precision::F32, 185),
            (plain(8, 512, 4096), Precision::F64, 363),
            (NetworkSpec { norm: Norm::Layer, ..plain(12, 256, 2048) }, Precision::F32, 87),
            (NetworkSpec { residual: Residual::PostAct, ..plain(12, 256, 2048) }, Precision::F32, 89),
            (
                NetworkSpec { residual: Residual::PreAct, norm: Norm::Layer, ..plain(12, 256, 2048) },
                Precision::F32,
                113,
            ),
            (plain(3, 2048, 16), Precision::F32, 67),
        ];
        for (spec, precision, peak) in measured {
            let price = of_network(&ProgramKey::of(&spec), spec.depth, precision) as f64 / f64::from(peak << 20);
            assert!((0.95..1.6).contains(&price), "{price:.2} of the peak: {spec:?}");
        }
        // The same of `gradsweep dump`.
        for (precision, peak) in [(Precision::F32, 881), (Precision::F64, 1320)] {
            let price = of_tensors(&plain(6, 512, 4096), precision) as f64 / f64::from(peak << 20);
            assert!((0.95..1.2).contains(&price), "{price:.2} of the peak");
        }
    }
}
