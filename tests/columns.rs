//! `docs/columns.md` is what the catalog says.

use std::fs;
use std::path::Path;
use std::process::Command;

use gradsweep::stats::catalog::markdown;

#[test]
fn the_columns_page_is_the_catalog() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/columns.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, markdown()).expect("docs is writable");
    }
    let page = fs::read_to_string(&path).expect("docs/columns.md is part of the repository");
    let same = page == markdown();
    assert!(same, "docs/columns.md is out of date: gradsweep list statistics --markdown > docs/columns.md");
}

#[test]
fn the_program_prints_that_page() {
    let program = env!("CARGO_BIN_EXE_gradsweep");
    let out = Command::new(program).args(["list", "statistics", "--markdown"]).output().expect("it starts");
    assert!(out.status.success());
    assert!(String::from_utf8(out.stdout).expect("utf-8") == markdown(), "the page on standard output");
    let norms = Command::new(program).args(["list", "norms", "--markdown"]).output().expect("it starts");
    let text = String::from_utf8(norms.stdout).expect("utf-8");
    assert!(text.starts_with("| norm | aliases | description |\n| --- | --- | --- |\n| none |"), "{text}");
}
