//! The program as users see it: exit codes, messages, streams and files.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A small sweep of several shapes.
pub const SWEEP: &str = r#"schema_version = 1
name = "small"
seed = 5
replicates = 2
[defaults]
batch_size = 4
[[sweep]]
name = "a"
depth = [2, 6]
width = [4, 8, 12]
activation = ["tanh", "relu"]
[[sweep]]
name = "b"
depth = 3
width = 8
init = "mean_field"
sigma_w = { linspace = [0.5, 2.0], num = 4 }
"#;

/// A directory with a sweep file in it.
pub struct Place {
    pub home: TempDir,
}

impl Place {
    pub fn new(sweep: &str) -> Place {
        let home = TempDir::new().expect("a temporary directory");
        fs::write(home.path().join("sweep.toml"), sweep).expect("writable");
        Place { home }
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
    /// The program in this directory, with a plain environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradsweep"));
        command.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command.env_remove("GRADSWEEP_DEVICE").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

const RUN: [&str; 6] = ["run", "sweep.toml", "--device", "cpu", "-o", "out"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_run_writes_tables_that_agree_with_its_plan() {
    let place = Place::new(SWEEP);
    let plan = place.run(&["plan", "sweep.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    let run = place.run(&with(&["--json"]));
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    let manifest: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let lines = |name: &str| place.read(name).iter().filter(|&&b| b == b'\n').count() as u64 - 1;
    assert_eq!(plan["rows"].as_u64(), Some(lines("out/layers.csv")));
    assert_eq!(plan["networks"].as_u64(), Some(lines("out/networks.csv")));
    assert_eq!(manifest["state"], "complete");
    assert_eq!(manifest["counts"]["networks"], plan["networks"]);
    assert_eq!(place.read("out/sweep.toml"), SWEEP.as_bytes());
    assert!(!place.path("out/parts").exists() && !place.path("out/lock").exists());
    let estimate = plan["bytes"].as_f64().expect("a number") / place.read("out/layers.csv").len() as f64;
    assert!((0.5..2.0).contains(&estimate), "the plan's size is off by {estimate}");
}

#[test]
fn a_finished_run_is_complete_already() {
    let place = Place::new(SWEEP);
    assert_eq!(code(&place.run(&RUN)), 0);
    let again = place.run(&RUN);
    assert_eq!(code(&again), 0);
    assert!(stderr(&again).contains("already complete"), "{}", stderr(&again));
    let other = place.run(&with(&["--set", "seed=6"]));
    assert_eq!(code(&other), 2);
    assert!(stderr(&other).contains("seed: 5 there, 6 now"), "{}", stderr(&other));
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_the_stream() {
    let place = Place::new(SWEEP);
    for (jobs, out) in [("1", "one"), ("2", "two"), ("3", "three")] {
        let run = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", out, "--jobs", jobs, "-q"]);
        assert_eq!((code(&run), stderr(&run)), (0, String::new()));
    }
    let layers = place.read("one/layers.csv");
    assert!(layers == place.read("two/layers.csv") && layers == place.read("three/layers.csv"));
    assert!(place.read("one/networks.csv") == place.read("three/networks.csv"));
    let stream = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-"]);
    assert_eq!(code(&stream), 0);
    assert!(stream.stdout == layers);
}

#[test]
fn a_network_keeps_its_rows_when_the_sweep_grows() {
    let place = Place::new(SWEEP);
    let all = stdout(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-"]));
    let some = stdout(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-", "--limit", "5"]));
    let only = stdout(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-", "--only", "b"]));
    assert!(all.starts_with(&some), "--limit takes the first networks");
    let (header, rows) = only.split_once('\n').expect("a header");
    assert!(all.starts_with(header) && all.ends_with(rows) && !rows.is_empty());
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new(&SWEEP.replace("replicates = 2", "replicates = 40"));
    let commands: [&[&str]; 4] = [
        &["run", "sweep.toml", "--device", "cpu", "-o", "-", "-q"],
        &["list", "statistics"],
        &["plan", "sweep.toml"],
        &["init", "-"],
    ];
    for arguments in commands {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::with_capacity(16, child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let mut errors = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{arguments:?}: {errors}");
        assert_eq!(errors, "", "{arguments:?}");
    }
}

#[test]
fn the_sweep_file_may_come_from_standard_input() {
    let place = Place::new(SWEEP);
    let file = fs::File::open(place.path("sweep.toml")).expect("exists");
    let run = place.command(&["run", "-", "--device", "cpu", "-o", "-"]).stdin(file).output().expect("starts");
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    assert!(run.stdout == place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-"]).stdout);
}

#[test]
fn every_mistake_has_its_exit_code_and_a_clear_message() {
    let place = Place::new(SWEEP);
    fs::create_dir(place.path("full")).expect("writable");
    fs::write(place.path("full/notes.txt"), "mine").expect("writable");
    fs::write(place.path("bad.toml"), SWEEP.replace("\"relu\"", "\"rleu\"")).expect("writable");
    let cases: [(&[&str], i32, &str); 16] = [
        (&["run"], 2, "SWEEP"),
        (&["rnu", "sweep.toml"], 2, "rnu"),
        (&["run", "missing.toml"], 2, "gradsweep init"),
        (&["run", "bad.toml"], 2, "did you mean `relu`"),
        (&["run", "sweep.toml", "--set", "sweep.a.depth=0"], 2, "depth"),
        (&["run", "sweep.toml", "--only", "c"], 2, "`c`"),
        (&["run", "sweep.toml", "-o", "full"], 2, "notes.txt"),
        (&["run", "sweep.toml", "-o", "sweep.toml"], 2, "no directory"),
        (&["run", "sweep.toml", "--jobs", "0"], 2, "1 to 4096"),
        (&["run", "sweep.toml", "--precision", "f16"], 2, "f64"),
        (&["run", "sweep.toml", "--device", "index:x"], 2, "gradsweep devices"),
        (&["run", "sweep.toml", "--device", "GeForce 9999"], 4, "--device cpu"),
        (&["run", "sweep.toml", "--device", "index:77"], 4, "index:77"),
        (&["run", "sweep.toml", "--device", "cpu", "-o", "/proc/gradsweep"], 6, "/proc/gradsweep"),
        (&["dump", "sweep.toml", "--network", "999", "-o", "x.safetensors"], 2, "0 to 31"),
        (&["init", "sweep.toml"], 2, "--force"),
    ];
    for (arguments, expected, words) in cases {
        let run = place.run(arguments);
        let text = stderr(&run);
        assert_eq!(code(&run), expected, "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
        assert!(!text.contains("panicked") && !text.contains("bug:"), "{arguments:?}: {text}");
        assert_eq!(stdout(&run), "", "{arguments:?}");
    }
    assert!(!place.path("runs").join("small").exists(), "a run that cannot start leaves no directory");
    assert_eq!(fs::read_dir(place.path("full")).expect("readable").count(), 1);
}

#[test]
fn without_an_adapter_gpu_is_refused_and_auto_uses_the_cpu() {
    let place = Place::new(SWEEP);
    let bare = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command.output().expect("starts")
    };
    let gpu = bare(&["run", "sweep.toml", "--device", "gpu"]);
    assert_eq!(code(&gpu), 4, "{}", stderr(&gpu));
    assert!(stderr(&gpu).contains("--device cpu"), "{}", stderr(&gpu));
    assert_eq!(code(&bare(&["run", "sweep.toml", "--device", "llvmpipe"])), 4);
    let auto = bare(&["run", "sweep.toml"]);
    assert_eq!(code(&auto), 0, "{}", stderr(&auto));
    assert!(place.path("runs/small/layers.csv").exists());
    let devices = stdout(&bare(&["devices"]));
    assert_eq!(devices.lines().count(), 2, "{devices}");
    let mut named = place.command(&["run", "sweep.toml", "-o", "named"]);
    assert_eq!(code(&named.env("GRADSWEEP_DEVICE", "no such adapter").output().expect("starts")), 4);
}

#[test]
fn nothing_is_coloured_off_a_terminal_unless_asked_for() {
    let place = Place::new(SWEEP);
    let escape = |output: &Output| output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b);
    let commands: [&[&str]; 6] =
        [&["--help"], &["plan", "sweep.toml"], &["list"], &["devices"], &["run", "missing.toml"], &RUN];
    for arguments in commands {
        assert!(!escape(&place.run(arguments)), "{arguments:?}");
    }
    assert!(escape(&place.run(&["plan", "sweep.toml", "--color", "always"])));
}

#[test]
fn help_is_short_alone_and_complete_on_request() {
    let place = Place::new(SWEEP);
    let alone = place.run(&[]);
    assert_eq!(code(&alone), 0);
    for command in
        ["run", "plan", "list", "devices", "doctor", "init", "dump", "export", "schema", "completions", "man", "bench"]
    {
        assert!(stdout(&alone).contains(command), "{command}");
        let help = place.run(&[command, "--help"]);
        assert_eq!(code(&help), 0);
        assert!(stdout(&help).contains("Examples:"), "{command}");
    }
    assert!(stdout(&place.run(&["--version"])).starts_with("gradsweep "));
}

#[test]
fn shells_and_manual_pages_know_every_command() {
    let place = Place::new(SWEEP);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]);
        assert_eq!(code(&script), 0, "{}", stderr(&script));
        assert!(["doctor", "precision", "only"].iter().all(|word| stdout(&script).contains(word)), "{shell}");
    }
    // The shell itself reads the script, and completes by it.
    fs::write(place.path("complete.bash"), place.run(&["completions", "bash"]).stdout).expect("writable");
    let typed = "source complete.bash; COMP_WORDS=(gradsweep do); COMP_CWORD=1; _gradsweep gradsweep do gradsweep; \
                 echo \"${COMPREPLY[@]}\"";
    if let Ok(bash) = Command::new("bash").args(["-c", typed]).current_dir(place.home.path()).output() {
        assert_eq!(stdout(&bash).trim(), "doctor", "{}", stderr(&bash));
    }
    let main = stdout(&place.run(&["man"]));
    assert!(main.contains(".TH gradsweep 1") && main.contains("gradsweep\\-run(1)"), "{main}");
    let of_run = stdout(&place.run(&["man", "run"]));
    assert!(of_run.contains("\\-\\-precision") && of_run.contains("Examples"), "{of_run}");
    assert_eq!(code(&place.run(&["man", "rnu"])), 2);
    assert_eq!(code(&place.run(&["man", "-o", "pages"])), 0);
    let names: Vec<_> =
        fs::read_dir(place.path("pages")).expect("made").map(|e| e.expect("readable").file_name()).collect();
    assert!(["gradsweep.1", "gradsweep-run.1", "gradsweep-man.1"].iter().all(|page| names.contains(&(*page).into())));
}

#[test]
fn progress_as_json_is_json() {
    let place = Place::new(SWEEP);
    let run = place.run(&with(&["-q", "--progress", "json"]));
    let lines: Vec<serde_json::Value> =
        stderr(&run).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let last = lines.last().expect("at least the end");
    assert_eq!((&last["event"], &last["done"]), (&"finished".into(), &32.into()));
}

#[test]
fn the_sweep_file_of_init_is_a_good_start() {
    let place = Place::new(SWEEP);
    let init = place.run(&["init", "new.toml"]);
    assert_eq!(code(&init), 0);
    let plan = place.run(&["plan", "new.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON");
    assert!((50..500).contains(&plan["networks"].as_u64().expect("a number")));
    assert_eq!(plan["notes"], serde_json::json!([]), "nothing in it needs an explanation");
}

#[test]
fn networks_that_failed_and_networks_that_fit_nowhere_have_their_exit_codes() {
    let place = Place::new(SWEEP);
    assert_eq!(code(&place.run(&RUN)), 0);
    // No network of a healthy program fails: the finished run is made to have one.
    let mut manifest: serde_json::Value = serde_json::from_slice(&place.read("out/manifest.json")).expect("JSON");
    manifest["counts"]["status"]["failed"] = 1.into();
    fs::write(place.path("out/manifest.json"), manifest.to_string()).expect("writable");
    let failed = place.run(&RUN);
    assert_eq!(code(&failed), 3, "{}", stderr(&failed));
    assert!(stderr(&failed).contains("1 network failed: see `status`"), "{}", stderr(&failed));
    // About 380 GB a network, checked before anything is allocated.
    let huge = "name = \"huge\"\n[[sweep]]\nname = \"s\"\ndepth = 1024\nwidth = 2048\nbatch_size = 4096\n\
                residual = \"pre_act\"\n";
    fs::write(place.path("huge.toml"), huge).expect("writable");
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available =
        memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok());
    if available.is_none_or(|kib: u64| kib > 600 << 20) {
        eprintln!("SKIPPED: this machine has memory for the largest network, or does not say how much it has");
        return;
    }
    let run = place.run(&["run", "huge.toml", "--device", "cpu", "--precision", "f64", "-o", "huge"]);
    assert_eq!(code(&run), 5, "{}", stderr(&run));
    assert!(stderr(&run).contains("make it smaller, or choose another device"), "{}", stderr(&run));
    assert!(!place.path("huge").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output_is_told_as_what_it_is() {
    let place = Place::new(SWEEP);
    let commands: [&[&str]; 5] = [
        &["run", "sweep.toml", "--device", "cpu", "-o", "-", "-q"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &[],
    ];
    for arguments in commands {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let output = place.command(arguments).stdout(full).output().expect("starts");
        assert_eq!(code(&output), 6, "{arguments:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("cannot write to standard output"), "{arguments:?}: {text}");
        assert!(!text.contains("run the same command again"), "{arguments:?}: {text}");
    }
}

#[test]
fn an_empty_device_variable_is_as_good_as_none() {
    let place = Place::new(SWEEP);
    let mut command = place.command(&["run", "sweep.toml", "-o", "out", "-q"]);
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    let run = command.env("GRADSWEEP_DEVICE", "").output().expect("starts");
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    assert_eq!(code(&place.run(&["run", "sweep.toml", "--device", ""])), 2);
}

#[test]
fn a_sweep_file_that_is_no_text_is_told_where() {
    let place = Place::new(SWEEP);
    fs::write(place.path("bad.toml"), b"name = \"\xc3\xa4\"\n# caf\xe9\n").expect("writable");
    let run = place.run(&["plan", "bad.toml"]);
    assert_eq!(code(&run), 2);
    assert!(stderr(&run).contains("bad.toml:2:6: byte 0xe9 is not UTF-8"), "{}", stderr(&run));
    let file = fs::File::open(place.path("bad.toml")).expect("exists");
    let piped = place.command(&["plan", "-"]).stdin(file).output().expect("starts");
    assert!(stderr(&piped).contains("<stdin>:2:6: byte 0xe9"), "{}", stderr(&piped));
}

#[test]
fn a_list_spells_words_as_a_sweep_file_does() {
    let place = Place::new(SWEEP);
    assert!(stdout(&place.run(&["list", "inputs"])).contains("correlated_pairs(c)"));
}

#[test]
fn a_locked_run_is_refused() {
    let place = Place::new(SWEEP);
    fs::create_dir(place.path("out")).expect("writable");
    let lock = fs::File::create(place.path("out/lock")).expect("writable");
    lock.try_lock().expect("nobody else has it");
    let run = place.run(&RUN);
    assert_eq!(code(&run), 7, "{}", stderr(&run));
    assert!(stderr(&run).contains("another process"), "{}", stderr(&run));
    drop(lock);
    assert_eq!(code(&place.run(&RUN)), 0);
}

#[test]
fn doctor_passes_and_fails_when_a_result_is_spoilt() {
    let place = Place::new(SWEEP);
    let healthy = place.run(&["doctor", "--device", "cpu", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&healthy.stdout).expect("JSON");
    assert_eq!(code(&healthy), 0, "{report:#}");
    let checks = report[0]["checks"].as_array().expect("a list");
    assert!(checks.len() >= 8);
    for check in checks {
        let (error, tolerance) =
            (check["error"].as_f64().expect("finite"), check["tolerance"].as_f64().expect("finite"));
        assert!(error > 0.0 && error <= tolerance && tolerance < 1e-2, "{check}");
    }
    let spoilt = place.run(&["doctor", "--device", "cpu", "--inject-fault"]);
    assert_eq!(code(&spoilt), 1);
    assert!(stdout(&spoilt).contains("FAIL") && stdout(&spoilt).contains("preact of layer 1"), "{}", stdout(&spoilt));
}

#[test]
fn bench_measures_an_engine_against_the_machine() {
    let place = Place::new(SWEEP);
    let small = ["--set", "defaults.depth=2", "--set", "defaults.width=16", "--limit", "3", "--repeats", "2"];
    let run = place.run(&[&["bench", "--device", "cpu", "--json"], &small[..]].concat());
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    let of = |key: &str| report[0][key].as_f64().unwrap_or_else(|| panic!("{key} in {report:#}"));
    assert_eq!((of("networks"), report[0]["seconds"].as_array().map(Vec::len)), (3.0, Some(2)));
    // 6 B N^2 a layer, the first as wide as the input.
    assert_eq!(of("flops"), 3.0 * 6.0 * 128.0 * 16.0 * (16.0 + 16.0), "{report:#}");
    assert!((of("flops") / of("median_seconds") / of("flops_per_second") - 1.0).abs() < 1e-9);
    assert!(of("matrix_flops_per_second") > of("flops_per_second"), "{report:#}");
    let text = place.run(&["bench", "sweep.toml", "--device", "cpu", "--repeats", "1"]);
    assert!(stdout(&text).contains("1024 x 1024 matrices"), "{}", stdout(&text));
}

#[test]
fn a_dump_replays_by_its_own_arithmetic() {
    let place = Place::new(SWEEP);
    let arguments = ["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors", "--precision", "f64"];
    let dump = place.run(&arguments);
    assert_eq!(code(&dump), 0, "{}", stderr(&dump));
    let bytes = place.read("x.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let metadata = metadata.metadata().clone().expect("metadata");
    assert!(metadata["configuration"].contains("\"depth\":2"), "{}", metadata["configuration"]);
    assert_eq!((&*metadata["log2_scale"], &*metadata["log2_row_scale"]), ("{}", "{}"));
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = |name: &str| {
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let data: Vec<f64> =
            view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("eight"))).collect();
        (view.shape().to_vec(), data)
    };
    // tanh, mse, width 4, batch 4: forward through both layers and the readout, then delta of the readout.
    let (shape, mut h) = tensor("input");
    assert_eq!(shape, [4, 4]);
    for layer in 1..=3 {
        let ((shape, w), (_, z)) =
            (tensor(&format!("layers.{layer}.weight")), tensor(&format!("layers.{layer}.preact")));
        let (_, b) = tensor(&format!("layers.{layer}.bias"));
        let (rows, columns) = (shape[0], shape[1]);
        for sample in 0..4 {
            for i in 0..rows {
                let sum: f64 = (0..columns).map(|j| w[i * columns + j] * h[sample * columns + j]).sum();
                assert!((sum + b[i] - z[sample * rows + i]).abs() < 1e-12, "layer {layer}");
            }
        }
        h = z.iter().map(|v| v.tanh()).collect();
        if layer < 3 {
            let (_, act) = tensor(&format!("layers.{layer}.act"));
            assert!(act.iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-12), "layer {layer}");
        }
    }
    let ((_, y), (_, target), (_, delta)) =
        (tensor("layers.3.preact"), tensor("target"), tensor("layers.3.preact_grad"));
    for ((y, d), g) in y.iter().zip(&target).zip(&delta) {
        assert!(((y - d) / 4.0 - g).abs() < 1e-12);
    }
}

#[test]
fn a_dump_of_a_saturated_network_multiplies_out_to_its_norms() {
    let sweep = "name = \"t\"\n[[sweep]]\nname = \"s\"\ndepth = 4\nwidth = 16\nbatch_size = 8\ninit = \"mean_field\"\n\
                 sigma_w = 1000.0\nloss = \"cotangent\"\n";
    let place = Place::new(sweep);
    let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors"]);
    assert_eq!(code(&dump), 0, "{}", stderr(&dump));
    let bytes = place.read("x.safetensors");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let metadata = metadata.metadata().clone().expect("metadata");
    let map = |name: &str| -> serde_json::Value { serde_json::from_str(&metadata[name]).expect("JSON") };
    let (scales, row_scales) = (map("log2_scale"), map("log2_row_scale"));
    assert!(scales.as_object().is_some_and(|m| !m.is_empty()), "{scales}");
    assert!(row_scales.as_object().is_some_and(|m| !m.is_empty()), "{row_scales}");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    assert!(file.tensor("cotangent").is_ok() && file.tensor("target").is_err());
    let run = place.run(&RUN);
    assert_eq!(code(&run), 0, "{}", stderr(&run));
    let mut rows = csv::Reader::from_path(place.path("out/layers.csv")).expect("written");
    let mut compared = 0;
    for row in rows.deserialize::<std::collections::BTreeMap<String, String>>() {
        let row = row.expect("a row");
        for quantity in ["preact_grad", "act_grad"] {
            let Ok(want) = row[&format!("{quantity}_log10_l2")].parse::<f64>() else { continue };
            let name = format!("layers.{}.{quantity}", row["layer"]);
            let view = file.tensor(&name).expect("there");
            let columns = view.shape()[1];
            let values: Vec<f64> = view
                .data()
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four"))))
                .collect();
            let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
            assert_eq!(zeros, row[&format!("{quantity}_zero_frac")].parse::<f64>().expect("a number"), "{name}");
            // log2 of each row's sum of squares, then log2 of their sum.
            let scale = scales[&name].as_f64().unwrap_or(0.0);
            let parts: Vec<f64> = values
                .chunks_exact(columns)
                .enumerate()
                .map(|(b, x)| {
                    let shift = row_scales[&name][b].as_f64().unwrap_or(0.0);
                    x.iter().map(|v| v * v).sum::<f64>().log2() + 2.0 * (scale + shift)
                })
                .collect();
            let top = parts.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let got = 0.5 * (top + parts.iter().map(|p| (p - top).exp2()).sum::<f64>().log2()) * 2f64.log10();
            assert!((got - want).abs() < 1e-5 * want.abs().max(1.0), "{name}: {got}, want {want}");
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn a_dump_is_the_same_file_every_time() {
    let place = Place::new(SWEEP);
    let dump = || {
        let dump = place.run(&["dump", "sweep.toml", "--network", "0", "-o", "x.safetensors"]);
        assert_eq!(code(&dump), 0, "{}", stderr(&dump));
        place.read("x.safetensors")
    };
    let first = dump();
    assert!((0..3).all(|_| dump() == first));
    // The tensors start where the format wants them, and the whole entry for people stands first.
    let header = u64::from_le_bytes(first[..8].try_into().expect("eight")) as usize;
    assert_eq!(header % 8, 0);
    assert!(first[8..].starts_with(br#"{"__metadata__":{"configuration":"{"#));
    let file = safetensors::SafeTensors::deserialize(&first).expect("a safetensors file");
    assert_eq!(file.tensor("layers.1.weight").expect("there").shape(), [4, 4]);
}

#[test]
fn a_dash_is_standard_output_and_a_device_stays_one() {
    let place = Place::new(SWEEP);
    let to = |output: &str| place.run(&["dump", "sweep.toml", "--network", "0", "-o", output]);
    let (stream, file) = (to("-"), to("x.safetensors"));
    assert_eq!((code(&stream), code(&file)), (0, 0), "{}{}", stderr(&stream), stderr(&file));
    let bytes = place.read("x.safetensors");
    assert!(stream.stdout == bytes && !place.path("-").exists());
    let plan = place.run(&["plan", "sweep.toml", "-o", "-"]);
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).expect("JSON and nothing else");
    assert_eq!(plan["networks"].as_array().map(Vec::len), Some(32));
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        // What anybody may read stays so; what is no file is not replaced by one.
        fs::write(place.path("other"), "").expect("writable");
        let mode = |name: &str| fs::metadata(place.path(name)).expect("there").permissions().mode();
        assert_eq!(mode("x.safetensors"), mode("other"));
        std::os::unix::fs::symlink("/dev/null", place.path("null")).expect("writable");
        assert_eq!(code(&to("null")), 0);
        assert!(fs::metadata(place.path("null")).expect("there").file_type().is_char_device());
    }
}

/// Mounts a small file system; `None` where that is not permitted.
fn small_disk(at: &Path, size: &str) -> Option<()> {
    fs::create_dir_all(at).expect("writable");
    let options = format!("size={size}");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
    mount.is_ok_and(|m| m.status.success()).then_some(())
}

#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new(SWEEP);
    let disk = place.path("disk");
    if small_disk(&disk, "128k").is_none() {
        eprintln!("SKIPPED: not permitted to mount a small disk; the faults in tests/store.rs stand for it");
        return;
    }
    let run = || place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "disk/out"]);
    let full = run();
    let remounted = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&disk).status();
    let more = run();
    let layers = fs::read(disk.join("out/layers.csv"));
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(remounted.is_ok_and(|s| s.success()) && unmounted.is_ok_and(|s| s.success()));
    assert_eq!(code(&full), 6, "{}", stderr(&full));
    assert!(stderr(&full).contains("run the same command again"), "{}", stderr(&full));
    assert_eq!(code(&more), 0, "{}", stderr(&more));
    assert!(layers.expect("merged") == place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "-"]).stdout);
}
