//! Mean-field theory of random networks: what the gradients of a network should be before it is run. Pure float64
//! mathematics over the activation table; it knows nothing of engines, and nothing of files.

pub mod correlation;
pub mod critical;
pub mod expectation;
pub mod mean_field;
pub mod quadrature;
mod root;

pub use critical::{CriticalPoint, critical};
pub use mean_field::{MeanField, Phase, chi, mean_field, next_variance};
