//! Files of a run directory on their way to their names: written beside their place and hashed, synchronised side by side,
//! renamed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::Output;
use super::manifest::FileEntry;
use super::part::BUFFER;
use super::{Attempt, Storage, StoreError, discard_on_error};

/// A file whose bytes are written and not yet on the disk for certain.
pub struct Written {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    bytes: u64,
    hash: String,
}

impl Written {
    pub fn entry(&self, name: &str, rows: Option<u64>) -> FileEntry {
        FileEntry { name: name.to_string(), bytes: self.bytes, rows, blake3: self.hash.clone() }
    }

    /// Writes `name` in `directory`, under a name that does not count yet. `produce` hands out its bytes.
    pub fn new(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        name: &str,
        produce: impl FnOnce(&mut Output<'_>) -> io::Result<()>,
    ) -> Result<Written, StoreError> {
        let mut growing = Growing::new(storage, directory, name)?;
        produce(&mut |bytes| growing.write(bytes)).attempt("write", &directory.join(name))?;
        growing.close()
    }
}

/// A file to which bytes are still added. Dropped before it is closed, it is removed.
pub struct Growing {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once closed.
    file: Option<File>,
    /// Bytes that wait until there are [`BUFFER`] of them.
    buffer: Vec<u8>,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Growing {
    pub fn new(storage: &Arc<dyn Storage>, directory: &Path, name: &str) -> Result<Growing, StoreError> {
        let path = directory.join(name);
        let temporary = directory.join(format!("{name}.tmp"));
        let file = storage.create(&temporary).attempt("write", &path);
        let file = Some(discard_on_error(&**storage, &temporary, file)?);
        let (storage, buffer, hasher) = (Arc::clone(storage), Vec::new(), blake3::Hasher::new());
        Ok(Growing { storage, path, temporary, file, buffer, bytes: 0, hasher })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.is_empty() && bytes.len() >= BUFFER {
            return self.put(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        let mut full = std::mem::take(&mut self.buffer);
        self.put(&full)?;
        full.clear();
        self.buffer = full;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
        self.storage.write(file, bytes)
    }

    /// Writes what still waits.
    pub fn close(mut self) -> Result<Written, StoreError> {
        let rest = std::mem::take(&mut self.buffer);
        self.put(&rest).attempt("write", &self.path)?;
        let file = self.file.take().ok_or_else(|| StoreError::Internal("a file was closed twice".into()))?;
        Ok(Written {
            path: self.path.clone(),
            temporary: self.temporary.clone(),
            file,
            bytes: self.bytes,
            hash: self.hasher.finalize().to_hex().to_string(),
        })
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // A half-written file takes space that a full disk does not have.
            let _ = self.storage.remove(&self.temporary);
        }
    }
}

/// The bytes of all are on the disk when this returns. Side by side, because each of these calls waits for the disk.
pub fn synchronise(storage: &dyn Storage, files: &[Written]) -> Result<(), StoreError> {
    let sync = |new: &Written| storage.sync(&new.file).attempt("write", &new.path);
    let outcomes: Vec<Result<(), StoreError>> = std::thread::scope(|scope| {
        let start = |new| std::thread::Builder::new().spawn_scoped(scope, move || sync(new)).map_err(|_| new);
        let threads: Vec<_> = files.iter().skip(1).map(start).collect();
        let first: Vec<_> = files.iter().take(1).map(sync).collect();
        let others = threads.into_iter().map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(StoreError::Internal("a thread failed".into()))),
            // The system has no thread to give.
            Err(new) => sync(new),
        });
        first.into_iter().chain(others).collect()
    });
    let outcome: Result<(), StoreError> = outcomes.into_iter().collect();
    if outcome.is_err() {
        files.iter().for_each(|new| {
            let _ = storage.remove(&new.temporary);
        });
    }
    outcome
}

/// Gives synchronised files their names.
pub fn rename(storage: &dyn Storage, files: &[Written]) -> Result<(), StoreError> {
    files.iter().try_for_each(|new| storage.rename(&new.temporary, &new.path).attempt("rename", &new.temporary))
}
