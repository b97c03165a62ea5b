//! Threads that work on one network together, where networks are few and large. Tensors are cut into blocks whose sizes
//! depend on shapes alone, so that no number depends on how many threads there are or on which of them is free.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;

/// What the networks of an engine know of each other: whether threads are idle.
#[derive(Debug)]
pub struct Team {
    threads: usize,
    /// Networks that were submitted and are not finished.
    unfinished: AtomicUsize,
    /// Started when they are first needed. Apart from the threads that run networks: while one of those waited for its
    /// blocks, it would begin another network.
    helpers: OnceLock<Option<ThreadPool>>,
}

impl Team {
    pub fn new(threads: usize) -> Self {
        Team { threads, unfinished: AtomicUsize::new(0), helpers: OnceLock::new() }
    }

    /// So many networks were submitted.
    pub fn begin(&self, networks: usize) {
        self.unfinished.fetch_add(networks, Ordering::Relaxed);
    }

    /// One of them is finished.
    pub fn end(&self) {
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
    }

    /// Threads to share work with, if networks alone leave some idle.
    fn helpers(&self) -> Option<&ThreadPool> {
        if self.unfinished.load(Ordering::Relaxed) >= self.threads {
            return None;
        }
        let start = || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
            // Without them the work is done all the same.
            pool.thread_name(|i| format!("block-{i}")).build().ok()
        };
        self.helpers.get_or_init(start).as_ref()
    }

    /// Does the work of every block, in any order.
    pub fn each<B: Send>(&self, blocks: impl ExactSizeIterator<Item = B>, work: impl Fn(B) + Sync + Send) {
        let helpers = if blocks.len() > 1 { self.helpers() } else { None };
        match helpers {
            Some(pool) => {
                let blocks: Vec<B> = blocks.collect();
                pool.install(|| blocks.into_par_iter().with_max_len(1).for_each(work));
            }
            None => blocks.for_each(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_worked_on_once_whether_threads_are_idle_or_not() {
        for (threads, networks) in [(1, 0), (3, 1), (3, 3), (2, 7)] {
            let team = Team::new(threads);
            team.begin(networks);
            let mut values = vec![0u32; 1000];
            team.each(values.chunks_mut(7).enumerate(), |(i, block)| {
                block.iter_mut().for_each(|v| *v += i as u32 + 1);
            });
            assert!(values.iter().enumerate().all(|(at, v)| *v == at as u32 / 7 + 1));
            assert_eq!(team.helpers.get().is_some(), networks < threads, "{threads} threads, {networks} networks");
            (0..networks).for_each(|_| team.end());
        }
    }
}
