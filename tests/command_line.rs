//! The program as users see it: exit codes, messages, streams and files.

use std::fs;
use std::path::PathBuf;
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

pub const RUN: [&str; 6] = ["run", "sweep.toml", "--device", "cpu", "-o", "out"];

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
    let expected = "bad.toml:2:6: byte 0xe9 is not UTF-8: save the file as UTF-8 text\n  # caf\u{fffd}\n       ^\n";
    assert!(stderr(&run).ends_with(expected), "{}", stderr(&run));
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
        let of = |key: &str| check[key].as_f64().unwrap_or_else(|| panic!("no finite {key} in {check}"));
        let (error, tolerance) = (of("error"), of("tolerance"));
        assert!(error > 0.0 && error <= tolerance && tolerance < 1e-2, "{check}");
        assert!(of("quantile_error") <= of("quantile_tolerance") && of("quantile_tolerance") < 0.27, "{check}");
    }
    assert!(checks.iter().any(|check| check["quantile_error"].as_f64() > Some(0.0)), "{report:#}");
    let spoilt = place.run(&["doctor", "--device", "cpu", "--inject-fault"]);
    assert_eq!(code(&spoilt), 1);
    let lines: Vec<String> = stdout(&spoilt).lines().map(str::to_string).collect();
    let failed: Vec<&String> = lines.iter().filter(|line| line.contains("FAIL")).collect();
    // A norm of the first sweep, and a quantile of the last one, whose norms are right.
    assert_eq!(failed.len(), 2, "{lines:#?}");
    assert!(failed[0].contains("activations") && failed[0].contains("preact of layer 1"), "{lines:#?}");
    assert!(failed[1].contains("tails") && failed[1].contains("% quantile of preact of layer 1"), "{lines:#?}");
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
