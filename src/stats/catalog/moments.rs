//! Columns `<quantity>_<statistic>`: two small tables, multiplied. Statistics run over the finite elements of the
//! tensor; the others are counted.

use super::{Cell, Formula, Level, StatisticRow};
use crate::network::NetworkSpec;
use crate::stats::record::{Moments, Quantity, RecordMask, Scaled};

struct QuantityRow {
    quantity: Quantity,
    doc: &'static str,
    rows: &'static str,
    applies: fn(&NetworkSpec, u32) -> bool,
}

struct MomentRow {
    name: &'static str,
    level: Level,
    unit: &'static str,
    /// In addition to the quantity's own bit.
    mask: RecordMask,
    /// `{}` stands for the quantity.
    doc: &'static str,
    formula: fn(&Moments) -> Cell,
}

/// Quantities that exist at initialisation.
static QUANTITIES: [QuantityRow; 7] = [
    QuantityRow {
        quantity: Quantity::Preact,
        doc: "z_l = W_l h_{l-1} + b_l, before the norm (pre_act: W_l phi(u_l) + b_l)",
        rows: "hidden, readout",
        applies: |_, layer| layer >= 1,
    },
    QuantityRow {
        quantity: Quantity::Act,
        doc: "h_l, the layer's output; x in row 0",
        rows: "input, hidden",
        applies: |spec, layer| layer <= spec.depth,
    },
    QuantityRow {
        quantity: Quantity::PreactGrad,
        doc: "delta_l = dLoss/dz_l, before the norm",
        rows: "hidden, readout",
        applies: |_, layer| layer >= 1,
    },
    QuantityRow {
        quantity: Quantity::ActGrad,
        doc: "dLoss/dh_l; dLoss/dx in row 0",
        rows: "input, hidden",
        applies: |spec, layer| layer <= spec.depth,
    },
    QuantityRow {
        quantity: Quantity::Weight,
        doc: "W_l, [fan_out, fan_in]",
        rows: "hidden, readout",
        applies: |_, layer| layer >= 1,
    },
    QuantityRow {
        quantity: Quantity::WeightGrad,
        doc: "dLoss/dW_l",
        rows: "hidden, readout",
        applies: |_, layer| layer >= 1,
    },
    QuantityRow {
        quantity: Quantity::BiasGrad,
        doc: "dLoss/db_l",
        rows: "hidden, readout; layers whose bias has a gradient (not directly before batch norm, nor in `pre_act` with \
               batch norm and final_norm)",
        applies: |spec, layer| layer >= 1 && spec.layer_has_bias_grad(layer),
    },
];

const OWN: RecordMask = RecordMask(0);

macro_rules! quantile {
    ($name:literal, $index:literal, $percent:literal) => {
        MomentRow {
            name: $name,
            level: Level::Full,
            unit: "value",
            mask: RecordMask::QUANTILES,
            doc: concat!(
                $percent,
                " % quantile of the absolute values of {}: the element of rank floor(p (n - 1)) in rising order, within 13 % \
                 (4 bins per octave, interpolated)"
            ),
            formula: |m| {
                // Interpolation may pass the largest element of the topmost bin. NaN stays NaN.
                let quantile = m.abs_quantiles[$index];
                let bounded = if quantile > m.abs_max { m.abs_max } else { quantile };
                Scaled::new(bounded, m.exponent).value().into()
            },
        }
    };
}

static STATISTICS: [MomentRow; 15] = [
    MomentRow {
        name: "mean",
        level: Level::Basic,
        unit: "value",
        mask: OWN,
        doc: "mean of the elements of {}",
        formula: |m| Scaled::new(m.mean, m.exponent).value().into(),
    },
    MomentRow {
        name: "std",
        level: Level::Basic,
        unit: "value",
        mask: OWN,
        doc: "population standard deviation of the elements of {}",
        formula: |m| Scaled::new((m.m2 / m.finite() as f64).sqrt(), m.exponent).value().into(),
    },
    MomentRow {
        name: "rms",
        level: Level::Basic,
        unit: "value",
        mask: OWN,
        doc: "root mean square of the elements of {}",
        formula: |m| m.sum_of_squares().mean_of(m.finite()).sqrt().value().into(),
    },
    MomentRow {
        name: "l2",
        level: Level::Basic,
        unit: "value",
        mask: OWN,
        doc: "euclidean norm of {} over all its elements; empty outside float64, where log10_l2 still stands",
        formula: |m| if m.finite() == 0 { Cell::Empty } else { m.sum_of_squares().sqrt().value().into() },
    },
    MomentRow {
        name: "log10_l2",
        level: Level::Basic,
        unit: "log10",
        mask: OWN,
        doc: "log10 of the euclidean norm of {}, at any size; empty for exact zero",
        formula: |m| m.sum_of_squares().log10_abs().map(|v| 0.5 * v).into(),
    },
    MomentRow {
        name: "abs_max",
        level: Level::Basic,
        unit: "value",
        mask: OWN,
        doc: "largest absolute value of {}",
        formula: |m| largest(m).value().into(),
    },
    MomentRow {
        name: "log10_abs_max",
        level: Level::Basic,
        unit: "log10",
        mask: OWN,
        doc: "log10 of the largest absolute value of {}, at any size; empty for exact zero",
        formula: |m| largest(m).log10_abs().into(),
    },
    MomentRow {
        name: "zero_frac",
        level: Level::Basic,
        unit: "fraction",
        mask: OWN,
        doc: "fraction of the elements of {} that are exactly zero",
        formula: |m| Cell::Float(m.zeros as f64 / m.count as f64),
    },
    MomentRow {
        name: "nonfinite",
        level: Level::Basic,
        unit: "count",
        mask: OWN,
        doc: "number of elements of {} that are infinite or not a number; the other columns leave them out",
        formula: |m| Cell::Int(m.nonfinite),
    },
    quantile!("abs_p05", 0, "5"),
    quantile!("abs_p25", 1, "25"),
    quantile!("abs_p50", 2, "50"),
    quantile!("abs_p75", 3, "75"),
    quantile!("abs_p95", 4, "95"),
    MomentRow {
        name: "kurtosis",
        level: Level::Full,
        unit: "ratio",
        mask: RecordMask::KURTOSIS,
        doc: "fourth central moment of {} over the square of its variance: 3 for a normal; empty for a constant",
        formula: kurtosis,
    },
];

/// The largest |x|, absent where no element is finite.
fn largest(m: &Moments) -> Scaled {
    if m.finite() == 0 { Scaled::ABSENT } else { Scaled::new(m.abs_max, m.exponent) }
}

fn kurtosis(m: &Moments) -> Cell {
    let n = m.finite() as f64;
    // The deviations of a constant tensor are what the rounding of its mean leaves: thousands of ulps at most.
    let noise = 1e-12 * m.mean;
    let constant = m.m2 <= n * noise * noise;
    Cell::from((!constant && m.m4 > 0.0).then(|| m.m4 / m.m2 * (n / m.m2)))
}

/// Quantities by statistics, the quantities outermost.
pub(super) fn rows() -> Vec<StatisticRow> {
    let pairs = QUANTITIES.iter().flat_map(|q| STATISTICS.iter().map(move |s| (q, s)));
    pairs
        .map(|(q, s)| StatisticRow {
            name: format!("{}_{}", q.quantity.name(), s.name),
            unit: s.unit,
            level: s.level,
            group: q.quantity.name(),
            statistic: s.name,
            quantity: Some(q.quantity),
            mask: RecordMask::quantity(q.quantity).union(s.mask),
            needs_next: false,
            rows: q.rows,
            doc: s.doc.replace("{}", q.quantity.name()),
            applies: q.applies,
            formula: Formula::Moments(q.quantity, s.formula),
        })
        .collect()
}

/// The quantities with what they are and the rows that have them, for the docs.
pub(super) fn quantities() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    QUANTITIES.iter().map(|q| (q.quantity.name(), q.doc, q.rows))
}

/// The statistics of a quantity, for the docs and for requests: name, level, unit, definition of "the quantity".
pub(super) fn statistics() -> impl Iterator<Item = (&'static str, Level, &'static str, String)> {
    STATISTICS.iter().map(|s| (s.name, s.level, s.unit, s.doc.replace("{}", "the quantity")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::histogram::{BINS, bin, quantiles};

    #[test]
    fn no_quantile_exceeds_the_largest_element() {
        // Four elements at the lower edge of a bin: by the histogram alone they may lie anywhere in it.
        let mut histogram = vec![0; BINS];
        histogram[bin(1.0)] = 4;
        let abs_quantiles = quantiles(&histogram);
        assert!(abs_quantiles[4] > 1.05);
        let moments = Moments { count: 4, abs_max: 1.0, abs_quantiles, ..Moments::NONE };
        let of = |name: &str, m: &Moments| {
            let row = STATISTICS.iter().find(|row| row.name == name).expect("a row of this name is in the table");
            (row.formula)(m)
        };
        assert_eq!(of("abs_p95", &moments), Cell::Float(1.0));
        assert_eq!(of("abs_p95", &Moments { abs_quantiles: [f64::NAN; 5], ..moments }), Cell::Empty);
    }
}
