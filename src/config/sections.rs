//! Reads the sections of a sweep file: top level, `[defaults]`, `[[sweep]]` with `zip` and `where`.

use std::sync::Arc;

use super::axis::{Axis, Column, column, count};
use super::error::{Mark, Reporter, Source, SweepError, did_you_mean};
use super::filter::Filter;
use super::key::{KEYS, Key, NOT_BUILT};
use super::overrides::{self, Overrides, UNNAMED};
use super::points::{Size, keys, thousands, zip_table};
use super::range::LARGEST_PLAN;
use super::section_key::Section;
use super::tree::{self, Entry, Node, NodeKind, Table};
use super::{RecordRequest, SCHEMA_VERSION, Seeding, Sweep, SweepFile, record};

/// Largest replicate count and largest seed.
const LARGEST_REPLICATES: i64 = LARGEST_PLAN as i64;
pub const LARGEST_SEED: i64 = 1 << 53;
const LARGEST_SWEEPS: usize = 65_535;

pub fn parse(text: &str, file_name: &str, overrides: &Overrides) -> Result<SweepFile, SweepError> {
    let file = Source { label: file_name.to_string(), text: text.to_string() };
    let sources: Vec<Source> = std::iter::once(file).chain(overrides::sources(overrides)).collect();
    let mut reporter = Reporter::new(Arc::new(sources));
    let mut root = tree::parse(text, 0, &mut reporter);
    reporter.check()?;
    overrides::apply(&mut root, overrides, &mut reporter);
    let file = top(&root, file_name, overrides, &mut reporter);
    reporter.check()?;
    Ok(file)
}

fn top(root: &Table, file_name: &str, overrides: &Overrides, reporter: &mut Reporter) -> SweepFile {
    let mut file = SweepFile {
        name: default_name(file_name),
        seed: 0,
        seeding: Seeding::Configuration,
        sweeps: Vec::new(),
        record: RecordRequest::default(),
        verdict_decades: record::DEFAULT_DECADES,
        only: None,
        limit: overrides.limit,
        notes: Vec::new(),
        sources: Arc::clone(&reporter.sources),
    };
    let mut replicates = 1;
    let empty = Table::default();
    let mut defaults = &empty;
    for entry in &root.entries {
        let node = &entry.node;
        match entry.name.as_str() {
            "schema_version" => match node.kind {
                NodeKind::Int(SCHEMA_VERSION) => {}
                NodeKind::Int(v) => {
                    let message = format!("schema_version {v} is unknown: this gradsweep reads {SCHEMA_VERSION}");
                    reporter.at(node.mark, message);
                }
                _ => reporter.at(node.mark, format!("`schema_version` takes an integer, not {}", node.describe())),
            },
            "name" => {
                if let Some(name) = name(node, reporter) {
                    file.name = name;
                }
            }
            "seed" => {
                if let Some(v) = integer("seed", node, 0, LARGEST_SEED, reporter) {
                    file.seed = v as u64;
                }
            }
            "replicates" => {
                if let Some(v) = integer("replicates", node, 1, LARGEST_REPLICATES, reporter) {
                    replicates = v as u32;
                }
            }
            "seeding" => {
                if let Some(seeding) = seeding(node, reporter) {
                    file.seeding = seeding;
                }
            }
            "defaults" => match section(entry, reporter) {
                Some(table) => defaults = table,
                None => continue,
            },
            "record" => {
                if let Some(table) = section(entry, reporter) {
                    file.record = record::record(table, reporter, &mut file.notes);
                }
            }
            "verdict" => {
                if let Some(table) = section(entry, reporter) {
                    file.verdict_decades = record::verdict(table, reporter);
                }
            }
            "sweep" => {}
            other => unknown_top(other, entry.mark, reporter),
        }
    }
    check_names(defaults, "[defaults]", &Section::Defaults.names(), reporter);
    if let Some(entry) = defaults.get("replicates")
        && let Some(v) = integer("replicates", &entry.node, 1, LARGEST_REPLICATES, reporter)
    {
        replicates = v as u32;
    }
    // Checked once here, so that a mistake is found even if every sweep overrides it.
    let mut default_notes = Vec::new();
    for (entry, key) in keys(defaults) {
        if count(&entry.node, key.row()) <= LARGEST_PLAN {
            column(entry, key.row(), false, true, reporter, &mut default_notes);
        }
    }
    match root.get("sweep").map(|entry| (&entry.node.kind, entry.mark)) {
        Some((NodeKind::Array(nodes), _)) if !nodes.is_empty() => {
            sweeps(nodes, defaults, replicates, &mut file, reporter);
        }
        Some((NodeKind::Table(_), mark)) => reporter.at(mark, "`sweep` is a list: write [[sweep]] with two brackets"),
        Some((_, mark)) => reporter.at(mark, "`sweep` takes tables: write [[sweep]]"),
        None => {
            let end = reporter.sources.first().map_or(0, |source| source.text.trim_end().len()) as u32;
            let end = Mark { source: 0, start: end, end };
            reporter.at(end, "no [[sweep]] up to the end of the file: there is nothing to run");
        }
    }
    select(&mut file, overrides, reporter);
    file
}

/// Resolves `--only` and checks `--limit`.
fn select(file: &mut SweepFile, overrides: &Overrides, reporter: &mut Reporter) {
    if overrides.limit == Some(0) {
        reporter.anywhere("--limit: must be at least 1");
    }
    if overrides.only.is_empty() {
        return;
    }
    let mut chosen = Vec::new();
    for typed in &overrides.only {
        match file.sweeps.iter().position(|sweep| sweep.name == *typed) {
            Some(i) => chosen.push(i),
            // A file that did not parse has no sweeps to choose from.
            None if file.sweeps.is_empty() => {}
            None => {
                let names: Vec<&str> = file.sweeps.iter().map(|s| s.name.as_str()).collect();
                let hint = did_you_mean(typed, names.iter().copied());
                let shown: Vec<&str> = names.iter().copied().take(8).collect();
                let more = if names.len() > shown.len() { ", ..." } else { "" };
                reporter.anywhere(format!("--only: unknown sweep `{typed}`{hint} ({}{more})", shown.join(", ")));
            }
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    file.only = Some(chosen);
}

fn unknown_top(name: &str, mark: Mark, reporter: &mut Reporter) {
    if Key::from_name(name).is_some() {
        reporter.at(mark, format!("`{name}` is a key of networks: put it below [defaults] or a [[sweep]]"));
    } else if let Some((_, what)) = NOT_BUILT.iter().find(|(key, _)| *key == name) {
        reporter.at(mark, format!("`{name}` is a key of {what} (gradsweep list keys)"));
    } else {
        let known = Section::Top.names();
        let hint = did_you_mean(name, known.iter().copied());
        reporter.at(mark, format!("unknown key `{name}`{hint} ({})", known.join(", ")));
    }
}

fn section<'a>(entry: &'a Entry, reporter: &mut Reporter) -> Option<&'a Table> {
    match &entry.node.kind {
        NodeKind::Table(table) => Some(table),
        NodeKind::Array(_) => {
            reporter.at(entry.mark, format!("`{0}` stands once: write [{0}] with one bracket", entry.name));
            None
        }
        _ => {
            reporter.at(entry.mark, format!("`{0}` is a section: write [{0}]", entry.name));
            None
        }
    }
}

/// A file's stem, if it makes a name.
fn default_name(file_name: &str) -> String {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let stem = base.strip_suffix(".toml").unwrap_or(base);
    if is_name(stem) { stem.to_string() } else { "sweep".to_string() }
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && text.len() <= 64
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn name(node: &Node, reporter: &mut Reporter) -> Option<String> {
    match &node.kind {
        NodeKind::Text(text) if is_name(text) => Some(text.clone()),
        NodeKind::Text(text) => {
            let help = "a name starts with a letter or digit and has at most 64 letters, digits, `_`, `.`, `-`";
            reporter.at(node.mark, format!("`{text}` is not a name ({help})"));
            None
        }
        _ => {
            reporter.at(node.mark, format!("`name` takes a string, not {}", node.describe()));
            None
        }
    }
}

fn integer(key: &str, node: &Node, min: i64, max: i64, reporter: &mut Reporter) -> Option<i64> {
    match node.kind {
        NodeKind::Int(v) if (min..=max).contains(&v) => Some(v),
        NodeKind::Int(v) => {
            reporter.at(node.mark, format!("`{key}` must be between {min} and {max}, not {v}"));
            None
        }
        _ => {
            reporter.at(node.mark, format!("`{key}` takes an integer, not {}", node.describe()));
            None
        }
    }
}

fn seeding(node: &Node, reporter: &mut Reporter) -> Option<Seeding> {
    let names = Seeding::ALL.map(Seeding::name);
    let found = match &node.kind {
        NodeKind::Text(word) => Seeding::ALL.into_iter().find(|s| s.name() == word),
        _ => None,
    };
    if found.is_none() {
        let hint = match &node.kind {
            NodeKind::Text(word) => did_you_mean(word, names),
            _ => String::new(),
        };
        reporter.at(node.mark, format!("`seeding` takes {}, not {}{hint}", names.join(" or "), node.describe()));
    }
    found
}

/// Reports names that are neither network keys nor in `extra`.
fn check_names(table: &Table, place: &str, extra: &[&'static str], reporter: &mut Reporter) {
    for entry in &table.entries {
        let name = entry.name.as_str();
        if Key::from_name(name).is_some() || extra.contains(&name) {
            continue;
        }
        if let Some((_, what)) = NOT_BUILT.iter().find(|(key, _)| *key == name) {
            reporter.at(entry.mark, format!("`{name}` is a key of {what} (gradsweep list keys)"));
        } else if name == "seed" || name == "seeding" {
            reporter.at(entry.mark, format!("`{name}` stands once, above all sections"));
        } else if Section::Sweep.names().contains(&name) {
            reporter.at(entry.mark, format!("`{name}` belongs in a [[sweep]], not in {place}"));
        } else {
            let hint = did_you_mean(name, KEYS.iter().map(|row| row.name).chain(extra.iter().copied()));
            reporter.at(entry.mark, format!("unknown key `{name}` in {place}{hint} (gradsweep list keys)"));
        }
    }
}

fn sweeps(nodes: &[Node], defaults: &Table, replicates: u32, file: &mut SweepFile, reporter: &mut Reporter) {
    if nodes.len() > LARGEST_SWEEPS {
        reporter.anywhere(format!("{} sweeps are more than the {LARGEST_SWEEPS} that a file may have", nodes.len()));
        return;
    }
    let mut total = 0u128;
    let mut sizes = Vec::new();
    let mut names = std::collections::HashSet::new();
    for node in nodes {
        let NodeKind::Table(table) = &node.kind else {
            reporter.at(node.mark, format!("a sweep is a table: write [[sweep]], not {}", node.describe()));
            continue;
        };
        let (name, mark) = match table.get("name") {
            Some(entry) => (name(&entry.node, reporter).unwrap_or_default(), entry.node.mark),
            None => {
                if nodes.len() > 1 {
                    reporter.at(node.mark, "this sweep has no name, and there are several: add name = \"...\"");
                }
                (UNNAMED.to_string(), node.mark)
            }
        };
        if !name.is_empty() && table.get("name").is_some() && !names.insert(name.clone()) {
            reporter.at(mark, format!("there is another sweep `{name}`: names tell sweeps apart"));
        }
        check_names(table, "[[sweep]]", &Section::Sweep.names(), reporter);
        let replicates = match table.get("replicates") {
            Some(entry) => integer("replicates", &entry.node, 1, LARGEST_REPLICATES, reporter).unwrap_or(1) as u32,
            None => replicates,
        };
        let size = Size::of(&name, table, defaults, replicates);
        total = total.saturating_add(size.product);
        if size.product > u128::from(LARGEST_PLAN) {
            reporter.at(mark, format!("{} points, more than the 10^7 that a plan may have", size.spelled));
            continue;
        }
        sizes.push(size.spelled);
        // Not even the values of sweeps are made once the whole is too large.
        if total <= u128::from(LARGEST_PLAN) {
            let axes = axes(&name, table, defaults, file, reporter);
            let filters = filters(table, reporter);
            file.sweeps.push(Sweep { name, mark, replicates, axes, filters });
        }
    }
    if total > u128::from(LARGEST_PLAN) && sizes.len() == nodes.len() {
        let message = format!(
            "{} points together, more than the 10^7 that a plan may have ({})",
            thousands(total),
            sizes.join("; ")
        );
        reporter.at(nodes[0].mark, message);
    }
}

/// The axes of a sweep: those of the defaults that it does not override, then its own, in file order.
fn axes(sweep: &str, table: &Table, defaults: &Table, file: &mut SweepFile, reporter: &mut Reporter) -> Vec<Axis> {
    let mut axes = Vec::new();
    let mut notes = Vec::new();
    let zip = zip_table(table);
    for (entry, key) in keys(defaults) {
        if table.get(key.name()).is_none() && zip.is_none_or(|zip| zip.get(key.name()).is_none()) {
            let column = column(entry, key.row(), false, true, reporter, &mut notes);
            axes.extend(column.map(|column| Axis { columns: vec![column] }));
        }
    }
    for entry in &table.entries {
        if let Some(key) = Key::from_name(&entry.name) {
            let column = column(entry, key.row(), false, false, reporter, &mut notes);
            axes.extend(column.map(|column| Axis { columns: vec![column] }));
        } else if entry.name == "zip" {
            axes.extend(zip_axis(entry, table, reporter, &mut notes));
        }
    }
    file.notes.extend(notes.into_iter().map(|note| format!("sweep `{sweep}`: {note}")));
    axes
}

fn zip_axis(entry: &Entry, table: &Table, reporter: &mut Reporter, notes: &mut Vec<String>) -> Option<Axis> {
    let NodeKind::Table(zip) = &entry.node.kind else {
        let message = format!(
            "`zip` takes lists by key: zip = {{ activation = [...], init = [...] }}, not {}",
            entry.node.describe()
        );
        reporter.at(entry.node.mark, message);
        return None;
    };
    if zip.get("replicates").is_some() {
        reporter.at(entry.mark, "`replicates` cannot move in a `zip`");
        return None;
    }
    check_names(zip, "zip", &[], reporter);
    let mut columns: Vec<Column> = Vec::new();
    for (member, key) in keys(zip) {
        if table.get(key.name()).is_some() {
            reporter.at(member.mark, format!("`{}` stands both in `zip` and in the sweep itself", key.name()));
            continue;
        }
        if !matches!(member.node.kind, NodeKind::Array(_) | NodeKind::Table(_)) {
            let what = member.node.describe();
            reporter.at(member.node.mark, format!("`zip` moves lists together, and this is {what}"));
            continue;
        }
        columns.extend(column(member, key.row(), true, false, reporter, notes));
    }
    let Some(first) = columns.first() else {
        if zip.entries.is_empty() {
            reporter.at(entry.node.mark, "`zip` is empty: zip = { activation = [...], init = [...] }");
        }
        return None;
    };
    let length = first.settings.len();
    for other in &columns[1..] {
        if other.settings.len() != length {
            let (a, b) = (first.key.name(), other.key.name());
            let message =
                format!("`zip` needs lists of equal length: `{a}` has {length} and `{b}` has {}", other.settings.len());
            reporter.at(other.mark, message);
            return None;
        }
    }
    Some(Axis { columns })
}

fn filters(table: &Table, reporter: &mut Reporter) -> Vec<Filter> {
    let Some(entry) = table.get("where") else { return Vec::new() };
    let items = match &entry.node.kind {
        NodeKind::Array(items) => &items[..],
        NodeKind::Text(_) => std::slice::from_ref(&entry.node),
        _ => {
            reporter.at(entry.node.mark, format!("`where` takes a list of expressions, not {}", entry.node.describe()));
            return Vec::new();
        }
    };
    let mut filters = Vec::new();
    for item in items {
        match &item.kind {
            NodeKind::Text(text) => filters.extend(Filter::compile(text, item.mark, reporter)),
            _ => reporter.at(item.mark, format!("`where` takes expressions in quotes, not {}", item.describe())),
        }
    }
    filters
}
