//! Tables of a finished run as other formats want them: reads a CSV with the types that `datapackage.json` gives its
//! columns, record by record.

use std::io::{self, Read};

use serde::Deserialize;

/// Why a table could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("datapackage.json is not readable: {0}")]
    Package(#[from] serde_json::Error),
    #[error("cannot read: {0}")]
    Read(#[from] csv::Error),
    #[error("its columns are not those of datapackage.json: {found} in the place of {expected}")]
    Columns { found: String, expected: String },
    #[error("line {line}: `{text}` in column {column} is no {kind}")]
    Cell { line: u64, column: String, kind: &'static str, text: String },
    #[error("cannot encode: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// `datapackage.json`, as far as it is needed here.
#[derive(Debug, Deserialize)]
pub struct Package {
    pub resources: Vec<Resource>,
}

/// A table.
#[derive(Debug, Deserialize)]
pub struct Resource {
    pub name: String,
    /// Its file beside the package.
    pub path: String,
    schema: Schema,
}

#[derive(Debug, Deserialize)]
struct Schema {
    fields: Vec<TypedColumn>,
}

/// A column with its type in the words of Table Schema.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TypedColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

impl Package {
    pub fn parse(text: &[u8]) -> Result<Package, ExportError> {
        Ok(serde_json::from_slice(text)?)
    }
}

impl Resource {
    pub fn columns(&self) -> &[TypedColumn] {
        &self.schema.fields
    }
}

/// A reader of records whose header is that of `columns`.
pub(super) fn open<R: Read>(columns: &[TypedColumn], text: R) -> Result<csv::Reader<R>, ExportError> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers()?;
    let expected = columns.iter().map(|column| column.name.as_str());
    if !header.iter().eq(expected.clone()) {
        let differ = header.iter().map(Some).chain([None]).zip(expected.map(Some).chain([None]));
        let (found, expected) = differ.into_iter().find(|(a, b)| a != b).unwrap_or((None, None));
        let quoted = |name: Option<&str>| name.map_or("nothing".to_string(), |name| format!("`{name}`"));
        return Err(ExportError::Columns { found: quoted(found), expected: quoted(expected) });
    }
    Ok(reader)
}
