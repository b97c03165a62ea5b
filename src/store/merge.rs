//! Merging: copies the byte ranges of the parts into one file, in plan order, with a bounded number of open files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::part::Part;

/// Open files at one time.
const OPEN_FILES: usize = 48;
/// Bytes copied at one time.
const BLOCK: usize = 1 << 18;

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

/// Where the rows of one network lie: 20 bytes, because all networks have an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// [`Place::MISSING`] without rows.
    part: u32,
    /// Offset and length of the rows of `layers.csv` and of the row of `networks.csv`.
    tables: [(u32, u32); 2],
}

impl Place {
    const MISSING: u32 = u32::MAX;

    fn is_known(&self) -> bool {
        self.part != Self::MISSING
    }

    fn piece(&self, table: Table) -> Piece {
        let (offset, length) = self.tables[table as usize];
        Piece { part: self.part, offset: offset.into(), length: length.into() }
    }
}

/// Where the rows of every network lie.
#[derive(Debug, Default)]
pub struct RowIndex {
    parts: Vec<PathBuf>,
    /// By plan index.
    places: Vec<Place>,
}

impl RowIndex {
    /// For a plan of `networks` networks.
    pub fn new(networks: u64) -> Self {
        RowIndex {
            parts: Vec::new(),
            places: vec![Place { part: Place::MISSING, tables: [(0, 0); 2] }; networks as usize],
        }
    }

    /// Enters a part. False, and nothing is entered, if it names a network that the plan does not have, or has more than
    /// 4 GiB.
    pub fn add(&mut self, part: &Part) -> bool {
        let footer = &part.footer;
        let end = footer
            .layers
            .iter()
            .chain(&footer.networks)
            .try_fold(0u32, |end, &length| u32::try_from(length).ok().and_then(|length| end.checked_add(length)));
        if end.is_none() || footer.index.iter().any(|&i| i >= self.places.len() as u64) {
            return false;
        }
        let number = self.parts.len() as u32;
        self.parts.push(part.path.clone());
        // All of it fits, as was seen above.
        let mut layers = 0;
        let mut networks = footer.layers.iter().sum::<u64>() as u32;
        for ((&index, &a), &b) in footer.index.iter().zip(&footer.layers).zip(&footer.networks) {
            let (a, b) = (a as u32, b as u32);
            self.places[index as usize] = Place { part: number, tables: [(layers, a), (networks, b)] };
            layers += a;
            networks += b;
        }
        true
    }

    /// Plan index of the first network without rows.
    pub fn first_missing(&self) -> Option<u64> {
        self.places.iter().position(|place| !place.is_known()).map(|i| i as u64)
    }

    /// Number of networks, from `start` on, whose rows are all there.
    pub fn ready_from(&self, start: u64) -> u64 {
        self.places[start as usize..].iter().take_while(|place| place.is_known()).count() as u64
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
        let range = &self.places[networks.start as usize..networks.end as usize];
        let mut pieces = range.iter().filter(|place| place.is_known()).map(|place| place.piece(table)).peekable();
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
