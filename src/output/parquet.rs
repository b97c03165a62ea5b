//! A CSV table as Parquet with zstd: integers, floats, booleans and strings, an empty cell as null. One row group is in
//! memory at a time.

use std::io::{Read, Write};
use std::sync::Arc;

use csv::ByteRecord;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::export::{ExportError, TypedColumn, open};

/// Rows of a row group: some 100 columns of them are 50 MB.
const GROUP_ROWS: usize = 1 << 16;
const ZSTD_LEVEL: i32 = 3;

/// Values of one column of a row group.
enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
}

struct Column<'a> {
    name: &'a str,
    values: Values,
    /// 1 where there is a value, 0 where there is none.
    defined: Vec<i16>,
}

impl<'a> Column<'a> {
    fn new(column: &'a TypedColumn) -> Self {
        let values = match column.kind.as_str() {
            "integer" => Values::Int(Vec::new()),
            "number" => Values::Float(Vec::new()),
            "boolean" => Values::Bool(Vec::new()),
            _ => Values::Text(Vec::new()),
        };
        Column { name: &column.name, values, defined: Vec::new() }
    }

    fn field(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.values {
            Values::Int(_) => (Physical::INT64, None),
            Values::Float(_) => (Physical::DOUBLE, None),
            Values::Bool(_) => (Physical::BOOLEAN, None),
            Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(self.name, physical);
        field.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()
    }

    fn push(&mut self, cell: &[u8], line: u64) -> Result<(), ExportError> {
        self.defined.push(i16::from(!cell.is_empty()));
        if cell.is_empty() {
            return Ok(());
        }
        let wrong = |kind| ExportError::Cell {
            line,
            column: self.name.to_string(),
            kind,
            text: String::from_utf8_lossy(cell).into_owned(),
        };
        let text = std::str::from_utf8(cell);
        match &mut self.values {
            Values::Int(list) => {
                list.push(text.ok().and_then(|text| text.parse().ok()).ok_or_else(|| wrong("integer"))?);
            }
            Values::Float(list) => {
                list.push(text.ok().and_then(|text| text.parse().ok()).ok_or_else(|| wrong("number"))?);
            }
            Values::Bool(list) => match cell {
                b"true" => list.push(true),
                b"false" => list.push(false),
                _ => return Err(wrong("true or false")),
            },
            Values::Text(list) => {
                // Ids and words repeat from row to row, and share their bytes.
                let same = list.last().filter(|last| last.data() == cell).cloned();
                list.push(same.unwrap_or_else(|| ByteArray::from(cell.to_vec())));
            }
        }
        Ok(())
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter) -> Result<(), ParquetError> {
        let defined = Some(&self.defined[..]);
        match &mut self.values {
            Values::Int(list) => writer.typed::<Int64Type>().write_batch(list, defined, None).map(|_| list.clear())?,
            Values::Float(list) => {
                writer.typed::<DoubleType>().write_batch(list, defined, None).map(|_| list.clear())?
            }
            Values::Bool(list) => writer.typed::<BoolType>().write_batch(list, defined, None).map(|_| list.clear())?,
            Values::Text(list) => {
                writer.typed::<ByteArrayType>().write_batch(list, defined, None).map(|_| list.clear())?;
            }
        }
        self.defined.clear();
        Ok(())
    }
}

/// Writes a table, and returns its number of rows.
pub fn write_parquet(columns: &[TypedColumn], csv: impl Read, out: impl Write + Send) -> Result<u64, ExportError> {
    let mut reader = open(columns, csv)?;
    let mut columns: Vec<Column> = columns.iter().map(Column::new).collect();
    let fields = columns.iter().map(|column| column.field().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_created_by(concat!("gradsweep ", env!("CARGO_PKG_VERSION")).to_string())
        .build();
    let mut writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
    let (mut rows, mut waiting) = (0, 0);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        columns.iter_mut().zip(&record).try_for_each(|(column, cell)| column.push(cell, line))?;
        rows += 1;
        waiting += 1;
        if waiting == GROUP_ROWS {
            write_group(&mut writer, &mut columns)?;
            waiting = 0;
        }
    }
    if waiting > 0 {
        write_group(&mut writer, &mut columns)?;
    }
    writer.close()?;
    Ok(rows)
}

fn write_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    columns: &mut [Column],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        // There is one for every field of the schema.
        let Some(mut place) = group.next_column()? else { break };
        column.write(&mut place)?;
        place.close()?;
    }
    group.close()?;
    Ok(())
}

/// Tells columns of words and numbers (`any`) that hold numbers alone, which are better typed, from the others.
pub fn settle_types(columns: &[TypedColumn], csv: impl Read) -> Result<Vec<TypedColumn>, ExportError> {
    let mut settled = columns.to_vec();
    let mut open_questions: Vec<usize> = (0..columns.len()).filter(|&i| columns[i].kind == "any").collect();
    if open_questions.is_empty() {
        return Ok(settled);
    }
    let mut reader = open(columns, csv)?;
    let mut record = ByteRecord::new();
    let mut seen = vec![false; columns.len()];
    while !open_questions.is_empty() && reader.read_byte_record(&mut record)? {
        open_questions.retain(|&i| {
            let cell = &record[i];
            seen[i] |= !cell.is_empty();
            cell.is_empty() || std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok())
        });
    }
    for i in open_questions {
        settled[i].kind = if seen[i] { "number" } else { "string" }.to_string();
    }
    Ok(settled)
}
