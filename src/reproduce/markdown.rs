//! `docs/reproductions.md`: the table of `gradsweep reproduce` as a page.

use std::fmt::Write;

use super::evaluate::{Finding, Outcome};
use super::statement::Paper;

const HEAD: &str = "\
# Published results, reproduced

Each paper has a sweep file in `configs/papers/` whose header cites it and says what to look for, and beside it the
statements below as data. `gradsweep reproduce` runs them all on the CPU, smaller than published, and judges them: a mean
over seeds must be within 4 standard errors of the prediction, or on the right side of it by 4, and the standard error small
against the effect. Where the prediction itself is a limit, the statement allows for what it leaves out, and its outcome says
how much and why. What must lie on one side of a bound shows it with its sign: `< 3.2`. `gradsweep reproduce --full` takes
the published sizes, about 12 minutes on two cores; the outcomes are the same there. Where a statement covers several
configurations, the numbers are those of the one nearest to failing. This page is made by
`gradsweep reproduce --markdown > docs/reproductions.md`.
";

/// A number as people read it.
pub fn shown(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_string(),
        _ if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        _ => format!("{value:.*}", (3 - size.log10().floor() as i32).clamp(0, 4) as usize),
    }
}

/// The page.
pub fn markdown(papers: &[(&str, Paper, Vec<Finding>)]) -> String {
    let mut out = HEAD.to_string();
    for (name, paper, findings) in papers {
        let _ = writeln!(out, "\n## {}\n\n`configs/papers/{name}.toml`\n", paper.paper);
        out += "| statement | predicted | measured | seeds | outcome |\n|---|---|---|---|---|\n";
        for (statement, finding) in paper.statements.iter().zip(findings) {
            let says = statement.says.replace('|', "\\|");
            let cells = match finding.worst() {
                Some(group) => format!(
                    "{}{} | {} ± {} | {}",
                    statement.test.sign(),
                    shown(group.predicted),
                    shown(group.measured),
                    shown(group.standard_error),
                    group.seeds
                ),
                None => " | | ".to_string(),
            };
            let because = statement.because.replace('|', "\\|");
            let reason = if finding.outcome == Outcome::Pass && statement.tolerance > 0.0 {
                format!(", with {} allowed: {because}", shown(statement.tolerance))
            } else if finding.outcome == Outcome::DoesNotHold && !because.is_empty() {
                format!(": {because}")
            } else {
                String::new()
            };
            let _ = writeln!(out, "| {says} | {cells} | {}{reason} |", finding.outcome.name());
        }
    }
    out
}
