//! An engine alone, against the clock: the batches of a plan without files or text, and the processor's own rate of
//! multiplying matrices.

use std::sync::{Arc, Barrier};
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::{Batch, Engine, EngineError, LayerSelection, NetworkResult, ResultSink};
use crate::data;
use crate::network::Input;
use crate::plan::Plan;
use crate::program::ProgramKey;

/// Every network of a plan, in batches that fit the engine's memory.
pub fn batches(plan: &Plan, engine: &dyn Engine) -> Vec<Arc<Batch>> {
    let mut list = Vec::new();
    for chunk in &plan.chunks {
        cut(plan, engine, chunk.key, &plan.bucket_order[chunk.members.clone()], &mut list);
    }
    list
}

fn cut(plan: &Plan, engine: &dyn Engine, key: ProgramKey, members: &[u32], list: &mut Vec<Arc<Batch>>) {
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
    list.push(Arc::new(Batch { key, networks, mask, layers, dataset, given: None }));
}

/// Takes results and drops them, but counts the networks that failed.
#[derive(Debug, Default)]
struct Failures(usize);

impl ResultSink for Failures {
    fn network(&mut self, result: NetworkResult) {
        self.0 += usize::from(result.error.is_some());
    }
}

/// Seconds that the batches take, two in flight.
pub fn seconds(engine: &mut dyn Engine, batches: &[Arc<Batch>]) -> Result<f64, EngineError> {
    let mut failures = Failures::default();
    let start = Instant::now();
    for (i, batch) in batches.iter().enumerate() {
        engine.submit(Arc::clone(batch))?;
        if i > 0 {
            engine.next(&mut failures)?;
        }
    }
    if !batches.is_empty() {
        engine.next(&mut failures)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    match failures.0 {
        0 => Ok(seconds),
        n => Err(EngineError::Failed(format!("{n} networks failed: their time says nothing"))),
    }
}

/// Floating point operations a second of `threads` threads at once, each multiplying 1024 x 1024 float32 matrices of its
/// own; the best of a few tries.
pub fn matrix_rate(threads: usize) -> f64 {
    const SIZE: usize = 1024;
    const TRIES: usize = 5;
    const REPEATS: usize = 2;
    let barrier = Barrier::new(threads);
    let work = || {
        let a = Mat::<f32>::from_fn(SIZE, SIZE, |i, j| (i + j) as f32 * 1e-3);
        let b = Mat::<f32>::from_fn(SIZE, SIZE, |i, j| (i * j % 7) as f32);
        let mut c = Mat::<f32>::zeros(SIZE, SIZE);
        let mut tries = [0.0; TRIES];
        for seconds in &mut tries {
            barrier.wait();
            let start = Instant::now();
            for _ in 0..REPEATS {
                matmul(c.as_mut(), Accum::Replace, a.as_ref(), b.as_ref(), 1.0, Par::Seq);
            }
            // Until the last thread is done.
            barrier.wait();
            *seconds = start.elapsed().as_secs_f64();
        }
        std::hint::black_box(c[(1, 1)]);
        tries
    };
    let tries = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        for other in others {
            // A panic of a thread is this thread's.
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        mine
    });
    let best = tries.into_iter().fold(f64::INFINITY, f64::min);
    (threads * REPEATS) as f64 * 2.0 * (SIZE as f64).powi(3) / best
}
