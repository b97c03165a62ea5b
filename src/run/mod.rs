//! The loop: plan x engines x store. Engines work on threads of their own, with two batches in flight each; this thread
//! formats rows on all cores, hands whole chunks to the sink's thread, tells the progress and listens for signals. What is
//! written never depends on how chunks were batched, on the order in which engines finish, or on the number of threads.

mod commit;
pub mod human;
pub mod progress;
mod queue;
pub mod stream;
mod worker;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::engine::{Engine, EngineError, LayerSelection, NUMERICS_VERSION, NetworkResult, Precision};
use crate::output::{LayersWriter, NetworksWriter, TheoryWriter, datapackage};
use crate::plan::{Plan, PlannedNetwork};
use crate::stats::RecordMask;
use crate::stats::summary::{Status, Summary, Verdict};
use crate::store::{Extra, Headers, Identity, NetworkRows, RunDirectory, StoreError, SweepIdentity, Tally};
use commit::{Committer, Formatted};
use progress::{Progress, Snapshot};
use queue::Queue;
use worker::{Done, Finished, Message, Shared};
pub use worker::{Reopen, Station};

/// Where finished chunks go. It works on a thread of its own.
pub trait Sink {
    /// What has to be on the disk before the first chunk: called once engines are at work, so that they need not wait.
    fn ready(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the rows of one chunk, in the order of the chunk's members.
    fn commit(&mut self, chunk: u32, fingerprint: &str, rows: &[NetworkRows], tally: Tally) -> Result<(), StoreError>;
}

impl Sink for RunDirectory {
    fn ready(&mut self) -> Result<(), StoreError> {
        self.settle()
    }

    fn commit(&mut self, chunk: u32, fingerprint: &str, rows: &[NetworkRows], tally: Tally) -> Result<(), StoreError> {
        RunDirectory::commit(self, chunk, fingerprint, rows, tally)
    }
}

const THEORY: &str = "theory.csv";

/// Formats rows of all tables.
pub struct Tables {
    layers: LayersWriter,
    networks: NetworksWriter,
    theory: TheoryWriter,
}

impl Tables {
    pub fn new(plan: &Plan) -> Self {
        Tables { layers: LayersWriter::new(plan), networks: NetworksWriter::new(plan), theory: TheoryWriter::new(plan) }
    }

    pub fn headers(&self) -> Headers {
        Headers { layers: self.layers.header(), networks: self.networks.header() }
    }

    /// The files beside the tables that engines fill: what theory predicts, and what describes all tables to readers.
    pub fn extra<'a>(&self, plan: &'a Plan) -> Vec<Extra<'a>> {
        let tables = [
            ("layers.csv", self.layers.fields()),
            ("networks.csv", self.networks.fields()),
            (THEORY, self.theory.fields()),
        ];
        let theory = self.theory.clone();
        let package = datapackage(&plan.name, &tables).into_bytes();
        vec![
            Extra { name: THEORY, write: Box::new(move |out| theory.write(plan, out).map(Some)) },
            Extra::bytes("datapackage.json", package),
        ]
    }

    /// Layers that the engines must record.
    pub fn recorded_layers(&self) -> LayerSelection {
        self.layers.recorded_layers()
    }

    fn format(&self, network: &PlannedNetwork, result: &NetworkResult) -> Told {
        let mut rows = NetworkRows { index: network.index, ..NetworkRows::default() };
        let lines = self.layers.append_network(network, result, &mut rows.layers);
        let Summary { status, verdict, .. } = self.networks.append_network(network, result, &mut rows.networks);
        Told { rows, lines, flops: network.spec.flops(), status, verdict }
    }
}

/// The rows of one network, and what counts of them.
struct Told {
    rows: NetworkRows,
    /// Of `layers.csv`.
    lines: u64,
    flops: f64,
    status: Status,
    verdict: Option<Verdict>,
}

/// What a run needs.
pub struct Job {
    pub plan: Arc<Plan>,
    pub tables: Tables,
    pub stations: Vec<Station>,
    /// By chunk: committed in an earlier sitting.
    pub done: Vec<bool>,
    /// Counts over what is committed.
    pub before: Tally,
    /// Chunks in the order of their first network rather than of the buckets, so that a stream flows early.
    pub in_plan_order: bool,
    /// Set from outside to stop.
    pub stop: Arc<AtomicBool>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every chunk is committed.
    Finished,
    /// Stopped by `Job::stop`: what was finished is committed.
    Interrupted,
    /// Nobody reads the stream any more.
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// How often signals are looked for and the progress is told.
const TICK: Duration = Duration::from_millis(50);

/// Runs every chunk that is not done yet. Returns the ending and the progress at that moment.
pub fn execute(
    job: Job,
    sink: &mut (dyn Sink + Send),
    progress: &mut Progress,
) -> Result<(Ending, Snapshot), RunError> {
    let plan = Arc::clone(&job.plan);
    let mut order: Vec<u32> = (0..plan.chunks.len() as u32).filter(|&c| !job.done[c as usize]).collect();
    if job.in_plan_order {
        order.sort_by_key(|&c| plan.bucket_order[plan.chunks[c as usize].members.clone()].iter().min().copied());
    }
    let mut tracker = Tracker {
        begun: Instant::now(),
        snapshot: Snapshot {
            networks: plan.bucket_order.len() as u64,
            before: job.before.networks,
            flops: plan.chunks.iter().map(|c| c.flops).sum(),
            flops_before: job.before.flops,
            ..Snapshot::default()
        },
        tally: job.before,
    };
    let shared = Arc::new(Shared {
        plan: Arc::clone(&plan),
        layers: job.tables.recorded_layers(),
        dataset: OnceLock::new(),
        queue: Queue::new(order),
        stop: AtomicBool::new(job.stop.load(Ordering::Relaxed)),
        done: Done::default(),
    });
    let working = job.stations.len();
    let (sender, receiver) = mpsc::sync_channel(2);
    for (number, station) in job.stations.into_iter().enumerate() {
        let (shared, sender) = (Arc::clone(&shared), sender.clone());
        // Not joined: a batch that is running when the run stops is abandoned with the process.
        std::thread::Builder::new()
            .name(format!("engine {number}"))
            .spawn(move || worker::drive(station, &shared, &sender))
            .map_err(cannot_start)?;
    }
    drop(sender);
    let assembly = Assembly { plan: &plan, tables: &job.tables, open: BTreeMap::new(), committed: HashSet::new() };
    let outcome = std::thread::scope(|scope| {
        let committer = Committer::start(scope, sink).map_err(cannot_start)?;
        let hub = Hub { shared: &shared, receiver, stop: &job.stop, committer: &committer, working };
        let outcome = hub.run(assembly, &mut tracker, progress);
        shared.stop.store(true, Ordering::Relaxed);
        let rest = committer.finish(&mut tracker.tally);
        outcome.and_then(|()| Ok(rest?))
    });
    shared.stop.store(true, Ordering::Relaxed);
    let finished = tracker.tally.networks == tracker.snapshot.networks;
    let snapshot = tracker.last();
    match outcome {
        Ok(()) if finished => Ok((Ending::Finished, snapshot)),
        Ok(()) => Ok((Ending::Interrupted, snapshot)),
        Err(RunError::Store(error)) if error.is_closed_pipe() => Ok((Ending::Closed, snapshot)),
        Err(error) => Err(error),
    }
}

fn cannot_start(error: std::io::Error) -> EngineError {
    EngineError::Failed(format!("cannot start a thread: {error}"))
}

/// Between the engines and the sink.
struct Hub<'a> {
    shared: &'a Shared,
    receiver: Receiver<Message>,
    stop: &'a AtomicBool,
    committer: &'a Committer,
    /// Engines that have work.
    working: usize,
}

impl Hub<'_> {
    /// Until all engines are idle, or, after a signal, have nothing more to say for a moment.
    fn run(mut self, mut assembly: Assembly, tracker: &mut Tracker, progress: &mut Progress) -> Result<(), RunError> {
        let mut interrupted = false;
        loop {
            if self.stop.load(Ordering::Relaxed) && !interrupted {
                interrupted = true;
                self.shared.stop.store(true, Ordering::Relaxed);
            }
            let message = match self.receiver.recv_timeout(TICK) {
                Ok(message) => Some(message),
                // Everything that was finished is handed over.
                Err(_) if interrupted => return Ok(()),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(EngineError::Failed("an engine's thread ended without a word".to_string()).into());
                }
            };
            match message {
                Some(Message::Finished(pieces)) => assembly.take(pieces, self.committer),
                Some(Message::Note(text)) => progress.note(&format!("warning: {text}")),
                Some(Message::Failed(error)) => return Err(error.into()),
                Some(Message::Idle) => {
                    self.working -= 1;
                    if self.working == 0 {
                        return Ok(());
                    }
                }
                None => {}
            }
            self.committer.hear(&mut tracker.tally)?;
            progress.update(tracker.look(self.shared));
        }
    }
}

/// Measures the sitting.
struct Tracker {
    begun: Instant,
    snapshot: Snapshot,
    /// Everything committed.
    tally: Tally,
}

impl Tracker {
    fn look(&mut self, shared: &Shared) -> &Snapshot {
        let s = &mut self.snapshot;
        s.done = s.before + shared.done.networks();
        s.flops_done = s.flops_before + shared.done.flops();
        self.common()
    }

    /// What is committed counts at the end.
    fn last(mut self) -> Snapshot {
        self.snapshot.done = self.tally.networks;
        self.snapshot.flops_done = self.tally.flops;
        self.common();
        self.snapshot
    }

    fn common(&mut self) -> &Snapshot {
        let s = &mut self.snapshot;
        s.seconds = self.begun.elapsed().as_secs_f64();
        s.verdicts = self.tally.verdict.clone();
        for word in ["diverged", "failed"] {
            if let Some(&count) = self.tally.status.get(word) {
                s.verdicts.insert(word.to_string(), count);
            }
        }
        s
    }
}

/// Chunks whose networks have come in part.
struct Assembly<'a> {
    plan: &'a Plan,
    tables: &'a Tables,
    /// Rows by plan index: after a lost device some networks come twice, with the same rows.
    open: BTreeMap<u32, BTreeMap<u64, Told>>,
    /// Handed to the sink.
    committed: HashSet<u32>,
}

impl Assembly<'_> {
    /// Formats what came and hands over every chunk that is complete with it.
    fn take(&mut self, pieces: Vec<Finished>, committer: &Committer) {
        for piece in pieces {
            if self.committed.contains(&piece.chunk) {
                continue;
            }
            let tables = self.tables;
            let format = |(network, result): &(PlannedNetwork, NetworkResult)| tables.format(network, result);
            let formatted: Vec<Told> = match &piece.networks[..] {
                // Handing it to another thread would take longer.
                [one] => vec![format(one)],
                several => several.par_iter().map(format).collect(),
            };
            let mut open = self.open.remove(&piece.chunk).unwrap_or_default();
            open.extend(formatted.into_iter().map(|told| (told.rows.index, told)));
            let members = self.plan.chunks[piece.chunk as usize].members.clone();
            if open.len() < members.len() {
                self.open.insert(piece.chunk, open);
                continue;
            }
            let mut tally = Tally::default();
            let mut rows = Vec::with_capacity(open.len());
            for index in &self.plan.bucket_order[members] {
                if let Some(told) = open.remove(&u64::from(*index)) {
                    tally.add_network(told.lines, told.flops, told.status.name(), told.verdict.map(Verdict::name));
                    rows.push(told.rows);
                }
            }
            self.committed.insert(piece.chunk);
            committer.hand_over(Formatted { chunk: piece.chunk, fingerprint: piece.fingerprint, rows, tally });
        }
    }
}

/// Why a plan cannot be run in this arithmetic, if it cannot. GPU engines compute in f32.
pub fn check_precision(plan: &Plan, precision: Precision) -> Result<(), String> {
    if plan.record.mask.contains(RecordMask::JACOBIAN) && precision != Precision::F64 {
        return Err("the columns jacobian_* are computed in f64 by the CPU engine; add --precision f64".to_string());
    }
    Ok(())
}

/// Whether every network of a plan fits an engine, one at a time. Found out before anything runs.
pub fn check_memory(plan: &Plan, engine: &dyn Engine) -> Result<(), EngineError> {
    let info = engine.info();
    for (key, _, depth) in plan.buckets() {
        let bytes = engine.bytes(&key, &[depth], plan.record.mask);
        if bytes > info.memory_budget {
            // A device that cannot hold some tensor at all asks for everything.
            let takes = match bytes {
                u64::MAX => "does not fit".to_string(),
                _ => format!("takes about {}", human::bytes(bytes as f64)),
            };
            return Err(EngineError::OutOfMemory(format!(
                "a network of depth {depth}, width {} and batch_size {} {takes}, and {} has {} for it; make it \
                 smaller, or choose another device",
                key.width,
                key.batch_size,
                info.label,
                human::bytes(info.memory_budget as f64)
            )));
        }
    }
    Ok(())
}

/// What a run's rows depend on.
pub fn identity(plan: &Plan, precision: Precision) -> Identity {
    let layers = match &plan.record.layers {
        LayerSelection::All => "all".to_string(),
        LayerSelection::Only(list) => format!("{list:?}"),
    };
    let sweeps = plan.sweeps.iter().enumerate();
    Identity {
        name: plan.name.clone(),
        seed: plan.seed,
        networks: plan.len(),
        sweeps: sweeps
            .map(|(i, name)| SweepIdentity { name: name.clone(), networks: plan.networks_of_sweep(i as u32) })
            .collect(),
        varying: plan.varying.iter().map(|key| key.name().to_string()).collect(),
        columns: plan.record.columns.clone(),
        record: BTreeMap::from([
            ("recorded layers".to_string(), layers),
            ("verdict decades".to_string(), plan.verdict_decades.to_string()),
            ("predicted columns".to_string(), NetworksWriter::new(plan).predicted().join(", ")),
        ]),
        plan: plan.identity(),
        precision: precision.name().to_string(),
        numerics: NUMERICS_VERSION,
    }
}
