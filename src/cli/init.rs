//! `gradsweep init`: a commented sweep file to start from.

use std::io::Write;
use std::path::PathBuf;

use super::console::{Console, NO_JSON};
use super::exit::{Exit, Failure};
use super::files;

/// Write a commented sweep file to start from
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep init                 write sweep.toml
  gradsweep init depth.toml
  gradsweep init - | less        look at it first")]
pub struct Args {
    /// File to write; `-` writes to standard output
    #[arg(value_name = "FILE", default_value = "sweep.toml")]
    file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// The sweep file that `init` writes.
pub const TEMPLATE: &str = include_str!("init.toml");

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    if args.file.as_os_str() == "-" {
        let mut out = std::io::stdout();
        out.write_all(TEMPLATE.as_bytes())?;
        out.flush()?;
        if console.json {
            console.warning(NO_JSON);
        }
        return Ok(Exit::Done);
    }
    let name = args.file.display();
    if args.file.is_dir() {
        let inside = args.file.join("sweep.toml");
        return Err(Failure::usage(format!("{name} is a directory; name a file, such as {}", inside.display())));
    }
    if args.force {
        files::write_whole(&args.file, |file| file.write_all(TEMPLATE.as_bytes()))?;
    } else {
        let written = files::temporary_for(&args.file).and_then(|mut file| {
            file.write_all(TEMPLATE.as_bytes())?;
            file.persist_noclobber(&args.file).map_err(|e| e.error)
        });
        written.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::usage(format!("{name} exists; --force overwrites it, or name another file"))
            }
            _ => Failure::new(Exit::Disk, format!("cannot write {name}: {e}")),
        })?;
    }
    if console.json {
        writeln!(console.out(), "{:#}", serde_json::json!({ "file": name.to_string() }))?;
    }
    console.status("Wrote", &format!("{name}; next: gradsweep plan {name}, gradsweep run {name}"));
    Ok(Exit::Done)
}
