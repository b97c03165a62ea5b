//! The statistics that a sweep can record: one table, one row per column of `layers.csv`. The schema, the docs, `list`
//! and the mask of what engines must record all follow from it. It knows records and specs, nothing of engines or
//! files.

mod derived;
mod markdown;
mod moments;
mod request;

use std::sync::LazyLock;

use super::record::{Quantity, Record, RecordMask};
use crate::engine::LayerSelection;
use crate::network::NetworkSpec;

pub use derived::jacobian_refusal;
pub use markdown::markdown;
pub use request::{UnknownStatistic, columns, words};

/// What a formula may look at: one recorded row and the row after it.
#[derive(Clone, Copy, Debug)]
pub struct RowContext<'a> {
    pub spec: &'a NetworkSpec,
    pub layer: u32,
    pub this: &'a Record,
    /// The record of row `layer + 1` of the same step, where it exists and was recorded.
    pub next: Option<&'a Record>,
}

/// One value of a table. Undefined and missing values are `Empty`, never zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Int(u64),
    /// Always finite.
    Float(f64),
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        // Adding 0 turns -0.0 into 0.0.
        value.filter(|v| v.is_finite()).map_or(Cell::Empty, |v| Cell::Float(v + 0.0))
    }
}

/// How much a column costs, in computing or in width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Basic,
    Full,
    /// In no set: only where it is named.
    Request,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Basic => "basic",
            Level::Full => "full",
            Level::Request => "on request",
        }
    }
}

/// One row of the catalog: a column of `layers.csv`.
#[derive(Clone, Debug)]
pub struct StatisticRow {
    /// The column's name, `^[a-z][a-z0-9_]*$`.
    pub name: String,
    /// `value` (that of the tensor), `log10`, `fraction`, `count`, `ratio` or `cosine`.
    pub unit: &'static str,
    pub level: Level,
    /// The quantity's name, or the name of a group of derived columns.
    pub group: &'static str,
    /// The statistic's name among those of its quantity or group: `rms` of `preact_rms`.
    pub statistic: &'static str,
    /// The quantity whose moments this is; `None` for derived columns.
    pub quantity: Option<Quantity>,
    /// What engines must record for it.
    pub mask: RecordMask,
    /// The formula also looks at the next row.
    pub needs_next: bool,
    /// Which rows can have it, in words.
    pub rows: &'static str,
    /// Its definition.
    pub doc: String,
    applies: fn(&NetworkSpec, u32) -> bool,
    formula: Formula,
}

/// How a cell comes out of records.
#[derive(Clone, Copy, Debug)]
enum Formula {
    Moments(Quantity, fn(&super::record::Moments) -> Cell),
    Row(fn(&RowContext) -> Cell),
}

impl StatisticRow {
    /// Whether row `layer` of such a network can have a value here: a matter of structure, not of numbers.
    pub fn applies(&self, spec: &NetworkSpec, layer: u32) -> bool {
        layer < spec.rows() && (self.applies)(spec, layer)
    }

    /// The value, or `Empty` where the row cannot have one, it was not recorded, or it is undefined.
    pub fn cell(&self, context: &RowContext) -> Cell {
        if !self.applies(context.spec, context.layer) {
            return Cell::Empty;
        }
        match self.formula {
            Formula::Moments(quantity, formula) => match context.this.moments(quantity) {
                m if m.count == 0 => Cell::Empty,
                m => formula(m),
            },
            Formula::Row(formula) => formula(context),
        }
    }
}

/// Every column, in the order of the file: quantities first, then derived columns.
pub static CATALOG: LazyLock<Vec<StatisticRow>> = LazyLock::new(|| {
    let mut rows = moments::rows();
    rows.extend(derived::rows());
    rows
});

/// The row of a column's name.
pub fn find(name: &str) -> Option<&'static StatisticRow> {
    CATALOG.iter().find(|row| row.name == name)
}

/// What engines must record so that these columns can be computed.
pub fn mask_for(rows: &[&StatisticRow]) -> RecordMask {
    rows.iter().fold(RecordMask(0), |mask, row| mask.union(row.mask))
}

/// The rows that engines must record so that the columns of the rows in `wanted` can be computed: some formulas look
/// at the next row.
pub fn layers_for(rows: &[&StatisticRow], wanted: &LayerSelection) -> LayerSelection {
    match wanted {
        LayerSelection::Only(list) if rows.iter().any(|row| row.needs_next) => {
            let mut layers: Vec<u32> = list.iter().flat_map(|&l| [l, l.saturating_add(1)]).collect();
            layers.sort_unstable();
            layers.dedup();
            LayerSelection::Only(layers)
        }
        other => other.clone(),
    }
}

/// Whether some row of such a network can have a value in this column. A column exists if this holds for some planned
/// network.
pub fn can_fill(row: &StatisticRow, spec: &NetworkSpec) -> bool {
    representative_layers(spec).into_iter().any(|layer| row.applies(spec, layer))
}

/// Layers such that a column that applies to any row applies to one of these: the ends, the stem, the layer after it,
/// and the first residual layers.
fn representative_layers(spec: &NetworkSpec) -> [u32; 8] {
    let (last, every) = (spec.depth, spec.residual_every);
    [0, 1, 2, every, every.saturating_mul(2), last.saturating_sub(1), last, last + 1]
}

#[cfg(test)]
pub(crate) mod formula_tests;
#[cfg(test)]
pub(crate) mod tests;
