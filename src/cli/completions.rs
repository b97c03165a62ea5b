//! `gradsweep completions`: what a shell needs to complete commands and options.

use std::io::Write;

use clap_complete::Shell;

use super::console::Console;
use super::exit::{Exit, Failure};

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep completions bash > ~/.local/share/bash-completion/completions/gradsweep
  gradsweep completions zsh > ~/.zfunc/_gradsweep       (with ~/.zfunc in fpath)
  gradsweep completions fish > ~/.config/fish/completions/gradsweep.fish")]
pub struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "gradsweep", &mut script);
    let mut out = console.out();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}
