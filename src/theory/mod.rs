//! Mean-field theory of random networks: what the gradients of a network should be before it is run. Pure float64
//! mathematics over the activation table; it knows nothing of engines, and nothing of files.

mod aligned;
pub mod batch_norm;
pub mod columns;
pub mod correlation;
pub mod critical;
pub mod expectation;
pub mod finite_width;
#[cfg(test)]
mod grid;
mod inputs;
pub mod mean_field;
mod plain;
pub mod predict;
pub mod quadrature;
mod reach;
pub mod recursion;
mod root;
mod sample_norm;
#[cfg(test)]
mod simulation;
pub mod tabulated;
mod top_gradient;

pub use critical::{CriticalPoint, critical};
pub use mean_field::{MeanField, Phase, chi, mean_field, next_variance};
pub use predict::{Known, Prediction, predict};
