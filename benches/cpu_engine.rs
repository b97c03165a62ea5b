//! The CPU engine alone on the reference load (64 networks, depth 32, width 128, batch 128, tanh, cotangent, basic
//! statistics), next to the machine's matrix multiplication rate. `cargo bench --bench cpu_engine [-- WIDTH BATCH DEPTH COUNT]`

use std::sync::Arc;

use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::measure::matrix_rate;
use gradsweep::engine::{Batch, Engine, LayerSelection, Precision};
use gradsweep::network::{Init, InitKind, Loss, NetworkSpec};
use gradsweep::program::ProgramKey;
use gradsweep::stats::RecordMask;

/// Processor seconds that this process has used: unlike wall time, hardly moved by a busy machine.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the process clock exists");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() {
    let sizes: Vec<u32> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let get = |i: usize, default: u32| sizes.get(i).copied().unwrap_or(default);
    let (width, batch_size, depth, count) = (get(0, 128), get(1, 128), get(2, 32), get(3, 64));
    let spec = NetworkSpec {
        init: Init { kind: InitKind::MeanField, param: 0.0, gain: 1.0, sigma_w: 1.5, sigma_b: Some(0.05) },
        loss: Loss::Cotangent,
        ..NetworkSpec::plain(depth, width, batch_size)
    };
    let networks: Vec<_> = (0..count).map(|i| NetworkSpec { seed: u64::from(i), ..spec.clone() }).collect();
    let flops: f64 = networks.iter().map(NetworkSpec::flops).sum();
    let key = ProgramKey::of(&spec);
    let layers = LayerSelection::All;
    let batch = Arc::new(Batch { key, networks, mask: RecordMask::BASIC, layers, dataset: None, given: None });
    let mut engine = CpuEngine::new(Precision::F32, 0).expect("starts");
    println!("{}", engine.info().label);
    let mut times = Vec::new();
    for _ in 0..7 {
        let start = processor_seconds();
        engine.submit(batch.clone()).expect("submits");
        engine.next(&mut Vec::new()).expect("runs");
        times.push(processor_seconds() - start);
    }
    times.sort_by(f64::total_cmp);
    let products = |size: usize| matrix_rate(1, size, processor_seconds) / 1e9;
    let peak = products(1024);
    let rate = flops / times[0] / 1e9;
    println!(
        "best {:.3} core s, median {:.3}, {rate:.1} GFLOP/s per core, {:.1} % of {peak:.1} (1024^3); n^3 at the width: {:.1}",
        times[0],
        times[3],
        100.0 * rate / peak,
        products(width as usize)
    );
}
