//! What `networks.csv` says of a network as a whole: did it run, how its gradient changes over the depth, and the
//! verdict.

use std::f64::consts::LN_10;

use super::record::Scaled;
use crate::engine::NetworkResult;
use crate::network::NetworkSpec;

/// What became of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Ok,
    /// The loss or some delta is not finite: a measurement, not a failure.
    Diverged,
    /// The engine could not run it.
    Failed,
}

/// What the gradient does between the last hidden layer and the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    Vanishing,
    Exploding,
    Stable,
    /// Some delta is exactly zero.
    Dead,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Diverged => "diverged",
            Status::Failed => "failed",
        }
    }
}

impl Verdict {
    pub const ALL: [Verdict; 4] = [Verdict::Vanishing, Verdict::Exploding, Verdict::Stable, Verdict::Dead];
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Vanishing => "vanishing",
            Verdict::Exploding => "exploding",
            Verdict::Stable => "stable",
            Verdict::Dead => "dead",
        }
    }
}

/// The summary of a network; `None` is undefined, an empty cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub status: Status,
    pub loss: Option<f64>,
    pub log10_loss: Option<f64>,
    /// log10(|delta_1|^2 / |delta_L|^2).
    pub log10_grad_ratio_total: Option<f64>,
    /// Least-squares slope of log10 |delta_l| against L - l: negative = vanishing. Needs three layers.
    pub grad_decades_per_layer: Option<f64>,
    /// Coefficient of determination of that fit.
    pub grad_fit_r2: Option<f64>,
    /// 1 / (2 |slope| ln 10), in layers: comparable with xi_grad = 1/|ln chi_1|.
    pub depth_scale: Option<f64>,
    /// `None` where the network failed or diverged.
    pub verdict: Option<Verdict>,
    /// The depth at which |slope| (depth - 1) reaches the verdict's threshold.
    pub max_trainable_depth: Option<f64>,
}

/// Sums up a network. `decades`: |log10(|delta_1|/|delta_L|)| above this is vanishing or exploding.
pub fn summarise(spec: &NetworkSpec, result: &NetworkResult, decades: f64) -> Summary {
    let mut summary = Summary {
        status: Status::Ok,
        loss: result.loss.value(),
        log10_loss: result.loss.log10_abs(),
        log10_grad_ratio_total: None,
        grad_decades_per_layer: None,
        grad_fit_r2: None,
        depth_scale: None,
        verdict: None,
        max_trainable_depth: None,
    };
    if result.error.is_some() {
        return Summary { status: Status::Failed, loss: None, log10_loss: None, ..summary };
    }
    let deltas = &result.delta_squares;
    let (Some(first), Some(last)) = (deltas.first(), deltas.last()) else { return summary };
    summary.log10_grad_ratio_total = first.log10_ratio(*last);
    let loss_diverged = spec.loss.has_readout() && !result.loss.is_finite();
    if loss_diverged || deltas.iter().any(|d| !d.is_finite()) {
        summary.status = Status::Diverged;
        return summary;
    }
    if deltas.iter().any(|d| d.is_zero()) {
        summary.verdict = Some(Verdict::Dead);
        return summary;
    }
    summary.verdict = summary.log10_grad_ratio_total.map(|total| verdict(total, decades));
    if let Some(fit) = fit(deltas) {
        summary.grad_decades_per_layer = Some(fit.slope);
        summary.grad_fit_r2 = fit.r2;
        let steepness = fit.slope.abs();
        if steepness > 0.0 {
            summary.depth_scale = finite(1.0 / (2.0 * steepness * LN_10));
            summary.max_trainable_depth = finite(1.0 + decades / steepness);
        }
    }
    summary
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// `total` is the logarithm of squares, the threshold one of norms.
fn verdict(total: f64, decades: f64) -> Verdict {
    match 0.5 * total {
        norms if norms < -decades => Verdict::Vanishing,
        norms if norms > decades => Verdict::Exploding,
        _ => Verdict::Stable,
    }
}

struct Fit {
    slope: f64,
    r2: Option<f64>,
}

/// Least squares of log10 |delta_l| against L - l.
fn fit(delta_squares: &[Scaled]) -> Option<Fit> {
    if delta_squares.len() < 3 {
        return None;
    }
    let y: Vec<f64> = delta_squares.iter().rev().filter_map(|d| d.log10_abs()).map(|v| 0.5 * v).collect();
    let n = y.len() as f64;
    let (x_mean, y_mean) = (0.5 * (n - 1.0), y.iter().sum::<f64>() / n);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in y.iter().enumerate() {
        let (dx, dy) = (x as f64 - x_mean, y - y_mean);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    Some(Fit { slope: xy / xx, r2: (yy > 0.0).then(|| (xy * xy / (xx * yy)).min(1.0)) })
}
