//! Every tensor of one network, collected for `dump` and for tests against other implementations.

use super::real::Real;
use super::tensor::Tensor;

/// A tensor with its name and shape; the true values are `data * 2^log2_scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f64>,
    pub log2_scale: i32,
}

/// Tensors in the order in which they were computed.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub tensors: Vec<NamedTensor>,
}

impl Trace {
    pub(super) fn push<T: Real>(&mut self, name: String, shape: &[usize], tensor: &Tensor<T>) {
        let data = tensor.wide();
        self.tensors.push(NamedTensor { name, shape: shape.to_vec(), data, log2_scale: tensor.exponent });
    }
}
