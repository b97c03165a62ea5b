//! Every tensor of one network, collected for `dump` and for tests against other implementations.

use super::real::Real;
use super::tensor::Tensor;

/// A tensor with its name and shape. The true values are `data * 2^log2_scale`, and where samples lie too far apart for
/// one power of two, `data[b] * 2^(log2_scale + log2_row_scale[b])` for row b: see [`NamedTensor::log2_scale_at`].
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f64>,
    pub log2_scale: i32,
    /// What each row (sample) has on top; empty where all rows share `log2_scale`.
    pub log2_row_scale: Vec<i32>,
}

impl NamedTensor {
    /// The power of two of element `index` of `data`.
    pub fn log2_scale_at(&self, index: usize) -> i32 {
        let rows = &self.log2_row_scale;
        if rows.is_empty() { self.log2_scale } else { self.log2_scale + rows[index * rows.len() / self.data.len()] }
    }
}

/// Tensors in the order in which they were computed.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub tensors: Vec<NamedTensor>,
}

impl Trace {
    pub(super) fn push<T: Real>(&mut self, name: String, shape: &[usize], tensor: &Tensor<T>) {
        let data = tensor.data.iter().map(|v| v.to_f64()).collect();
        let (shape, log2_row_scale) = (shape.to_vec(), tensor.rows.clone());
        self.tensors.push(NamedTensor { name, shape, data, log2_scale: tensor.exponent, log2_row_scale });
    }
}
