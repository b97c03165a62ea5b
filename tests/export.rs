//! Exports of finished runs, read back by other tools.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::command_line::{Place, code, stderr, stdout};
use crate::csv_readers;
use crate::python::run_script;

#[test]
fn parquet_and_the_long_form_equal_the_csv_cell_by_cell() {
    let place = Place::new(csv_readers::SWEEP);
    let run = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out"]);
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    for format in ["parquet", "long"] {
        let export = place.run(&["export", "out", "--format", format]);
        assert_eq!(code(&export), 0, "{}", stderr(&export));
    }
    let stream = place.run(&["export", "out", "--format", "long", "-o", "-"]);
    assert!(code(&stream) == 0 && stream.stdout == place.read("out/layers_long.csv"));
    let header = "network,configuration,sweep,replicate,step,layer,layer_kind,depth,";
    assert!(stdout(&stream).starts_with(header), "{:?}", stdout(&stream).lines().next());
    // The run is still complete, and the same files come out elsewhere.
    assert!(stderr(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out"])).contains("already complete"));
    assert_eq!(code(&place.run(&["export", "out", "-o", "new/folder"])), 0);
    assert!(place.read("new/folder/layers.parquet") == place.read("out/layers.parquet"));
    if let Some(text) = run_script("parquet.py", &[&place.path("out")]) {
        assert_eq!(text.lines().filter(|line| line.contains("rows equal")).count(), 4, "{text}");
    }
}

/// A folder that looks like a finished run with a table of these lines.
fn folder(place: &Place, fields: &[(&str, &str)], lines: &str) {
    let fields: Vec<_> = fields.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let table = json!({"name": "layers", "path": "layers.csv", "schema": {"fields": fields}});
    fs::write(place.path("datapackage.json"), json!({"resources": [table]}).to_string()).expect("writable");
    fs::write(place.path("layers.csv"), lines).expect("writable");
}

#[test]
fn large_tables_are_written_in_several_row_groups() {
    let place = Place::new("");
    let mut lines = "id,word,number,flag,mixed\n".to_string();
    for i in 0..150_000u32 {
        let (word, flag) = (["", "a", "\"b,\"\"c\"\"\""][i as usize % 3], ["true", "", "false"][i as usize % 3]);
        let (number, mixed) = (f64::from(i).sqrt(), ["1.0", "1/depth"][usize::from(i > 149_000)]);
        writeln!(lines, "{i},{word},{number:e},{flag},{mixed}").expect("a string");
    }
    let fields = [("id", "integer"), ("word", "string"), ("number", "number"), ("flag", "boolean"), ("mixed", "any")];
    folder(&place, &fields, &lines);
    let export = place.run(&["export", "."]);
    assert_eq!(code(&export), 0, "{}", stderr(&export));
    if let Some(text) = run_script("parquet.py", &[place.home.path()]) {
        assert_eq!(text.trim(), "layers.csv 150000 rows equal in 3 row groups");
    }
}

#[test]
fn what_cannot_be_exported_says_why_and_leaves_no_file() {
    let place = Place::new("");
    let export = |arguments: &[&str], expected: i32, words: &str| {
        let run = place.run(&[&["export"], arguments].concat());
        assert_eq!(code(&run), expected, "{}", stderr(&run));
        assert!(stderr(&run).contains(words), "{}", stderr(&run));
        assert!(!Path::new(&place.path("layers.parquet")).exists());
    };
    export(&["."], 2, "no finished run");
    export(&["nowhere"], 2, "there is no such directory");
    export(&["sweep.toml"], 2, "is a file; name the directory");
    fs::write(place.path("manifest.json"), "{}").expect("writable");
    export(&["."], 3, "not finished");
    let fields = [("layer", "integer"), ("chi", "number")];
    folder(&place, &fields, "layer,chi\n1,2.0\n2,x\n");
    export(&["."], 1, "line 3: `x` in column chi is no number");
    folder(&place, &fields, "layer,chj\n1,2.0\n");
    export(&["."], 1, "`chj` in the place of `chi`");
    folder(&place, &fields, "layer,chi\n1\n");
    export(&["."], 1, "layers.csv");
    folder(&place, &fields, "layer,chi\n1,2.0\n");
    export(&[".", "-o", "-"], 2, "--format long");
    export(&[".", "-o", "/proc/x"], 6, "/proc/x");
    fs::write(place.path("datapackage.json"), "{").expect("writable");
    export(&["."], 1, "datapackage.json");
}
