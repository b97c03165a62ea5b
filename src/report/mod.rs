//! Pictures of a finished run: its tables are read once, aggregated over seeds into [`data::Run`], and drawn either as a
//! page that needs nothing else (`page`) or as a static figure for a paper (`plot`). Nothing here computes a statistic of
//! a network: what the tables do not say is not shown.

mod charting;
mod choice;
pub mod data;
mod edge;
mod glance;
mod layers;
mod networks;
mod page;
pub mod plot;
mod read;
mod seek;
mod short;
mod spread;
mod thin;

use std::io;
use std::path::PathBuf;

pub use glance::Style;
pub use page::page;
pub use read::{Budget, glance, read};

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no run, or nothing in it.
    #[error("{0}")]
    NoRun(String),
    /// The run has not finished.
    #[error("{0}")]
    Unfinished(String),
    #[error("{}: {reason}", .path.display())]
    Table { path: PathBuf, reason: String },
    #[error("cannot {action} {}: {source}", .path.display())]
    Disk { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the drawing failed: {0}")]
    Draw(String),
    /// A wish that this run cannot fulfil.
    #[error("{0}")]
    Usage(String),
}
