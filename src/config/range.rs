//! Ranges of an axis: `{ linspace = [a, b], num = n }`, `{ logspace = [a, b], num = n }`, `{ range = [a, b], step = s }`.
//! Values are rounded to 12 significant digits, so that 0.1 + 0.2 is 0.3.

use super::error::{Mark, Reporter, did_you_mean};
use super::tree::{Node, NodeKind, Table};

/// An axis may not have more values than a plan may have points.
pub const LARGEST_PLAN: u64 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    Linear { from: f64, to: f64, num: u64 },
    Logarithmic { from: f64, to: f64, num: u64 },
    Step { from: f64, step: f64, num: u64 },
}

impl Range {
    pub fn len(&self) -> u64 {
        match *self {
            Range::Linear { num, .. } | Range::Logarithmic { num, .. } | Range::Step { num, .. } => num,
        }
    }

    /// Value `i < len()`, with 12 significant digits.
    pub fn value(&self, i: u64) -> f64 {
        let exact = match *self {
            Range::Linear { from, .. } | Range::Logarithmic { from, .. } if i == 0 => from,
            Range::Linear { to, num, .. } | Range::Logarithmic { to, num, .. } if i + 1 == num => to,
            Range::Linear { from, to, num } => {
                let t = i as f64 / (num - 1) as f64;
                from * (1.0 - t) + to * t
            }
            Range::Logarithmic { from, to, num } => {
                let t = i as f64 / (num - 1) as f64;
                libm::exp(libm::log(from) * (1.0 - t) + libm::log(to) * t)
            }
            Range::Step { from, step, .. } => from + i as f64 * step,
        };
        round_12(exact)
    }

    /// Number of distinct integers that rounding can leave, at most.
    pub fn integers(&self) -> u64 {
        let span = match *self {
            Range::Linear { from, to, .. } | Range::Logarithmic { from, to, .. } => (to - from).abs(),
            Range::Step { step, num, .. } => step.abs() * num as f64,
        };
        self.len().min((span.min(1e15) + 2.0) as u64)
    }
}

/// Rounds to 12 significant digits, by decimal text as the files show it.
pub fn round_12(v: f64) -> f64 {
    if !v.is_finite() {
        return v;
    }
    format!("{v:.11e}").parse::<f64>().map_or(v, |r| r + 0.0)
}

/// What a table in the place of a value means.
pub enum RangeTable<'a> {
    Range(Range),
    Choice(&'a [Node]),
}

/// Reads a range table; anything wrong goes to `reporter`.
pub fn read<'a>(table: &'a Table, mark: Mark, reporter: &mut Reporter) -> Option<RangeTable<'a>> {
    const FORMS: [&str; 4] = ["linspace", "logspace", "range", "choice"];
    const HELP: &str = "a range is { linspace = [a, b], num = n }, { logspace = [a, b], num = n }, \
                        { range = [a, b], step = s } or { choice = [...] }";
    let forms: Vec<_> = table.entries.iter().filter(|e| FORMS.contains(&e.name.as_str())).collect();
    let form = match forms[..] {
        [form] => form,
        [] => {
            let hint = table.entries.iter().find_map(|e| super::error::nearest(&e.name, FORMS));
            let hint = hint.map_or(String::new(), |word| format!("; did you mean `{word}`?"));
            reporter.at(mark, format!("not a range{hint} ({HELP})"));
            return None;
        }
        [_, second, ..] => {
            reporter.at(second.mark, format!("a range has one form only ({HELP})"));
            return None;
        }
    };
    let companion = match form.name.as_str() {
        "linspace" | "logspace" => Some("num"),
        "range" => Some("step"),
        _ => None,
    };
    for entry in &table.entries {
        if entry.name != form.name && Some(entry.name.as_str()) != companion {
            let hint = did_you_mean(&entry.name, companion);
            reporter.at(entry.mark, format!("`{}` does not belong in a `{}`{hint} ({HELP})", entry.name, form.name));
            return None;
        }
    }
    let NodeKind::Array(items) = &form.node.kind else {
        reporter.at(form.node.mark, format!("`{}` takes a list, not {}", form.name, form.node.describe()));
        return None;
    };
    let Some(companion) = companion else {
        return Some(RangeTable::Choice(items));
    };
    let [from, to] = &items[..] else {
        reporter.at(form.node.mark, format!("`{}` takes two numbers [a, b], not {} values", form.name, items.len()));
        return None;
    };
    let (from_node, to_node) = (from, to);
    let (from, to) = (number(from, reporter)?, number(to, reporter)?);
    let Some(extra) = table.get(companion) else {
        reporter.at(mark, format!("`{}` needs `{companion}` ({HELP})", form.name));
        return None;
    };
    let range = if companion == "step" {
        steps(from, to, number(&extra.node, reporter)?, extra.node.mark, reporter)?
    } else {
        let num = count(&extra.node, reporter)?;
        if form.name == "logspace" {
            for (v, node) in [(from, from_node), (to, to_node)] {
                if v <= 0.0 {
                    let message = format!("the ends of a `logspace` are values and must be above 0, not {v:?}");
                    reporter.at(node.mark, message);
                    return None;
                }
            }
            Range::Logarithmic { from, to, num }
        } else {
            Range::Linear { from, to, num }
        }
    };
    Some(RangeTable::Range(range))
}

fn number(node: &Node, reporter: &mut Reporter) -> Option<f64> {
    match node.kind {
        NodeKind::Int(v) => Some(v as f64),
        NodeKind::Float(v) if v.is_finite() => Some(v),
        _ => {
            reporter.at(node.mark, format!("expected a finite number, not {}", node.describe()));
            None
        }
    }
}

fn count(node: &Node, reporter: &mut Reporter) -> Option<u64> {
    match node.kind {
        NodeKind::Int(v) if v >= 1 => {
            let num = v as u64;
            if num > LARGEST_PLAN {
                reporter.at(node.mark, format!("{num} values are more than the 10^7 points that a plan may have"));
                return None;
            }
            Some(num)
        }
        NodeKind::Int(v) => {
            reporter.at(node.mark, format!("`num` must be at least 1, not {v}"));
            None
        }
        _ => {
            reporter.at(node.mark, format!("`num` takes an integer, not {}", node.describe()));
            None
        }
    }
}

fn steps(from: f64, to: f64, step: f64, mark: Mark, reporter: &mut Reporter) -> Option<Range> {
    let exact = (to - from) / step;
    if step == 0.0 || exact < 0.0 {
        reporter.at(mark, format!("a step of {step:?} does not lead from {from:?} to {to:?}"));
        return None;
    }
    // The end is included when it is hit up to rounding.
    let num = (exact + 1e-9 * exact.max(1.0)).floor() + 1.0;
    if num.is_nan() || num > LARGEST_PLAN as f64 {
        reporter.at(mark, format!("a step of {step:?} from {from:?} to {to:?} makes more than 10^7 values"));
        return None;
    }
    Some(Range::Step { from, step, num: num as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(range: Range) -> Vec<f64> {
        (0..range.len()).map(|i| range.value(i)).collect()
    }

    #[test]
    fn values_have_twelve_significant_digits() {
        assert_eq!(round_12(0.1 + 0.2), 0.3);
        assert_eq!(round_12(-1.0 / 3.0), -0.333333333333);
        assert_eq!(round_12(2.0e-300 / 3.0), 6.66666666667e-301);
        assert_eq!(values(Range::Linear { from: 0.5, to: 3.5, num: 31 })[7], 1.2);
        assert_eq!(values(Range::Linear { from: 0.0, to: 1.0, num: 4 }), [0.0, 0.333333333333, 0.666666666667, 1.0]);
    }

    #[test]
    fn log_ranges_are_even_in_ratio_and_keep_their_ends() {
        assert_eq!(
            values(Range::Logarithmic { from: 2.0, to: 128.0, num: 7 }),
            [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]
        );
        assert_eq!(values(Range::Logarithmic { from: 1e-3, to: 1e3, num: 3 }), [1e-3, 1.0, 1e3]);
        assert_eq!(values(Range::Linear { from: 5.0, to: 9.0, num: 1 }), [5.0]);
    }

    #[test]
    fn a_step_includes_an_end_that_it_hits() {
        let mut reporter = Reporter::default();
        let mut make = |from, to, step| steps(from, to, step, Mark::default(), &mut reporter).map(values);
        assert_eq!(make(0.0, 1.0, 0.1).unwrap(), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
        assert_eq!(make(3.0, 1.0, -1.0).unwrap(), [3.0, 2.0, 1.0]);
        assert_eq!(make(1.0, 2.5, 1.0).unwrap(), [1.0, 2.0]);
        assert_eq!(make(1.0, 1.0, 1.0).unwrap(), [1.0]);
        assert_eq!(make(1.0, 2.0, 0.0), None);
        assert_eq!(make(1.0, 2.0, -1.0), None);
        assert_eq!(make(0.0, 1.0, 1e-12), None);
        assert_eq!(make(-1e308, 1e308, 1.0), None);
    }
}
