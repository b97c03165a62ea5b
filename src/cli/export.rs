//! `gradsweep export`: the tables of a finished run in other formats.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::console::Console;
use super::exit::{Exit, Failure};
use super::files;
use crate::output::{self, ExportError, Package, Resource};
use crate::run::human;
use crate::store::MANIFEST;

/// Export the tables of a finished run
///
/// `parquet` writes every table as Parquet (zstd) with typed columns; an empty cell is a null. `long` writes layers.csv in
/// long form, as layers_long.csv: the columns network, configuration, sweep, replicate, step, layer, layer_kind and the
/// varying keys, then quantity, statistic and value, one row per value; empty cells have no row.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep export runs/first                       layers.parquet, networks.parquet beside the CSVs
  gradsweep export runs/first --format long -o tidy
  gradsweep export runs/first --format long -o -    the long form to standard output")]
pub struct Args {
    /// Directory of the run
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What to write: parquet or long
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "parquet", hide_possible_values = true)]
    format: Format,
    /// Directory to write to [default: that of the run]; with `long`, `-` writes to standard output
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Parquet,
    Long,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    files::expect_directory(&args.directory)?;
    let package = package(&args.directory)?;
    let layers = || {
        let table = package.resources.iter().find(|table| table.name == "layers");
        table.ok_or_else(|| Failure::new(Exit::Failed, format!("{}: no table `layers`", args.directory.display())))
    };
    let to = args.output.as_ref().unwrap_or(&args.directory);
    if to.as_os_str() == "-" {
        if args.format == Format::Parquet {
            return Err(Failure::usage("-o - is for --format long: Parquet is several files; give a directory"));
        }
        let source = Source { directory: &args.directory, table: layers()? };
        source.long(std::io::stdout().lock())?;
        return Ok(Exit::Done);
    }
    std::fs::create_dir_all(to)
        .map_err(|e| Failure::new(Exit::Disk, format!("cannot create {}: {e}", to.display())))?;
    let done = |path: &Path, (rows, bytes): (u64, u64)| {
        let size = human::bytes(bytes as f64);
        console.status("Wrote", &format!("{}: {}, {size}", path.display(), human::plural(rows, "row")));
    };
    match args.format {
        Format::Parquet => {
            for table in &package.resources {
                let source = Source { directory: &args.directory, table };
                let path = to.join(format!("{}.parquet", table.name));
                done(&path, write(&path, |file| source.parquet(file))?);
            }
        }
        Format::Long => {
            let source = Source { directory: &args.directory, table: layers()? };
            let path = to.join("layers_long.csv");
            done(&path, write(&path, |file| source.long(file))?);
        }
    }
    Ok(Exit::Done)
}

/// What the directory holds, once its run is finished.
fn package(directory: &Path) -> Result<Package, Failure> {
    let path = directory.join("datapackage.json");
    match std::fs::read(&path) {
        Ok(text) => {
            Package::parse(&text).map_err(|e| Failure::new(Exit::Failed, format!("{}: {e}", directory.display())))
        }
        Err(_) if directory.join(MANIFEST).exists() => Err(Failure::new(
            Exit::Incomplete,
            format!(
                "{}: the run is not finished; `gradsweep run` with the same arguments goes on",
                directory.display()
            ),
        )),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(Failure::usage(format!(
            "{}: no finished run here, which has a datapackage.json; name the directory of one",
            directory.display()
        ))),
        Err(e) => Err(Failure::usage(format!("cannot read {}: {e}", path.display()))),
    }
}

/// Writes a file so that it appears complete or not at all; returns the number of rows, and its size.
fn write(path: &Path, fill: impl FnOnce(&mut File) -> Result<u64, Failure>) -> Result<(u64, u64), Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Disk, format!("cannot write {}: {e}", path.display()));
    let mut file = files::temporary_for(path).map_err(failed)?;
    let rows = fill(file.as_file_mut())?;
    let file = file.persist(path).map_err(|e| failed(e.error))?;
    Ok((rows, file.metadata().map_err(failed)?.len()))
}

/// A table of a run.
struct Source<'a> {
    directory: &'a Path,
    table: &'a Resource,
}

impl Source<'_> {
    fn open(&self) -> Result<BufReader<File>, Failure> {
        let path = self.directory.join(&self.table.path);
        let file = File::open(&path);
        file.map(BufReader::new).map_err(|e| Failure::new(Exit::Failed, format!("cannot read {}: {e}", path.display())))
    }

    fn failure(&self, error: ExportError) -> Failure {
        match error {
            ExportError::Write(e) if e.kind() == ErrorKind::BrokenPipe => e.into(),
            ExportError::Write(e) => Failure::new(Exit::Disk, format!("cannot write {}: {e}", self.table.name)),
            error => {
                Failure::new(Exit::Failed, format!("{}: {error}", self.directory.join(&self.table.path).display()))
            }
        }
    }

    fn parquet(&self, out: &mut File) -> Result<u64, Failure> {
        let columns = output::settle_types(self.table.columns(), self.open()?).map_err(|e| self.failure(e))?;
        output::write_parquet(&columns, self.open()?, out).map_err(|e| self.failure(e))
    }

    fn long(&self, out: impl Write) -> Result<u64, Failure> {
        output::write_long(self.table.columns(), self.open()?, out).map_err(|e| self.failure(e))
    }
}
