//! The vocabulary of networks: activations, initialisations, norms, residual forms, losses and inputs.
//! Every concept is a table with one row per word that a sweep file may use; consumers iterate the tables.
//! This module knows nothing of files, clocks, devices or engines.

pub mod activation;
pub mod init;
pub mod spec;
pub mod words;

pub use activation::{Activation, ActivationKind};
pub use init::{BiasLaw, Init, InitKind, WeightLaw};
pub use spec::{NetworkSpec, Training, bias_precedes_batch_norm};
pub use words::{Architecture, Input, Loss, Norm, Residual, Target};
