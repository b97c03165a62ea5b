//! `gradsweep report`: a finished run as one page of figures.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::console::Console;
use super::exit::{Exit, Failure};
use super::files;
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
    /// File to write; `-` is standard output [default: DIR/report.html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    files::expect_directory(&args.directory)?;
    if args.output.as_ref().is_some_and(|file| file.as_os_str() == "-") {
        let page = report::page(&report::read(&args.directory, Budget::PAGE)?);
        std::io::stdout().lock().write_all(page.as_bytes())?;
        return Ok(Exit::Done);
    }
    let file = args.output.clone().unwrap_or_else(|| args.directory.join("report.html"));
    let is_page = |name: &str| ["html", "htm"].iter().any(|end| name.eq_ignore_ascii_case(end));
    let regular = !file.exists() || file.is_file();
    if regular && !file.extension().and_then(|e| e.to_str()).is_some_and(is_page) {
        return Err(Failure::usage(format!("{}: a page is .html; choose such a name with -o", file.display())));
    }
    write(&args.directory, &file, console)?;
    Ok(Exit::Done)
}

/// Writes the page of the run in `directory` and says where it is.
pub fn write(directory: &Path, file: &Path, console: &Console) -> Result<(), Failure> {
    let run = report::read(directory, Budget::PAGE)?;
    let page = report::page(&run);
    files::write_whole(file, |file| file.write_all(page.as_bytes()))?;
    console.status("Wrote", &format!("{} ({}); open it in a browser", file.display(), human::bytes(page.len() as f64)));
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
