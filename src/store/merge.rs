//! Merging: rows in plan order, from memory where they come so, else as byte ranges of the parts, with a bounded number of
//! open files.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::part::{NetworkRows, Part};

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

/// Where the rows of one network lie: 20 bytes, because all networks may have an entry.
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

/// Brings rows into plan order: where those of networks lie that wait for an earlier one.
#[derive(Debug, Default)]
pub struct RowIndex {
    networks: u64,
    parts: Vec<PathBuf>,
    /// Plan index of the network whose rows come next.
    next: u64,
    /// From `next` on, as far as any is known.
    places: VecDeque<Place>,
}

impl RowIndex {
    /// For a plan of `networks` networks.
    pub fn new(networks: u64) -> Self {
        RowIndex { networks, ..RowIndex::default() }
    }

    /// Plan index of the first network whose rows have not been handed out.
    pub fn next(&self) -> u64 {
        self.next
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
        if end.is_none() || footer.index.iter().any(|&i| i >= self.networks) {
            return false;
        }
        let number = self.parts.len() as u32;
        self.parts.push(part.path.clone());
        // All of it fits, as was seen above.
        let mut layers = 0;
        let mut networks = footer.layers.iter().sum::<u64>() as u32;
        for ((&index, &a), &b) in footer.index.iter().zip(&footer.layers).zip(&footer.networks) {
            let (a, b) = (a as u32, b as u32);
            if let Some(at) = index.checked_sub(self.next).map(|at| at as usize) {
                let missing = Place { part: Place::MISSING, tables: [(0, 0); 2] };
                self.places.resize(self.places.len().max(at + 1), missing);
                self.places[at] = Place { part: number, tables: [(layers, a), (networks, b)] };
            }
            layers += a;
            networks += b;
        }
        true
    }

    /// Hands out `rows` if they are the next ones: those of a part that is to be entered after this.
    pub fn pass(&mut self, rows: &[NetworkRows], out: &mut TablesOut<'_>) -> io::Result<()> {
        if rows.iter().zip(self.next..).any(|(row, next)| row.index != next) {
            return Ok(());
        }
        for row in rows {
            out(Table::Layers, &row.layers)?;
            out(Table::Networks, &row.networks)?;
        }
        self.advance(rows.len());
        Ok(())
    }

    /// Hands out the rows of all networks that are next, as far as they are there.
    pub fn copy(&mut self, out: &mut TablesOut<'_>) -> io::Result<()> {
        let ready = self.places.iter().take_while(|place| place.is_known()).count();
        for table in [Table::Layers, Table::Networks] {
            let mut files = OpenFiles { paths: &self.parts, open: HashMap::new(), clock: 0 };
            let mut buffer = Vec::new();
            let mut pieces = self.places.iter().take(ready).map(|place| place.piece(table)).peekable();
            while let Some(mut piece) = pieces.next() {
                // Neighbours in the plan are often neighbours in a part: one read for all of them.
                let follows = |n: &Piece, p: &Piece| n.part == p.part && n.offset == p.offset + p.length;
                while let Some(next) = pieces.next_if(|n| follows(n, &piece)) {
                    piece.length += next.length;
                }
                files.read(piece, &mut buffer, &mut |bytes| out(table, bytes))?;
            }
        }
        self.advance(ready);
        Ok(())
    }

    fn advance(&mut self, count: usize) {
        self.next += count as u64;
        self.places.drain(..count.min(self.places.len()));
    }
}

/// Takes bytes of a table.
pub type TablesOut<'a> = dyn FnMut(Table, &[u8]) -> io::Result<()> + 'a;

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
