//! `--set`, `--only` and `--limit`.

use super::{EXAMPLE, body};
use crate::config::{Key, Overrides, SweepFile, Value};

fn set(text: &str, sets: &[&str]) -> Result<SweepFile, String> {
    let overrides = Overrides { set: sets.iter().map(|s| s.to_string()).collect(), ..Overrides::default() };
    SweepFile::parse(text, "sweep.toml", &overrides).map_err(|e| e.to_string())
}

fn values(file: &SweepFile, sweep: usize, key: Key) -> Vec<Value> {
    let columns = file.sweeps[sweep].axes.iter().flat_map(|axis| &axis.columns);
    columns.filter(|c| c.key == key).flat_map(|c| c.settings.iter().map(|s| s.value())).collect()
}

#[test]
fn set_replaces_values_where_they_stand() {
    let sets = [
        "sweep.phase.depth=100",
        "defaults.width = [32, 64]",
        "seed=3",
        "name=other",
        "sweep.phase.activation=relu",
        "sweep.depth.zip.init=[\"orthogonal\", \"he_uniform\"]",
        "sweep.depth.replicates=1",
        "record.statistics=full",
        "verdict.decades=1",
        "sweep.phase.gain={ linspace = [1, 2], num = 3 }",
    ];
    let file = set(EXAMPLE, &sets).unwrap();
    assert_eq!((file.seed, file.name.as_str(), file.verdict_decades), (3, "other", 1.0));
    assert_eq!(values(&file, 0, Key::Depth), [Value::Int(100)]);
    assert_eq!(values(&file, 1, Key::Width), [Value::Int(32), Value::Int(64)]);
    assert_eq!(values(&file, 0, Key::Activation), [Value::Word("relu".into())]);
    assert_eq!(values(&file, 1, Key::Init)[0], Value::Word("orthogonal".into()));
    assert_eq!((file.sweeps[0].replicates, file.sweeps[1].replicates), (4, 1));
    // Replaced axes keep their place, new ones come last.
    let names: Vec<_> = file.sweeps[0].axes.iter().map(|axis| axis.name()).collect();
    assert_eq!(names, ["width", "batch_size", "input", "depth", "activation", "init", "sigma_w", "sigma_b", "gain"]);
}

#[test]
fn the_longest_sweep_name_that_fits_is_meant() {
    let text = "[[sweep]]\nname = \"a\"\n[[sweep]]\nname = \"a.depth\"\n";
    let file = set(text, &["sweep.a.depth.width=3", "sweep.a.depth=5"]).unwrap();
    assert_eq!(values(&file, 1, Key::Width), [Value::Int(3)]);
    assert_eq!(values(&file, 0, Key::Depth), [Value::Int(5)]);
    assert!(set("[[sweep]]", &["sweep.sweep.depth=3"]).is_ok());
    assert!(set("[[sweep]]", &["defaults.depth=3"]).is_ok());
}

#[test]
fn every_mistake_in_a_set_is_named_where_it_stands() {
    let cases = [
        ("sweep.s.depth=[1,2", "--set:1:15: `[1,2` is not a TOML value\n  sweep.s.depth=[1,2\n                ^^^^"),
        ("sweep.t.depth=3", "--set:1:1: no sweep `t` to set in; did you mean `s`? (sweep.NAME.KEY=VALUE)\n"),
        ("sweep.s={ depth = 3 }", "--set:1:1: `s` is a whole sweep: set its keys one by one (sweep.s.KEY=VALUE)\n"),
        ("defaults={ width = 3 }", "--set:1:1: `defaults` is a section: set its keys one by one (defaults.width=64)\n"),
        ("sweep=[]", "--set:1:1: `sweep` is a section: set its keys one by one (sweep.NAME.KEY=VALUE)\n"),
        ("foo.bar=3", "--set:1:1: unknown section `foo`\n"),
        ("seed", "--set:1:1: `seed` has no `=` (a `--set` is a path, `=` and a value: "),
        ("sed=3", "--set:1:1: unknown key `sed`; did you mean `seed`? "),
        ("defaults.widht=3", "--set:1:10: unknown key `widht` in [defaults]; did you mean `width`? "),
        ("sweep.s.activation=rleu", "--set:1:20: unknown activation `rleu`; did you mean `relu`? "),
        ("sweep.s.zip.depth=[3]", "--set:1:1: sweep `s` has no `zip`"),
        ("=3", "--set:1:1: the path `` ends without a key"),
        ("sweep.s.=3", "--set:1:1: the path `sweep.s.` ends without a key"),
        ("name=", "--set:1:6: `` is not a TOML value"),
        ("sweep.s.depth=0", "--set:1:15: `depth` must be between 1 and 1024, not 0"),
    ];
    for (text, expected) in cases {
        let error = set(&body("depth = 3"), &[text]).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn only_and_limit_are_checked() {
    let parse = |only: &[&str], limit| {
        let only = only.iter().map(|s| s.to_string()).collect();
        SweepFile::parse(EXAMPLE, "x", &Overrides { only, limit, ..Overrides::default() }).map_err(|e| e.to_string())
    };
    assert_eq!(parse(&["depth"], None).unwrap().only, Some(vec![1]));
    assert_eq!(parse(&[], Some(7)).unwrap().limit, Some(7));
    let error = parse(&["phse"], None).unwrap_err();
    assert_eq!(error, "--only: unknown sweep `phse`; did you mean `phase`? (phase, depth)");
    assert_eq!(parse(&[], Some(0)).unwrap_err(), "--limit: must be at least 1");
}
