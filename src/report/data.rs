//! What the figures are drawn from: a run in aggregated form, one entry per configuration with medians and bands over
//! its seeds. The page and the static plots are two readers of the same values; nothing here knows files or pixels.

use serde::{Serialize, Serializer};

use super::spread::{Number, Spread};

/// Columns of `networks.csv` that the table shows and configurations aggregate.
pub const METRICS: [&str; 7] = [
    "log10_grad_ratio_total",
    "grad_decades_per_layer",
    "grad_fit_r2",
    "depth_scale",
    "max_trainable_depth",
    "log10_loss",
    "grad_ratio_deviation",
];

/// Metrics of which a dead network has none because its gradient is exactly zero, beside the column that must be known for
/// there to be such a metric at all. It counts as lower than all: the slope is minus infinity, so its depth scale is 0 and
/// its trainable depth 1, which no network with a gradient reaches.
pub const FALLS_WITH_DEATH: [(&str, Option<&str>); 5] = [
    ("log10_grad_ratio_total", None),
    ("grad_decades_per_layer", None),
    ("depth_scale", None),
    ("max_trainable_depth", None),
    ("grad_ratio_deviation", Some("predicted_log10_grad_ratio_total")),
];

/// Predictions in `networks.csv` that figures draw, where it has them.
pub const PREDICTIONS: [&str; 2] = ["chi_1", "xi_grad"];

/// Quantities whose distribution over a layer is shown, with their names for people.
pub const DISTRIBUTIONS: [(&str, &str); 3] =
    [("act", "activations |h|"), ("preact", "pre-activations |z|"), ("preact_grad", "gradients |dLoss/dz|")];

/// Quantiles recorded of a distribution.
pub const QUANTILES: [&str; 5] = ["abs_p05", "abs_p25", "abs_p50", "abs_p75", "abs_p95"];

/// What became of a network, in the order of the counts of a configuration.
pub const OUTCOMES: [&str; 6] = ["vanishing", "stable", "exploding", "dead", "diverged", "failed"];

/// Position in [`OUTCOMES`] of networks some gradient of which is exactly zero.
pub const DEAD: usize = 3;

/// Position of `metric` in [`METRICS`].
pub fn metric(name: &str) -> usize {
    METRICS.iter().position(|m| *m == name).expect("named after the table above")
}

/// Position of `prediction` in [`PREDICTIONS`].
pub fn prediction(name: &str) -> usize {
    PREDICTIONS.iter().position(|p| *p == name).expect("named after the table above")
}

/// A run as its figures see it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    pub name: String,
    /// What the reader must know: what was aggregated, thinned, left out.
    pub notes: Vec<String>,
    /// Keys of the networks, in the order of columns; `sweep` first where there are several.
    pub keys: Vec<Key>,
    /// Positions in `keys` of those with two values or more.
    pub varying: Vec<usize>,
    pub configurations: Vec<Configuration>,
    pub networks: Networks,
    /// Lines chi_1 = 1 in the plane of sigma_w and sigma_b.
    pub edges: Vec<Edge>,
    /// `|log10(|delta_1|/|delta_L|)|` from which a network is called vanishing or exploding.
    pub threshold: Option<f64>,
    /// What `layers.csv` and `theory.csv` have to show.
    pub recorded: Recorded,
}

/// Which figures can be drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Recorded {
    pub gradient: bool,
    pub factor: bool,
    pub chi: bool,
    /// Positions in [`DISTRIBUTIONS`].
    pub distributions: Vec<usize>,
    /// `theory.csv` was there and fits.
    pub theory: bool,
    /// Some cell of a column of [`PREDICTIONS`] is filled.
    pub predictions: bool,
}

/// A key of the sweep file, with the values that it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Key {
    pub name: String,
    /// In rising order where all are numbers, else in order of appearance.
    pub values: Vec<String>,
    /// The values as numbers, if all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<f64>>,
    /// The values as figures write them, where that is shorter; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<String>,
}

impl Key {
    /// Value `v` as figures write it.
    pub fn text(&self, v: u32) -> &str {
        self.short.get(v as usize).unwrap_or(&self.values[v as usize])
    }
}

/// All networks with the same keys.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Configuration {
    pub id: String,
    /// Per key the position of its value; `None` where it does not apply.
    pub values: Vec<Option<u32>>,
    pub networks: u32,
    /// Networks per [`OUTCOMES`].
    pub outcomes: [u32; OUTCOMES.len()],
    /// Per [`METRICS`].
    pub metrics: Vec<Spread>,
    /// Per [`PREDICTIONS`].
    pub predicted: Vec<Number>,
    /// `None` where this configuration's layers were left out. The page has these beside the rest, to be read when needed.
    #[serde(skip)]
    pub profile: Option<Profile>,
    #[serde(skip)]
    pub distribution: Option<Distribution>,
}

/// Numbers layer by layer; every list is as long as `layers` or empty where nothing was recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Hidden layers shown, rising, the first and the last among them.
    #[serde(serialize_with = "shortly")]
    pub layers: Vec<u32>,
    /// log10 |delta_l|.
    pub gradient: Band,
    /// log10 |delta_l|^2 / |delta_L|^2 as predicted for the mean of the logarithm over seeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predicted_to_last: Vec<Number>,
    /// Median of log10 |delta_l|^2 / |delta_{l+1}|^2 of the networks with a gradient at l + 1; lowest are those that die at l.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub factor: Vec<Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predicted_factor: Vec<Number>,
    /// Median of log10 chi, the same factor estimated from the forward pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chi: Vec<Number>,
}

/// Spreads of one quantity, as columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Band {
    pub median: Vec<Number>,
    /// Empty where every configuration has one network: then equal to the median.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub low: Vec<Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<Number>,
    /// Networks that are exactly zero at that layer; empty where none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zeros: Vec<u32>,
}

impl Band {
    /// Columns of spreads.
    pub fn of(spreads: &[Spread]) -> Self {
        let column = |f: fn(&Spread) -> Number| spreads.iter().map(|s| f(s).of_curve()).collect::<Vec<_>>();
        let spread_out = spreads.iter().any(|s| s.known + s.zeros > 1);
        let zeros: Vec<u32> = spreads.iter().map(|s| s.zeros).collect();
        Band {
            median: column(|s| s.median),
            low: if spread_out { column(|s| s.low) } else { Vec::new() },
            high: if spread_out { column(|s| s.high) } else { Vec::new() },
            zeros: if zeros.iter().any(|z| *z > 0) { zeros } else { Vec::new() },
        }
    }

    /// Quantile `low`, or the median where there is one network.
    pub fn low(&self, i: usize) -> Option<f64> {
        self.low.get(i).or(self.median.get(i)).and_then(|n| n.get())
    }

    pub fn high(&self, i: usize) -> Option<f64> {
        self.high.get(i).or(self.median.get(i)).and_then(|n| n.get())
    }

    pub fn median(&self, i: usize) -> Option<f64> {
        self.median.get(i).and_then(|n| n.get())
    }

    pub fn zeros(&self, i: usize) -> u32 {
        self.zeros.get(i).copied().unwrap_or(0)
    }
}

/// Medians over the seeds of log10 of the quantiles of a layer's elements.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    #[serde(serialize_with = "shortly")]
    pub layers: Vec<u32>,
    /// Per quantity that was recorded, per quantile, per layer.
    pub quantiles: Vec<[Vec<Number>; QUANTILES.len()]>,
}

/// The table of networks, as columns.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Networks {
    pub id: Vec<String>,
    pub configuration: Vec<u32>,
    pub replicate: Vec<u32>,
    /// Position in [`OUTCOMES`].
    pub outcome: Vec<Option<u8>>,
    pub error: Vec<String>,
    /// Per [`METRICS`], per network.
    pub metrics: Vec<Vec<Number>>,
}

/// The edge of chaos of one activation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Edge {
    pub activation: String,
    pub sigma_b: Vec<f64>,
    pub sigma_w: Vec<f64>,
}

/// Layers as the page reads them: all of them as their number.
fn shortly<S: Serializer>(layers: &Vec<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    let all = layers.iter().zip(1..).all(|(layer, place)| *layer == place);
    if all { serializer.serialize_u64(layers.len() as u64) } else { layers.serialize(serializer) }
}

impl Run {
    /// Position of the key `name`.
    pub fn key(&self, name: &str) -> Option<usize> {
        self.keys.iter().position(|key| key.name == name)
    }

    /// The text of a configuration's key; empty where it does not apply.
    pub fn value(&self, configuration: &Configuration, key: usize) -> &str {
        configuration.values[key].map_or("", |v| &self.keys[key].values[v as usize])
    }

    /// How many networks of these configurations are dead, and how many there are.
    pub fn deaths(&self, shown: &[usize]) -> (u32, u32) {
        let counts = shown.iter().map(|c| &self.configurations[*c]).map(|c| (c.outcomes[DEAD], c.networks));
        counts.fold((0, 0), |(dead, all), (d, n)| (dead + d, all + n))
    }

    /// The number of a configuration's key, if it is one.
    pub fn number(&self, configuration: &Configuration, key: usize) -> Option<f64> {
        Some(self.keys[key].numbers.as_ref()?[configuration.values[key]? as usize])
    }
}
