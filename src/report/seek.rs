//! The rows of a few networks out of a `layers.csv` that is too long to be read for a look at it: rows stand in the order
//! of `networks.csv`, so the places of some are found by bisection. It knows lines and one cell of each, no number.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

/// A table whose rows are ordered by the position of their network.
pub struct Ordered<'a, F> {
    file: BufReader<F>,
    header: Vec<u8>,
    /// Of the id.
    column: usize,
    end: u64,
    positions: &'a HashMap<Vec<u8>, u32>,
}

impl<'a, F: Read + Seek> Ordered<'a, F> {
    /// `None` if rows do not name their network. `positions`: of every network by its id.
    pub fn new(mut file: F, positions: &'a HashMap<Vec<u8>, u32>) -> io::Result<Option<Self>> {
        // A few rows: what a step of a bisection reads.
        const BLOCK: usize = 1 << 12;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(BLOCK, file);
        let mut header = Vec::new();
        file.read_until(b'\n', &mut header)?;
        let column = header.trim_ascii_end().split(|b| *b == b',').position(|name| name == b"network");
        Ok(column.map(|column| Ordered { file, header, column, end, positions }))
    }

    /// The header and the rows of the networks with these positions; `None` where a row belongs to no network, because
    /// then nothing is known of the order.
    pub fn rows(&mut self, networks: impl IntoIterator<Item = Range<u32>>) -> io::Result<Option<Vec<u8>>> {
        let mut found = self.header.clone();
        for range in networks {
            let (Some(start), Some(end)) = (self.place(range.start)?, self.place(range.end)?) else { return Ok(None) };
            self.file.seek(SeekFrom::Start(start))?;
            self.file.by_ref().take(end.saturating_sub(start)).read_to_end(&mut found)?;
        }
        Ok(Some(found))
    }

    /// Where the first row begins whose network is not before `network`.
    fn place(&mut self, network: u32) -> io::Result<Option<u64>> {
        // Rows that begin before `low`, where a row begins, are before the network; those from `high` on are not.
        let (mut low, mut high) = (self.header.len() as u64, self.end);
        let mut line = Vec::new();
        while low < high {
            let middle = low + (high - low) / 2;
            // The first row that begins at the middle or after it.
            self.file.seek(SeekFrom::Start(middle - 1))?;
            let start = middle - 1 + self.file.skip_until(b'\n')? as u64;
            if start >= high {
                high = middle;
                continue;
            }
            line.clear();
            let length = self.file.read_until(b'\n', &mut line)? as u64;
            let id = line.trim_ascii_end().split(|b| *b == b',').nth(self.column).unwrap_or_default();
            match self.positions.get(id) {
                Some(position) if *position < network => low = start + length,
                Some(_) => high = middle,
                None => return Ok(None),
            }
        }
        Ok(Some(low))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Networks of 0 to 6 rows, of 10 to some 5,000 bytes each.
    fn table() -> (String, Vec<String>, HashMap<Vec<u8>, u32>) {
        let header = "network,layer,text\n".to_string();
        let id = |n: u32| format!("n-{:04x}", n * 40_503 % 65_536);
        let row =
            |n: u32, layer: u32| format!("{},{layer},{}\n", id(n), "x".repeat((n * 7919 % 13 * layer * 80) as usize));
        let rows = (0..200).map(|n| (0..n * 31 % 7).map(|layer| row(n, layer)).collect()).collect();
        (header, rows, (0..200).map(|n| (id(n).into_bytes(), n)).collect())
    }

    #[test]
    fn the_rows_of_some_networks_are_found_wherever_they_stand() {
        let (header, rows, positions) = table();
        let text = format!("{header}{}", rows.concat());
        let mut table = Ordered::new(Cursor::new(text.as_bytes()), &positions).unwrap().unwrap();
        for start in 0..200 {
            for end in [start, start + 1, (start + 9).min(200)] {
                let found = table.rows(Some(start..end)).unwrap().unwrap();
                let want = format!("{header}{}", rows[start as usize..end as usize].concat());
                assert_eq!(String::from_utf8(found).unwrap(), want, "{start}..{end}");
            }
        }
        let some = table.rows([150..152, 3..4, 199..200]).unwrap().unwrap();
        let want = [&header, &rows[150], &rows[151], &rows[3], &rows[199]].map(String::as_str).concat();
        assert_eq!(String::from_utf8(some).unwrap(), want);
    }

    #[test]
    fn a_table_of_strangers_or_without_ids_or_rows_has_none() {
        let (header, rows, positions) = table();
        let stranger = format!("{header}{}", rows.concat().replace("n-", "m-"));
        let mut table = Ordered::new(Cursor::new(stranger.as_bytes()), &positions).unwrap().unwrap();
        assert_eq!(table.rows(Some(5..6)).unwrap(), None);
        assert!(Ordered::new(Cursor::new(b"layer\n1\n"), &positions).unwrap().is_none());
        let mut empty = Ordered::new(Cursor::new(header.as_bytes()), &positions).unwrap().unwrap();
        assert_eq!(empty.rows(Some(0..200)).unwrap(), Some(header.into_bytes()));
    }
}
