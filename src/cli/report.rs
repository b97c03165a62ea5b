//! `gradsweep report`: a finished run as one page of figures.

use std::path::{Path, PathBuf};

use super::console::Console;
use super::exit::{Exit, Failure};
use crate::report::{self, Budget, ReportError};
use crate::run::human;

/// Draw a finished run as one page: report.html
///
/// The page holds all its figures and needs no network: gradient norm against layer, phase diagram, trainable depth,
/// distributions per layer, measured against predicted factors, and a table of the networks, with filters by key and
/// downloads of every figure as CSV, SVG or PNG.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep report runs/first                 write runs/first/report.html
  gradsweep report runs/first -o first.html")]
pub struct Args {
    /// Directory of a finished run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// File to write [default: DIR/report.html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let file = args.output.clone().unwrap_or_else(|| args.directory.join("report.html"));
    write(&args.directory, &file, console)?;
    Ok(Exit::Done)
}

/// Writes the page of the run in `directory` and says where it is.
pub fn write(directory: &Path, file: &Path, console: &Console) -> Result<(), Failure> {
    let run = report::read(directory, Budget::PAGE)?;
    let page = report::page(&run);
    put(file, page.as_bytes())?;
    console.status("Wrote", &format!("{} ({}); open it in a browser", file.display(), human::bytes(page.len() as f64)));
    Ok(())
}

/// Writes a whole file beside its place and moves it there, so that nobody sees half of it.
pub fn put(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut temporary| {
        std::io::Write::write_all(&mut temporary, bytes)?;
        readable_by_all(temporary.as_file())?;
        temporary.persist(file).map_err(|e| e.error)
    });
    written.map(drop).map_err(|e| Failure::new(Exit::Disk, format!("cannot write {}: {e}", file.display())))
}

/// Temporary files are private; a picture is for others as well.
#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let exit = match error {
            ReportError::NoRun(_) | ReportError::Usage(_) => Exit::Usage,
            ReportError::Unfinished(_) => Exit::Incomplete,
            ReportError::Table { .. } | ReportError::Draw(_) => Exit::Failed,
            ReportError::Disk { .. } => Exit::Disk,
        };
        Failure::new(exit, error.to_string())
    }
}
