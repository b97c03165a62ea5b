//! What tables say of predictions: one row per column of `theory.csv`, and per predicted column of `networks.csv`, with
//! its unit, its definition and the networks that can have it.

use super::mean_field::{MeanField, Phase};
use super::predict::{Known, Prediction, predict};
use crate::network::NetworkSpec;

/// A column of `theory.csv`.
pub struct LayerColumn {
    pub name: &'static str,
    pub unit: &'static str,
    /// Which rows can have it, in words.
    pub rows: &'static str,
    pub doc: &'static str,
    /// Whether networks of which this is known can fill it.
    pub exists: fn(&Known) -> bool,
    value: fn(&Prediction, usize) -> Option<f64>,
}

impl LayerColumn {
    /// The cell in row `layer`; `None` where no theory is known.
    pub fn value(&self, prediction: &Prediction, layer: u32) -> Option<f64> {
        (self.value)(prediction, layer as usize).filter(|v| v.is_finite())
    }
}

/// Element `layer` of values that start at layer 1.
fn from_first(values: &[f64], layer: usize) -> Option<f64> {
    values.get(layer.checked_sub(1)?).copied()
}

/// The predicted columns of `theory.csv`, in the order of the file.
pub static LAYER_COLUMNS: [LayerColumn; 6] = [
    LayerColumn {
        name: "predicted_preact_rms",
        unit: "value",
        rows: "hidden, readout",
        doc: "root mean square of z_l: the square root of q_l, from the mean square of the actual input",
        exists: |known| known.moments,
        value: |p, layer| from_first(&p.preact_rms, layer),
    },
    LayerColumn {
        name: "predicted_act_rms",
        unit: "value",
        rows: "input, hidden",
        doc: "root mean square of h_l",
        exists: |known| known.moments,
        value: |p, layer| p.act_rms.get(layer).copied(),
    },
    LayerColumn {
        name: "predicted_preact_cos",
        unit: "cosine",
        rows: "hidden, readout",
        doc: "cosine of z_l between two samples (within the pairs of `correlated_pairs`; the mean over all pairs of \
              `digits`): the correlation map, layer by layer",
        exists: |known| known.cosine,
        value: |p, layer| from_first(&p.preact_cos, layer),
    },
    LayerColumn {
        name: "predicted_log10_grad_ratio",
        unit: "log10",
        rows: "hidden with a next hidden layer",
        doc: "log10(|delta_l|^2 / |delta_{l+1}|^2), the logarithm of the mean over seeds: log10 chi(q_l) in plain \
              networks, and what the gradient's alignment with the activations adds",
        exists: |known| known.ratios,
        value: |p, layer| from_first(&p.log10_grad_ratios, layer),
    },
    LayerColumn {
        name: "predicted_log10_grad_to_last",
        unit: "log10",
        rows: "hidden",
        doc: "log10(|delta_l|^2 / |delta_L|^2), the logarithm of the mean over seeds: 0 in row L",
        exists: |known| known.moments,
        value: |p, layer| from_first(&p.log10_grad_to_last, layer),
    },
    LayerColumn {
        name: "predicted_finite_width_shift",
        unit: "log10",
        rows: "hidden, in plain networks",
        doc: "what to add to predicted_log10_grad_to_last for the mean of the logarithm over seeds, to first order in \
              depth / width: for a single sample of a homogeneous activation minus half the variance (Hanin 2018); empty \
              where the first order says little",
        exists: |known| known.width,
        value: |p, layer| from_first(&p.finite_width_shifts, layer),
    },
];

/// What `networks.csv` says of the theory of one configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkTheory {
    pub mean_field: Option<MeanField>,
    pub log10_grad_ratio_total: Option<f64>,
    pub finite_width_shift: Option<f64>,
    pub seed_scatter: Option<f64>,
}

impl NetworkTheory {
    pub fn of(spec: &NetworkSpec) -> Self {
        NetworkTheory::from(&predict(spec))
    }

    /// A measured log10 |delta_1|^2/|delta_L|^2 less the prediction for its mean, in standard deviations over seeds.
    fn deviation(&self, measured: Option<f64>) -> Option<f64> {
        Some((measured? - self.log10_grad_ratio_total? - self.finite_width_shift?) / self.seed_scatter?)
    }
}

impl From<&Prediction> for NetworkTheory {
    fn from(prediction: &Prediction) -> Self {
        NetworkTheory {
            mean_field: prediction.mean_field,
            log10_grad_ratio_total: prediction.log10_grad_ratio_total,
            finite_width_shift: prediction.finite_width_shift,
            seed_scatter: prediction.seed_scatter,
        }
    }
}

/// A cell of a [`NetworkColumn`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TheoryCell {
    Number(Option<f64>),
    Phase(Option<Phase>),
}

/// A predicted column of `networks.csv`.
pub struct NetworkColumn {
    pub name: &'static str,
    pub unit: &'static str,
    pub doc: &'static str,
    /// Whether networks of which this is known can fill it.
    pub exists: fn(&Known) -> bool,
    /// It compares with a measurement, so that there is none before the run.
    pub compares: bool,
    value: fn(&NetworkTheory, Option<f64>) -> TheoryCell,
}

impl NetworkColumn {
    /// The cell of a network whose log10 |delta_1|^2/|delta_L|^2 was measured.
    pub fn value(&self, theory: &NetworkTheory, measured: Option<f64>) -> TheoryCell {
        match (self.value)(theory, measured) {
            TheoryCell::Number(value) => TheoryCell::Number(value.filter(|v| v.is_finite())),
            phase => phase,
        }
    }
}

macro_rules! of_field {
    ($name:literal, $field:ident, $unit:literal, $doc:literal) => {
        NetworkColumn {
            name: $name,
            unit: $unit,
            doc: $doc,
            exists: |known| known.mean_field,
            compares: false,
            value: |theory, _| TheoryCell::Number(theory.mean_field.and_then(|field| field.$field)),
        }
    };
}

/// The predicted columns of `networks.csv`, in the order of the file.
pub static NETWORK_COLUMNS: [NetworkColumn; 11] = [
    of_field!(
        "q_star",
        q_star,
        "value",
        "plain networks: fixed point q* of the variance of z (Poole et al. 2016); empty where it diverges"
    ),
    of_field!(
        "chi_1",
        chi_1,
        "ratio",
        "plain networks: sigma_w^2 E phi'^2 at q*, the factor of |delta|^2 per layer deep in the network (Schoenholz et \
         al. 2017)"
    ),
    of_field!(
        "c_star",
        c_star,
        "cosine",
        "plain networks: fixed point c* of the cosine between two samples; 1 unless the phase is chaotic"
    ),
    of_field!("xi_q", xi_q, "layers", "plain networks: depth over which q approaches q*; empty where infinite"),
    of_field!(
        "xi_c",
        xi_c,
        "layers",
        "plain networks: depth over which the cosine approaches c*; empty where infinite"
    ),
    of_field!("xi_grad", xi_grad, "layers", "plain networks: 1 / |ln chi_1|; empty where infinite"),
    NetworkColumn {
        name: "phase",
        unit: "word",
        doc: "plain networks: `ordered` (chi_1 < 1), `chaotic` (chi_1 > 1) or `critical`",
        exists: |known| known.mean_field,
        compares: false,
        value: |theory, _| TheoryCell::Phase(theory.mean_field.and_then(|field| field.phase)),
    },
    NetworkColumn {
        name: "predicted_log10_grad_ratio_total",
        unit: "log10",
        doc: "log10(|delta_1|^2 / |delta_L|^2) as theory predicts it: the logarithm of the mean over seeds; \
              empty where width is too small for it (`theory.csv` below says where)",
        exists: |known| known.moments,
        compares: false,
        value: |theory, _| TheoryCell::Number(theory.log10_grad_ratio_total),
    },
    NetworkColumn {
        name: "predicted_finite_width_shift",
        unit: "log10",
        doc: "what to add to it for the mean of the logarithm over seeds, to first order in depth / width (Hanin 2018); \
              empty where samples are not alike, where the target depends on the input, or where the first order says \
              little (GELU, SiLU and softplus with he_normal, in deep networks; gaussian inputs of a few features)",
        exists: |known| known.width,
        compares: false,
        value: |theory, _| TheoryCell::Number(theory.finite_width_shift),
    },
    NetworkColumn {
        name: "predicted_seed_scatter",
        unit: "log10",
        doc: "standard deviation of log10_grad_ratio_total that theory expects between seeds, to first order in depth / \
              width: of a single sample in networks of ReLU without a loss sqrt(5 (L-1) / width) / ln 10 (Hanin 2018); empty \
              where predicted_finite_width_shift is",
        exists: |known| known.width,
        compares: false,
        value: |theory, _| TheoryCell::Number(theory.seed_scatter),
    },
    NetworkColumn {
        name: "grad_ratio_deviation",
        unit: "ratio",
        doc: "(log10_grad_ratio_total - predicted_log10_grad_ratio_total - predicted_finite_width_shift) / \
              predicted_seed_scatter: measured less predicted, in units of the scatter expected between seeds",
        exists: |known| known.width,
        compares: true,
        value: |theory, measured| TheoryCell::Number(theory.deviation(measured)),
    },
];
