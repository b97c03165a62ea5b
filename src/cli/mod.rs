//! The command line: the only place that knows clap. One file per subcommand; each returns how the process ends.

mod console;
mod difference;
mod estimate;
mod exit;
mod files;
mod memory;
mod options;
mod planning;
mod table;

mod bench;
mod completions;
mod devices;
mod doctor;
mod dump;
mod export;
mod init;
mod list;
mod man;
mod plan;
mod plot;
mod report;
mod reproduce;
mod run;
mod schema;
mod theory;

use clap::{Parser, Subcommand};

use console::Console;
use exit::Exit;
pub use memory::Allocator;

/// Sweeps thousands of small deep networks at initialisation and writes per-layer gradient statistics to CSV.
#[derive(Parser)]
#[command(name = "gradsweep", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    console: options::ConsoleArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  gradsweep init sweep.toml               write a commented sweep file to start from
  gradsweep plan sweep.toml               what would run, and what it would cost
  gradsweep run sweep.toml -o runs/first  run it: layers.csv, networks.csv
  gradsweep report runs/first             draw it: report.html
  gradsweep list activations              what a key may be

Exit codes:
  0 done   1 failed   2 usage or sweep file   3 incomplete, or networks failed   4 no such adapter
  5 device lost or out of memory   6 disk   7 another process holds the run   75 interrupted: run it again";

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Plan(plan::Args),
    List(list::Args),
    Devices(devices::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Dump(dump::Args),
    Export(export::Args),
    Theory(theory::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
    Report(report::Args),
    Plot(plot::Args),
    Reproduce(reproduce::Args),
    Bench(bench::Args),
}

/// The command line as data.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command line of this process.
pub fn main() -> ! {
    exit::report_panics();
    prepare_environment();
    outlive_file_limits();
    let exit = std::panic::catch_unwind(start).unwrap_or(Exit::Failed);
    exit::leave(exit)
}

/// Vulkan drivers complain on standard error where no desktop session set their directory, which nothing here uses. An
/// empty device is as good as none: scripts unset variables in that way.
fn prepare_environment() {
    const DIRECTORY: &str = "XDG_RUNTIME_DIR";
    const DEVICE: &str = "GRADSWEEP_DEVICE";
    // SAFETY: the first thing that the process does; there is no other thread yet.
    unsafe {
        if cfg!(target_os = "linux") && std::env::var_os(DIRECTORY).is_none() {
            std::env::set_var(DIRECTORY, std::env::temp_dir());
        }
        if std::env::var_os(DEVICE).is_some_and(|device| device.is_empty()) {
            std::env::remove_var(DEVICE);
        }
    }
}

/// A file that reaches the limit of `ulimit -f` is then an error of the disk like any other, not the end of the process.
fn outlive_file_limits() {
    #[cfg(unix)]
    let _ = signal_hook::flag::register(libc::SIGXFSZ, std::sync::Arc::default());
}

fn start() -> Exit {
    if std::env::args_os().len() <= 1 {
        return exit::show_help(&command());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Also help and version, which go to standard output.
            let outcome = error.print();
            return if error.use_stderr() { Exit::Usage } else { exit::printed(outcome) };
        }
    };
    let console = Console::new(&cli.console);
    let outcome = match cli.command {
        Command::Run(args) => run::run(&args, &console),
        Command::Plan(args) => plan::run(&args, &console),
        Command::List(args) => list::run(&args, &console),
        Command::Devices(args) => devices::run(&args, &console),
        Command::Doctor(args) => doctor::run(&args, &console),
        Command::Init(args) => init::run(&args, &console),
        Command::Dump(args) => dump::run(&args, &console),
        Command::Export(args) => export::run(&args, &console),
        Command::Theory(args) => theory::run(&args, &console),
        Command::Schema(args) => schema::run(&args, &console),
        Command::Completions(args) => completions::run(&args, &console),
        Command::Man(args) => man::run(&args, &console),
        Command::Report(args) => report::run(&args, &console),
        Command::Plot(args) => plot::run(&args, &console),
        Command::Reproduce(args) => reproduce::run(&args, &console),
        Command::Bench(args) => bench::run(&args, &console),
    };
    outcome.unwrap_or_else(|failure| failure.report(&console))
}
