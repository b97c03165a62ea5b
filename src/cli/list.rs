//! `gradsweep list`: every word that a sweep file may use, straight from the tables that the tool itself reads.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::console::{BOLD, Console};
use super::exit::{Exit, Failure};
use super::table::{self, left};
use crate::config::{FILTER_WORDS, KEYS, Key, KeyRow, Kind, SECTION_KEYS};
use crate::network::words::WordRow;
use crate::network::{Architecture, Input, Loss, Norm, Residual, Target, activation, init};
use crate::stats::catalog;

/// List the words that a sweep file may use
///
/// Without an argument: every key of a network and its values. `sections` has the keys that stand beside them (name, seed,
/// seeding, [record], ...), `filters` what a `where` may say.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep list                 every key, with its default and its values
  gradsweep list activations
  gradsweep list sections        the other keys of a sweep file: seeding, [record], [verdict]
  gradsweep list filters         operators and functions of `where`
  gradsweep list statistics --json")]
pub struct Args {
    /// What to list
    #[arg(value_enum, value_name = "TABLE", default_value = "keys")]
    table: Table,
    /// Print Markdown; for statistics the whole page of columns, docs/columns.md
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    Keys,
    Activations,
    Inits,
    Norms,
    Residuals,
    Losses,
    Inputs,
    Targets,
    Architectures,
    Statistics,
    Sections,
    Filters,
}

/// One line of a list: columns with their names.
struct Listing {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

pub fn run(args: &Args, console: &Console) -> Result<Exit, Failure> {
    let listing = listing(args.table);
    let mut out = console.out();
    if args.markdown {
        let page = if args.table == Table::Statistics { catalog::markdown() } else { listing.markdown() };
        out.write_all(page.as_bytes())?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if console.json {
        let rows: Vec<Value> = listing
            .rows
            .iter()
            .map(|row| listing.head.iter().zip(row).map(|(h, v)| ((*h).to_string(), json!(v))).collect())
            .collect();
        writeln!(out, "{:#}", Value::Array(rows))?;
        return Ok(Exit::Done);
    }
    let mut rows = vec![listing.head.iter().map(|h| left(*h).style(BOLD)).collect::<Vec<_>>()];
    rows.extend(listing.rows.into_iter().map(|row| row.into_iter().map(left).collect()));
    table::lines(&rows, 0).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()?;
    Ok(Exit::Done)
}

impl Listing {
    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let head = line(self.head.iter().map(|h| (*h).to_string()).collect());
        let rule = line(vec!["---".to_string(); self.head.len()]);
        // A bar would end the cell.
        let rows = self.rows.iter().map(|row| line(row.iter().map(|cell| cell.replace('|', "\\|")).collect()));
        [head, rule].into_iter().chain(rows).collect()
    }
}

fn listing(table: Table) -> Listing {
    match table {
        Table::Keys => Listing {
            head: vec!["key", "default", "description", "values", "applies to"],
            rows: KEYS
                .iter()
                .map(|k| {
                    let applies = k.where_it_applies.to_string();
                    vec![k.name.to_string(), k.default.to_string(), k.doc.to_string(), values(k), applies]
                })
                .collect(),
        },
        Table::Activations => Listing {
            head: vec!["activation", "aliases", "description", "source"],
            rows: activation::TABLE
                .iter()
                .map(|row| {
                    let name = match &row.param {
                        Some(param) => format!("{}({} = {})", row.name, param.name, param.default),
                        None => row.name.to_string(),
                    };
                    vec![name, row.aliases.join(", "), row.doc.to_string(), row.source.to_string()]
                })
                .collect(),
        },
        Table::Inits => Listing {
            head: vec!["init", "aliases", "description", "source"],
            rows: init::TABLE
                .iter()
                .map(|row| {
                    let name = row.param.map_or(row.name.to_string(), |param| format!("{}({param})", row.name));
                    vec![name, row.aliases.join(", "), row.doc.to_string(), row.source.to_string()]
                })
                .collect(),
        },
        Table::Norms => words("norm", Norm::TABLE),
        Table::Residuals => words("residual", Residual::TABLE),
        Table::Losses => words("loss", Loss::TABLE),
        Table::Inputs => {
            let mut listing = words("input", Input::TABLE);
            // Spelled with the parameter, as messages and the schema do.
            if let Kind::Word(vocabulary) = &Key::Input.row().kind {
                listing.rows.iter_mut().zip(vocabulary.words()).for_each(|(row, word)| row[0] = word);
            }
            listing
        }
        Table::Sections => Listing {
            head: vec!["section", "key", "default", "description", "values"],
            rows: SECTION_KEYS
                .iter()
                .map(|k| [k.section.heading(), k.name, k.default, k.doc, k.values].map(str::to_string).to_vec())
                .collect(),
        },
        Table::Filters => Listing {
            head: vec!["filter", "meaning"],
            rows: FILTER_WORDS.iter().map(|(word, doc)| vec![word.to_string(), doc.to_string()]).collect(),
        },
        Table::Targets => words("target", Target::TABLE),
        Table::Architectures => words("architecture", Architecture::TABLE),
        Table::Statistics => Listing {
            head: vec!["statistic", "set", "unit", "description"],
            rows: catalog::CATALOG
                .iter()
                .map(|row| {
                    vec![row.name.to_string(), row.level.name().to_string(), row.unit.to_string(), row.doc.to_string()]
                })
                .collect(),
        },
    }
}

/// The values of a key; long vocabularies have a list of their own.
fn values(key: &KeyRow) -> String {
    match &key.kind {
        Kind::Word(vocabulary) if vocabulary.words().len() > 5 => format!("gradsweep list {}", vocabulary.list),
        _ => key.values(),
    }
}

fn words<T>(name: &'static str, table: &'static [WordRow<T>]) -> Listing {
    let rows =
        table.iter().map(|row| vec![row.name.to_string(), row.aliases.join(", "), row.doc.to_string()]).collect();
    Listing { head: vec![name, "aliases", "description"], rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_that_a_message_names_exists() {
        for key in &KEYS {
            if let Kind::Word(vocabulary) = &key.kind {
                let table = Table::from_str(vocabulary.list, false).unwrap_or_else(|e| panic!("{}: {e}", key.name));
                let names = listing(table).rows.into_iter().map(|row| row[0].clone());
                // With the parameter, too: activations say its name and its default.
                let bare = |word: String| word.split(" = ").next().unwrap_or_default().to_string();
                let names: Vec<String> = names.map(bare).collect();
                assert_eq!(names.len(), vocabulary.words().len(), "{}", key.name);
                for (name, word) in names.iter().zip(vocabulary.words()) {
                    assert_eq!(name.contains('('), word.contains('('), "{name} is written {word}");
                }
            }
        }
    }

    #[test]
    fn every_list_has_rows_as_wide_as_its_head() {
        for table in Table::value_variants() {
            let listing = listing(*table);
            assert!(!listing.rows.is_empty());
            assert!(listing.rows.iter().all(|row| row.len() == listing.head.len()), "{table:?}");
        }
    }
}
