//! Axes: the values that one key takes in a sweep, or several keys that move together.

use super::error::{Mark, Reporter};
use super::key::{Key, KeyRow};
use super::range::{LARGEST_PLAN, Range, RangeTable, read};
use super::setting::Setting;
use super::tree::{Entry, Node, NodeKind};

/// The values of one key along an axis.
#[derive(Clone, Debug)]
pub struct Column {
    pub key: Key,
    /// Where the key stands.
    pub mark: Mark,
    /// It stands in `[defaults]`, not in the sweep itself.
    pub from_defaults: bool,
    pub settings: Vec<Setting>,
    /// Where each value stands; a single mark for a range.
    marks: Vec<Mark>,
}

impl Column {
    pub fn value_mark(&self, i: usize) -> Mark {
        *self.marks.get(i).or(self.marks.last()).unwrap_or(&self.mark)
    }
}

/// One or several columns of equal length.
#[derive(Clone, Debug)]
pub struct Axis {
    pub columns: Vec<Column>,
}

impl Axis {
    pub fn length(&self) -> usize {
        self.columns.first().map_or(1, |c| c.settings.len())
    }
    /// "depth", or "activation+init" for a zip.
    pub fn name(&self) -> String {
        self.columns.iter().map(|c| c.key.name()).collect::<Vec<_>>().join("+")
    }
}

/// Number of values that `node` stands for, without making them; 1 for anything malformed.
pub fn count(node: &Node, row: &KeyRow) -> u64 {
    match &node.kind {
        NodeKind::Array(items) => items.len() as u64,
        NodeKind::Table(table) => match read(table, node.mark, &mut Reporter::default()) {
            Some(RangeTable::Range(range)) if row.is_integer() => range.integers(),
            Some(RangeTable::Range(range)) => range.len(),
            Some(RangeTable::Choice(items)) => items.len() as u64,
            None => 1,
        },
        _ => 1,
    }
}

/// Reads the values of `entry`. Integer keys are de-duplicated after rounding unless `zipped`; `notes` says so.
pub fn column(
    entry: &Entry,
    row: &'static KeyRow,
    zipped: bool,
    from_defaults: bool,
    reporter: &mut Reporter,
    notes: &mut Vec<String>,
) -> Option<Column> {
    let (settings, marks) = match &entry.node.kind {
        NodeKind::Array(items) => list(items, &entry.node, row, reporter)?,
        NodeKind::Table(table) => match read(table, entry.node.mark, reporter)? {
            RangeTable::Choice(items) => list(items, &entry.node, row, reporter)?,
            RangeTable::Range(range) => {
                (from_range(range, entry.node.mark, row, zipped, reporter, notes)?, vec![entry.node.mark])
            }
        },
        _ => (vec![scalar(&entry.node, row, reporter)?], vec![entry.node.mark]),
    };
    Some(Column { key: row.key, mark: entry.mark, from_defaults, settings, marks })
}

fn list(items: &[Node], whole: &Node, row: &KeyRow, reporter: &mut Reporter) -> Option<(Vec<Setting>, Vec<Mark>)> {
    if items.is_empty() {
        reporter
            .at(whole.mark, format!("the axis `{}` is empty: give it one value or more, or leave it out", row.name));
        return None;
    }
    let settings: Vec<_> = items.iter().map(|item| scalar(item, row, reporter)).collect();
    let settings: Option<Vec<Setting>> = settings.into_iter().collect();
    Some((settings?, items.iter().map(|item| item.mark).collect()))
}

fn scalar(node: &Node, row: &KeyRow, reporter: &mut Reporter) -> Option<Setting> {
    let parsed = match &node.kind {
        NodeKind::Int(v) => row.int(*v),
        NodeKind::Float(v) => row.float(*v),
        NodeKind::Bool(v) => row.bool(*v),
        NodeKind::Text(v) => row.word(v),
        _ => Err(format!("`{}` takes {}, not {}", row.name, row.kind_name(), node.describe())),
    };
    parsed.map_err(|message| reporter.at(node.mark, message)).ok()
}

/// What rounding did to the values of a range of integers, if it did anything.
pub fn rounding(what: &str, range: &Range, rounded: u64, distinct: usize) -> Option<String> {
    (rounded > 0 || distinct as u64 != range.len()).then(|| {
        let values = range.len();
        format!("{what}: {rounded} of {values} values of a range were rounded to integers, {distinct} distinct values remain")
    })
}

fn from_range(
    range: Range,
    mark: Mark,
    row: &KeyRow,
    zipped: bool,
    reporter: &mut Reporter,
    notes: &mut Vec<String>,
) -> Option<Vec<Setting>> {
    if !row.is_numeric() {
        reporter.at(mark, format!("`{}` takes {}, and a range makes numbers", row.name, row.kind_name()));
        return None;
    }
    if range.len() > LARGEST_PLAN {
        return None;
    }
    let mut settings: Vec<Setting> = Vec::with_capacity(if row.is_integer() { 0 } else { range.len() as usize });
    let mut rounded = 0;
    for i in 0..range.len() {
        let v = range.value(i);
        let parsed = if row.is_integer() {
            let whole = v.round();
            rounded += u64::from(whole != v);
            // Saturating: out of range is out of range.
            row.int(whole as i64)
        } else {
            row.float(v)
        };
        match parsed {
            // A range is monotonous: equal neighbours are all the duplicates there are.
            Ok(setting) if !zipped && row.is_integer() && settings.last() == Some(&setting) => {}
            Ok(setting) => settings.push(setting),
            Err(message) => {
                reporter.at(mark, message);
                return None;
            }
        }
    }
    if row.is_integer() {
        // Zipped lists stay equally long, so equal values stay.
        let mut distinct = settings.clone();
        distinct.dedup();
        notes.extend(rounding(&format!("`{}`", row.name), &range, rounded, distinct.len()));
    }
    Some(settings)
}
