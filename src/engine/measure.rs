//! An engine alone, against the clock, without files or text, and the processor's own rate of multiplying matrices.

use std::sync::{Arc, Barrier};
use std::time::Instant;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use super::batches::PlannedBatch;
use super::{Engine, EngineError, NetworkResult, ResultSink};

/// Takes results and drops them, but counts the networks that failed.
#[derive(Debug, Default)]
struct Failures(usize);

impl ResultSink for Failures {
    fn network(&mut self, result: NetworkResult) {
        self.0 += usize::from(result.error.is_some());
    }
}

/// Seconds that the batches take, two in flight.
pub fn seconds(engine: &mut dyn Engine, batches: &[PlannedBatch]) -> Result<f64, EngineError> {
    let mut failures = Failures::default();
    let start = Instant::now();
    for (i, PlannedBatch { batch, .. }) in batches.iter().enumerate() {
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

/// Floating point operations a second of `threads` threads at once, each multiplying `size` x `size` float32 matrices of its
/// own; the best of a few tries. `clock` tells seconds: of the wall, or of the processor if there is one thread.
pub fn matrix_rate(threads: usize, size: usize, clock: impl Fn() -> f64 + Sync) -> f64 {
    const TRIES: usize = 5;
    /// Of one try.
    const FLOPS: f64 = 4e9;
    let flops = 2.0 * (size as f64).powi(3);
    let repeats = (FLOPS / flops).ceil() as usize;
    let barrier = Barrier::new(threads);
    let work = || {
        let a = Mat::<f32>::from_fn(size, size, |i, j| (i + j) as f32 * 1e-3);
        let b = Mat::<f32>::from_fn(size, size, |i, j| (i * j % 7) as f32);
        let mut c = Mat::<f32>::zeros(size, size);
        let mut tries = [0.0; TRIES];
        for seconds in &mut tries {
            barrier.wait();
            let start = clock();
            for _ in 0..repeats {
                matmul(c.as_mut(), Accum::Replace, a.as_ref(), b.as_ref(), 1.0, Par::Seq);
            }
            // Until the last thread is done.
            barrier.wait();
            *seconds = clock() - start;
        }
        std::hint::black_box(c[(0, 0)]);
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
    (threads * repeats) as f64 * flops / best
}
