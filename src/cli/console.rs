//! What people see: notes and errors on standard error, data on standard output, colour where it is wanted.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use super::options::{ColorArg, ConsoleArgs};

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GREEN: Style = AnsiColor::Green.on_default().bold();
pub const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub const RED: Style = AnsiColor::Red.on_default().bold();

/// The warning where data go to standard output instead of JSON.
pub const NO_JSON: &str = "--json says nothing here: standard output has the data";

/// The user's wishes about output.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    color: ColorChoice,
    quiet: bool,
    pub verbose: u8,
    /// Machine-readable output on standard output.
    pub json: bool,
}

impl Console {
    pub fn new(args: &ConsoleArgs) -> Self {
        let color = match args.color {
            ColorArg::Auto => ColorChoice::Auto,
            ColorArg::Always => ColorChoice::Always,
            ColorArg::Never => ColorChoice::Never,
        };
        Console { color, quiet: args.quiet, verbose: args.verbose, json: args.json }
    }

    /// Standard output; escape codes vanish where they are not wanted.
    pub fn out(&self) -> AutoStream<io::Stdout> {
        AutoStream::new(io::stdout(), self.color)
    }

    fn err(&self) -> AutoStream<io::Stderr> {
        AutoStream::new(io::stderr(), self.color)
    }

    /// Colour on standard error.
    pub fn colored_stderr(&self) -> bool {
        !matches!(self.err().current_choice(), ColorChoice::Never)
    }

    /// Whether a person may read standard error.
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    // Standard error that nobody reads is no reason to fail.

    /// `  Planned 20 networks`: what just happened.
    pub fn status(&self, verb: &str, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{GREEN}{verb:>12}{GREEN:#} {text}");
        }
    }

    /// A line without a verb, for tables.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{text}");
        }
    }

    /// Details for `-v`.
    pub fn detail(&self, text: &str) {
        if self.verbose > 0 {
            let _ = writeln!(self.err(), "{DIM}{text}{DIM:#}");
        }
    }

    pub fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{BOLD}note{BOLD:#}: {text}");
        }
    }

    pub fn warning(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.err(), "{YELLOW}warning{YELLOW:#}: {text}");
        }
    }

    /// Errors are told even when quiet.
    pub fn error(&self, text: &str) {
        let _ = writeln!(self.err(), "{RED}error{RED:#}: {text}");
    }
}
