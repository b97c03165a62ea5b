//! How long a plan would take on the CPU engine: a few networks of the plan itself, run for a fraction of a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::data;
use crate::engine::{Batch, Engine, EngineError, LayerSelection};
use crate::network::NetworkSpec;
use crate::plan::Plan;
use crate::program::ProgramKey;

/// Networks that are run, each for an equal share of the plan's work.
const SAMPLES: u32 = 5;
/// Measuring ends with the sample that reaches this.
const LONGEST: Duration = Duration::from_millis(300);
/// Work of one core per sample, in floating point operations: some 10 to 30 ms.
const WORK: f64 = 3e8;
/// A single layer may take more, before the batch is cut as well.
const LAYER_WORK: f64 = 4e9;

/// Seconds that `engine`, the CPU engine, takes with all cores, by measurement. Text and files are not in it.
pub fn cpu_seconds(engine: &mut dyn Engine, plan: &Plan, cores: usize) -> Result<f64, EngineError> {
    let total = plan.total_flops();
    let start = Instant::now();
    let (mut seconds_per_flop, mut samples) = (0.0, 0.0);
    for i in 0..SAMPLES {
        let Some(spec) = network_at(plan, total * (f64::from(i) + 0.5) / f64::from(SAMPLES)) else { break };
        let spec = shortened(spec);
        let copies = cores * (WORK / spec.flops().max(1.0)).clamp(1.0, 64.0) as usize;
        if i == 0 {
            // Threads start, memory is fetched, clocks rise.
            run(engine, plan, &spec, cores)?;
        }
        let seconds = run(engine, plan, &spec, copies)?;
        seconds_per_flop += seconds / (spec.flops() * copies as f64);
        samples += 1.0;
        if start.elapsed() > LONGEST {
            break;
        }
    }
    Ok(total * seconds_per_flop / f64::max(samples, 1.0))
}

/// The network at which the work of the plan, in the order of its chunks, reaches `flops`.
fn network_at(plan: &Plan, flops: f64) -> Option<NetworkSpec> {
    let mut before = 0.0;
    let chunk = plan.chunks.iter().find(|chunk| {
        before += chunk.flops;
        before >= flops
    });
    let members = &chunk.or(plan.chunks.last())?.members;
    let index = plan.bucket_order[(members.start + members.end) / 2];
    Some(plan.network(index.into()).spec)
}

/// The network with fewer layers, and at need fewer samples, where it takes long. The work per layer stays what it is.
fn shortened(mut spec: NetworkSpec) -> NetworkSpec {
    let share = WORK / spec.flops();
    if share < 1.0 {
        spec.depth = ((f64::from(spec.depth) * share) as u32).max(1);
        spec.residual_every = spec.residual_every.min(spec.depth);
    }
    let share = LAYER_WORK / spec.flops();
    if share < 1.0 {
        // Even, for pairs of samples, and enough for every norm.
        spec.batch_size = ((f64::from(spec.batch_size) * share) as u32 / 2 * 2).clamp(4, spec.batch_size.max(4));
    }
    spec
}

/// Seconds for `copies` networks that differ in their seed.
fn run(engine: &mut dyn Engine, plan: &Plan, spec: &NetworkSpec, copies: usize) -> Result<f64, EngineError> {
    let networks = (0..copies as u64).map(|seed| NetworkSpec { seed, ..spec.clone() }).collect();
    let batch = Batch {
        key: ProgramKey::of(spec),
        networks,
        mask: plan.record.mask,
        layers: LayerSelection::All,
        dataset: data::load(spec.input).map(Arc::new),
        given: None,
    };
    let start = Instant::now();
    engine.submit(Arc::new(batch))?;
    engine.next(&mut Vec::new())?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_networks_are_shortened_and_stay_runnable() {
        for (depth, width, batch) in [(1, 4, 4), (64, 64, 64), (1024, 2048, 4096), (1, 2048, 3), (500, 1, 4096)] {
            let spec = NetworkSpec::plain(depth, width, batch);
            let short = shortened(spec.clone());
            assert!(short.flops() <= LAYER_WORK.min(spec.flops()) && short.depth >= 1 && short.batch_size >= 3);
            assert_eq!((short.width, short.input_size), (width, width));
            assert!(spec.flops() > WORK || short == spec);
        }
    }
}
