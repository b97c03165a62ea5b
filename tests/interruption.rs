//! A run that is killed or interrupted goes on where it stopped, and its tables are those of an undisturbed run.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::command_line::{Place, code, stderr};

/// Many shapes, so many chunks, and enough work that kills come at every stage.
const SWEEP: &str = r#"schema_version = 1
name = "long"
seed = 9
[defaults]
batch_size = 16
[[sweep]]
name = "shapes"
depth = [3, 5, 8]
width = { range = [16, 63], step = 1 }
replicates = 2
"#;

const RUN: [&str; 7] = ["run", "sweep.toml", "--device", "cpu", "-o", "out", "-q"];

fn start(place: &Place) -> Child {
    place.command(&RUN).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")
}

/// Waits for the child's end, for `patience` at most. True if it ended.
fn ended_within(child: &mut Child, patience: Duration) -> bool {
    // A channel that nobody sends on: a wait that ends early as soon as the child does.
    let (_keep, never) = mpsc::channel::<()>();
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if child.try_wait().expect("a child").is_some() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = never.recv_timeout(left.min(Duration::from_millis(2)));
    }
    false
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: kill takes any process id and signal; the child is ours and not yet waited for.
    let sent = unsafe { libc::kill(child.id() as libc::pid_t, signal) };
    assert_eq!(sent, 0, "the child is there");
}

/// Parts on disk now.
fn parts(place: &Place) -> usize {
    fs::read_dir(place.path("out/parts")).map_or(0, |dir| {
        dir.filter(|e| e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().ends_with(".part"))).count()
    })
}

#[test]
fn twenty_kills_leave_the_bytes_of_an_undisturbed_run() {
    let place = Place::new(SWEEP);
    let begun = Instant::now();
    let undisturbed = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "whole", "-q"]);
    assert_eq!(code(&undisturbed), 0, "{}", stderr(&undisturbed));
    let length = begun.elapsed();
    let (mut kills, mut early, mut late) = (0, 0, 0);
    // A fixed sequence of fractions that covers the run evenly (golden ratio), until twenty kills have hit.
    let mut fraction = 0.0f64;
    for attempt in 0..200 {
        if kills == 20 {
            break;
        }
        fraction = (fraction + 0.618_033_988_749_895).fract();
        let mut child = start(&place);
        if !ended_within(&mut child, length.mul_f64(fraction * 0.9 / (1.0 + f64::from(kills % 4)))) {
            signal(&child, libc::SIGKILL);
            let status = child.wait().expect("ends");
            if status.signal() == Some(libc::SIGKILL) {
                kills += 1;
                early += usize::from(parts(&place) == 0);
                late += usize::from(parts(&place) > 0);
                continue;
            }
        }
        // It came through: compare, and start afresh for the next kills.
        assert_eq!(child.wait().expect("ends").code(), Some(0), "attempt {attempt}");
        compare(&place);
        fs::remove_dir_all(place.path("out")).expect("removable");
    }
    assert_eq!(kills, 20, "kills that hit a running process");
    assert!(late >= 3, "{early} kills came before the first part, {late} after it");
    let last = place.run(&RUN);
    assert_eq!(code(&last), 0, "{}", stderr(&last));
    compare(&place);
}

fn compare(place: &Place) {
    for name in ["layers.csv", "networks.csv", "theory.csv", "datapackage.json"] {
        assert!(place.read(&format!("out/{name}")) == place.read(&format!("whole/{name}")), "{name} differs");
    }
}

#[test]
fn an_interrupted_run_commits_what_is_done_and_goes_on() {
    let place = Place::new(SWEEP);
    assert_eq!(code(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "whole", "-q"])), 0);
    for number in [libc::SIGINT, libc::SIGTERM] {
        let mut child = start(&place);
        while parts(&place) == 0 && !ended_within(&mut child, Duration::from_millis(1)) {}
        signal(&child, number);
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
        let kept = parts(&place);
        assert!(kept > 0);
        let manifest: serde_json::Value = serde_json::from_slice(&place.read("out/manifest.json")).expect("JSON");
        assert_eq!(manifest["state"], "running");
        assert!(manifest["counts"]["networks"].as_u64().expect("a number") > 0);
        assert!(!place.path("out/layers.csv").exists() && !place.path("out/lock").exists());
        let rest = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out"]);
        assert_eq!(code(&rest), 0, "{}", stderr(&rest));
        assert!(stderr(&rest).contains("networks are done"), "{}", stderr(&rest));
        compare(&place);
        fs::remove_dir_all(place.path("out")).expect("removable");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_under_nohup_goes_on_when_the_terminal_goes() {
    let place = Place::new(SWEEP);
    assert_eq!(code(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "whole", "-q"])), 0);
    let program = place.command(&[]).get_program().to_owned();
    let mut ignoring = std::process::Command::new("sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(program).args(RUN).current_dir(place.path("."));
    let mut child = ignoring.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    while parts(&place) == 0 && !ended_within(&mut child, Duration::from_millis(1)) {}
    signal(&child, libc::SIGHUP);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    compare(&place);
}

#[test]
fn an_interrupted_stream_says_so_and_what_to_do() {
    let place = Place::new(SWEEP);
    let arguments = ["run", "sweep.toml", "--device", "cpu", "-o", "-"];
    let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    // The pipe is full long before the last row: once it has begun to flow, the run waits for its reader.
    let mut first = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a header");
    signal(&child, libc::SIGINT);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(
        text.contains("interrupted: ") && text.contains("a stream has no resume; name a directory with -o"),
        "{text}"
    );
}

#[test]
fn a_resumed_run_refuses_other_arithmetic() {
    let place = Place::new(SWEEP);
    let mut child = start(&place);
    while parts(&place) == 0 && !ended_within(&mut child, Duration::from_millis(1)) {}
    signal(&child, libc::SIGINT);
    assert_eq!(child.wait().expect("ends").code(), Some(75));
    let double = place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out", "--precision", "f64"]);
    assert_eq!(code(&double), 2);
    assert!(stderr(&double).contains("precision: f32 there, f64 now"), "{}", stderr(&double));
}

#[test]
fn a_run_goes_on_upon_another_engine_only_when_mixing_is_wanted() {
    let Some(adapter) = gradsweep::engine::gpu::adapters().into_iter().find(|a| a.software) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no software adapter");
        eprintln!("SKIPPED: no software adapter to go on with");
        return;
    };
    let place = Place::new(&SWEEP.replace("step = 1", "step = 4"));
    let mut child = start(&place);
    while parts(&place) == 0 && !ended_within(&mut child, Duration::from_millis(1)) {}
    signal(&child, libc::SIGINT);
    assert_eq!(child.wait().expect("ends").code(), Some(75));
    let gpu = ["run", "sweep.toml", "-o", "out", "--device", &adapter.name];
    let refused = place.run(&gpu);
    assert_eq!(code(&refused), 2, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--mixed"), "{}", stderr(&refused));
    let mixed = place.run(&[gpu.as_slice(), &["--mixed"]].concat());
    assert_eq!(code(&mixed), 0, "{}", stderr(&mixed));
    let manifest: serde_json::Value = serde_json::from_slice(&place.read("out/manifest.json")).expect("JSON");
    assert_eq!(manifest["fingerprints"].as_array().expect("a list").len(), 2);
    let lines = place.read("out/networks.csv").iter().filter(|&&b| b == b'\n').count() as u64;
    assert_eq!(manifest["counts"]["networks"].as_u64(), Some(lines - 1));
}
