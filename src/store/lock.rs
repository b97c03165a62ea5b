//! The lock of a run directory: one process works on it at a time. The operating system drops the lock with the
//! process, so a killed run leaves nothing to clean up.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Attempt, StoreError};

/// How long a lock that is held is waited for: a killed process keeps its own until the system has taken it down, which
/// is some 40 ms.
const PATIENCE: Duration = Duration::from_millis(500);

/// Holds the lock until dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub const FILE_NAME: &str = "lock";

    pub fn acquire(directory: &Path) -> Result<Lock, StoreError> {
        let path = directory.join(Self::FILE_NAME);
        let start = Instant::now();
        loop {
            let file = File::options().write(true).create(true).truncate(false).open(&path).attempt("create", &path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(PATIENCE / 50);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(StoreError::Locked(directory.to_path_buf())),
                // Some network file systems cannot lock: one process at a time is then up to the user.
                Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(source)) => {
                    return Err(StoreError::Disk { action: "lock", path, source });
                }
            }
            // The holder before us removes the file as it leaves: the lock counts only on the file that has the name.
            if same_file(&file, &path) {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Left behind, the file does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
}
