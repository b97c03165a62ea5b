//! What a sweep file wants recorded: `[record]` and `[verdict]`.

use super::axis::rounding;
use super::error::{Reporter, did_you_mean};
use super::range::{RangeTable, read};
use super::section_key::Section;
use super::tree::{Node, NodeKind, Table};
use crate::stats::catalog;

/// The `[record]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRequest {
    pub statistics: StatisticsRequest,
    pub layers: LayersRequest,
    /// Where `statistics` and `layers` stand, for later checks.
    pub statistics_mark: super::Mark,
    pub layers_mark: super::Mark,
}

/// Which statistics.
#[derive(Clone, Debug, PartialEq)]
pub enum StatisticsRequest {
    Basic,
    Full,
    /// Names of quantities and columns, as typed.
    List(Vec<String>),
}

/// Which rows.
#[derive(Clone, Debug, PartialEq)]
pub enum LayersRequest {
    All,
    /// Sorted, without duplicates, not empty.
    Only(Vec<u32>),
}

/// Deepest row there can be: the readout of the deepest network.
pub const LAST_LAYER: u32 = 1025;

impl Default for RecordRequest {
    fn default() -> Self {
        RecordRequest {
            statistics: StatisticsRequest::Basic,
            layers: LayersRequest::All,
            statistics_mark: super::Mark::default(),
            layers_mark: super::Mark::default(),
        }
    }
}

/// Reads `[record]`; `notes` says what was rounded.
pub fn record(table: &Table, reporter: &mut Reporter, notes: &mut Vec<String>) -> RecordRequest {
    let mut request = RecordRequest::default();
    for entry in &table.entries {
        let node = &entry.node;
        match entry.name.as_str() {
            "steps" => steps(node, reporter),
            "statistics" => {
                request.statistics_mark = node.mark;
                if let Some(statistics) = statistics(node, reporter) {
                    request.statistics = statistics;
                }
            }
            "layers" => {
                request.layers_mark = node.mark;
                if let Some(layers) = layers(node, reporter, notes) {
                    request.layers = layers;
                }
            }
            "times" => {
                if !matches!(&node.kind, NodeKind::Text(word) if word == "all") {
                    let message = "`times` thins recurrent networks, which are not built yet; leave it out";
                    reporter.at(node.mark, message);
                }
            }
            name => {
                let known = Section::Record.names();
                let hint = did_you_mean(name, known.iter().copied());
                let message = format!("unknown key `{name}` in [record]{hint} ({})", known.join(", "));
                reporter.at(entry.mark, message);
            }
        }
    }
    request
}

fn steps(node: &Node, reporter: &mut Reporter) {
    let message = "training is not built yet: only step 0, the initialisation, can be recorded (steps = [0])";
    match &node.kind {
        NodeKind::Int(0) => {}
        NodeKind::Array(items) if items.is_empty() => {
            reporter.at(node.mark, "`steps` is empty: nothing would be recorded (steps = [0])");
        }
        NodeKind::Array(items) => {
            for item in items {
                match item.kind {
                    NodeKind::Int(0) => {}
                    NodeKind::Int(_) => reporter.at(item.mark, message),
                    _ => reporter.at(item.mark, format!("`steps` takes integers, not {}", item.describe())),
                }
            }
        }
        NodeKind::Int(_) | NodeKind::Table(_) => reporter.at(node.mark, message),
        _ => reporter.at(node.mark, format!("`steps` takes a list of integers, not {}", node.describe())),
    }
}

fn statistics(node: &Node, reporter: &mut Reporter) -> Option<StatisticsRequest> {
    match &node.kind {
        NodeKind::Text(word) => match word.as_str() {
            "basic" => Some(StatisticsRequest::Basic),
            "full" => Some(StatisticsRequest::Full),
            _ => statistic(word, node, reporter).map(|word| StatisticsRequest::List(vec![word])),
        },
        NodeKind::Array(items) if !items.is_empty() => {
            let names: Vec<Option<String>> = items
                .iter()
                .map(|item| match &item.kind {
                    NodeKind::Text(word) => statistic(word, item, reporter),
                    _ => {
                        reporter.at(item.mark, format!("`statistics` takes names, not {}", item.describe()));
                        None
                    }
                })
                .collect();
            let names: Option<Vec<String>> = names.into_iter().collect();
            names.map(StatisticsRequest::List)
        }
        NodeKind::Array(_) => {
            reporter
                .at(node.mark, "`statistics` is empty: nothing would be recorded (basic, full or a list of columns)");
            None
        }
        _ => {
            let what = node.describe();
            reporter.at(node.mark, format!("`statistics` takes \"basic\", \"full\" or a list of names, not {what}"));
            None
        }
    }
}

/// A name that the catalog of statistics knows.
fn statistic(word: &str, node: &Node, reporter: &mut Reporter) -> Option<String> {
    match catalog::columns(&[word]) {
        Ok(_) => Some(word.to_string()),
        Err(error) => {
            reporter.at(node.mark, error.to_string());
            None
        }
    }
}

fn layers(node: &Node, reporter: &mut Reporter, notes: &mut Vec<String>) -> Option<LayersRequest> {
    let numbers: Vec<u32> = match &node.kind {
        NodeKind::Text(word) if word == "all" => return Some(LayersRequest::All),
        NodeKind::Int(_) => vec![layer(node, reporter)?],
        NodeKind::Array(items) => items.iter().map(|item| layer(item, reporter)).collect::<Option<_>>()?,
        NodeKind::Table(table) => match read(table, node.mark, reporter)? {
            RangeTable::Choice(items) => items.iter().map(|item| layer(item, reporter)).collect::<Option<_>>()?,
            RangeTable::Range(range) => {
                let (mut numbers, mut rounded) = (Vec::new(), 0);
                for i in 0..range.len() {
                    let v = range.value(i).round();
                    rounded += u64::from(v != range.value(i));
                    if !(0.0..=f64::from(LAST_LAYER)).contains(&v) {
                        reporter.at(node.mark, format!("there is no layer {v} (0 to {LAST_LAYER})"));
                        return None;
                    }
                    if numbers.last() != Some(&(v as u32)) {
                        numbers.push(v as u32);
                    }
                }
                notes.extend(rounding("`layers` of [record]", &range, rounded, numbers.len()));
                numbers
            }
        },
        _ => {
            let what = node.describe();
            reporter.at(node.mark, format!("`layers` takes \"all\", a list or a range of layers, not {what}"));
            return None;
        }
    };
    if numbers.is_empty() {
        reporter.at(node.mark, "`layers` is empty: nothing would be recorded (\"all\", a list or a range)");
        return None;
    }
    let mut numbers = numbers;
    numbers.sort_unstable();
    numbers.dedup();
    Some(LayersRequest::Only(numbers))
}

fn layer(node: &Node, reporter: &mut Reporter) -> Option<u32> {
    match node.kind {
        NodeKind::Int(v) if (0..=i64::from(LAST_LAYER)).contains(&v) => Some(v as u32),
        NodeKind::Int(v) => {
            reporter.at(node.mark, format!("there is no layer {v} (0 to {LAST_LAYER})"));
            None
        }
        _ => {
            reporter.at(node.mark, format!("a layer is an integer, not {}", node.describe()));
            None
        }
    }
}

/// Reads `[verdict]`: the threshold in decades.
pub fn verdict(table: &Table, reporter: &mut Reporter) -> f64 {
    let mut decades = DEFAULT_DECADES;
    for entry in &table.entries {
        if entry.name != "decades" {
            let known = Section::Verdict.names();
            let hint = did_you_mean(&entry.name, known.iter().copied());
            let message = format!("unknown key `{}` in [verdict]{hint} ({})", entry.name, known.join(", "));
            reporter.at(entry.mark, message);
            continue;
        }
        let v = match entry.node.kind {
            NodeKind::Int(v) => v as f64,
            NodeKind::Float(v) => v,
            _ => {
                reporter.at(entry.node.mark, format!("`decades` takes a number, not {}", entry.node.describe()));
                continue;
            }
        };
        if v.is_finite() && v > 0.0 {
            decades = v;
        } else {
            reporter.at(entry.node.mark, format!("`decades` must be a finite number above 0, not {v:?}"));
        }
    }
    decades
}

pub const DEFAULT_DECADES: f64 = 2.0;
