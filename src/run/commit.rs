//! The sink at work, on a thread of its own: while it waits for the disk, the next rows are formatted.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{Builder, Scope};

use super::Sink;
use crate::store::{NetworkRows, StoreError, Tally};

/// Chunks that wait for their turn: none beside the one that was formatted meanwhile, so that few are in memory.
const WAITING: usize = 0;

/// The rows of one chunk, in the order of its members.
pub struct Formatted {
    pub chunk: u32,
    pub fingerprint: Arc<str>,
    pub rows: Vec<NetworkRows>,
    pub tally: Tally,
}

/// Hands chunks to the sink and hears what became of them.
pub struct Committer {
    chunks: SyncSender<Formatted>,
    outcomes: Receiver<Result<Tally, StoreError>>,
}

impl Committer {
    /// Starts the thread. It makes the sink ready first.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        sink: &'scope mut (dyn Sink + Send),
    ) -> io::Result<Committer> {
        let (chunks, waiting) = mpsc::sync_channel::<Formatted>(WAITING);
        let (told, outcomes) = mpsc::channel();
        let work = move || {
            let mut outcome = sink.ready().map(|()| Tally::default());
            loop {
                let failed = outcome.is_err();
                // Nobody listens once the run is over.
                if told.send(outcome).is_err() || failed {
                    return;
                }
                let Ok(Formatted { chunk, fingerprint, rows, tally }) = waiting.recv() else { return };
                outcome = sink.commit(chunk, &fingerprint, &rows, tally.clone()).map(|()| tally);
            }
        };
        Builder::new().name("commit".to_string()).spawn_scoped(scope, work)?;
        Ok(Committer { chunks, outcomes })
    }

    /// Hands a chunk over, as soon as the one before it has been taken. A sink that has failed takes none, which
    /// [`Committer::hear`] tells.
    pub fn hand_over(&self, chunk: Formatted) {
        let _ = self.chunks.send(chunk);
    }

    /// Adds what has been committed since the last call.
    pub fn hear(&self, total: &mut Tally) -> Result<(), StoreError> {
        self.outcomes.try_iter().try_for_each(|outcome| outcome.map(|tally| total.add(&tally)))
    }

    /// Waits until everything that was handed over is committed, and adds it.
    pub fn finish(self, total: &mut Tally) -> Result<(), StoreError> {
        drop(self.chunks);
        self.outcomes.iter().try_for_each(|outcome| outcome.map(|tally| total.add(&tally)))
    }
}
