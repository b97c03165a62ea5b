//! `docs/columns.md` is what the catalog says.

use std::fs;
use std::path::Path;

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
