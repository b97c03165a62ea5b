//! The run directory: finished chunks as parts, a manifest that says whose they are, a lock, and the merge into the
//! final tables. A process may die at any moment and the directory stays good: every file appears complete, by rename,
//! after its bytes are on the disk. This module knows bytes and names, not networks, engines or columns.

mod directory;
mod files;
mod lock;
mod manifest;
mod merge;
mod part;
mod state;
mod storage;
mod tables;

use std::io;
use std::path::{Path, PathBuf};

pub use directory::{Begin, Extra, Headers, Opened, Output, Producer, RunDirectory};
pub use manifest::{FileEntry, Identity, Manifest, State, SweepIdentity, Tally, rfc3339};
pub use merge::{RowIndex, Table};
pub use part::{Footer, NetworkRows, Part, PartError};
pub use storage::{Disk, Scratch, Storage};

pub const MANIFEST: &str = "manifest.json";
pub const SWEEP: &str = "sweep.toml";
const PARTS: &str = "parts";

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory belongs to something else.
    #[error("{0}")]
    Occupied(String),
    /// The directory holds a run of another identity: what differs, one line each.
    #[error("{}: holds another run\n  {}\nchoose another directory with -o, or remove this one", .path.display(), .differences.join("\n  "))]
    OtherRun { path: PathBuf, differences: Vec<String> },
    #[error("{}: another process is working on this run; wait for it, or choose another directory with -o", .0.display())]
    Locked(PathBuf),
    #[error("cannot {action} {}: {source}{}", .path.display(), advice(.source))]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
    /// What is written goes to a stream, which a later run cannot go on with.
    #[error("cannot {action} {}: {source}; the rows so far are incomplete, and a stream has no resume: use -o with a directory", .path.display())]
    Stream { action: &'static str, path: PathBuf, source: io::Error },
    /// A mistake of the tool itself.
    #[error("{0}")]
    Internal(String),
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; nothing that was finished is lost: free some space and run the same command again"
        }
        io::ErrorKind::FileTooLarge => {
            "; nothing that was finished is lost: raise the limit on files (ulimit -f) and run the same command again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "; choose another directory with -o",
        _ => "",
    }
}

impl StoreError {
    /// The reader of a pipe has gone.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, StoreError::Disk { source, .. } | StoreError::Stream { source, .. }
            if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The same fault where there is no directory to go on with.
    pub fn of_stream(self) -> Self {
        match self {
            StoreError::Disk { action, path, source } => StoreError::Stream { action, path, source },
            other => other,
        }
    }
}

/// Adds to an I/O error what was attempted, and where.
trait Attempt<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Disk { action, path: path.to_path_buf(), source })
    }
}

/// A half-written file takes space that a full disk does not have.
fn discard_on_error<T>(storage: &dyn Storage, path: &Path, result: Result<T, StoreError>) -> Result<T, StoreError> {
    if result.is_err() {
        let _ = storage.remove(path);
    }
    result
}
