//! GPU engines for the tests: one per software adapter and kind of matrix product, opened once for the whole process (their
//! kernels compile once). Without an adapter the tests say so; with CI=true that is a failure.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use gradsweep::engine::gpu::{AdapterDescription, GpuEngine, Products, Small, adapters};

/// Names of the software adapters that the test command installs.
const REQUIRED: [&str; 2] = ["llvmpipe", "SwiftShader"];

fn found() -> &'static [AdapterDescription] {
    static FOUND: OnceLock<Vec<AdapterDescription>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let list: Vec<_> = adapters().into_iter().filter(|a| a.software).collect();
        for name in REQUIRED {
            if list.iter().any(|a| a.name.contains(name)) {
                continue;
            }
            let advice = format!(
                "no {name} adapter: GPU tests do not run on it (scripts/test installs it and sets VK_DRIVER_FILES)"
            );
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{advice}");
            eprintln!("SKIPPED: {advice}");
        }
        list
    })
}

type Shared = Vec<(String, Mutex<GpuEngine>)>;

fn open(products: Products, small: Small) -> Shared {
    found()
        .iter()
        .map(|a| {
            let mut engine = GpuEngine::open_with(a, products, small).unwrap_or_else(|e| panic!("{}: {e}", a.name));
            // Not a number, and no stamp: what a kernel leaves unwritten does not look like an earlier batch's result.
            engine.fill_memory(u32::MAX);
            (a.name.clone(), Mutex::new(engine))
        })
        .collect()
}

/// Every software adapter with the given products, no network run whole in a workgroup; empty (loudly) where there is none.
fn engines(products: Products) -> &'static Shared {
    static FLAT: OnceLock<Shared> = OnceLock::new();
    static TILED: OnceLock<Shared> = OnceLock::new();
    let shared = if products == Products::Flat { &FLAT } else { &TILED };
    shared.get_or_init(|| open(products, Small(0)))
}

/// The same where small networks run whole in a workgroup, as on real GPUs.
fn small_engines() -> &'static Shared {
    static SMALL: OnceLock<Shared> = OnceLock::new();
    SMALL.get_or_init(|| open(Products::Flat, Small(64)))
}

/// Runs `test` on every software adapter with the products that suit it.
pub fn on_each_adapter(mut test: impl FnMut(&str, &mut GpuEngine)) {
    for (name, engine) in engines(Products::Flat) {
        test(name, &mut lock(engine));
    }
}

/// The same with the tiled products of real GPUs.
pub fn on_each_adapter_tiled(mut test: impl FnMut(&str, &mut GpuEngine)) {
    for (name, engine) in engines(Products::Tiled) {
        test(&format!("{name}, tiled"), &mut lock(engine));
    }
}

/// The same where small networks run whole in a workgroup.
pub fn on_each_adapter_small(mut test: impl FnMut(&str, &mut GpuEngine)) {
    for (name, engine) in small_engines() {
        test(&format!("{name}, small"), &mut lock(engine));
    }
}

fn lock(engine: &Mutex<GpuEngine>) -> MutexGuard<'_, GpuEngine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}
