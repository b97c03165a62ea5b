//! Files of a run directory on their way to their names: written beside their place and hashed, synchronised side by side,
//! renamed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

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

    /// Writes `name` in `directory`, under a name that does not count yet.
    pub fn new(
        storage: &dyn Storage,
        directory: &Path,
        name: &str,
        write: impl FnOnce(&mut File, &Hashing) -> io::Result<()>,
    ) -> Result<Written, StoreError> {
        let path = directory.join(name);
        let temporary = directory.join(format!("{name}.tmp"));
        let hashing = Hashing { storage, state: Default::default() };
        let written = storage.create(&temporary).and_then(|mut file| write(&mut file, &hashing).map(|()| file));
        let file = discard_on_error(storage, &temporary, written.attempt("write", &path))?;
        let (bytes, hasher) = hashing.state.into_inner();
        Ok(Written { path, temporary, file, bytes, hash: hasher.finalize().to_hex().to_string() })
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

/// Collects what `produce` hands out into blocks of at least [`BUFFER`] bytes.
pub fn buffered(
    produce: impl FnOnce(&mut Output<'_>) -> io::Result<()>,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(2 * BUFFER);
    produce(&mut |bytes| {
        if buffer.is_empty() && bytes.len() >= BUFFER {
            return write(bytes);
        }
        buffer.extend_from_slice(bytes);
        if buffer.len() < BUFFER {
            return Ok(());
        }
        write(&buffer)?;
        buffer.clear();
        Ok(())
    })?;
    write(&buffer)
}

/// Writes through a storage and hashes what goes by.
pub struct Hashing<'a> {
    storage: &'a dyn Storage,
    state: std::cell::RefCell<(u64, blake3::Hasher)>,
}

impl Hashing<'_> {
    pub fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.0 += bytes.len() as u64;
        state.1.update(bytes);
        self.storage.write(file, bytes)
    }
}
