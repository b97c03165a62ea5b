//! One engine against another: a sweep that visits every word of the vocabulary, odd shapes and extreme scales, and a
//! comparison of every recorded row by a tolerance that follows from rounding and from how the network itself amplifies
//! it.

use super::batches::{PlannedBatch, batches};
use super::{Engine, EngineError, NetworkResult};
use crate::network::{activation, init};
use crate::plan::Plan;
use crate::stats::{Moments, Quantity, Record, Scaled};

/// Results by plan index.
pub type Results = Vec<NetworkResult>;

/// The sweep file of the checks.
pub fn sweep() -> String {
    let quoted =
        |names: &mut dyn Iterator<Item = String>| names.map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let activations = quoted(&mut activation::TABLE.iter().map(|row| row.name.to_string()));
    let inits = quoted(&mut init::TABLE.iter().map(|row| match row.param {
        Some(_) => format!("{}(0.2)", row.name),
        None => row.name.to_string(),
    }));
    format!(
        r#"schema_version = 1
name = "doctor"
seed = 20
[defaults]
depth = 5
width = 40
batch_size = 12
input_size = 24
output_size = 7
[[sweep]]
name = "activations"
activation = [{activations}]
init = "lecun_normal"
[[sweep]]
name = "inits"
init = [{inits}]
width = 24
[[sweep]]
name = "norms"
norm = ["none", "batch", "layer", "rms"]
activation = ["tanh", "relu", "gelu"]
residual = ["none", "post_act", "pre_act"]
[[sweep]]
name = "losses"
loss = ["mse", "cross_entropy", "cotangent", "cotangent_shared"]
residual = ["none", "pre_act"]
bias = [true, false]
sigma_b = 0.1
[[sweep]]
name = "inputs"
input = ["gaussian", "sphere", "correlated_pairs(0.5)", "digits"]
[[sweep]]
name = "images"
input = "digits"
width = 64
norm = ["batch", "layer"]
activation = ["tanh", "gelu"]
residual = ["none", "pre_act"]
[[sweep]]
name = "shapes"
activation = ["tanh", "relu"]
loss = "mse"
zip = {{ width = [1, 3, 17, 64, 65, 100, 130], batch_size = [1, 5, 31, 64, 3, 129, 2], input_size = [4, 1, 20, 64, 9, 7, 130], depth = [1, 2, 9, 4, 3, 2, 3] }}
[[sweep]]
name = "range"
depth = 128
activation = ["relu", "linear"]
init = "he_normal"
gain = [0.1, 1.0, 10.0]
[[sweep]]
name = "tails"
depth = 64
activation = ["sigmoid", "tanh"]
init = "mean_field"
sigma_w = [0.1, 1.0]
[record]
statistics = "full"
"#
    )
}

/// Runs every network of a plan.
pub fn results(engine: &mut dyn Engine, plan: &Plan) -> Result<Results, EngineError> {
    let mut all: Vec<Option<NetworkResult>> = vec![None; plan.len() as usize];
    for PlannedBatch { batch, members } in batches(plan, engine) {
        engine.submit(batch)?;
        let mut out: Vec<NetworkResult> = Vec::new();
        engine.next(&mut out)?;
        for result in out {
            let index = members[result.slot] as usize;
            all[index] = Some(result);
        }
    }
    let missing = || EngineError::Failed("the engine returned no result for a network".to_string());
    all.into_iter().map(|result| result.ok_or_else(missing)).collect()
}

/// Changes one number of the first network by one part in a hundred and the quantiles of one tensor of the last by an
/// octave, to see that a comparison notices both.
pub fn spoil(results: &mut Results) {
    let of = |result: Option<&mut NetworkResult>, change: fn(&mut Moments)| {
        if let Some(row) = result.and_then(|r| r.rows.get_mut(1)) {
            change(&mut row.record.moments[Quantity::Preact as usize]);
        }
    };
    of(results.last_mut(), |preact| preact.abs_quantiles.iter_mut().for_each(|q| *q *= 2.0));
    of(results.first_mut(), |preact| {
        preact.mean *= 1.01;
        preact.m2 *= 1.0201;
    });
}

/// A number that was compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Relative error.
    pub error: f64,
    pub tolerance: f64,
    /// What: `preact_grad of layer 3`.
    pub place: String,
    /// Plan index of the network.
    pub network: u64,
}

impl Deviation {
    pub fn allowed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// The comparison of one sweep's networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The sweep's name.
    pub name: String,
    pub networks: u64,
    /// The loss or norm that came closest to its tolerance, or passed it farthest.
    pub worst: Deviation,
    /// The same of quantiles, which are known to the width of a bin.
    pub worst_quantile: Deviation,
    /// What cannot be put into a relative error: a network that failed or lacks rows, and how.
    pub fault: Option<(u64, String)>,
}

impl Comparison {
    pub fn passed(&self) -> bool {
        self.fault.is_none() && self.worst.allowed() && self.worst_quantile.allowed()
    }

    /// Whether quantiles are wrong where norms are right.
    pub fn fails_by_quantiles(&self) -> bool {
        self.fault.is_none() && self.worst.allowed() && !self.worst_quantile.allowed()
    }
}

/// Compares results of one plan, sweep by sweep.
pub fn compare(plan: &Plan, reference: &Results, results: &Results) -> Vec<Comparison> {
    let mut comparisons: Vec<Comparison> = plan
        .sweeps
        .iter()
        .map(|name| Comparison {
            name: name.clone(),
            networks: 0,
            worst: Deviation::default(),
            worst_quantile: Deviation::default(),
            fault: None,
        })
        .collect();
    for (index, (expected, found)) in reference.iter().zip(results).enumerate() {
        let network = plan.network(index as u64);
        let comparison = &mut comparisons[network.sweep as usize];
        comparison.networks += 1;
        let tolerance = tolerance(expected);
        let note = |worst: &mut Deviation, error: f64, tolerance: f64, place: String| {
            // NaN counts as infinitely wrong.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if worst.tolerance == 0.0 || error / tolerance > worst.error / worst.tolerance {
                *worst = Deviation { error, tolerance, place, network: index as u64 };
            }
        };
        let fault = match (&found.error, expected.rows.len() == found.rows.len()) {
            (Some(error), _) => Some(error.clone()),
            (None, false) => Some(format!("{} rows instead of {}", found.rows.len(), expected.rows.len())),
            (None, true) => None,
        };
        if let Some(fault) = fault {
            comparison.fault.get_or_insert((index as u64, fault));
            continue;
        }
        note(&mut comparison.worst, relative(expected.loss, found.loss), tolerance, "loss".to_string());
        for (a, b) in expected.rows.iter().zip(&found.rows) {
            for quantity in Quantity::ALL {
                let norm = |record: &Record| {
                    let moments = record.moments(quantity);
                    if moments.count == 0 { Scaled::ABSENT } else { moments.sum_of_squares() }
                };
                // Of squares: half of it is the error of the norm.
                let error = 0.5 * relative(norm(&a.record), norm(&b.record));
                let place = format!("{} of layer {}", quantity.name(), a.layer);
                let moments = [&a.record, &b.record].map(|record| record.moments(quantity));
                for (i, percent) in PERCENT.into_iter().enumerate() {
                    let place = format!("{percent} % quantile of {place}");
                    note(&mut comparison.worst_quantile, of_quantiles(moments, i, tolerance), QUANTILE, place);
                }
                note(&mut comparison.worst, error, tolerance, place);
            }
        }
    }
    comparisons
}

/// |ln(a/b)|: the relative error for numbers that are close, at any exponent. Both absent or both zero is no error.
fn relative(a: Scaled, b: Scaled) -> f64 {
    match (a.log10_abs(), b.log10_abs()) {
        (Some(x), Some(y)) if a.mantissa.signum() == b.mantissa.signum() => (x - y).abs() * std::f64::consts::LN_10,
        (None, None) if (a.mantissa == 0.0) == (b.mantissa == 0.0) => 0.0,
        _ => f64::INFINITY,
    }
}

/// The quantiles recorded.
const PERCENT: [u32; 5] = [5, 25, 50, 75, 95];

/// How far apart two quantiles may be, as |ln(a/b)|: each is within 13 % of the element that it stands for, so that they are
/// up to ln(1.13 / 0.87) apart where rounding carries that element over the edge of a bin.
const QUANTILE: f64 = 0.2615;

/// |ln(a/b)| of the `i`-th quantiles of a tensor, `a` the reference, less what rounding explains. Order statistics move no farther than elements do, which
/// are rounded relative to the largest one: a small quantile among large elements is a difference of those.
fn of_quantiles([a, b]: [&Moments; 2], i: usize, tolerance: f64) -> f64 {
    let power = 2f64.powi((b.exponent - a.exponent).clamp(-2000, 2000));
    let (x, y) = (a.abs_quantiles[i], b.abs_quantiles[i] * power);
    match (x.is_nan(), y.is_nan()) {
        (true, true) => 0.0,
        (false, false) => (x.max(y) / (x.min(y) + tolerance * a.abs_max)).ln().max(0.0),
        _ => f64::INFINITY,
    }
}

/// What rounding in float32 explains: 64 * 2^-24 * sqrt(L), times the largest factor by which the network amplifies a
/// relative perturbation between any two of its layers. A perturbation of h_l grows like the gradient on its way back,
/// and counts relative to the size of h.
pub fn tolerance(reference: &NetworkResult) -> f64 {
    let square = |record: &Record, quantity| record.moments(quantity).sum_of_squares().log10_abs();
    // Logarithms: the largest sum over neighbouring layers (Kadane).
    let (mut here, mut most) = (0.0, 0.0);
    for pair in reference.rows.windows(2) {
        let (a, b) = (&pair[0].record, &pair[1].record);
        let terms = (
            square(a, Quantity::ActGrad),
            square(b, Quantity::ActGrad),
            square(a, Quantity::Act),
            square(b, Quantity::Act),
        );
        if let (Some(ga), Some(gb), Some(ha), Some(hb)) = terms {
            here = f64::max(0.0, here + 0.5 * (ga - gb + ha - hb));
            most = f64::max(most, here);
        }
    }
    let depth = reference.delta_squares.len().max(1) as f64;
    64.0 * 2f64.powi(-24) * depth.sqrt() * 10f64.powf(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, SweepFile};

    #[test]
    fn the_checks_visit_every_word_of_the_vocabulary() {
        let file = SweepFile::parse(&sweep(), "checks", &Overrides::default()).unwrap();
        let plan = Plan::new(&file).unwrap();
        let specs: Vec<_> = (0..plan.len()).map(|i| plan.network(i).spec).collect();
        for row in &activation::TABLE {
            assert!(specs.iter().any(|s| s.activation.kind == row.kind), "{}", row.name);
        }
        for row in init::TABLE {
            assert!(specs.iter().any(|s| s.init.kind == row.kind), "{}", row.name);
        }
        for row in crate::network::Norm::TABLE {
            assert!(specs.iter().any(|s| s.norm == row.word), "{}", row.name);
        }
        for row in crate::network::Residual::TABLE {
            assert!(specs.iter().any(|s| s.residual == row.word), "{}", row.name);
        }
        for row in crate::network::Loss::TABLE {
            assert!(specs.iter().any(|s| s.loss == row.word), "{}", row.name);
        }
        for row in crate::network::Input::TABLE {
            assert!(specs.iter().any(|s| s.input == row.word), "{}", row.name);
        }
    }

    #[test]
    fn quantiles_differ_by_what_neither_bins_nor_rounding_explain() {
        let of =
            |exponent, q: f64| Moments { exponent, abs_max: 1.0, abs_quantiles: [q; 5], count: 9, ..Moments::NONE };
        let error = |a: &Moments, b: &Moments| of_quantiles([a, b], 2, 1e-5);
        assert!((1.13f64 / 0.87).ln() <= QUANTILE && QUANTILE < 0.262);
        assert_eq!(error(&of(-9000, 0.5), &of(-9001, 1.0)), 0.0);
        assert!((error(&of(3, 0.5), &of(2, 0.5)) - 2f64.ln()).abs() < 1e-4);
        assert!(error(&of(0, 0.87), &of(0, 1.13)) <= QUANTILE && error(&of(0, 0.8), &of(0, 1.13)) > QUANTILE);
        // Elements of rounding's size are as good as zero, and larger ones are not.
        assert_eq!(error(&of(0, 0.0), &of(0, 0.9e-5)), 0.0);
        assert!(error(&of(0, 0.0), &of(0, 2e-5)) > QUANTILE);
        assert_eq!(error(&of(0, f64::NAN), &of(0, f64::NAN)), 0.0);
        for one in [error(&of(0, f64::NAN), &of(0, 1.0)), error(&of(0, 1.0), &of(0, f64::NAN))] {
            assert_eq!(one, f64::INFINITY);
        }
        assert!(error(&of(0, 1.0), &of(4000, 1.0)) > QUANTILE);
    }

    #[test]
    fn differences_of_numbers_at_any_exponent_are_relative() {
        let tiny = |m: f64| Scaled::new(m, -9000);
        assert!((relative(tiny(1.0), tiny(1.01)) - 1.01f64.ln()).abs() < 1e-9);
        assert_eq!(relative(Scaled::ABSENT, Scaled::ABSENT), 0.0);
        assert_eq!(relative(Scaled::ZERO, tiny(1.0)), f64::INFINITY);
        assert_eq!(relative(Scaled::ABSENT, Scaled::ZERO), f64::INFINITY);
        assert_eq!(relative(tiny(1.0), tiny(-1.0)), f64::INFINITY);
    }
}
