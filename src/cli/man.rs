//! `gradsweep man`: the help of the commands as manual pages.

use std::io::Write;
use std::path::PathBuf;

use super::console::Console;
use super::exit::{Exit, Failure};

/// Print a manual page, or write all of them
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep man | man -l -
  gradsweep man run | man -l -
  gradsweep man -o ~/.local/share/man/man1")]
pub struct Args {
    /// The command whose page to print [default: the page of gradsweep itself]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,
    /// Directory to write the pages of all commands to
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let mut command = super::command();
    // Gives subcommands their full names.
    command.build();
    if let Some(folder) = &args.output {
        let failed = |e: std::io::Error| Failure::new(Exit::Disk, format!("cannot write to {}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(super::command(), folder).map_err(failed)?;
        console.status("Wrote", &format!("manual pages to {}", folder.display()));
        return Ok(Exit::Done);
    }
    let page = match &args.command {
        None => command,
        Some(name) => command.find_subcommand(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            Failure::usage(format!("no command `{name}` ({})", known.join(", ")))
        })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    let mut out = console.out();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Exit::Done)
}
