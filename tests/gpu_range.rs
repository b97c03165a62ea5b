//! Dynamic range on the GPU engine, and the sweep of `doctor` on it, against float64.

use std::collections::BTreeMap;

use gradsweep::config::{Overrides, SweepFile};
use gradsweep::engine::cpu::CpuEngine;
use gradsweep::engine::gpu::GpuEngine;
use gradsweep::engine::{Precision, check};
use gradsweep::network::NetworkSpec;
use gradsweep::plan::Plan;
use gradsweep::program::ProgramKey;
use gradsweep::stats::RecordMask;

use crate::gpu_support::on_each_adapter;
use crate::range::{compare, range_cases};
use crate::support::{batch, run_batch};

#[test]
fn log10_columns_follow_the_rescaled_oracle_at_any_depth_and_scale() {
    let mut batches: BTreeMap<ProgramKey, Vec<NetworkSpec>> = BTreeMap::new();
    for case in range_cases() {
        batches.entry(ProgramKey::of(&case)).or_default().push(case);
    }
    on_each_adapter(|_, engine| {
        for networks in batches.values() {
            let mut batch = batch(networks.clone(), None);
            batch.mask = RecordMask::BASIC;
            let results = run_batch(engine, batch);
            for (spec, result) in networks.iter().zip(&results) {
                // As for float32 on the CPU: rounding of a chain, and of arguments up to a few thousand in e^-u.
                compare(spec, result, 2e-3);
            }
        }
    });
}

#[test]
fn the_sweep_of_doctor_passes() {
    let file = SweepFile::parse(&check::sweep(), "checks", &Overrides::default()).unwrap();
    let plan = Plan::new(&file).unwrap();
    let mut reference = CpuEngine::new(Precision::F64, 0).unwrap();
    let want = check::results(&mut reference, &plan).unwrap();
    let run = |name: &str, engine: &mut GpuEngine| {
        let got = check::results(engine, &plan).unwrap();
        let failed: Vec<String> = check::compare(&plan, &want, &got)
            .iter()
            .filter(|c| !c.passed())
            .map(|c| format!("{name}: {c:?} {:?}", plan.network(c.worst.network).spec))
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    };
    on_each_adapter(run);
}
