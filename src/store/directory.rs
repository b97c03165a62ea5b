//! One run directory from opening to completion: which state it is in, what is already done, committing parts, and the
//! final tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::files::{Written, rename, synchronise};
use super::lock::Lock;
use super::manifest::{FileEntry, Identity, MANIFEST_VERSION, Manifest, State, Tally};
use super::merge::RowIndex;
use super::part::{Footer, NetworkRows, Part, PartError};
use super::state::{inspect, list, missing_file, now, remove_parts};
use super::tables::Tables;
use super::{Attempt, MANIFEST, PARTS, SWEEP, Storage, StoreError};

/// What was found at a path.
#[derive(Debug)]
pub enum Opened {
    /// New, or unfinished and of the same identity: [`RunDirectory::begin`] goes on.
    Ready(Box<RunDirectory>),
    /// Finished earlier, with the same identity.
    Complete(Box<Manifest>),
}

/// A run directory that this process has locked.
pub struct RunDirectory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    identity: Identity,
    identity_hash: String,
    manifest: Option<Manifest>,
    /// The sweep file, until it and the manifest are written.
    unsettled: Option<Vec<u8>>,
    headers: Headers,
    index: RowIndex,
    /// Begun with the first commit.
    tables: Option<Tables>,
    /// Tables are written while rows come in. Where that fails, it is left for the end: parts come first.
    ahead: bool,
    tally: Tally,
    notes: Vec<String>,
    begun: Instant,
    /// Seconds of earlier sittings.
    seconds_before: f64,
    /// The directory did not exist before.
    created: bool,
    lock: Option<Lock>,
}

impl std::fmt::Debug for RunDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a sitting starts with.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// Label and fingerprint of every engine that will work.
    pub engines: &'a [(String, String)],
    /// Go on although other engines computed the parts that are there.
    pub mixed: bool,
    /// The sweep file, verbatim.
    pub sweep_file: &'a [u8],
    /// Settings beside the sweep file, as given: `--set ...`.
    pub settings: &'a [String],
    pub headers: &'a Headers,
}

/// A finished file beside the tables that parts hold.
pub struct Extra<'a> {
    pub name: &'a str,
    pub write: Producer<'a>,
}

/// Hands all bytes of a file to the function it is given and returns the number of rows, for tables.
pub type Producer<'a> = Box<dyn FnOnce(&mut Output<'_>) -> io::Result<Option<u64>> + 'a>;

/// Takes the bytes of a file, a block at a time.
pub type Output<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl<'a> Extra<'a> {
    /// A file whose content is at hand.
    pub fn bytes(name: &'a str, content: Vec<u8>) -> Self {
        Extra { name, write: Box::new(move |out| out(&content).map(|()| None)) }
    }
}

/// A file that may be a part.
type Candidate = (PathBuf, Result<Part, PartError>);

/// First lines of the two tables.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub layers: Vec<u8>,
    pub networks: Vec<u8>,
}

impl RunDirectory {
    /// Looks at `path`, creates it if need be, and locks it.
    pub fn open(path: &Path, storage: Arc<dyn Storage>, identity: Identity) -> Result<Opened, StoreError> {
        let created = !path.exists();
        if created {
            storage.create_dir(path).attempt("create", path)?;
        }
        // Before the lock file is written: a directory that is somebody else's stays untouched, and one whose run is
        // finished may be on a medium that nobody can write to.
        let seen = inspect(path, &identity)?;
        let lock = match Lock::acquire(path) {
            Ok(lock) => lock,
            Err(error) => {
                let unwritable = matches!(error, StoreError::Disk { .. });
                return match seen.filter(|m| unwritable && m.state == State::Complete) {
                    Some(manifest) if missing_file(path, &manifest)?.is_none() => {
                        Ok(Opened::Complete(Box::new(manifest)))
                    }
                    _ => Err(error),
                };
            }
        };
        let manifest = inspect(path, &identity)?;
        let mut notes = Vec::new();
        if let Some(manifest) = manifest.as_ref().filter(|m| m.state == State::Complete) {
            match missing_file(path, manifest)? {
                None => {
                    // A kill during the last clean-up leaves parts that nobody needs.
                    let _ = remove_parts(&*storage, path);
                    return Ok(Opened::Complete(Box::new(manifest.clone())));
                }
                Some(file) => notes.push(format!("{} is missing: computing it again", path.join(&file.name).display())),
            }
        }
        let networks = identity.networks;
        Ok(Opened::Ready(Box::new(RunDirectory {
            path: path.to_path_buf(),
            storage,
            identity_hash: identity.hash(),
            identity,
            seconds_before: manifest.as_ref().filter(|m| m.state == State::Running).map_or(0.0, |m| m.seconds),
            manifest,
            unsettled: None,
            headers: Headers::default(),
            index: RowIndex::new(networks),
            tables: None,
            ahead: true,
            tally: Tally::default(),
            notes,
            begun: Instant::now(),
            created,
            lock: Some(lock),
        })))
    }

    /// [`RunDirectory::prepare`] and [`RunDirectory::settle`].
    pub fn begin(&mut self, chunks: usize, begin: Begin) -> Result<Vec<bool>, StoreError> {
        let done = self.prepare(chunks, begin)?;
        self.settle()?;
        Ok(done)
    }

    /// Reads the parts that are there. Returns, for each of `chunks` chunks, whether it is done.
    pub fn prepare(&mut self, chunks: usize, begin: Begin) -> Result<Vec<bool>, StoreError> {
        let mut done = vec![false; chunks];
        let mut fingerprints: Vec<String> = begin.engines.iter().map(|(_, f)| f.clone()).collect();
        let mut labels: Vec<String> = begin.engines.iter().map(|(label, _)| label.clone()).collect();
        for (path, part) in self.read_parts()? {
            let part = match part {
                Ok(part) if (part.footer.chunk as usize) < chunks => part,
                Ok(_) => return Err(StoreError::Internal(format!("{}: its chunk is unknown", path.display()))),
                Err(PartError::Io(source)) => return Err(StoreError::Disk { action: "read", path, source }),
                Err(fault) => {
                    self.notes.push(format!("{}: {fault}: computing it again", path.display()));
                    self.storage.remove(&path).attempt("remove", &path)?;
                    continue;
                }
            };
            let fingerprint = &part.footer.fingerprint;
            if !fingerprints.contains(fingerprint) {
                if !begin.mixed {
                    return Err(StoreError::Occupied(format!(
                        "{}: this run was begun on another engine, whose numbers differ in their last digits\n  \
                         there: {fingerprint}\n  now:   {}\n\
                         use the same device and tool, choose another directory with -o, or mix them with --mixed",
                        self.path.display(),
                        begin.engines.iter().map(|(_, f)| f.as_str()).collect::<Vec<_>>().join(", ")
                    )));
                }
                fingerprints.push(fingerprint.clone());
            }
            if std::mem::replace(&mut done[part.footer.chunk as usize], true) {
                // Two parts of one chunk: the names are read in order, so every process keeps the same one.
                self.storage.remove(&path).attempt("remove", &path)?;
                continue;
            }
            if !self.index.add(&part) {
                return Err(StoreError::Internal(format!(
                    "{}: a network outside the plan, or rows of 4 GiB",
                    path.display()
                )));
            }
            self.tally.add(&part.footer.tally);
        }
        if let Some(earlier) = self.manifest.as_ref().filter(|_| done.contains(&true)) {
            labels.extend(earlier.engines.iter().filter(|e| !begin.engines.iter().any(|(l, _)| l == *e)).cloned());
        }
        labels.dedup();
        fingerprints.dedup();
        let started = match &self.manifest {
            Some(earlier) if earlier.state == State::Running => earlier.started.clone(),
            _ => now(),
        };
        self.manifest = Some(Manifest {
            schema_version: MANIFEST_VERSION,
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_string(),
            state: State::Running,
            identity_hash: self.identity_hash.clone(),
            identity: self.identity.clone(),
            settings: begin.settings.to_vec(),
            engines: labels,
            fingerprints,
            started,
            finished: None,
            seconds: self.seconds_before,
            counts: self.tally.clone(),
            files: Vec::new(),
        });
        self.unsettled = Some(begin.sweep_file.to_vec());
        self.headers = begin.headers.clone();
        Ok(done)
    }

    /// Writes the manifest and the sweep file, if they are not written yet: before the first part, and while engines are at
    /// work already.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        let Some(sweep_file) = self.unsettled.take() else { return Ok(()) };
        self.write_manifest()?;
        let sweep = [self.written(SWEEP, |out| out(&sweep_file))?];
        synchronise(&*self.storage, &sweep)?;
        rename(&*self.storage, &sweep)?;
        let parts = self.path.join(PARTS);
        self.storage.create_dir(&parts).attempt("create", &parts)?;
        self.storage.sync_dir(&self.path).attempt("synchronise", &self.path)
    }

    /// Parts on disk in the order of their names; files that a kill left half-written are removed.
    fn read_parts(&self) -> Result<Vec<Candidate>, StoreError> {
        let parts = self.path.join(PARTS);
        if !parts.exists() {
            return Ok(Vec::new());
        }
        let mut names = list(&parts).attempt("read", &parts)?;
        names.sort();
        let mut found = Vec::new();
        for name in names {
            let path = parts.join(&name);
            if name.ends_with(".part") {
                let part = Part::open(&path, &self.identity_hash);
                found.push((path, part));
            } else if name.ends_with(".tmp") {
                self.storage.remove(&path).attempt("remove", &path)?;
            }
        }
        Ok(found)
    }

    /// Makes a finished chunk permanent.
    pub fn commit(
        &mut self,
        chunk: u32,
        fingerprint: &str,
        rows: &[NetworkRows],
        tally: Tally,
    ) -> Result<(), StoreError> {
        self.settle()?;
        let footer = Footer::new(chunk, &self.identity_hash, fingerprint, rows, tally);
        // After the last chunk the tables follow.
        let lasting = self.tally.networks + footer.tally.networks < self.identity.networks;
        let part = Part::write(&*self.storage, &self.path.join(PARTS), footer, rows, lasting)?;
        self.tally.add(&part.footer.tally);
        // What is next in plan order needs no entry.
        let passed = !self.ahead || self.write_tables(|tables, index| tables.pass(index, rows)).is_ok();
        if !self.index.add(&part) {
            return Err(StoreError::Internal(format!("chunk {chunk}: a network outside the plan, or rows of 4 GiB")));
        }
        if self.ahead && !(passed && self.write_tables(|tables, index| tables.copy(index)).is_ok()) {
            self.fall_behind()?;
        }
        Ok(())
    }

    /// Writes to the tables, which are begun if need be.
    fn write_tables(
        &mut self,
        write: impl FnOnce(&mut Tables, &mut RowIndex) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let tables = match &mut self.tables {
            Some(tables) => tables,
            none => none.insert(Tables::new(&self.storage, &self.path, &self.headers)?),
        };
        write(tables, &mut self.index).attempt("write", &self.path.join("layers.csv"))
    }

    /// Gives up tables that cannot be written now: the disk is full, perhaps. They are written at the end, from parts alone.
    fn fall_behind(&mut self) -> Result<(), StoreError> {
        self.tables = None;
        self.ahead = false;
        self.index = RowIndex::new(self.identity.networks);
        for (path, part) in self.read_parts()? {
            if !part.is_ok_and(|part| self.index.add(&part)) {
                return Err(StoreError::Internal(format!("{}: it was good, and cannot be read now", path.display())));
            }
        }
        Ok(())
    }

    /// Completes the tables, marks the run as complete and removes the parts. Returns the last manifest, and what the user
    /// should know.
    pub fn finish(mut self, extra: Vec<Extra>) -> Result<(Manifest, Vec<String>), StoreError> {
        self.settle()?;
        self.write_tables(|tables, index| tables.copy(index))?;
        let networks = self.identity.networks;
        let missing = self.index.next();
        let Some(tables) = self.tables.take().filter(|_| missing == networks) else {
            return Err(StoreError::Internal(format!("network {missing} has no rows")));
        };
        let (mut files, mut written) = (Vec::new(), Vec::new());
        for ((name, new), rows) in tables.close()?.into_iter().zip([self.tally.rows, networks]) {
            files.push(new.entry(name, Some(rows)));
            written.push(new);
        }
        for Extra { name, write } in extra {
            let mut rows = None;
            let new = self.written(name, |out| {
                rows = write(out)?;
                Ok(())
            })?;
            files.push(new.entry(name, rows));
            written.push(new);
        }
        let sweep = self.path.join(SWEEP);
        let text = fs::read(&sweep).attempt("read", &sweep)?;
        files.push(FileEntry {
            name: SWEEP.to_string(),
            bytes: text.len() as u64,
            rows: None,
            blake3: blake3::hash(&text).to_hex().to_string(),
        });
        let seconds = self.seconds();
        let manifest = self.manifest.as_mut().ok_or_else(|| StoreError::Internal("the run has not begun".into()))?;
        manifest.state = State::Complete;
        manifest.finished = Some(now());
        manifest.seconds = seconds;
        manifest.counts = self.tally.clone();
        manifest.files = files;
        let text = text_of(manifest);
        let manifest = manifest.clone();
        written.push(self.written(MANIFEST, |out| out(&text))?);
        synchronise(&*self.storage, &written)?;
        // The tables have their names, for certain, before the manifest says so.
        let tables = written.len() - 1;
        self.name(&written[..tables])?;
        self.name(&written[tables..])?;
        // The run is complete, whatever becomes of its parts.
        if let Err(error) = remove_parts(&*self.storage, &self.path) {
            let parts = self.path.join(PARTS);
            self.notes.push(format!("the run is complete, but {} stays: {error}; it can be removed", parts.display()));
        }
        Ok((manifest, self.take_notes()))
    }

    /// Writes down how far the run has come; call it when the run stops early.
    pub fn pause(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        self.tables = None;
        let (seconds, tally) = (self.seconds(), self.tally.clone());
        if let Some(manifest) = &mut self.manifest {
            manifest.seconds = seconds;
            manifest.counts = tally;
            self.write_manifest()?;
        }
        Ok(())
    }

    /// Seconds of work over all sittings.
    pub fn seconds(&self) -> f64 {
        let total = self.seconds_before + self.begun.elapsed().as_secs_f64();
        (total * 1e3).round() / 1e3
    }

    /// Counts over everything that is committed.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the user should know about the state in which the directory was found; each is told once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_manifest(&self) -> Result<(), StoreError> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let text = text_of(manifest);
        self.write_file(MANIFEST, &text)
    }

    /// Writes `name` so that it appears complete or not at all.
    fn write_file(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let written = [self.written(name, |out| out(content))?];
        synchronise(&*self.storage, &written)?;
        self.name(&written)
    }

    fn written(
        &self,
        name: &str,
        produce: impl FnOnce(&mut Output<'_>) -> io::Result<()>,
    ) -> Result<Written, StoreError> {
        Written::new(&self.storage, &self.path, name, produce)
    }

    /// Gives synchronised files their names, which are on the disk when this returns.
    fn name(&self, files: &[Written]) -> Result<(), StoreError> {
        rename(&*self.storage, files)?;
        self.storage.sync_dir(&self.path).attempt("synchronise", &self.path)
    }
}

fn text_of(manifest: &Manifest) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(manifest).expect("strings and numbers always serialise");
    text.push(b'\n');
    text
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // Nothing was begun: leave no trace of a run that, say, found no adapter.
        if self.created && self.manifest.is_none() {
            drop(self.lock.take());
            let _ = fs::remove_dir(&self.path);
        }
    }
}
