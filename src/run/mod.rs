//! The loop: plan x engine x store.

pub mod human;
