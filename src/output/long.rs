//! `layers.csv` in long form: one row per network, layer and statistic, with the quantity and the statistic as words, as
//! plotting tools with a grammar of graphics want it.

use std::io::{self, Read, Write};

use csv::ByteRecord;

use super::export::{ExportError, TypedColumn, open};
use crate::stats::catalog;

/// Columns of the wide form that are left out: they follow from the layer.
const LEFT_OUT: [&str; 2] = ["fan_in", "fan_out"];

/// Writes the table as CSV, and returns its number of rows. Cells without a value have no row.
pub fn write_long(columns: &[TypedColumn], csv: impl Read, out: impl Write) -> Result<u64, ExportError> {
    let mut reader = open(columns, csv)?;
    let statistics: Vec<_> =
        columns.iter().enumerate().filter_map(|(i, column)| Some((i, catalog::find(&column.name)?))).collect();
    let kept: Vec<usize> = (0..columns.len())
        .filter(|i| statistics.iter().all(|(at, _)| at != i) && !LEFT_OUT.contains(&columns[*i].name.as_str()))
        .collect();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(out);
    let head = kept.iter().map(|&i| columns[i].name.as_str());
    writer.write_record(head.chain(["quantity", "statistic", "value"])).map_err(io::Error::from)?;
    let mut rows = 0;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        for (i, row) in &statistics {
            if record[*i].is_empty() {
                continue;
            }
            let cells = kept.iter().map(|&i| &record[i]);
            let value = [row.group.as_bytes(), row.statistic.as_bytes(), &record[*i]];
            writer.write_record(cells.chain(value)).map_err(io::Error::from)?;
            rows += 1;
        }
    }
    writer.flush()?;
    Ok(rows)
}
