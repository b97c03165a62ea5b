//! The JSON Schema of sweep files, in a validator of its own: it takes what the program takes, and refuses what it can.

use std::fs;
use std::path::Path;
use std::process::Command;

use gradsweep::config::key::Kind;
use gradsweep::config::{KEYS, Overrides, SweepFile};

use crate::python::run_script;

/// Bodies of files that are good in every form of the grammar.
const GOOD: [&str; 13] = [
    "[[sweep]]",
    "schema_version = 1\nname = \"a.b-c_1\"\nseed = 9007199254740992\nreplicates = 3\nseeding = \"replicate\"\n[[sweep]]",
    "[defaults]\nreplicates = 2\nwidth = [4, 8]\n[[sweep]]\nname = \"a\"\nreplicates = 5\n[[sweep]]\nname = \"b\"",
    "[[sweep]]\ndepth = { range = [2, 10], step = 2 }\nwidth = { choice = [4, 8] }\ngain = { logspace = [0.1, 10], num = 3 }",
    "[[sweep]]\nzip = { activation = [\"elu( 2 )\", \"swish\"], init = [\"normal(2e-2)\", \"constant(-.5)\"] }",
    "[[sweep]]\nwhere = \"depth > 2\"\nresidual = \"post_act\"\nresidual_scale = [0.5, 1, \"1/sqrt(depth)\"]",
    "[[sweep]]\nresidual = \"post_act\"\nresidual_scale = [\"1/ depth\", \" 1 / sqrt( depth )\"]\nnorm = \" none\"",
    "[[sweep]]\nwhere = [\"depth > 2\"]\ninput = [\"correlated_pairs(0.5)\", \"digits\"]\nbias = [true, false]",
    "[[sweep]]\ninput = [\"correlated_pairs(-1)\", \"correlated_pairs(+1.0)\", \"correlated_pairs( -.25 )\", \"correlated_pairs(25e-2)\", \"correlated_pairs(0)\"]",
    "[[sweep]]\ninit = [\"normal(-0.)\", \"normal(0)\", \"constant(-3)\"]\nactivation = [\"leaky_relu(0)\", \"elu(.5)\", \"elu(+1e-3)\", \"softplus(10.)\"]\ngain = [0, 0.0, 1e-100]",
    "[[sweep]]\nresidual = \"post_act\"\nresidual_scale = [0, 1e-30, 1e30]",
    "[[sweep]]\n[record]\nsteps = [0]\nstatistics = [\"preact_grad\", \"rms\", \"chi\"]\nlayers = { range = [0, 10], step = 5 }",
    "[[sweep]]\n[record]\nstatistics = \"full\"\nlayers = [0, 3]\ntimes = \"all\"\n[verdict]\ndecades = 1",
];

/// Bodies with one mistake that a schema can see.
const BAD: [&str; 42] = [
    "name = \"no sweep\"",
    "schema_version = 2\n[[sweep]]",
    "name = \"a b\"\n[[sweep]]",
    "seed = -1\n[[sweep]]",
    "replicates = 0\n[[sweep]]",
    "seeding = \"both\"\n[[sweep]]",
    "depth = 3\n[[sweep]]",
    "[sweep]\ndepth = 3",
    "[[sweep]]\ndpeth = 3",
    "[[sweep]]\ndepth = 0",
    "[[sweep]]\ndepth = 1025",
    "[[sweep]]\ndepth = []",
    "[[sweep]]\ndepth = 2.5",
    "[[sweep]]\ndepth = \"3\"",
    "[[sweep]]\nactivation = \"rleu\"",
    "[[sweep]]\nactivation = \"tanh(1)\"",
    "[[sweep]]\ninit = \"normal\"",
    "[[sweep]]\ninit = \"he_normal(1)\"",
    "[[sweep]]\nactivation = { linspace = [0, 1], num = 3 }",
    "[[sweep]]\ngain = -1",
    "[[sweep]]\ngain = { linspace = [0, 1] }",
    "[[sweep]]\ngain = { logspace = [0, 1], num = 3 }",
    "[[sweep]]\ngain = { range = [1, 2], step = 0 }",
    "[[sweep]]\nresidual_scale = \"depth\"",
    "[[sweep]]\nnorm = \"none(1)\"",
    "[[sweep]]\nlearning_rate = 0.1",
    "[[sweep]]\nzip = {}",
    "[[sweep]]\nzip = { activation = \"tanh\", init = [\"zeros\"] }",
    "[[sweep]]\nactivation = \"elu(-1)\"",
    "[[sweep]]\nactivation = \"elu(0.0e3)\"",
    "[[sweep]]\nactivation = \"leaky_relu( -.5 )\"",
    "[[sweep]]\ninit = \"normal(-0.1)\"",
    "[[sweep]]\ninput = \"correlated_pairs(2)\"",
    "[[sweep]]\ninput = \"correlated_pairs(-1.5)\"",
    "[[sweep]]\ninput = \"correlated_pairs(1e2)\"",
    "[[sweep]]\ninput = \"correlated_pairs\"",
    "[[sweep]]\ngain = 1e-101",
    "[[sweep]]\nsigma_w = 1e101",
    "[[sweep]]\nresidual_scale = 1e-101",
    "[[sweep]]\nnorm_eps = 1e7",
    "[[sweep]]\n[record]\nstatistics = \"prect\"",
    "[[sweep]]\n[verdict]\ndecades = 0",
];

#[test]
fn the_schema_takes_good_files_and_refuses_bad_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    fs::create_dir(&good).and_then(|()| fs::create_dir(&bad)).expect("writable");
    let program = || Command::new(env!("CARGO_BIN_EXE_gradsweep"));
    let schema = program().arg("schema").output().expect("it starts");
    assert!(schema.status.success());
    fs::write(folder.path().join("schema.json"), &schema.stdout).expect("writable");
    let init = program().args(["init", "init.toml"]).current_dir(&good).output().expect("it starts");
    assert!(init.status.success());
    let mut files = 1;
    let sweeps = toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs"));
    // What stands beside the sweep files of papers is no sweep file.
    for path in sweeps.into_iter().filter(|path| !path.to_string_lossy().ends_with(".statements.toml")) {
        fs::copy(&path, good.join(format!("configs{files}.toml"))).expect("writable");
        files += 1;
    }
    assert!(files >= 8, "the configs were found");
    // Every word, alias and default of every key.
    let mut all: Vec<String> = GOOD.map(str::to_string).to_vec();
    for row in &KEYS {
        let bare = |word: &str| word.parse::<f64>().is_ok() || ["true", "false"].contains(&word);
        let quoted = |word: &str| if bare(word) { word.to_string() } else { format!("\"{word}\"") };
        let mut values = Vec::new();
        if row.default != "width" {
            values.push(quoted(row.default));
        }
        if let Kind::Word(vocabulary) = &row.kind {
            for spelling in (vocabulary.spellings)() {
                let names = std::iter::once(&spelling.name).chain(spelling.aliases);
                values.extend(names.flat_map(|name| [quoted(name), quoted(&format!("{name}(0.25)"))]));
                let names = std::iter::once(&spelling.name).chain(spelling.aliases);
                values.extend(names.flat_map(|name| [format!("\" {name} ()\""), format!("\"{name}\\t\"")]));
            }
        }
        all.extend(values.into_iter().map(|value| format!("[[sweep]]\n{} = {value}", row.name)));
    }
    for (i, text) in all.iter().chain(&BAD.map(str::to_string)).enumerate() {
        // The parser is the judge.
        let parses = SweepFile::parse(text, "sweep.toml", &Overrides::default());
        assert!(i >= GOOD.len() || parses.is_ok(), "{text}: {parses:?}");
        assert!(i < all.len() || parses.is_err(), "{text}");
        let place = if parses.is_ok() { &good } else { &bad };
        fs::write(place.join(format!("{i}.toml")), text).expect("writable");
        files += 1;
    }
    if let Some(text) = run_script("schema.py", &[folder.path()]) {
        assert_eq!(text.trim(), format!("{files} files judged"));
    }
}

/// Every sweep file below a folder.
fn toml_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("part of the repository").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { toml_files(&path) } else { vec![path] }).collect()
}
