//! Walls of the house: which crates and facilities may be named where.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory is part of the repository") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// Source lines outside comments under `src`, with their path relative to it.
fn code() -> Vec<(String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        for (i, line) in fs::read_to_string(&path).expect("utf-8").lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((name.clone(), i + 1, line.to_string()));
            }
        }
    }
    assert!(lines.len() > 500, "the walk found the sources");
    lines
}

#[test]
fn each_crate_stays_behind_its_wall() {
    let walls = [("wgpu::", &["engine/gpu/"][..]), ("clap::", &["cli/"]), ("csv::", &["output/"])];
    for (name, line, text) in code() {
        for (word, allowed) in walls {
            let hit = text.contains(word) && !text.contains(&format!("_{word}"));
            assert!(!hit || allowed.iter().any(|a| name.starts_with(a)), "src/{name}:{line} names {word}");
        }
    }
}

#[test]
fn pure_modules_touch_no_file_clock_device_or_thread() {
    let pure = ["plan/", "network/", "program/", "stats/"];
    let words = [
        "std::fs",
        "std::time",
        "Instant",
        "SystemTime",
        "std::io",
        "std::env",
        "std::net",
        "std::process",
        "rayon",
        "thread::",
    ];
    for (name, line, text) in code() {
        if pure.iter().any(|p| name.starts_with(p)) {
            for word in words {
                assert!(!text.contains(word), "src/{name}:{line} names {word}");
            }
        }
    }
}
