//! Standard output as the destination of a run: rows of `layers.csv` in plan order, each as soon as all before it are
//! there. What comes too early waits in a temporary directory, so memory stays bounded.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Sink;
use crate::store::{Footer, NetworkRows, Part, RowIndex, Scratch, StoreError, Table, Tally};

/// Streams `layers.csv` to a writer.
pub struct Stream<W: Write> {
    out: W,
    waiting: TempDir,
    rows: RowIndex,
    /// Parts on disk, with the last network of each.
    parts: Vec<(u64, PathBuf)>,
}

impl<W: Write> Stream<W> {
    /// Writes the header; the rows follow by [`Sink::commit`].
    pub fn new(mut out: W, networks: u64, header: &[u8]) -> Result<Self, StoreError> {
        let waiting = TempDir::new().map_err(|source| StoreError::Stream {
            action: "create a directory in",
            path: std::env::temp_dir(),
            source,
        })?;
        out.write_all(header).and_then(|()| out.flush()).map_err(failed)?;
        Ok(Stream { out, waiting, rows: RowIndex::new(networks), parts: Vec::new() })
    }
}

fn failed(source: io::Error) -> StoreError {
    StoreError::Stream { action: "write to", path: Path::new("standard output").to_path_buf(), source }
}

impl<W: Write> Sink for Stream<W> {
    fn commit(&mut self, chunk: u32, fingerprint: &str, rows: &[NetworkRows], tally: Tally) -> Result<(), StoreError> {
        let out = &mut self.out;
        let mut tell = |table, bytes: &[u8]| if table == Table::Layers { out.write_all(bytes) } else { Ok(()) };
        let before = self.rows.next();
        self.rows.pass(rows, &mut tell).map_err(failed)?;
        if self.rows.next() == before {
            let footer = Footer::new(chunk, "", fingerprint, rows, tally);
            let last = footer.index.iter().copied().max().unwrap_or(0);
            let part =
                Part::write(&Scratch, self.waiting.path(), footer, rows, false).map_err(StoreError::of_stream)?;
            if !self.rows.add(&part) {
                return Err(StoreError::Internal(format!(
                    "chunk {chunk}: a network outside the plan, or rows of 4 GiB"
                )));
            }
            self.parts.push((last, part.path));
        }
        self.rows.copy(&mut tell).map_err(failed)?;
        self.out.flush().map_err(failed)?;
        let ready = self.rows.next();
        self.parts.retain(|(last, path)| {
            let needed = *last >= ready;
            // Space is all that is lost if it cannot be removed.
            needed || fs::remove_file(path).is_err()
        });
        Ok(())
    }
}
