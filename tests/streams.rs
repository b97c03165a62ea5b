//! Where the program writes: pipes that close, devices and disks that are full, and the dash that is standard output.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command_line::{Place, SWEEP, code, stderr};

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

#[cfg(unix)]
#[test]
fn the_limit_of_a_shell_on_files_is_a_full_disk() {
    let place = Place::new(SWEEP);
    let run = format!("ulimit -f 8; exec {} run sweep.toml --device cpu -o out", env!("CARGO_BIN_EXE_gradsweep"));
    let limited = Command::new("sh").args(["-c", &run]).current_dir(place.path("")).output().expect("starts");
    assert_eq!(code(&limited), 6, "{}", stderr(&limited));
    assert!(stderr(&limited).contains("run the same command again"), "{}", stderr(&limited));
    assert_eq!(code(&place.run(&["run", "sweep.toml", "--device", "cpu", "-o", "out"])), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn refused_memory_has_its_exit_code_and_loses_nothing() {
    let place = Place::new(SWEEP);
    let large = "name = \"large\"\n[[sweep]]\ndepth = 64\nwidth = 64\nbatch_size = 4096\n";
    fs::write(place.path("large.toml"), large).expect("writable");
    let arguments = ["run", "large.toml", "--device", "cpu", "--jobs", "1", "-o", "out"];
    let run = format!("ulimit -v 200000; exec {} {}", env!("CARGO_BIN_EXE_gradsweep"), arguments.join(" "));
    let limited = Command::new("sh").args(["-c", &run]).current_dir(place.path("")).output().expect("starts");
    assert_eq!(code(&limited), 5, "{}", stderr(&limited));
    let text = stderr(&limited);
    assert!(text.contains("error: out of memory: the system refused "), "{text}");
    assert!(text.ends_with(" run the same command again with more memory, or with fewer --jobs\n"), "{text}");
    assert_eq!(code(&place.run(&arguments)), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_sweep_file_without_end_is_refused() {
    let place = Place::new(SWEEP);
    let zero = fs::File::open("/dev/zero").expect("Linux has it");
    for plan in [place.run(&["plan", "/dev/zero"]), place.command(&["plan", "-"]).stdin(zero).output().expect("starts")]
    {
        assert_eq!(code(&plan), 2, "{}", stderr(&plan));
        assert!(stderr(&plan).contains("more than 256 MiB"), "{}", stderr(&plan));
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
