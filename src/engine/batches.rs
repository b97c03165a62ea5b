//! The networks of a plan as batches, for whoever runs an engine without files: checks and clocks. A run forms its own
//! (`run/queue.rs`), because it goes on where an earlier one stopped.

use std::sync::Arc;

use super::{Batch, Engine, LayerSelection};
use crate::data;
use crate::network::Input;
use crate::plan::Plan;
use crate::program::ProgramKey;

/// A batch, and the plan index of each of its networks.
#[derive(Clone, Debug)]
pub struct PlannedBatch {
    pub batch: Arc<Batch>,
    pub members: Vec<u32>,
}

/// Every network of a plan, with all layers: chunk by chunk, in halves where one does not fit the engine's memory.
pub fn batches(plan: &Plan, engine: &dyn Engine) -> Vec<PlannedBatch> {
    let mut list = Vec::new();
    for chunk in &plan.chunks {
        cut(plan, engine, chunk.key, &plan.bucket_order[chunk.members.clone()], &mut list);
    }
    list
}

fn cut(plan: &Plan, engine: &dyn Engine, key: ProgramKey, members: &[u32], list: &mut Vec<PlannedBatch>) {
    let networks: Vec<_> = members.iter().map(|&i| plan.network(u64::from(i)).spec).collect();
    let depths: Vec<u32> = networks.iter().map(|n| n.depth).collect();
    if members.len() > 1 && engine.bytes(&key, &depths, plan.record.mask) > engine.info().memory_budget {
        let (first, second) = members.split_at(members.len() / 2);
        cut(plan, engine, key, first, list);
        return cut(plan, engine, key, second, list);
    }
    let of_data = networks.iter().any(|n| data::info(n.input).is_some());
    let dataset = if of_data { data::load(Input::Digits).map(Arc::new) } else { None };
    let (mask, layers) = (plan.record.mask, LayerSelection::All);
    let batch = Arc::new(Batch { key, networks, mask, layers, dataset, given: None });
    list.push(PlannedBatch { batch, members: members.to_vec() });
}
