//! What several subjects share: a plain network to vary, and running networks on an engine.

use std::sync::Arc;

use gradsweep::engine::cpu::{CpuEngine, SimdLevel};
use gradsweep::engine::{Batch, Engine, GivenTensors, LayerSelection, NetworkResult, Precision};
use gradsweep::network::{Init, InitKind, NetworkSpec};
use gradsweep::program::ProgramKey;
use gradsweep::stats::{Quantity, Record, RecordMask, Scaled};

/// A small tanh network, everything else at its default.
pub fn spec() -> NetworkSpec {
    NetworkSpec {
        output_size: 3,
        init: Init { kind: InitKind::LecunNormal, param: 0.0, gain: 1.0, sigma_w: 1.0, sigma_b: Some(0.0) },
        seed: 12345,
        ..NetworkSpec::plain(4, 8, 6)
    }
}

/// A batch of networks of one key, everything recorded.
pub fn batch(networks: Vec<NetworkSpec>, given: Option<Vec<GivenTensors>>) -> Batch {
    let key = ProgramKey::of(&networks[0]);
    assert!(networks.iter().all(|n| ProgramKey::of(n) == key), "one key per batch");
    let dataset = networks.iter().find_map(|n| gradsweep::data::load(n.input)).map(Arc::new);
    Batch { key, networks, mask: RecordMask::FULL, layers: LayerSelection::All, dataset, given: given.map(Arc::new) }
}

/// Results in the order of the batch.
pub fn run_batch(engine: &mut dyn Engine, batch: Batch) -> Vec<NetworkResult> {
    let mut results = Vec::new();
    engine.submit(Arc::new(batch)).expect("submits");
    engine.next(&mut results).expect("runs");
    results.sort_by_key(|r: &NetworkResult| r.slot);
    results
}

/// One network on a fresh one-thread CPU engine.
pub fn run_cpu(spec: &NetworkSpec, given: Option<GivenTensors>, precision: Precision) -> NetworkResult {
    run_cpu_at(spec, given, precision, SimdLevel::Auto)
}

/// The same with a choice of vector instructions.
pub fn run_cpu_at(
    spec: &NetworkSpec,
    given: Option<GivenTensors>,
    precision: Precision,
    level: SimdLevel,
) -> NetworkResult {
    let mut engine = CpuEngine::with_simd(precision, 1, level).expect("starts");
    let result = run_batch(&mut engine, batch(vec![spec.clone()], given.map(|g| vec![g]))).remove(0);
    assert_eq!(result.error, None);
    result
}

/// sqrt of a quantity's sum of squares.
pub fn l2(record: &Record, quantity: Quantity) -> f64 {
    record.moments(quantity).sum_of_squares().value().expect("in range").sqrt()
}

/// log10 of a quantity's l2 norm, at any size.
pub fn log10_l2(record: &Record, quantity: Quantity) -> f64 {
    0.5 * record.moments(quantity).sum_of_squares().log10_abs().expect("not zero")
}

/// log10(|delta_1|^2 / |delta_L|^2).
pub fn log10_total_ratio(result: &NetworkResult) -> f64 {
    let log = |s: Scaled| s.log10_abs().expect("delta is not zero");
    log(result.delta_squares[0]) - log(*result.delta_squares.last().expect("there is a layer"))
}
