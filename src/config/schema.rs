//! The grammar of sweep files as a JSON Schema (draft-07), from the table of keys, for editors that complete and check
//! TOML by one. It is laxer than the program where a schema has no words: what goes together only the program knows.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::key::{KEYS, KeyRow, Kind};
use super::section_key::Section;
use super::setting::{
    Bounds, LARGEST_RESIDUAL, LARGEST_SCALE, Number, ResidualScale, SMALLEST_RESIDUAL, SMALLEST_SCALE, Spelling,
};
use super::{LARGEST_PLAN, SCHEMA_VERSION, Seeding};
use crate::stats::catalog;

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$";
const UNSIGNED: &str = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?";
const POSITIVE: &str = r"([0-9]*[1-9][0-9]*\.?[0-9]*|[0-9]*\.[0-9]*[1-9][0-9]*)([eE][-+]?[0-9]+)?";
/// At most 1 as it is mostly written; an exponent may make it less.
const UNIT: &str = r"(0+(\.[0-9]*)?|0*\.[0-9]+|0*1(\.0*)?|[0-9]*\.?[0-9]+[eE]-[0-9]+)";

/// The schema of a sweep file.
pub fn json_schema() -> Json {
    let replicates =
        described(json!({ "type": "integer", "minimum": 1, "maximum": LARGEST_PLAN }), Section::Top.doc("replicates"));
    let all_keys =
        |kind| -> Map<String, Json> { KEYS.iter().map(|row| (row.name.to_string(), reference(kind, row))).collect() };
    let axes = all_keys("axis");
    let with = |more: &[(&str, Json)]| {
        let mut properties = axes.clone();
        properties.extend(more.iter().map(|(name, schema)| ((*name).to_string(), schema.clone())));
        properties
    };
    let mut definitions: Map<String, Json> = Map::new();
    definitions.insert("range".to_string(), range());
    for row in &KEYS {
        definitions.insert(format!("value_{}", row.name), value(row));
        definitions.insert(format!("axis_{}", row.name), axis(row));
        definitions.insert(format!("list_{}", row.name), list(row));
    }
    let zip = json!({
        "type": "object", "minProperties": 1, "additionalProperties": false,
        "properties": all_keys("list"), "description": Section::Sweep.doc("zip"),
    });
    let filters = json!({
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        "description": Section::Sweep.doc("where"),
    });
    let name = |doc| described(json!({ "type": "string", "pattern": NAME }), doc);
    let sweep = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": with(&[
            ("name", name(Section::Sweep.doc("name"))),
            ("replicates", replicates.clone()),
            ("zip", zip),
            ("where", filters),
        ]),
    });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "gradsweep sweep file",
        "type": "object",
        "additionalProperties": false,
        "required": ["sweep"],
        "properties": {
            "schema_version": described(json!({ "const": SCHEMA_VERSION }), Section::Top.doc("schema_version")),
            "name": name(Section::Top.doc("name")),
            "seed": described(
                json!({ "type": "integer", "minimum": 0, "maximum": super::sections::LARGEST_SEED, "default": 0 }),
                Section::Top.doc("seed"),
            ),
            "replicates": replicates,
            "seeding": described(
                json!({ "enum": Seeding::ALL.map(Seeding::name), "default": "configuration" }),
                Section::Top.doc("seeding"),
            ),
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "properties": with(&[("replicates", replicates)]),
                "description": Section::Top.doc("defaults"),
            },
            "sweep": {
                "type": "array",
                "minItems": 1,
                "items": sweep,
                "description": Section::Top.doc("sweep"),
            },
            "record": described(record(), Section::Top.doc("record")),
            "verdict": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "decades": described(
                    json!({ "type": "number", "exclusiveMinimum": 0, "default": super::record::DEFAULT_DECADES }),
                    Section::Verdict.doc("decades"),
                ) },
                "description": Section::Top.doc("verdict"),
            },
        },
        "definitions": definitions,
    })
}

fn described(mut schema: Json, doc: &str) -> Json {
    schema["description"] = json!(doc);
    schema
}

fn reference(kind: &str, row: &KeyRow) -> Json {
    json!({ "$ref": format!("#/definitions/{kind}_{}", row.name) })
}

/// One value, or an axis of them.
fn axis(row: &KeyRow) -> Json {
    let forms = json!({ "anyOf": [reference("value", row), reference("list", row)] });
    described(forms, &format!("{} (default {})", row.doc, row.default))
}

/// Several values.
fn list(row: &KeyRow) -> Json {
    let list = json!({ "type": "array", "minItems": 1, "items": reference("value", row) });
    let choice = json!({
        "type": "object", "required": ["choice"], "additionalProperties": false, "properties": { "choice": list },
    });
    let mut forms = vec![list, choice];
    if row.is_numeric() {
        forms.push(json!({ "$ref": "#/definitions/range" }));
    }
    described(json!({ "anyOf": forms }), row.doc)
}

/// A value of a key.
fn value(row: &KeyRow) -> Json {
    match &row.kind {
        Kind::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Float { max, .. } => number(SMALLEST_SCALE, max.min(LARGEST_SCALE)),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Word(vocabulary) => words(&(vocabulary.spellings)()),
        Kind::ResidualScale => json!({ "anyOf": [
            number(SMALLEST_RESIDUAL, LARGEST_RESIDUAL),
            { "enum": ResidualScale::WORDS.map(|(word, _)| word) },
            { "type": "string", "pattern": spaced(&ResidualScale::WORDS.map(|(word, _)| word)) },
        ] }),
    }
}

/// 0 or a scale.
fn number(smallest: f64, largest: f64) -> Json {
    json!({ "anyOf": [{ "const": 0 }, { "type": "number", "minimum": smallest, "maximum": largest }] })
}

/// A pattern of words that may have spaces anywhere.
fn spaced(words: &[&str]) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") };
    let spaced = |word: &&str| word.chars().map(letter).collect::<Vec<_>>().join(r"\s*");
    format!(r"^\s*({})\s*$", words.iter().map(spaced).collect::<Vec<_>>().join("|"))
}

/// Canonical spellings first, which editors offer; then aliases, words with spaces or empty parentheses, and words with
/// their number.
fn words(spellings: &[Spelling]) -> Json {
    let bare = spellings.iter().filter(|s| !matches!(s.number, Number::Required(_)));
    let names = bare.clone().map(|s| s.name);
    let aliases = bare.flat_map(|s| s.aliases.iter().copied());
    let names: Vec<_> = names.chain(aliases).collect();
    let loose = json!({ "type": "string", "pattern": format!(r"^\s*({})\s*(\(\s*\))?\s*$", names.join("|")) });
    let plain = json!({ "enum": names });
    let names = |bounds: Bounds| -> Vec<&str> {
        let rows = spellings.iter().filter(|s| s.number != Number::None && s.bounds == bounds);
        rows.flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied())).collect()
    };
    let mut forms = vec![plain, loose];
    for (bounds, number) in [
        (Bounds::None, format!("[-+]?{UNSIGNED}")),
        (Bounds::NotNegative, format!(r"(\+?{UNSIGNED}|-(0+\.?0*|\.0+))")),
        (Bounds::Positive, format!(r"\+?{POSITIVE}")),
        (Bounds::Unit, format!("[-+]?{UNIT}")),
    ] {
        let names = names(bounds);
        if !names.is_empty() {
            let pattern = format!(r"^\s*({})\s*\(\s*{number}\s*\)\s*$", names.join("|"));
            forms.push(json!({ "type": "string", "pattern": pattern }));
        }
    }
    json!({ "anyOf": forms })
}

fn range() -> Json {
    let pair = json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 });
    let positive = json!({
        "type": "array", "items": { "type": "number", "exclusiveMinimum": 0 }, "minItems": 2, "maxItems": 2,
    });
    let count = json!({ "type": "integer", "minimum": 1, "maximum": LARGEST_PLAN });
    let form = |name: &str, ends: &Json, companion: &str, of: &Json| {
        json!({
            "type": "object", "required": [name, companion], "additionalProperties": false,
            "properties": { name: ends, companion: of },
        })
    };
    json!({ "anyOf": [
        form("linspace", &pair, "num", &count),
        form("logspace", &positive, "num", &count),
        form("range", &pair, "step", &json!({ "type": "number", "not": { "const": 0 } })),
    ] })
}

fn record() -> Json {
    // An `enum` may not name a word twice.
    let names: BTreeSet<&str> = catalog::words().collect();
    let name = json!({ "enum": names });
    let layer = json!({ "type": "integer", "minimum": 0, "maximum": super::record::LAST_LAYER });
    let layers = json!({ "anyOf": [
        { "const": "all" },
        layer,
        { "type": "array", "minItems": 1, "items": layer },
        { "type": "object", "required": ["choice"], "additionalProperties": false,
          "properties": { "choice": { "type": "array", "minItems": 1, "items": layer } } },
        { "$ref": "#/definitions/range" },
    ] });
    let steps = json!({ "anyOf": [{ "const": 0 }, { "type": "array", "minItems": 1, "items": { "const": 0 } }] });
    let statistics = json!({ "anyOf": [name, { "type": "array", "minItems": 1, "items": name }], "default": "basic" });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "steps": described(steps, Section::Record.doc("steps")),
            "statistics": described(statistics, Section::Record.doc("statistics")),
            "layers": described(layers, Section::Record.doc("layers")),
            "times": described(json!({ "const": "all" }), Section::Record.doc("times")),
        },
    })
}
