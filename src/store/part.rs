//! A part: the finished rows of one chunk in one file. Rows of `layers.csv`, then rows of `networks.csv`, then a JSON
//! footer that says which bytes belong to which network, then the footer's length and a mark. The name carries the
//! content's hash, so a part that was cut or changed is recognised and computed again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Attempt, Storage, StoreError, Tally, discard_on_error};

/// Last eight bytes of every part.
const MARK: &[u8; 8] = b"gsparts1";
const TRAILER: u64 = 16;
/// Bytes written at one time.
pub const BUFFER: usize = 1 << 18;

/// Finished rows of one network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkRows {
    /// Position in plan order.
    pub index: u64,
    /// Lines of `layers.csv`.
    pub layers: Vec<u8>,
    /// The line of `networks.csv`.
    pub networks: Vec<u8>,
}

/// What a part says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    /// Number of the chunk in its plan.
    pub chunk: u32,
    /// Hash of the run's identity.
    pub identity: String,
    /// What the numbers depend on besides the plan.
    pub fingerprint: String,
    /// Plan index of each network, in the order of the rows.
    pub index: Vec<u64>,
    /// Bytes of `layers.csv` of each network.
    pub layers: Vec<u64>,
    /// Bytes of `networks.csv` of each network.
    pub networks: Vec<u64>,
    pub tally: Tally,
}

impl Footer {
    pub fn new(chunk: u32, identity: &str, fingerprint: &str, rows: &[NetworkRows], tally: Tally) -> Self {
        Footer {
            chunk,
            identity: identity.to_string(),
            fingerprint: fingerprint.to_string(),
            index: rows.iter().map(|r| r.index).collect(),
            layers: rows.iter().map(|r| r.layers.len() as u64).collect(),
            networks: rows.iter().map(|r| r.networks.len() as u64).collect(),
            tally,
        }
    }

    /// The footer as it stands in a file, with its trailer.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("strings and numbers always serialise");
        let length = bytes.len() as u64;
        bytes.extend(length.to_le_bytes());
        bytes.extend(MARK);
        bytes
    }
}

/// A part on disk.
#[derive(Clone, Debug)]
pub struct Part {
    pub path: PathBuf,
    pub footer: Footer,
}

/// Why a file is not a usable part.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("its content does not match its name")]
    Hash,
    #[error("it has no readable footer")]
    Footer,
    #[error("it belongs to another run")]
    Identity,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// `000012-0123456789abcdef.part`
fn name(chunk: u32, hash: &blake3::Hash) -> String {
    format!("{chunk:06}-{}.part", &hash.to_hex()[..16])
}

impl Part {
    /// Writes the rows of one chunk into `directory`. A part that is to last has its name only once its bytes are on the
    /// disk; one whose rows are copied into tables at once need not wait for that: if the power fails before these are
    /// complete, its name shows that its bytes are not.
    pub fn write(
        storage: &dyn Storage,
        directory: &Path,
        footer: Footer,
        rows: &[NetworkRows],
        lasting: bool,
    ) -> Result<Part, StoreError> {
        let temporary = directory.join(format!("{:06}.tmp", footer.chunk));
        let written = write_content(storage, &temporary, rows, &footer, lasting).attempt("write", &temporary);
        let hash = discard_on_error(storage, &temporary, written)?;
        let path = directory.join(name(footer.chunk, &hash));
        storage.rename(&temporary, &path).attempt("rename", &temporary)?;
        if lasting {
            storage.sync_dir(directory).attempt("synchronise", directory)?;
        }
        Ok(Part { path, footer })
    }

    /// Reads and checks a part: content against name, footer against content.
    pub fn open(path: &Path, identity: &str) -> Result<Part, PartError> {
        let mut file = File::open(path)?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher)?;
        let footer = read_footer(&mut file)?;
        let expected = name(footer.chunk, &hasher.finalize());
        if path.file_name().is_none_or(|n| n.to_string_lossy() != expected) {
            return Err(PartError::Hash);
        }
        if footer.identity != identity {
            return Err(PartError::Identity);
        }
        Ok(Part { path: path.to_path_buf(), footer })
    }
}

fn write_content(
    storage: &dyn Storage,
    path: &Path,
    rows: &[NetworkRows],
    footer: &Footer,
    lasting: bool,
) -> io::Result<blake3::Hash> {
    let mut file = storage.create(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    let footer = footer.encode();
    let pieces = rows.iter().map(|r| &r.layers).chain(rows.iter().map(|r| &r.networks)).chain([&footer]);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if buffer.len() >= BUFFER {
            hasher.update(&buffer);
            storage.write(&mut file, &buffer)?;
            buffer.clear();
        }
    }
    hasher.update(&buffer);
    storage.write(&mut file, &buffer)?;
    if lasting {
        storage.sync(&file)?;
    }
    Ok(hasher.finalize())
}

fn read_footer(file: &mut File) -> Result<Footer, PartError> {
    let size = file.metadata()?.len();
    if size < TRAILER {
        return Err(PartError::Footer);
    }
    file.seek(SeekFrom::Start(size - TRAILER))?;
    let mut trailer = [0; TRAILER as usize];
    file.read_exact(&mut trailer)?;
    let (length, mark) = trailer.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight of the sixteen bytes"));
    if mark != MARK || length > size - TRAILER {
        return Err(PartError::Footer);
    }
    file.seek(SeekFrom::Start(size - TRAILER - length))?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    let footer: Footer = serde_json::from_slice(&bytes).map_err(|_| PartError::Footer)?;
    let rows = footer.layers.iter().chain(&footer.networks).try_fold(0u64, |sum, &n| sum.checked_add(n));
    let consistent = footer.index.len() == footer.layers.len()
        && footer.index.len() == footer.networks.len()
        && rows == Some(size - TRAILER - length);
    consistent.then_some(footer).ok_or(PartError::Footer)
}
