//! The sweep file as typed data: TOML with spans, keys, axes and filters, and the errors that point into the file.
//! It knows what a sweep file says; what the networks are that follow from it, the plan knows.

mod axis;
mod error;
mod filter;
pub mod key;
mod overrides;
mod points;
mod range;
mod record;
pub mod schema;
mod section_key;
mod sections;
mod setting;
mod tree;

use std::sync::Arc;

pub use axis::{Axis, Column};
pub use error::{Diagnostic, Mark, Place, Reporter, Source, SweepError, did_you_mean};
pub use filter::{FILTER_WORDS, Filter, Operand, Variable};
pub use key::{Applies, KEYS, Key, KeyRow, Kind, Value};
pub use overrides::Overrides;
pub use range::LARGEST_PLAN;
pub use record::{LayersRequest, RecordRequest, StatisticsRequest};
pub use section_key::SECTION_KEYS;
pub use setting::{ResidualScale, Setting, parse_activation};

/// The version of the grammar that this program reads.
pub const SCHEMA_VERSION: i64 = 1;

/// How seeds follow from the root seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seeding {
    /// Every configuration draws its own random numbers.
    Configuration,
    /// Every configuration gets the same draws: a paired comparison.
    Replicate,
}

impl Seeding {
    pub const ALL: [Seeding; 2] = [Seeding::Configuration, Seeding::Replicate];
    pub fn name(self) -> &'static str {
        match self {
            Seeding::Configuration => "configuration",
            Seeding::Replicate => "replicate",
        }
    }
}

/// A sweep file, parsed and checked as far as that is possible without expanding it.
#[derive(Clone, Debug)]
pub struct SweepFile {
    pub name: String,
    /// Root seed, at most 2^53.
    pub seed: u64,
    pub seeding: Seeding,
    /// At least one.
    pub sweeps: Vec<Sweep>,
    pub record: RecordRequest,
    /// Threshold of the verdict, in decades.
    pub verdict_decades: f64,
    /// Indices of the sweeps to run; `None`: all.
    pub only: Option<Vec<usize>>,
    /// Number of networks to run at most.
    pub limit: Option<u64>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The texts that marks point into.
    sources: Arc<Vec<error::Source>>,
}

/// One `[[sweep]]` with the defaults that it does not override.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub name: String,
    /// Where its name stands.
    pub mark: Mark,
    pub replicates: u32,
    /// In file order: the last moves fastest.
    pub axes: Vec<Axis>,
    pub filters: Vec<Filter>,
}

impl SweepFile {
    /// Parses `text`; `file_name` stands in error messages. Everything that is wrong is reported at once.
    pub fn parse(text: &str, file_name: &str, overrides: &Overrides) -> Result<SweepFile, SweepError> {
        sections::parse(text, file_name, overrides)
    }

    /// An empty collection of errors that can point into this file.
    pub fn reporter(&self) -> Reporter {
        Reporter::new(Arc::clone(&self.sources))
    }
}

impl Sweep {
    /// Number of points: the product of the axes.
    pub fn points(&self) -> u64 {
        self.axes.iter().map(|axis| axis.length() as u64).product()
    }
}

#[cfg(test)]
mod tests;
