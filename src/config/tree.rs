//! TOML as a tree in file order, every key and value with its place. This is the only module that knows the TOML
//! crate; it does not know what keys mean.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Mark, Reporter};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub mark: Mark,
}

#[derive(Clone, Debug)]
pub enum NodeKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

/// A table, in file order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub mark: Mark,
    pub node: Node,
}

impl Table {
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|e| e.name == name).map(|e| &mut e.node)
    }

    /// Replaces the value of `name`, keeping its position, or appends it.
    pub fn set(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|e| e.name == entry.name) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
    }
}

impl Node {
    pub fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.kind {
            NodeKind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// What it is, for error messages: "an integer".
    pub fn describe(&self) -> String {
        match &self.kind {
            NodeKind::Int(v) => format!("the integer {v}"),
            NodeKind::Float(v) => format!("the number {v:?}"),
            NodeKind::Bool(v) => format!("`{v}`"),
            NodeKind::Text(v) => format!("the string \"{v}\""),
            NodeKind::Datetime => "a date".to_string(),
            NodeKind::Array(_) => "a list".to_string(),
            NodeKind::Table(_) => "a table".to_string(),
        }
    }
}

/// Parses the text of source `source`; syntax errors go to `reporter`.
pub fn parse(text: &str, source: u32, reporter: &mut Reporter) -> Table {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        // The limit of nesting has a place in brackets, and none in dotted keys.
        if error.span().is_none() || error.message().starts_with("cannot recurse") {
            let span = error.span().unwrap_or_else(|| deepest_line(text));
            reporter.at(mark(source, span), "this is nested deeper than a sweep file can be");
            break;
        }
        let span = error.span().unwrap_or(0..0);
        let rest = text.get(span.start..).unwrap_or("");
        let nothing = rest.is_empty() || rest.starts_with(['\n', '\r', '#']);
        // The parser takes nothing for a string without quotes.
        let message = match tidy(error.message()) {
            message if nothing && message.starts_with("string values must be quoted") => "a value is missing".into(),
            message => message,
        };
        reporter.at(mark(source, span), message);
    }
    table(root.get_ref(), source, reporter)
}

/// Parses one value, as it may stand after `=`. `None` if it is not TOML.
pub fn parse_value(text: &str, offset: usize, source: u32, reporter: &mut Reporter) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let mut node = node(&value, source, reporter);
    shift(&mut node, offset as u32);
    Some(node)
}

fn shift(node: &mut Node, by: u32) {
    let moved = |mark: &mut Mark| {
        mark.start += by;
        mark.end += by;
    };
    moved(&mut node.mark);
    match &mut node.kind {
        NodeKind::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
        NodeKind::Table(table) => {
            for entry in &mut table.entries {
                moved(&mut entry.mark);
                shift(&mut entry.node, by);
            }
        }
        _ => {}
    }
}

/// The line at which the parser's limit of nesting is passed: no shorter beginning of the text passes it.
fn deepest_line(text: &str) -> std::ops::Range<usize> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).chain([text.len()]).collect();
    let passes = |end: usize| DeTable::parse_recoverable(&text[..end]).1.iter().any(|error| error.span().is_none());
    let line = ends.partition_point(|&end| !passes(end)).min(ends.len() - 1);
    let start = if line == 0 { 0 } else { ends[line - 1] + 1 };
    start..ends[line]
}

/// The parser's message in the house style: one line, lower case, no full stop.
fn tidy(message: &str) -> String {
    let line = message.lines().collect::<Vec<_>>().join("; ");
    line.trim_end_matches('.').to_string()
}

fn mark(source: u32, span: std::ops::Range<usize>) -> Mark {
    Mark { source, start: span.start as u32, end: span.end as u32 }
}

fn table(from: &DeTable, source: u32, reporter: &mut Reporter) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            name: key.get_ref().to_string(),
            mark: mark(source, key.span()),
            node: node(value, source, reporter),
        })
        .collect();
    entries.sort_by_key(|e| e.mark.start);
    Table { entries }
}

fn node(from: &Spanned<DeValue>, source: u32, reporter: &mut Reporter) -> Node {
    let mark = mark(source, from.span());
    let kind = match from.get_ref() {
        DeValue::String(text) => NodeKind::Text(text.to_string()),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(v) => NodeKind::Int(v),
            Err(_) => {
                reporter.at(mark, format!("`{digits}` is outside the range of integers"));
                NodeKind::Int(0)
            }
        },
        DeValue::Float(digits) => match digits.as_str().parse::<f64>() {
            Ok(v) => NodeKind::Float(v),
            Err(_) => {
                reporter.at(mark, format!("`{}` is not a number", digits.as_str()));
                NodeKind::Float(0.0)
            }
        },
        DeValue::Boolean(v) => NodeKind::Bool(*v),
        DeValue::Datetime(_) => NodeKind::Datetime,
        DeValue::Array(items) => NodeKind::Array(items.iter().map(|item| node(item, source, reporter)).collect()),
        DeValue::Table(inner) => NodeKind::Table(table(inner, source, reporter)),
    };
    Node { kind, mark }
}
