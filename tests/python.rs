//! The Python that other tools' readers and validators run in: `target/readers/venv` with the packages of
//! `tests/readers/requirements.txt`, made by `scripts/test`, or here where that is possible.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A Python that has the packages, or why there is none.
fn python() -> &'static Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(find)
}

fn find() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let venv = root.join("target/readers/venv");
    let python = venv.join("bin/python");
    let (wanted, installed) = (root.join("tests/readers/requirements.txt"), venv.join("requirements.txt"));
    let list = fs::read(&wanted).expect("the list is part of the repository");
    // The list of what was installed lies beside it.
    if fs::read(&installed).is_ok_and(|found| found == list) {
        return Ok(python);
    }
    let run = |command: &mut Command| match command.output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(&wanted))?;
    fs::write(&installed, &list).map_err(|e| e.to_string())?;
    Ok(python)
}

/// Runs a script of `tests/readers` and returns what it prints; it must succeed. `None`, said loudly, where there is no
/// Python with the packages (with CI=true that is a failure).
pub fn run_script(script: &str, arguments: &[&Path]) -> Option<String> {
    let python = match python() {
        Ok(python) => python,
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("no Python with the packages: {why}"),
        Err(why) => {
            eprintln!("SKIPPED: no Python with the packages of tests/readers/requirements.txt: {why}");
            return None;
        }
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers").join(script);
    let out = Command::new(python).arg(script).args(arguments).output().expect("python starts");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    Some(text.into_owned())
}
