//! The columns of a table with their types, and `datapackage.json`, which tells readers of them.

use serde_json::{Value as Json, json};

use crate::config::Key;
use crate::config::key::Kind;
use crate::stats::catalog::StatisticRow;

/// A column: what a reader must know before the first row.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `any` (words and numbers), as in Table Schema.
    pub kind: &'static str,
    /// Empty where it has none.
    pub unit: &'static str,
    pub doc: &'static str,
}

impl Field {
    pub(super) const fn new(name: &'static str, kind: &'static str, doc: &'static str) -> Self {
        Field { name, kind, unit: "", doc }
    }

    /// The column `name` of a key.
    pub(super) fn of_key(name: &'static str, key: Key) -> Self {
        let row = key.row();
        let kind = match row.kind {
            Kind::Int { .. } => "integer",
            Kind::Float { .. } => "number",
            Kind::Bool => "boolean",
            Kind::Word(_) => "string",
            Kind::ResidualScale => "any",
        };
        Field::new(name, kind, row.doc)
    }

    pub(super) fn of_statistic(row: &'static StatisticRow) -> Self {
        let kind = if row.unit == "count" { "integer" } else { "number" };
        Field { name: &row.name, kind, unit: row.unit, doc: &row.doc }
    }
}

/// The text of `datapackage.json` (Frictionless Data Package): every table with the types of its columns.
pub fn datapackage(name: &str, tables: &[(&str, Vec<Field>)]) -> String {
    let resource = |(path, fields): &(&str, Vec<Field>)| {
        json!({
            "name": path.trim_end_matches(".csv"),
            "path": path,
            "profile": "tabular-data-resource",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "lineTerminator": "\n", "quoteChar": "\"", "header": true},
            "schema": {"fields": fields.iter().map(field).collect::<Vec<Json>>(), "missingValues": [""]},
        })
    };
    let package = json!({
        // The name of a package is lower case by its specification.
        "name": name.to_lowercase(),
        "title": name,
        "profile": "tabular-data-package",
        "resources": tables.iter().map(resource).collect::<Vec<Json>>(),
    });
    format!("{package:#}\n")
}

fn field(field: &Field) -> Json {
    let mut json = json!({"name": field.name, "type": field.kind, "description": field.doc});
    if !field.unit.is_empty() {
        json["unit"] = json!(field.unit);
    }
    json
}
