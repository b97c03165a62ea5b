//! The native CPU engine: one network per thread, or several threads a network where networks are few and large; matrix
//! products by faer, everything else in fused vectorised passes; float32, or float64 as the oracle for everything.

mod activate;
mod backward;
mod columns;
mod deviation;
mod forward;
mod jacobian;
mod kernels;
mod loss;
mod math;
pub mod memory;
mod moments;
mod network;
mod norm;
mod product;
mod real;
mod rows;
mod samples;
mod simd;
mod team;
mod tensor;
mod trace;
mod workspace;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use super::{Batch, Engine, EngineError, EngineInfo, GivenTensors, NetworkResult, Precision, ResultSink, Row};
use crate::data::Dataset;
use crate::network::NetworkSpec;
use crate::program::{Program, ProgramKey};
use crate::sampler::tensors::{NetworkData, TargetData, network_data};
use crate::stats::{Quantity, Record, RecordMask, Scaled};
use network::{Outcome, Runner};
use real::Real;
use team::Team;
pub use trace::NamedTensor;
use trace::Trace;
use workspace::Workspace;

/// The native engine.
#[derive(Debug)]
pub struct CpuEngine {
    info: EngineInfo,
    arch: Arch,
    pool: Arc<rayon::ThreadPool>,
    team: Arc<Team>,
    in_flight: VecDeque<InFlight>,
}

#[derive(Debug)]
struct InFlight {
    results: Receiver<Vec<NetworkResult>>,
    expected: usize,
}

/// Which vector instructions the engine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimdLevel {
    /// The best that the processor has.
    Auto,
    /// No run-time choice: what the compiler emits for the target's baseline (draws, whose bits are the same at every
    /// level, still take the best).
    Portable,
}

impl CpuEngine {
    /// `threads` = 0 uses every core.
    pub fn new(precision: Precision, threads: usize) -> Result<Self, EngineError> {
        Self::with_simd(precision, threads, SimdLevel::Auto)
    }

    pub fn with_simd(precision: Precision, threads: usize, level: SimdLevel) -> Result<Self, EngineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("network-{i}"))
            .build()
            .map_err(|e| EngineError::Failed(format!("cannot start {threads} threads: {e}")))?;
        let arch = match level {
            SimdLevel::Auto => Arch::new(),
            SimdLevel::Portable => Arch::Scalar,
        };
        let (simd, threads) = (simd_name(arch), pool.current_num_threads());
        let info = EngineInfo {
            label: format!("cpu ({simd}, {threads} thread{})", if threads == 1 { "" } else { "s" }),
            precision,
            fingerprint: format!("cpu {} {simd} {}", precision.name(), std::env::consts::ARCH),
            // Two batches are in flight.
            memory_budget: memory::available() / 2,
            batch_flops: 2e10,
            batch_rows: 512,
            notes: Vec::new(),
        };
        Ok(CpuEngine {
            info,
            arch,
            pool: Arc::new(pool),
            team: Arc::new(Team::new(threads)),
            in_flight: VecDeque::new(),
        })
    }
}

fn simd_name(arch: Arch) -> &'static str {
    match arch {
        Arch::Scalar => "portable",
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Arch::V3(_) => "AVX2",
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Arch::V4(_) => "AVX-512",
        _ => "SIMD",
    }
}

impl Engine for CpuEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn bytes(&self, key: &ProgramKey, depths: &[u32], _mask: RecordMask) -> u64 {
        // One workspace per thread for the deepest networks, and the records of all.
        let mut deepest: Vec<u32> = depths.to_vec();
        deepest.sort_unstable_by(|a, b| b.cmp(a));
        let at_work = deepest.iter().take(self.pool.current_num_threads());
        let workspaces: u64 = at_work.map(|&depth| memory::of_network(key, depth, self.info.precision)).sum();
        let records: u64 = depths.iter().map(|&l| (u64::from(l) + 2) * size_of::<Row>() as u64).sum();
        workspaces + records
    }

    fn parallel_networks(&self) -> usize {
        2 * self.pool.current_num_threads()
    }

    fn submit(&mut self, batch: Arc<Batch>) -> Result<(), EngineError> {
        let (sender, results) = channel();
        let expected = batch.networks.len();
        let program = Arc::new(Program::new(batch.key));
        let (arch, precision) = (self.arch, self.info.precision);
        let flops: f64 = batch.networks.iter().map(NetworkSpec::flops).sum();
        self.team.begin(expected);
        let group = group_size(expected, flops, self.pool.current_num_threads());
        for first in (0..expected).step_by(group) {
            let (batch, program, sender, team) = (batch.clone(), program.clone(), sender.clone(), self.team.clone());
            self.pool.spawn_fifo(move || {
                let slots = first..(first + group).min(expected);
                let run = |slot| {
                    let result = run_slot(&batch, &program, slot, (arch, precision), &team);
                    team.end();
                    result
                };
                let results = slots.map(run).collect();
                // The receiver is gone only when the whole run has been given up.
                let _ = sender.send(results);
            });
        }
        self.in_flight.push_back(InFlight { results, expected });
        Ok(())
    }

    fn next(&mut self, out: &mut dyn ResultSink) -> Result<(), EngineError> {
        let Some(batch) = self.in_flight.pop_front() else {
            return Err(EngineError::Failed("no batch is in flight".into()));
        };
        let mut arrived = 0;
        while arrived < batch.expected {
            let first = batch.results.recv();
            let first = first.map_err(|_| EngineError::Failed("a worker thread ended early".into()))?;
            // With what has come meanwhile: who is slow takes more at a time.
            for result in std::iter::once(first).chain(batch.results.try_iter()).flatten() {
                arrived += 1;
                out.network(result);
            }
            out.flush();
        }
        Ok(())
    }
}

/// Networks that one task runs: enough work to outweigh handing it over, and eight tasks a thread.
fn group_size(networks: usize, flops: f64, threads: usize) -> usize {
    let enough = (2e7 * networks as f64 / flops).min(64.0) as usize;
    enough.min(networks / (8 * threads)).max(1)
}

/// Runs one network of a batch; a failure is a result as well.
fn run_slot(
    batch: &Batch,
    program: &Program,
    slot: usize,
    (arch, precision): (Arch, Precision),
    team: &Team,
) -> NetworkResult {
    let spec = &batch.networks[slot];
    let given = batch.given.as_ref().map(|g| &g[slot]);
    let run = || match precision {
        Precision::F32 => SINGLE.with_borrow_mut(|w| run_network(spec, program, batch, given, (arch, team), w)),
        Precision::F64 => DOUBLE.with_borrow_mut(|w| run_network(spec, program, batch, given, (arch, team), w)),
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => collect(batch, slot, outcome),
        Err(panic) => {
            let reason = panic.downcast_ref::<String>().cloned();
            let reason = reason.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
            NetworkResult {
                slot,
                rows: Vec::new(),
                delta_squares: Vec::new(),
                loss: Scaled::ABSENT,
                error: Some(format!("internal error: {}", reason.unwrap_or_default())),
            }
        }
    }
}

thread_local! {
    static SINGLE: RefCell<Workspace<f32>> = RefCell::default();
    static DOUBLE: RefCell<Workspace<f64>> = RefCell::default();
}

/// A network on its way to the vector instructions that run it.
struct Job<'a, T: Real> {
    spec: &'a NetworkSpec,
    program: &'a Program,
    mask: RecordMask,
    data: &'a NetworkData<T>,
    given: Option<&'a GivenTensors>,
    team: &'a Team,
    workspace: &'a mut Workspace<T>,
    trace: Option<&'a mut Trace>,
}

impl<T: Real> WithSimd for Job<'_, T> {
    type Output = Outcome;
    fn with_simd<S: Simd>(self, simd: S) -> Outcome {
        let Job { spec, program, mask, data, given, team, workspace, trace } = self;
        Runner { spec, program, mask, simd, team, workspace, records: Vec::new(), delta: None, trace, given }.run(data)
    }
}

/// Inputs and targets, drawn with vector instructions.
struct DrawData<'a> {
    spec: &'a NetworkSpec,
    dataset: Option<&'a Dataset>,
}

/// Not a closure, whose call is inlined only where it is small.
impl NullaryFnOnce for DrawData<'_> {
    type Output = NetworkData;
    #[inline(always)]
    fn call(self) -> NetworkData {
        network_data(self.spec, self.dataset)
    }
}

fn run_network<T: Real>(
    spec: &NetworkSpec,
    program: &Program,
    batch: &Batch,
    given: Option<&GivenTensors>,
    (arch, team): (Arch, &Team),
    workspace: &mut Workspace<T>,
) -> Outcome {
    let data = match given {
        Some(given) => given.data.clone().map(T::from_f64),
        None => arch.dispatch(DrawData { spec, dataset: batch.dataset.as_deref() }).map(T::from_f32),
    };
    T::launch(arch, Job { spec, program, mask: batch.mask, data: &data, given, team, workspace, trace: None })
}

fn collect(batch: &Batch, slot: usize, outcome: Outcome) -> NetworkResult {
    let depth = batch.networks[slot].depth as usize;
    let delta = |record: &Record| record.moments(Quantity::PreactGrad).sum_of_squares();
    let delta_squares = outcome.records[1..=depth].iter().map(delta).collect();
    let recorded = |layer: &u32| batch.layers.contains(*layer);
    // Many of these wait for the disk at a time: no room to spare.
    let mut rows = Vec::with_capacity((0..outcome.records.len() as u32).filter(recorded).count());
    let records = (0..).zip(outcome.records).filter(|(layer, _)| recorded(layer));
    rows.extend(records.map(|(layer, record)| Row { step: 0, layer, record }));
    NetworkResult { slot, rows, delta_squares, loss: outcome.loss, error: None }
}

/// Every tensor of one network at initialisation, computed in `precision`: `input`, `target` or `cotangent`, and
/// `layers.{l}.` weight,
/// bias, preact, act, preact_grad, act_grad, weight_grad, bias_grad, each with its powers of two ([`NamedTensor`]).
pub fn tensors(
    spec: &NetworkSpec,
    dataset: Option<&Dataset>,
    given: Option<&GivenTensors>,
    precision: Precision,
) -> Vec<NamedTensor> {
    let data = given.map_or_else(|| network_data(spec, dataset).map(f64::from), |g| g.data.clone());
    let mut named = data_tensors(spec, &data);
    named.extend(match precision {
        Precision::F32 => layer_tensors::<f32>(spec, &data, given),
        Precision::F64 => layer_tensors::<f64>(spec, &data, given),
    });
    named
}

fn layer_tensors<T: Real>(
    spec: &NetworkSpec,
    data: &NetworkData<f64>,
    given: Option<&GivenTensors>,
) -> Vec<NamedTensor> {
    let program = Program::new(ProgramKey::of(spec));
    let (mut workspace, mut trace) = (Workspace::<T>::default(), Trace::default());
    let (mask, data) = (RecordMask::BASIC, data.clone().map(T::from_f64));
    let (workspace, watch, team) = (&mut workspace, Some(&mut trace), &Team::new(rayon::current_num_threads()));
    T::launch(Arch::new(), Job { spec, program: &program, mask, data: &data, given, team, workspace, trace: watch });
    trace.tensors
}

fn data_tensors(spec: &NetworkSpec, data: &NetworkData<f64>) -> Vec<NamedTensor> {
    let batch = spec.batch_size as usize;
    let tensor = |name: &str, columns: usize, data: Vec<f64>| NamedTensor {
        name: name.to_string(),
        shape: if columns == 0 { vec![batch] } else { vec![batch, columns] },
        data,
        log2_scale: 0,
        log2_row_scale: Vec::new(),
    };
    let target = match &data.target {
        TargetData::Dense(d) => tensor("target", spec.output_size as usize, d.clone()),
        TargetData::Labels(labels) => tensor("target", 0, labels.iter().map(|&l| f64::from(l)).collect()),
        TargetData::Cotangent(g) => tensor("cotangent", spec.width as usize, g.clone()),
    };
    vec![tensor("input", spec.input_size as usize, data.input.clone()), target]
}
