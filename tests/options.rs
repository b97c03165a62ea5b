//! What options and messages promise: each does what its help says, and names the way out that there is.

use std::fs;

use crate::command_line::{Place, RUN, SWEEP, code, stderr, stdout};

const WIDE: &str = "name = \"wide\"\n[[sweep]]\nname = \"s\"\ndepth = 2\nwidth = 64\nbatch_size = 4096\n\
                    input_size = 4096\noutput_size = 4096\n";

#[test]
fn the_device_variable_holds_for_every_command_with_a_device() {
    let place = Place::new(SWEEP);
    for command in [&["bench"][..], &["doctor"], &["run", "sweep.toml"]] {
        let run = place.command(command).env("GRADSWEEP_DEVICE", "no such adapter").output().expect("starts");
        assert_eq!(code(&run), 4, "{command:?}: {}", stderr(&run));
    }
}

#[test]
fn negative_numbers_are_answered_by_the_range_of_the_option() {
    let place = Place::new(SWEEP);
    let cases: [(&[&str], &str); 6] = [
        (&["run", "sweep.toml", "--limit", "-1"], "1 or more"),
        (&["run", "sweep.toml", "--limit", "0"], "1 or more"),
        (&["run", "sweep.toml", "--jobs", "-1"], "1 to 4096"),
        (&["bench", "--jobs", "-1"], "1 to 4096"),
        (&["bench", "--limit", "-1"], "1 or more"),
        (&["dump", "sweep.toml", "--network", "-1", "-o", "x.safetensors"], "0 to 31"),
    ];
    for (arguments, words) in cases {
        let run = place.run(arguments);
        assert_eq!(code(&run), 2, "{arguments:?}");
        assert!(stderr(&run).contains(words) && !stderr(&run).contains("-- -1"), "{arguments:?}: {}", stderr(&run));
    }
}

#[test]
fn a_directory_is_no_sweep_file_to_overwrite() {
    let place = Place::new(SWEEP);
    fs::create_dir(place.path("folder")).expect("writable");
    for arguments in [&["init", "folder"][..], &["init", "folder", "--force"]] {
        let run = place.run(arguments);
        assert_eq!(code(&run), 2, "{arguments:?}");
        assert!(stderr(&run).contains("folder is a directory; name a file"), "{}", stderr(&run));
    }
}

#[test]
fn a_plan_prices_inputs_and_outputs_too() {
    let place = Place::new(WIDE);
    let plan: serde_json::Value =
        serde_json::from_slice(&place.run(&["plan", "sweep.toml", "--json"]).stdout).expect("JSON");
    let price = plan["largest_network_bytes"].as_f64().expect("a number") / f64::from(1 << 20);
    // Runs of it peaked at 454 and 534 MiB, with one network and with three.
    assert!((430.0..750.0).contains(&price), "{price} MiB");
}

#[test]
fn a_dump_that_cannot_fit_is_refused_before_it_computes() {
    // About 600 GB in float64, with the copies on the way to the file.
    let place = Place::new("[[sweep]]\nname = \"s\"\ndepth = 1024\nwidth = 2048\nbatch_size = 4096\n");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available: Option<u64> =
        memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok());
    if available.is_none_or(|kib| kib > 500 << 20) {
        eprintln!("SKIPPED: this machine has memory for the largest network, or does not say how much it has");
        return;
    }
    let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors"]);
    assert_eq!(code(&dump), 5, "{}", stderr(&dump));
    assert!(stderr(&dump).contains("depth 1024, width 2048 and batch_size 4096 take about"), "{}", stderr(&dump));
    assert!(!place.path("x.safetensors").exists());
}

#[test]
fn a_directory_of_another_run_is_refused_with_the_key_that_differs() {
    let place = Place::new(SWEEP);
    let with = |more: &[&'static str]| place.run(&[&RUN[..], more].concat());
    assert_eq!(code(&with(&["--set", "defaults.gain=1.5", "--limit", "7"])), 0);
    let other = with(&["--set", "defaults.gain=1.25", "--limit", "7"]);
    assert_eq!(code(&other), 2);
    assert!(stderr(&other).contains("gain of network 0: 1.5 there, 1.25 now"), "{}", stderr(&other));
    let other =
        with(&["--set", "defaults.gain=1.5", "--set", "sweep.a.activation=[\"tanh\", \"erf\"]", "--limit", "7"]);
    assert!(stderr(&other).contains("activation of network 2: \"relu\" there, \"erf\" now"), "{}", stderr(&other));
    // A sweep file that was edited since says nothing of the run beside it.
    fs::write(place.path("out/sweep.toml"), SWEEP.replace("seed = 5", "seed = 6")).expect("writable");
    let other = with(&["--set", "defaults.gain=1.25", "--limit", "7"]);
    assert_eq!(code(&other), 2);
    assert!(
        stderr(&other).contains("other values of their keys") && !stderr(&other).contains("network 0"),
        "{}",
        stderr(&other)
    );
}

#[test]
fn json_is_printed_or_said_not_to_be() {
    let place = Place::new(SWEEP);
    let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&dump.stdout).expect("JSON");
    assert_eq!(value["file"], "x.safetensors");
    assert_eq!(value["bytes"].as_u64(), Some(place.read("x.safetensors").len() as u64));
    assert!(value["tensors"].as_array().is_some_and(|names| names.contains(&"layers.1.weight".into())), "{value}");
    let init: serde_json::Value =
        serde_json::from_slice(&place.run(&["init", "new.toml", "--json"]).stdout).expect("JSON");
    assert_eq!(init["file"], "new.toml");
    for arguments in [
        &["run", "sweep.toml", "--device", "cpu", "-o", "-", "--json"][..],
        &["dump", "sweep.toml", "--network", "0", "-o", "-", "--json"],
        &["init", "-", "--json"],
    ] {
        let run = place.run(arguments);
        assert_eq!(code(&run), 0, "{}", stderr(&run));
        assert!(stderr(&run).contains("--json says nothing here"), "{arguments:?}: {}", stderr(&run));
        assert!(!run.stdout.is_empty());
    }
}

#[test]
fn the_last_lines_of_a_run_agree_with_themselves_and_name_every_file() {
    let place = Place::new(SWEEP);
    let run = place.run(&RUN);
    let text = stderr(&run);
    let line = text.lines().find(|line| line.contains("Finished")).unwrap_or_else(|| panic!("{text}"));
    // Finished 32 networks in 0.3 s (107/s, ...) on ...
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..4], ["Finished", "32", "networks", "in"], "{line}");
    let number =
        |word: &str| word.trim_start_matches('(').trim_end_matches("/s,").replace(',', "").parse().expect("a number");
    let (unit, half_a_digit) = if words[5] == "ms" { (1e-3, 0.5) } else { (1.0, 0.05) };
    let (seconds, rate): (f64, f64) = (number(words[4]), number(words[6]));
    let [low, high] = [seconds + half_a_digit, seconds - half_a_digit].map(|s| 32.0 / (s * unit));
    assert!((low - 1.0..high + 1.0).contains(&rate), "{line}");
    for file in fs::read_dir(place.path("out")).expect("readable") {
        let name = file.expect("readable").file_name().into_string().expect("a name");
        assert!(text.contains(&format!("out/{name}")), "{name}: {text}");
        assert!(stdout(&place.run(&["run", "--help"])).contains(&name) || name == "sweep.toml", "{name}");
    }
}

#[test]
fn no_output_takes_the_place_of_what_is_read() {
    let place = Place::new(SWEEP);
    for arguments in [
        &["plan", "sweep.toml", "-o", "sweep.toml"][..],
        &["dump", "sweep.toml", "--network", "0", "-o", "./sweep.toml"],
    ] {
        let run = place.run(arguments);
        assert_eq!(code(&run), 2, "{arguments:?}: {}", stderr(&run));
        assert!(stderr(&run).contains("is the sweep file itself"), "{}", stderr(&run));
    }
    assert_eq!(fs::read_to_string(place.path("sweep.toml")).expect("is there"), SWEEP);
    assert_eq!(code(&place.run(&RUN)), 0);
    let before = fs::read(place.path("out/layers.csv")).expect("is there");
    let report = place.run(&["report", "out", "-o", "out/layers.csv"]);
    assert_eq!(code(&report), 2, "{}", stderr(&report));
    assert!(stderr(&report).contains("a page is .html"), "{}", stderr(&report));
    assert_eq!(fs::read(place.path("out/layers.csv")).expect("is there"), before);
}

#[test]
fn a_finished_run_where_nobody_can_write_is_complete() {
    let place = Place::new(SWEEP);
    assert_eq!(code(&place.run(&RUN)), 0);
    // A lock that cannot be taken; the user of a test may write wherever permissions say no.
    fs::create_dir(place.path("out/lock")).expect("writable");
    let again = place.run(&RUN);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(stderr(&again).contains("already complete"), "{}", stderr(&again));
    fs::remove_file(place.path("out/networks.csv")).expect("is there");
    assert_eq!(code(&place.run(&RUN)), 6);
}
