//! One engine against another: a sweep that visits every word of the vocabulary, odd shapes and extreme scales, and a
//! comparison of every recorded row by a tolerance that follows from rounding and from how the network itself amplifies
//! it.

use std::sync::Arc;

use super::{Batch, Engine, EngineError, LayerSelection, NetworkResult};
use crate::data;
use crate::network::{activation, init};
use crate::plan::Plan;
use crate::stats::{Quantity, Record, Scaled};

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
"#
    )
}

/// Runs every network of a plan.
pub fn results(engine: &mut dyn Engine, plan: &Plan) -> Result<Results, EngineError> {
    let digits = data::load(crate::network::Input::Digits).map(Arc::new);
    let mut all: Vec<Option<NetworkResult>> = vec![None; plan.len() as usize];
    for chunk in &plan.chunks {
        let members = &plan.bucket_order[chunk.members.clone()];
        let networks: Vec<_> = members.iter().map(|&i| plan.network(u64::from(i)).spec).collect();
        let dataset = networks.iter().any(|n| data::info(n.input).is_some()).then(|| digits.clone()).flatten();
        let batch = Batch {
            key: chunk.key,
            networks,
            mask: plan.record.mask,
            layers: LayerSelection::All,
            dataset,
            given: None,
        };
        engine.submit(Arc::new(batch))?;
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

/// Changes one number of one network by one part in a hundred, to see that a comparison notices.
pub fn spoil(results: &mut Results) {
    if let Some(moments) = results.first_mut().and_then(|r| r.rows.get_mut(1)).map(|row| &mut row.record.moments) {
        let preact = &mut moments[Quantity::Preact as usize];
        preact.mean *= 1.01;
        preact.m2 *= 1.0201;
    }
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

/// The comparison of one sweep's networks.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The sweep's name.
    pub name: String,
    pub networks: u64,
    /// The number that came closest to its tolerance, or passed it farthest.
    pub worst: Deviation,
    /// What cannot be put into a relative error: a network that failed or lacks rows, and how.
    pub fault: Option<(u64, String)>,
}

impl Comparison {
    pub fn passed(&self) -> bool {
        self.fault.is_none() && self.worst.error <= self.worst.tolerance
    }
}

/// Compares results of one plan, sweep by sweep.
pub fn compare(plan: &Plan, reference: &Results, results: &Results) -> Vec<Comparison> {
    let mut comparisons: Vec<Comparison> = plan
        .sweeps
        .iter()
        .map(|name| Comparison { name: name.clone(), networks: 0, worst: Deviation::default(), fault: None })
        .collect();
    for (index, (expected, found)) in reference.iter().zip(results).enumerate() {
        let network = plan.network(index as u64);
        let comparison = &mut comparisons[network.sweep as usize];
        comparison.networks += 1;
        let tolerance = tolerance(expected);
        let mut note = |error: f64, place: String| {
            let worst = &comparison.worst;
            // NaN counts as infinitely wrong.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if worst.tolerance == 0.0 || error / tolerance > worst.error / worst.tolerance {
                comparison.worst = Deviation { error, tolerance, place, network: index as u64 };
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
        note(relative(expected.loss, found.loss), "loss".to_string());
        for (a, b) in expected.rows.iter().zip(&found.rows) {
            for quantity in Quantity::ALL {
                let norm = |record: &Record| {
                    let moments = record.moments(quantity);
                    if moments.count == 0 { Scaled::ABSENT } else { moments.sum_of_squares() }
                };
                // Of squares: half of it is the error of the norm.
                let error = 0.5 * relative(norm(&a.record), norm(&b.record));
                note(error, format!("{} of layer {}", quantity.name(), a.layer));
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
    fn differences_of_numbers_at_any_exponent_are_relative() {
        let tiny = |m: f64| Scaled::new(m, -9000);
        assert!((relative(tiny(1.0), tiny(1.01)) - 1.01f64.ln()).abs() < 1e-9);
        assert_eq!(relative(Scaled::ABSENT, Scaled::ABSENT), 0.0);
        assert_eq!(relative(Scaled::ZERO, tiny(1.0)), f64::INFINITY);
        assert_eq!(relative(Scaled::ABSENT, Scaled::ZERO), f64::INFINITY);
        assert_eq!(relative(tiny(1.0), tiny(-1.0)), f64::INFINITY);
    }
}
