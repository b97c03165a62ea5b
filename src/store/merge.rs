//! Merging: copies the byte ranges of the parts into one file, in plan order, with a bounded number of open files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::part::Part;

/// Open files at one time.
const OPEN_FILES: usize = 48;
/// Bytes copied at one time.
const BLOCK: usize = 1 << 20;

/// Which of a part's two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Layers,
    Networks,
}

/// A range of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    part: u32,
    offset: u64,
    length: u64,
}

/// Where the rows of every network lie.
#[derive(Debug, Default)]
pub struct RowIndex {
    parts: Vec<PathBuf>,
    /// By plan index: rows of `layers.csv`, row of `networks.csv`.
    pieces: Vec<Option<[Piece; 2]>>,
}

impl RowIndex {
    /// For a plan of `networks` networks.
    pub fn new(networks: u64) -> Self {
        RowIndex { parts: Vec::new(), pieces: vec![None; networks as usize] }
    }

    /// Enters a part. False, and nothing is entered, if it names a network that the plan does not have.
    pub fn add(&mut self, part: &Part) -> bool {
        let footer = &part.footer;
        if footer.index.iter().any(|&i| i >= self.pieces.len() as u64) {
            return false;
        }
        let number = self.parts.len() as u32;
        self.parts.push(part.path.clone());
        let mut layers = 0;
        let mut networks = footer.layers.iter().sum();
        for ((&index, &a), &b) in footer.index.iter().zip(&footer.layers).zip(&footer.networks) {
            self.pieces[index as usize] = Some([
                Piece { part: number, offset: layers, length: a },
                Piece { part: number, offset: networks, length: b },
            ]);
            layers += a;
            networks += b;
        }
        true
    }

    /// Plan index of the first network without rows.
    pub fn first_missing(&self) -> Option<u64> {
        self.pieces.iter().position(Option::is_none).map(|i| i as u64)
    }

    /// Number of networks, from `start` on, whose rows are all there.
    pub fn ready_from(&self, start: u64) -> u64 {
        self.pieces[start as usize..].iter().take_while(|p| p.is_some()).count() as u64
    }

    /// Hands the rows of `networks` (plan indices) to `out`, in order. Networks without rows are left out.
    pub fn copy(
        &self,
        table: Table,
        networks: std::ops::Range<u64>,
        mut out: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut files = OpenFiles { paths: &self.parts, open: HashMap::new(), clock: 0 };
        let mut buffer = Vec::new();
        let range = &self.pieces[networks.start as usize..networks.end as usize];
        let mut pieces = range.iter().flatten().map(|pair| pair[table as usize]).peekable();
        while let Some(mut piece) = pieces.next() {
            // Neighbours in the plan are often neighbours in a part: one read for all of them.
            while let Some(next) = pieces.next_if(|n| n.part == piece.part && n.offset == piece.offset + piece.length) {
                piece.length += next.length;
            }
            files.read(piece, &mut buffer, &mut out)?;
        }
        Ok(())
    }
}

/// The most recently used files.
struct OpenFiles<'a> {
    paths: &'a [PathBuf],
    open: HashMap<u32, (u64, File)>,
    clock: u64,
}

impl OpenFiles<'_> {
    fn read(
        &mut self,
        piece: Piece,
        buffer: &mut Vec<u8>,
        out: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.clock += 1;
        if !self.open.contains_key(&piece.part) && self.open.len() >= OPEN_FILES {
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used).map(|(&part, _)| part);
            oldest.map(|part| self.open.remove(&part));
        }
        let (used, file) = match self.open.entry(piece.part) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((0, File::open(&self.paths[piece.part as usize])?))
            }
        };
        *used = self.clock;
        file.seek(SeekFrom::Start(piece.offset))?;
        let mut left = piece.length as usize;
        while left > 0 {
            buffer.resize(left.min(BLOCK), 0);
            file.read_exact(buffer)?;
            out(buffer)?;
            left -= buffer.len();
        }
        Ok(())
    }
}
