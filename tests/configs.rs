//! The sweep files in `configs/`: each plans, says what it shows, and shows it.

use std::fs;
use std::path::{Path, PathBuf};

use gradsweep::config::{Overrides, SweepFile};
use gradsweep::plan::Plan;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file").to_string_lossy().into_owned()
}

fn plan(path: &Path, overrides: &Overrides) -> Plan {
    let text = fs::read_to_string(path).expect("utf-8");
    let name = path.to_string_lossy();
    let file = SweepFile::parse(&text, &name, overrides).unwrap_or_else(|e| panic!("{e}"));
    Plan::new(&file).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_sweep_file_plans_and_says_what_to_look_for() {
    assert!(files().len() >= 7);
    for path in files() {
        let plan = plan(&path, &Overrides::default());
        println!(
            "{}: {} networks, {:.1} GFLOP, {} rows, notes {:?}",
            stem(&path),
            plan.len(),
            plan.total_flops() / 1e9,
            plan.total_rows(),
            plan.notes
        );
        assert_eq!(plan.name, stem(&path).replace('_', "-"));
        let text = fs::read_to_string(&path).expect("utf-8");
        for part in ["# Known result: ", "# Source", "# Look for: "] {
            assert!(text.contains(part), "{}: {part}", path.display());
        }
    }
}
