//! The way back: rows of a finished table, one at a time, with cells found by the name of their column. It opens no
//! file and keeps no row.

use std::borrow::Cow;
use std::io::Read;

/// A table that cannot be read, with the line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(String);

impl From<csv::Error> for ReadError {
    fn from(error: csv::Error) -> Self {
        let line = error.position().map(|p| p.line());
        ReadError(match (error.kind(), line) {
            (csv::ErrorKind::UnequalLengths { expected_len, len, .. }, Some(line)) => {
                format!("line {line}: {len} cells under a header of {expected_len}")
            }
            (csv::ErrorKind::Io(source), _) => source.to_string(),
            _ => error.to_string(),
        })
    }
}

/// Reads a CSV from its header on.
pub struct TableReader<R> {
    reader: csv::Reader<R>,
    header: Vec<String>,
    record: csv::ByteRecord,
}

impl<R: Read> TableReader<R> {
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_reader(source);
        let header = reader.byte_headers()?.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(TableReader { reader, header, record: csv::ByteRecord::new() })
    }

    /// Names of the columns, in order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Position of the column `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The next row, until there is none.
    pub fn next_row(&mut self) -> Result<Option<TableRow<'_>>, ReadError> {
        Ok(self.reader.read_byte_record(&mut self.record)?.then_some(TableRow(&self.record)))
    }
}

/// One row; cells by position, and every cell of an absent column is empty.
#[derive(Clone, Copy)]
pub struct TableRow<'a>(&'a csv::ByteRecord);

impl<'a> TableRow<'a> {
    pub fn bytes(&self, column: Option<usize>) -> &'a [u8] {
        column.and_then(|c| self.0.get(c)).unwrap_or_default()
    }

    pub fn text(&self, column: Option<usize>) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes(column))
    }

    /// A finite number; `None` for an empty cell and for anything else.
    pub fn number(&self, column: Option<usize>) -> Option<f64> {
        let text = std::str::from_utf8(self.bytes(column)).ok()?;
        text.parse().ok().filter(|x: &f64| x.is_finite())
    }

    pub fn integer(&self, column: Option<usize>) -> Option<u64> {
        std::str::from_utf8(self.bytes(column)).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_by_the_name_of_their_column() {
        let text = "a,b,c\n1.5,\"x, \"\"y\"\"\",\n,1e-300,7\n";
        let mut table = TableReader::new(text.as_bytes()).unwrap();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| table.column(name));
        assert_eq!((a, d), (Some(0), None));
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.number(a), row.text(b).as_ref(), row.number(c)), (Some(1.5), "x, \"y\"", None));
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.number(a), row.number(b), row.integer(c), row.number(d)), (None, Some(1e-300), Some(7), None));
        assert!(table.next_row().unwrap().is_none());
    }

    #[test]
    fn a_row_of_another_length_is_named_by_its_line() {
        let mut table = TableReader::new("a,b\n1,2\n3\n".as_bytes()).unwrap();
        table.next_row().unwrap();
        let error = table.next_row().err().expect("the row is short");
        assert_eq!(error.to_string(), "line 3: 1 cells under a header of 2");
    }

    #[test]
    fn infinities_are_no_numbers() {
        let mut table = TableReader::new("a,b\ninf,nan\n".as_bytes()).unwrap();
        let row = table.next_row().unwrap().unwrap();
        assert_eq!((row.number(Some(0)), row.number(Some(1))), (None, None));
    }
}
