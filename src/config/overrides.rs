//! Command line overrides: `--set` edits the tree of the sweep file before it is read, so that an overridden value
//! passes the same checks as a written one.

use super::error::{Mark, Reporter, Source, did_you_mean};
use super::tree::{Entry, Node, NodeKind, Table, parse_value};

/// What the command line changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `sweep.phase.depth=100`, `defaults.width=64`, `seed=3`: a path, `=` and a TOML value (or a bare word).
    pub set: Vec<String>,
    /// Names of the sweeps to run; empty: all.
    pub only: Vec<String>,
    /// Number of networks to run at most, in plan order.
    pub limit: Option<u64>,
}

/// The sources that `--set` adds after the file.
pub fn sources(overrides: &Overrides) -> impl Iterator<Item = Source> {
    overrides.set.iter().map(|text| Source { label: "--set".to_string(), text: text.clone() })
}

/// Sections, and how a key of each is set: to replace a whole one would drop what the file says in it.
const SECTIONS: [(&str, &str); 4] = [
    ("defaults", "defaults.width=64"),
    ("sweep", "sweep.NAME.KEY=VALUE"),
    ("record", "record.statistics=full"),
    ("verdict", "verdict.decades=1"),
];

/// Applies every `--set`; `sources[1..]` are their texts.
pub fn apply(root: &mut Table, overrides: &Overrides, reporter: &mut Reporter) {
    for (i, text) in overrides.set.iter().enumerate() {
        set(root, text, i as u32 + 1, reporter);
    }
}

fn set(root: &mut Table, text: &str, source: u32, reporter: &mut Reporter) {
    let mark = |start: usize, end: usize| Mark { source, start: start as u32, end: end as u32 };
    let Some((path, value_text)) = text.split_once('=') else {
        let help = "a `--set` is a path, `=` and a value: sweep.phase.depth=100, defaults.width=64, seed=3";
        reporter.at(mark(0, text.len()), format!("`{text}` has no `=` ({help})"));
        return;
    };
    let value_start = path.len() + 1;
    let (path, path_start) = (path.trim(), path.len() - path.trim_start().len());
    let path_mark = mark(path_start, path_start + path.len());
    if path.is_empty() || path.ends_with('.') {
        reporter.at(path_mark, format!("the path `{path}` ends without a key (sweep.NAME.KEY=VALUE)"));
        return;
    }
    if let Some((_, help)) = SECTIONS.iter().find(|(section, _)| *section == path) {
        reporter.at(path_mark, format!("`{path}` is a section: set its keys one by one ({help})"));
        return;
    }
    let Some(node) = value(value_text, value_start, source, reporter) else { return };
    let Some((section, rest)) = path.split_once('.') else {
        root.set(Entry { name: path.to_string(), mark: path_mark, node });
        return;
    };
    let key_mark = |key: &str| mark(path_start + path.len() - key.len(), path_start + path.len());
    match section {
        "defaults" | "record" | "verdict" => {
            if root.get(section).is_none() {
                let kind = NodeKind::Table(Table::default());
                root.set(Entry { name: section.into(), mark: path_mark, node: Node { kind, mark: path_mark } });
            }
            if let Some(table) = root.get_mut(section).and_then(Node::as_table_mut) {
                table.set(Entry { name: rest.to_string(), mark: key_mark(rest), node });
            }
        }
        "sweep" => set_in_sweep(root, rest, path_mark, &key_mark, node, reporter),
        _ => {
            let hint = did_you_mean(section, SECTIONS.map(|(name, _)| name));
            reporter.at(path_mark, format!("unknown section `{section}`{hint}"));
        }
    }
}

/// The value after `=`: TOML, or a bare word such as `relu`.
fn value(text: &str, offset: usize, source: u32, reporter: &mut Reporter) -> Option<Node> {
    let start = offset + text.len() - text.trim_start().len();
    let trimmed = text.trim();
    let mark = Mark { source, start: start as u32, end: (start + trimmed.len()) as u32 };
    if let Some(node) = parse_value(trimmed, start, source, reporter) {
        return Some(node);
    }
    if trimmed.is_empty() || trimmed.starts_with(['[', '{', '"', '\'']) {
        reporter.at(mark, format!("`{trimmed}` is not a TOML value"));
        return None;
    }
    Some(Node { kind: NodeKind::Text(trimmed.to_string()), mark })
}

fn set_in_sweep(
    root: &mut Table,
    rest: &str,
    path_mark: Mark,
    key_mark: &dyn Fn(&str) -> Mark,
    node: Node,
    reporter: &mut Reporter,
) {
    let Some(NodeKind::Array(sweeps)) = root.get_mut("sweep").map(|node| &mut node.kind) else {
        reporter.at(path_mark, "the file has no [[sweep]]");
        return;
    };
    // Names may contain dots: the longest name that fits is meant.
    let alone = sweeps.len() == 1;
    let names: Vec<String> = sweeps.iter().map(|node| sweep_name(node, alone)).collect();
    let fitting = (0..names.len())
        .filter(|&i| rest.strip_prefix(names[i].as_str()).is_some_and(|tail| tail.len() > 1 && tail.starts_with('.')))
        .max_by_key(|&i| names[i].len());
    let Some(i) = fitting else {
        if names.iter().any(|name| name == rest) {
            let help = format!("`{rest}` is a whole sweep: set its keys one by one (sweep.{rest}.KEY=VALUE)");
            reporter.at(path_mark, help);
            return;
        }
        let typed = rest.rsplit_once('.').map_or(rest, |(name, _)| name);
        let hint = did_you_mean(typed, names.iter().map(String::as_str));
        reporter.at(path_mark, format!("no sweep `{typed}` to set in{hint} (sweep.NAME.KEY=VALUE)"));
        return;
    };
    let key = &rest[names[i].len() + 1..];
    let Some(table) = sweeps[i].as_table_mut() else { return };
    match key.strip_prefix("zip.") {
        Some(zipped) => match table.get_mut("zip").and_then(Node::as_table_mut) {
            Some(zip) => zip.set(Entry { name: zipped.to_string(), mark: key_mark(zipped), node }),
            None => reporter.at(path_mark, format!("sweep `{}` has no `zip`", names[i])),
        },
        None => table.set(Entry { name: key.to_string(), mark: key_mark(key), node }),
    }
}

/// The name of a `[[sweep]]` as `--set` and `--only` spell it.
pub fn sweep_name(node: &Node, alone: bool) -> String {
    let NodeKind::Table(table) = &node.kind else { return String::new() };
    match table.get("name").map(|entry| &entry.node.kind) {
        Some(NodeKind::Text(name)) => name.clone(),
        None if alone => UNNAMED.to_string(),
        _ => String::new(),
    }
}

/// Name of a single sweep that has none.
pub const UNNAMED: &str = "sweep";
