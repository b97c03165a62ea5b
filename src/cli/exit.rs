//! How the process ends: the exit codes of the interface, the errors that lead to them, and what a panic says.

use std::io::{self, Write};

use super::console::Console;
use crate::config::SweepError;
use crate::engine::EngineError;
use crate::run::RunError;
use crate::store::StoreError;

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// Command line, sweep file, or a directory of another identity.
    Usage = 2,
    /// Networks are missing or failed.
    Incomplete = 3,
    NoAdapter = 4,
    /// Device lost, or out of memory, after retries.
    Device = 5,
    Disk = 6,
    /// Another process holds the run.
    Locked = 7,
    /// Run the same command again.
    Interrupted = 75,
}

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    /// Empty: say nothing.
    message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, message)
    }

    pub fn report(self, console: &Console) -> Exit {
        if !self.message.is_empty() {
            console.error(&self.message);
        }
        self.exit
    }
}

/// Failures of standard output: a closed pipe ends quietly, as if all had been read.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Done, ""),
            _ => Failure::new(Exit::Disk, format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        Failure::usage(error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = match error {
            EngineError::NoAdapter(_) => Exit::NoAdapter,
            EngineError::DeviceLost(_) | EngineError::OutOfMemory(_) => Exit::Device,
            EngineError::Failed(_) => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Occupied(_) | StoreError::OtherRun { .. } => Exit::Usage,
            StoreError::Locked(_) => Exit::Locked,
            StoreError::Disk { .. } | StoreError::Stream { .. } => Exit::Disk,
            StoreError::Internal(_) => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Engine(error) => error.into(),
        }
    }
}

/// A panic is a bug of the tool: one line that can be reported, and exit code 1.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown");
        let _ = writeln!(
            io::stderr().lock(),
            "bug: gradsweep {}{place}: {what}\n\
             please report this line together with your sweep file; what a run has committed is not lost",
            env!("CARGO_PKG_VERSION")
        );
    }));
}

/// Ends the process. An interrupted run leaves engines at work on their threads; running the exit handlers of a graphics
/// driver beside them can crash, so the process ends without.
pub fn leave(exit: Exit) -> ! {
    let _ = io::stdout().flush();
    end(exit)
}

/// Ends the process at once: nothing is flushed, nothing is freed.
pub fn end(exit: Exit) -> ! {
    #[cfg(unix)]
    // SAFETY: _exit takes any status and does not return.
    unsafe {
        libc::_exit(exit as i32)
    }
    #[cfg(not(unix))]
    std::process::exit(exit as i32)
}

/// Short help, as if asked for.
pub fn show_help(command: &clap::Command) -> Exit {
    printed(command.clone().print_help())
}

/// How the process ends after help went to standard output; a closed pipe is no fault.
pub fn printed(outcome: io::Result<()>) -> Exit {
    let Err(error) = outcome.and_then(|()| io::stdout().flush()) else { return Exit::Done };
    let Failure { exit, message } = error.into();
    if !message.is_empty() {
        let _ = writeln!(io::stderr(), "error: {message}");
    }
    exit
}
