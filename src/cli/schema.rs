//! `gradsweep schema`: the grammar of sweep files for editors.

use std::io::Write;

use super::console::Console;
use super::exit::{Exit, Failure};
use crate::config::schema::json_schema;

/// Print the JSON Schema of sweep files, for editors
///
/// With it an editor completes keys and words of a sweep file and marks mistakes. It is draft-07, as TOML extensions want
/// it. What a schema cannot say `gradsweep plan` checks: which keys go together, say, or that `width = 4.0` is no integer,
/// which it is to JSON.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gradsweep schema > gradsweep.schema.json

In the first line of a sweep file beside it (Taplo, Even Better TOML, Tombi):
  #:schema ./gradsweep.schema.json")]
pub struct Args {}

pub fn run(_: &Args, console: &Console) -> Result<Exit, Failure> {
    let mut out = console.out();
    writeln!(out, "{:#}", json_schema())?;
    out.flush()?;
    Ok(Exit::Done)
}
