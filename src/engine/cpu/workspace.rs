//! The buffers of one network in flight, reused from network to network so that the hot loop does not allocate.

use super::activate::PhiStats;
use super::kernels::UnitStats;
use super::norm::NormState;
use super::samples::Samples;
use super::tensor::Tensor;

/// State of one layer (index l; 0 is the input, depth + 1 the readout) that the backward pass needs.
#[derive(Clone, Debug, Default)]
pub struct Layer<T> {
    /// h_l, [batch, width] (x for l = 0).
    pub act: Tensor<T>,
    /// h_l and phi(u_l) less a constant, where the constant hides how samples differ (`deviation.rs`); else empty.
    pub act_rest: Tensor<T>,
    pub phi_rest: Tensor<T>,
    /// W_l, [fan_out, fan_in].
    pub weight: Tensor<T>,
    /// b_l, [fan_out]; empty where there is none.
    pub bias: Tensor<T>,
    /// Per input unit j of W_l, over outputs i.
    pub weight_units: UnitStats<T>,
    /// phi'(u_l).
    pub phi_grad: Tensor<T>,
    pub phi_stats: PhiStats<T>,
    /// phi(u_l), where it is not h_l.
    pub phi: Tensor<T>,
    /// u_l, where there is a norm; norm(h_L) in the readout's entry.
    pub phi_arg: Tensor<T>,
    pub norm: NormState<T>,
}

/// Everything a thread needs to run one network.
#[derive(Debug, Default)]
pub struct Workspace<T> {
    pub layers: Vec<Layer<T>>,
    /// dLoss/dh_l, empty until its first writer.
    pub act_grads: Vec<Tensor<T>>,
    /// z_l of the layer at hand.
    pub preact: Tensor<T>,
    /// W_l times the deviations of its input from their mean, on its way to batch norm; else empty.
    pub preact_rest: Tensor<T>,
    /// delta_l of the layer at hand.
    pub preact_grad: Tensor<T>,
    /// dLoss/du_l, dLoss/dphi_l, dLoss/dnorm(h_L).
    pub phi_arg_grad: Tensor<T>,
    pub phi_grad_in: Tensor<T>,
    pub final_grad: Tensor<T>,
    /// Tensors whose buffers wait for another use.
    pub spare: Vec<Tensor<T>>,
    /// dLoss/dW_l of the layer at hand.
    pub weight_grad: Tensor<T>,
    /// dLoss/db_l of the layer at hand.
    pub bias_grad: Vec<f64>,
    /// Sums of squares of a matrix's rows.
    pub squares: Vec<f64>,
    /// Statistics of samples that wait for another tensor.
    pub samples: Vec<Samples<T>>,
    /// Logarithms of the squares of delta's rows.
    pub logs: Vec<f64>,
    pub rows: [Vec<T>; 2],
    pub draws: Vec<f32>,
}
