//! The loop with an engine that misbehaves: little memory, results out of order, lost devices. The rows stay the same.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gradsweep::config::{Overrides, SweepFile};
use gradsweep::engine::{
    BATCH_ROWS, Batch, Engine, EngineError, EngineInfo, NetworkResult, Precision, ResultSink, Row,
};
use gradsweep::plan::Plan;
use gradsweep::program::ProgramKey;
use gradsweep::run::progress::{Mode, Progress};
use gradsweep::run::stream::Stream;
use gradsweep::run::{Ending, Job, RunError, Station, Tables, check_memory, execute, identity};
use gradsweep::stats::{Quantity, Record, RecordMask, Scaled};
use gradsweep::store::{Begin, Disk, Opened, RunDirectory, Tally};
use tempfile::TempDir;

const SWEEP: &str = r#"
schema_version = 1
name = "loop"
seed = 3
replicates = 3
[[sweep]]
name = "a"
depth = [1, 4, 2, 9]
width = [4, 8]
batch_size = 2
activation = ["tanh", "relu", "sigmoid"]
[[sweep]]
name = "b"
depth = [3, 5]
width = 8
batch_size = [2, 3]
sigma_w = [0.5, 1.0, 2.0]
init = "mean_field"
"#;

fn plan() -> Arc<Plan> {
    let file = SweepFile::parse(SWEEP, "loop.toml", &Overrides::default()).unwrap();
    Arc::new(Plan::new(&file).unwrap())
}

/// Numbers that depend on a network's seed and nothing else.
struct Fake {
    info: EngineInfo,
    in_flight: VecDeque<Arc<Batch>>,
    /// Batches still to go before each fault.
    faults: Arc<Faults>,
}

/// What goes wrong, shared by an engine and its successors.
#[derive(Default)]
struct Faults {
    batches: AtomicUsize,
    largest: AtomicUsize,
    /// Every k-th `next` loses the device; 0: never.
    lose_every: usize,
    /// A batch with more networks than this does not fit, whatever `bytes` promised.
    room: Option<usize>,
    /// A batch with more networks than this keeps the device busy until its driver resets it.
    patience: Option<usize>,
    /// The network with this seed cannot be run.
    broken: Option<u64>,
}

const BYTES: u64 = 1000;

fn fake(memory_budget: u64, batch_flops: f64, faults: &Arc<Faults>) -> Fake {
    let info = EngineInfo {
        label: "fake".into(),
        precision: Precision::F32,
        fingerprint: "fake f32".into(),
        memory_budget,
        batch_flops,
        batch_rows: BATCH_ROWS,
        notes: Vec::new(),
    };
    Fake { info, in_flight: VecDeque::new(), faults: Arc::clone(faults) }
}

fn station(memory_budget: u64, batch_flops: f64, faults: Faults) -> (Station, Arc<Faults>) {
    let faults = Arc::new(faults);
    let engine = Box::new(fake(memory_budget, batch_flops, &faults));
    let shared = Arc::clone(&faults);
    let reopen = Box::new(move || Ok(Box::new(fake(memory_budget, batch_flops, &shared)) as Box<dyn Engine>));
    (Station { engine, reopen }, faults)
}

impl Engine for Fake {
    fn info(&self) -> &EngineInfo {
        &self.info
    }
    fn bytes(&self, _: &ProgramKey, depths: &[u32], _: RecordMask) -> u64 {
        depths.iter().map(|&d| BYTES * u64::from(d)).sum()
    }
    fn submit(&mut self, batch: Arc<Batch>) -> Result<(), EngineError> {
        assert!(self.in_flight.len() < 2, "at most two batches are in flight");
        assert!(batch.networks.iter().all(|n| ProgramKey::of(n) == batch.key), "one key per batch");
        let depths: Vec<u32> = batch.networks.iter().map(|n| n.depth).collect();
        let fits = self.bytes(&batch.key, &depths, batch.mask) <= self.info.memory_budget;
        assert!(fits || depths.len() == 1, "a batch is cut to the memory that there is");
        if self.faults.room.is_some_and(|room| depths.len() > room) {
            return Err(EngineError::OutOfMemory("no room".into()));
        }
        self.faults.largest.fetch_max(depths.len(), Ordering::Relaxed);
        self.in_flight.push_back(batch);
        Ok(())
    }
    fn next(&mut self, out: &mut dyn ResultSink) -> Result<(), EngineError> {
        let number = self.faults.batches.fetch_add(1, Ordering::Relaxed) + 1;
        let batch = self.in_flight.pop_front().expect("a batch is in flight");
        let lost = self.faults.lose_every > 0 && number.is_multiple_of(self.faults.lose_every)
            || self.faults.patience.is_some_and(|most| batch.networks.len() > most);
        for (slot, spec) in batch.networks.iter().enumerate().rev() {
            if lost && slot % 2 == 0 {
                continue;
            }
            let rows = (0..spec.rows()).map(|layer| {
                let mut record = Record::EMPTY;
                let preact = &mut record.moments[Quantity::Preact as usize];
                (preact.count, preact.zeros, preact.mean) = (9, 0, 0.0);
                preact.m2 = (spec.seed % 1000 + u64::from(layer)) as f64;
                Row { step: 0, layer, record }
            });
            let error = (self.faults.broken == Some(spec.seed)).then(|| "out of luck, says \"fake\"".to_string());
            let rows = if error.is_some() { Vec::new() } else { rows.collect() };
            out.network(NetworkResult {
                slot,
                rows,
                delta_squares: vec![Scaled::from(1.0); spec.depth as usize],
                loss: Scaled::from((spec.seed % 77) as f64),
                error,
            });
            // Some come together, and some of a batch that is lost have come before.
            if slot % 3 == 0 {
                out.flush();
            }
        }
        if lost { Err(EngineError::DeviceLost("pulled out".into())) } else { Ok(()) }
    }
}

fn job(plan: &Arc<Plan>, stations: Vec<Station>) -> Job {
    Job {
        plan: Arc::clone(plan),
        tables: Tables::new(plan),
        stations,
        done: vec![false; plan.chunks.len()],
        before: Tally::default(),
        in_plan_order: false,
        stop: Arc::new(AtomicBool::new(false)),
    }
}

/// Runs into a fresh directory and returns both tables.
fn tables(plan: &Arc<Plan>, stations: Vec<Station>) -> Result<(Vec<u8>, Vec<u8>), RunError> {
    let home = TempDir::new().unwrap();
    let path = home.path().join("run");
    let Opened::Ready(mut directory) = RunDirectory::open(&path, Arc::new(Disk), identity(plan, Precision::F32))?
    else {
        panic!("a fresh directory is not complete");
    };
    let engines = [("fake".to_string(), "fake f32".to_string())];
    let job = job(plan, stations);
    let headers = &job.tables.headers();
    let begin = Begin { engines: &engines, mixed: false, sweep_file: SWEEP.as_bytes(), settings: &[], headers };
    directory.begin(plan.chunks.len(), begin)?;
    let mut progress = Progress::new(Mode::None, plan.len());
    let (ending, snapshot) = execute(job, &mut *directory, &mut progress)?;
    assert_eq!((ending, snapshot.done), (Ending::Finished, plan.len()));
    directory.finish(Vec::new())?;
    let read = |name: &str| fs::read(Path::new(&path).join(name)).unwrap();
    Ok((read("layers.csv"), read("networks.csv")))
}

fn undisturbed() -> (Vec<u8>, Vec<u8>) {
    let (station, _) = station(u64::MAX, 1e30, Faults::default());
    tables(&plan(), vec![station]).unwrap()
}

#[test]
fn rows_are_in_plan_order_and_complete() {
    let plan = plan();
    let (layers, networks) = undisturbed();
    let text = String::from_utf8(networks).unwrap();
    let ids: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let expected: Vec<String> = (0..plan.len()).map(|i| plan.network(i).network_id).collect();
    assert_eq!(ids, expected);
    let rows: u64 = (0..plan.len()).map(|i| u64::from(plan.network(i).spec.rows())).sum();
    assert_eq!(String::from_utf8(layers).unwrap().lines().count() as u64, rows + 1);
}

#[test]
fn rows_do_not_depend_on_memory_or_batching() {
    let expected = undisturbed();
    for budget in [1, 3 * BYTES, 10 * BYTES, 40 * BYTES] {
        for batch_flops in [0.0, 1e30] {
            let (station, faults) = station(budget, batch_flops, Faults::default());
            assert!(tables(&plan(), vec![station]).unwrap() == expected, "budget {budget}");
            assert!(faults.largest.load(Ordering::Relaxed) as u64 <= (budget / BYTES).max(1), "budget {budget}");
        }
    }
}

#[test]
fn several_engines_share_the_chunks() {
    let stations = (0..3).map(|_| station(20 * BYTES, 0.0, Faults::default()).0).collect();
    assert!(tables(&plan(), stations).unwrap() == undisturbed());
}

#[test]
fn a_lost_device_is_opened_again_and_no_row_changes() {
    let (station, faults) = station(6 * BYTES, 0.0, Faults { lose_every: 3, ..Faults::default() });
    assert!(tables(&plan(), vec![station]).unwrap() == undisturbed());
    assert!(faults.batches.load(Ordering::Relaxed) > 9);
}

#[test]
fn batches_shrink_when_memory_is_less_than_promised() {
    let (station, faults) = station(50 * BYTES, 1e30, Faults { room: Some(6), ..Faults::default() });
    assert!(tables(&plan(), vec![station]).unwrap() == undisturbed());
    assert!(faults.largest.load(Ordering::Relaxed) <= 6);
}

#[test]
fn batches_shrink_when_a_device_is_lost_over_them() {
    let (station, faults) = station(u64::MAX, 1e30, Faults { patience: Some(6), ..Faults::default() });
    assert!(tables(&plan(), vec![station]).unwrap() == undisturbed());
    assert!(faults.largest.load(Ordering::Relaxed) > 6);
}

#[test]
fn an_engine_that_never_recovers_gives_up_with_its_reason() {
    let (station, _) = station(u64::MAX, 0.0, Faults { lose_every: 1, ..Faults::default() });
    let error = tables(&plan(), vec![station]).unwrap_err();
    assert!(matches!(error, RunError::Engine(EngineError::DeviceLost(_))), "{error}");
}

#[test]
fn a_network_that_failed_is_counted_and_the_others_are_unaffected() {
    let plan = plan();
    let broken = plan.network(7);
    let (station, _) = station(u64::MAX, 0.0, Faults { broken: Some(broken.spec.seed), ..Faults::default() });
    let (layers, networks) = tables(&plan, vec![station]).unwrap();
    let (all_layers, all_networks) = undisturbed();
    let id = broken.network_id.as_str();
    let without = |table: &[u8]| -> Vec<String> {
        let text = String::from_utf8(table.to_vec()).unwrap();
        text.lines().filter(|line| !line.starts_with(id)).map(str::to_string).collect()
    };
    assert_eq!(String::from_utf8(layers).unwrap().lines().collect::<Vec<_>>(), without(&all_layers));
    assert_eq!(without(&networks), without(&all_networks));
    let text = String::from_utf8(networks).unwrap();
    let line = text.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line.contains(",failed,\"out of luck, says \"\"fake\"\"\","), "{line}");
}

#[test]
fn a_network_that_can_never_fit_is_refused_before_the_run() {
    let plan = plan();
    let check = |budget| check_memory(&plan, &fake(budget, 0.0, &Arc::default()));
    assert!(check(9 * BYTES).is_ok(), "the deepest has nine layers");
    let error = check(9 * BYTES - 1).unwrap_err();
    assert!(matches!(&error, EngineError::OutOfMemory(text) if text.contains("depth 9, width")), "{error}");
}

#[test]
fn a_stopped_run_says_so() {
    let plan = plan();
    let (station, _) = station(u64::MAX, 0.0, Faults::default());
    let job = job(&plan, vec![station]);
    job.stop.store(true, Ordering::Relaxed);
    let mut stream = Stream::new(Vec::new(), plan.len(), b"").unwrap();
    let mut progress = Progress::new(Mode::None, plan.len());
    let (ending, snapshot) = execute(job, &mut stream, &mut progress).unwrap();
    assert_eq!(ending, Ending::Interrupted);
    assert!(snapshot.done < plan.len());
}

#[test]
fn a_stream_is_the_table() {
    let plan = plan();
    let (station, _) = station(6 * BYTES, 0.0, Faults::default());
    let job = Job { in_plan_order: true, ..job(&plan, vec![station]) };
    let header = job.tables.headers().layers;
    let mut out = Vec::new();
    let mut stream = Stream::new(&mut out, plan.len(), &header).unwrap();
    let mut progress = Progress::new(Mode::None, plan.len());
    assert_eq!(execute(job, &mut stream, &mut progress).unwrap().0, Ending::Finished);
    drop(stream);
    assert!(out == undisturbed().0);
}
