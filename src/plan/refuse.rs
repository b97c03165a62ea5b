//! Combinations of keys that make no network, with the reason.

use crate::config::Key;
use crate::data;
use crate::network::{Input, Loss, NetworkSpec, Norm, Target};

/// Why a combination is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The keys that clash; the message points at the first one that the file gives.
    pub keys: &'static [Key],
    pub reason: String,
}

/// Below this, the exact gradient of the norm is 0 up to eps.
fn smallest(norm: Norm) -> u32 {
    match norm {
        Norm::None => 1,
        Norm::Rms => 2,
        Norm::Batch | Norm::Layer => 3,
    }
}

/// The first reason against a network.
pub fn refuse(spec: &NetworkSpec) -> Option<Refusal> {
    let refusal = |keys: &'static [Key], reason: String| Some(Refusal { keys, reason });
    let least = smallest(spec.norm);
    if spec.norm == Norm::Batch && spec.batch_size < least {
        let reason =
            format!("batch norm needs a batch_size of {least} or more: below, its exact gradient is 0 up to eps");
        return refusal(&[Key::BatchSize, Key::Norm], reason);
    }
    if spec.norm != Norm::Batch && spec.width < least {
        let name = spec.norm.name();
        let reason = format!("{name} norm needs a width of {least} or more: below, its exact gradient is 0 up to eps");
        return refusal(&[Key::Width, Key::Norm], reason);
    }
    if spec.input == Input::CorrelatedPairs && !spec.batch_size.is_multiple_of(2) {
        let reason = "input `correlated_pairs` needs an even batch_size: samples come in pairs".to_string();
        return refusal(&[Key::BatchSize, Key::Input], reason);
    }
    if let Some(set) = data::info(spec.input)
        && spec.batch_size > set.rows
    {
        let (name, rows) = (spec.input.name(), set.rows);
        let reason = format!("data set `{name}` has {rows} rows, fewer than the batch_size: use {rows} or less");
        return refusal(&[Key::BatchSize, Key::Input], reason);
    }
    if spec.loss == Loss::CrossEntropy {
        if matches!(spec.target, Target::Gaussian | Target::Zeros) {
            let name = spec.target.name();
            let reason =
                format!("cross_entropy compares with classes, and target `{name}` has none: use classes or teacher");
            return refusal(&[Key::Target, Key::Loss], reason);
        }
        if spec.output_size < 2 {
            let reason = "cross_entropy needs an output_size of 2 or more: with one class its gradient is exactly 0";
            return refusal(&[Key::OutputSize, Key::Loss], reason.to_string());
        }
    }
    None
}
