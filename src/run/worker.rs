//! One engine at work, on its own thread: takes work from the queue, keeps two batches in flight, sends results on.
//! After a lost device or a lack of memory it opens the engine again, takes smaller batches and goes on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use super::queue::{Limits, Queue, Work, split};
use crate::data::{self, Dataset};
use crate::engine::{Batch, Engine, EngineError, LayerSelection, NetworkResult, ResultSink};
use crate::plan::{Plan, PlannedNetwork};

/// Batches submitted and not yet finished, unless an engine asks for more.
const IN_FLIGHT: usize = 2;
/// Failures in a row, without a finished batch between them, after which an engine gives up.
const ATTEMPTS: u32 = 4;

/// Makes an engine again after it was lost.
pub type Reopen = Box<dyn Fn() -> Result<Box<dyn Engine>, EngineError> + Send>;

/// An engine and the way to get it back.
pub struct Station {
    pub engine: Box<dyn Engine>,
    pub reopen: Reopen,
}

/// What all engines share.
pub struct Shared {
    pub plan: Arc<Plan>,
    pub layers: LayerSelection,
    /// Loaded by the first network that wants it.
    pub dataset: OnceLock<Option<Arc<Dataset>>>,
    pub queue: Queue,
    pub stop: AtomicBool,
    pub done: Done,
}

/// What engines have finished, committed or not.
#[derive(Default)]
pub struct Done {
    networks: AtomicU64,
    /// The bits of an f64: the networks of a sweep may have a few operations each, or more than 2^64 together.
    flops: AtomicU64,
}

impl Done {
    pub fn networks(&self) -> u64 {
        self.networks.load(Ordering::Relaxed)
    }

    pub fn flops(&self) -> f64 {
        f64::from_bits(self.flops.load(Ordering::Relaxed))
    }

    fn add(&self, networks: u64, flops: f64) {
        self.networks.fetch_add(networks, Ordering::Relaxed);
        self.change_flops(flops);
    }

    fn take_back(&self, networks: u64, flops: f64) {
        self.networks.fetch_sub(networks, Ordering::Relaxed);
        self.change_flops(-flops);
    }

    fn change_flops(&self, by: f64) {
        let changed = |bits| Some((f64::from_bits(bits) + by).to_bits());
        let _ = self.flops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

impl Shared {
    /// The data set, where one of these networks wants it.
    fn dataset_of(&self, networks: &[PlannedNetwork]) -> Option<Arc<Dataset>> {
        let input = networks.iter().map(|n| n.spec.input).find(|&input| data::info(input).is_some())?;
        self.dataset.get_or_init(|| data::load(input).map(Arc::new)).clone()
    }
}

/// Networks of one chunk, run: all of them, or those that came together. After a lost device some come twice.
pub struct Finished {
    pub chunk: u32,
    pub networks: Vec<(PlannedNetwork, NetworkResult)>,
    pub fingerprint: Arc<str>,
}

/// What an engine's thread says.
pub enum Message {
    Finished(Vec<Finished>),
    /// Something to tell the user: the engine goes on.
    Note(String),
    Failed(EngineError),
    /// Nothing is left to do.
    Idle,
}

struct Flight {
    work: Work,
    batch: Arc<Batch>,
    /// By slot; taken when its result is sent on.
    networks: Vec<Option<PlannedNetwork>>,
}

/// Runs until the queue is empty, the run stops, or nobody listens any more.
pub fn drive(mut station: Station, shared: &Shared, messages: &SyncSender<Message>) {
    let outcome =
        Worker { shared, messages, station: &mut station, backlog: VecDeque::new(), shrink: 1.0, share: 1.0 }.run();
    let _ = messages.send(match outcome {
        Ok(()) => Message::Idle,
        Err(error) => Message::Failed(error),
    });
}

struct Worker<'a> {
    shared: &'a Shared,
    messages: &'a SyncSender<Message>,
    station: &'a mut Station,
    /// Work taken from the queue and not yet submitted.
    backlog: VecDeque<Work>,
    /// Part of the engine's memory that batches may take.
    shrink: f64,
    /// Part of a chunk's networks that a batch may take.
    share: f64,
}

impl Worker<'_> {
    fn run(&mut self) -> Result<(), EngineError> {
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut failures = 0;
        loop {
            let turn = self.turn(&mut flights);
            match turn {
                Ok(true) => failures = 0,
                Ok(false) => return Ok(()),
                Err(error) => {
                    failures += 1;
                    let lost = matches!(error, EngineError::DeviceLost(_) | EngineError::OutOfMemory(_));
                    if !lost || failures >= ATTEMPTS {
                        return Err(error);
                    }
                    self.recover(error, &mut flights)?;
                }
            }
        }
    }

    /// Submits as much as may be in flight and finishes one batch. False when there is nothing left to do.
    fn turn(&mut self, flights: &mut VecDeque<Flight>) -> Result<bool, EngineError> {
        let shared = self.shared;
        while !shared.stop.load(Ordering::Relaxed) && self.wants_more(flights) {
            let Some(work) = self.next_work() else { break };
            let plan = &shared.plan;
            let mut decoder = plan.decoder();
            let networks: Vec<PlannedNetwork> =
                work.members().map(|at| decoder.network(u64::from(plan.bucket_order[at]))).collect();
            let batch = Arc::new(Batch {
                key: work.key,
                networks: networks.iter().map(|n| n.spec.clone()).collect(),
                mask: plan.record.mask,
                layers: shared.layers.clone(),
                dataset: shared.dataset_of(&networks),
                given: None,
            });
            // Entered before the submission, so that a failure gives the work back.
            let networks = networks.into_iter().map(Some).collect();
            flights.push_back(Flight { work, batch: Arc::clone(&batch), networks });
            self.station.engine.submit(batch)?;
        }
        let Some(flight) = flights.front_mut() else { return Ok(false) };
        let fingerprint = self.station.engine.info().fingerprint.as_str().into();
        let waiting = Vec::new();
        let mut sink =
            Collect { flight, waiting, shared, messages: self.messages, fingerprint, counted: (0, 0.0), heard: true };
        let outcome = self.station.engine.next(&mut sink);
        sink.flush();
        let (counted, heard) = (sink.counted, sink.heard);
        if let Err(error) = outcome {
            // These networks will run, and count, again.
            shared.done.take_back(counted.0, counted.1);
            return Err(error);
        }
        if let Some(left) = flight.networks.iter().flatten().next() {
            let message = format!("the engine returned no result for network {}", left.network_id);
            return Err(EngineError::Failed(message));
        }
        flights.pop_front();
        Ok(heard)
    }

    /// Whether another batch should go into flight. Beyond two, all of them together stay within the memory of one.
    fn wants_more(&self, flights: &VecDeque<Flight>) -> bool {
        let engine = &*self.station.engine;
        let networks: usize = flights.iter().map(|f| f.networks.len()).sum();
        if flights.len() < IN_FLIGHT || networks >= engine.parallel_networks() {
            return flights.len() < IN_FLIGHT;
        }
        let bytes = |flight: &Flight| {
            let depths: Vec<u32> = flight.batch.networks.iter().map(|spec| spec.depth).collect();
            engine.bytes(&flight.work.key, &depths, self.shared.plan.record.mask)
        };
        // The next batch may be as large as the largest so far.
        let largest = flights.iter().map(bytes).max().unwrap_or(0);
        flights.iter().map(bytes).sum::<u64>() + largest <= self.limits(engine).bytes
    }

    fn next_work(&mut self) -> Option<Work> {
        if self.backlog.is_empty() {
            let plan = &self.shared.plan;
            let engine = &*self.station.engine;
            let limits = self.limits(engine);
            self.backlog = self.shared.queue.take(plan, &|at| depth(plan, at), engine, limits).into();
        }
        self.backlog.pop_front()
    }

    fn limits(&self, engine: &dyn Engine) -> Limits {
        let info = engine.info();
        Limits {
            bytes: (info.memory_budget as f64 * self.shrink) as u64,
            flops: info.batch_flops * self.share,
            rows: info.batch_rows,
            share: self.share,
        }
    }

    fn recover(&mut self, error: EngineError, flights: &mut VecDeque<Flight>) -> Result<(), EngineError> {
        for flight in flights.drain(..).rev() {
            self.backlog.push_front(flight.work);
        }
        let reopened = (self.station.reopen)();
        self.station.engine = match reopened {
            Ok(engine) => engine,
            Err(_) => return Err(error),
        };
        let mut note = format!("{error}; opened the device again");
        match error {
            EngineError::OutOfMemory(_) => {
                self.shrink *= 0.5;
                note.push_str(" and halved the batches");
            }
            // A driver that resets a device has perhaps found it busy for too long.
            EngineError::DeviceLost(_) => {
                self.share *= 0.25;
                note.push_str(" with batches of a quarter");
            }
            _ => {}
        }
        let plan = &self.shared.plan;
        let engine = &*self.station.engine;
        let limits = self.limits(engine);
        let works = std::mem::take(&mut self.backlog);
        self.backlog = works
            .into_iter()
            .flat_map(|work| split(work, &|at| depth(plan, at), engine, limits, plan.record.mask))
            .collect();
        let _ = self.messages.send(Message::Note(note));
        Ok(())
    }
}

fn depth(plan: &Plan, at: usize) -> u32 {
    plan.depth(u64::from(plan.bucket_order[at]))
}

/// Counts results as they come, and sends them on whenever the engine says that more will take a while: rows are
/// formatted and written while the engine goes on.
struct Collect<'a> {
    flight: &'a mut Flight,
    /// What came since the last message.
    waiting: Vec<NetworkResult>,
    shared: &'a Shared,
    messages: &'a SyncSender<Message>,
    fingerprint: Arc<str>,
    /// Networks and floating point operations counted so far.
    counted: (u64, f64),
    /// False when the run is over and nobody listens.
    heard: bool,
}

impl ResultSink for Collect<'_> {
    fn network(&mut self, result: NetworkResult) {
        // A slot outside the batch leaves another one empty, which is reported.
        let Some(spec) = self.flight.batch.networks.get(result.slot) else { return };
        let flops = spec.flops();
        self.counted.0 += 1;
        self.counted.1 += flops;
        self.shared.done.add(1, flops);
        self.waiting.push(result);
    }

    fn flush(&mut self) {
        let mut results = std::mem::take(&mut self.waiting);
        results.sort_unstable_by_key(|result| result.slot);
        let mut results = results.into_iter().peekable();
        let (mut finished, mut end) = (Vec::new(), 0);
        for piece in &self.flight.work.pieces {
            end += piece.members.len();
            let mut networks = Vec::new();
            while let Some(result) = results.next_if(|result| result.slot < end) {
                // A second result for a slot is dropped.
                networks.extend(self.flight.networks[result.slot].take().map(|network| (network, result)));
            }
            if !networks.is_empty() {
                finished.push(Finished { chunk: piece.chunk, networks, fingerprint: self.fingerprint.clone() });
            }
        }
        if !finished.is_empty() {
            self.heard &= self.messages.send(Message::Finished(finished)).is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_twelve_operations_counts_and_can_be_taken_back() {
        let done = Done::default();
        assert_eq!((done.networks(), done.flops()), (0, 0.0));
        for _ in 0..5 {
            done.add(1, 12.0);
        }
        assert_eq!((done.networks(), done.flops()), (5, 60.0));
        done.take_back(2, 24.0);
        assert_eq!((done.networks(), done.flops()), (3, 36.0));
        // More than 2^64 in all.
        done.add(1, 1e21);
        assert_eq!(done.flops(), 1e21);
    }
}
