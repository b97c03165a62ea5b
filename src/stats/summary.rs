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

/// Columns of `networks.csv` after the ids and keys: name, unit, definition.
pub const COLUMNS: [(&str, &str, &str); 10] = [
    ("status", "word", "`ok`; `diverged`: the loss or some delta is not finite; `failed`: the engine could not run it"),
    ("error", "text", "why it failed"),
    ("loss", "value", "the loss at initialisation; empty for cotangents and outside float64"),
    ("log10_loss", "log10", "log10 of the loss, at any size; empty for exact zero"),
    ("log10_grad_ratio_total", "log10", "log10(|delta_1|^2 / |delta_L|^2): negative where the gradient vanishes"),
    (
        "grad_decades_per_layer",
        "log10",
        "least-squares slope of log10 |delta_l| against L - l: negative = vanishing; empty below 3 layers",
    ),
    ("grad_fit_r2", "fraction", "coefficient of determination of that fit"),
    ("depth_scale", "layers", "1 / (2 |grad_decades_per_layer| ln 10): comparable with xi_grad = 1 / |ln chi_1|"),
    (
        "verdict",
        "word",
        "`vanishing` or `exploding` where |log10(|delta_1| / |delta_L|)| is above the verdict's threshold, else `stable`; `dead` where some delta is exactly 0; empty unless the status is `ok`",
    ),
    (
        "max_trainable_depth",
        "layers",
        "1 + threshold / |grad_decades_per_layer|: the depth at which the fitted slope reaches the verdict's threshold",
    ),
];

/// Sums up a network. `decades`: |log10(|delta_1|/|delta_L|)| above this is vanishing or exploding.
pub fn summarise(spec: &NetworkSpec, result: &NetworkResult, decades: f64) -> Summary {
    let loss = if spec.loss.has_readout() { result.loss } else { Scaled::ABSENT };
    let mut summary = Summary {
        status: Status::Ok,
        loss: loss.value(),
        log10_loss: loss.log10_abs(),
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
    let loss_diverged = spec.loss.has_readout() && !loss.is_finite();
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

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::spec;
    use super::*;
    use crate::network::Loss;

    fn result(deltas: impl IntoIterator<Item = Scaled>) -> NetworkResult {
        NetworkResult {
            slot: 0,
            rows: Vec::new(),
            delta_squares: deltas.into_iter().collect(),
            loss: Scaled::from(0.5),
            error: None,
        }
    }

    /// |delta_l| = 2^(octaves (depth - l)), exactly.
    fn geometric(depth: i32, octaves: i32) -> NetworkResult {
        result((1..=depth).map(|l| Scaled::new(1.0, 2 * octaves * (depth - l))))
    }

    fn close(found: Option<f64>, right: f64) {
        let found = found.expect("it is defined");
        assert!((found - right).abs() <= 1e-12 * right.abs().max(1.0), "{found} is not {right}");
    }

    #[test]
    fn a_geometric_decay_gives_its_rate_back_at_any_size() {
        let log2 = 2f64.log10();
        // 2^-400 per layer is far outside float64 from layer 3 on.
        for octaves in [-400, -3, -1, 2, 700] {
            for depth in [3, 10, 200] {
                let summary = summarise(&spec(), &geometric(depth, octaves), 2.0);
                let slope = f64::from(octaves) * log2;
                close(summary.grad_decades_per_layer, slope);
                close(summary.grad_fit_r2, 1.0);
                close(summary.log10_grad_ratio_total, 2.0 * slope * f64::from(depth - 1));
                close(summary.depth_scale, 1.0 / (2.0 * slope.abs() * LN_10));
                // chi_1 of this decay is 4^octaves, so the scale is xi_grad.
                close(summary.depth_scale, 1.0 / (f64::from(octaves) * 4f64.ln()).abs());
                close(summary.max_trainable_depth, 1.0 + 2.0 / slope.abs());
                assert_eq!(summary.status, Status::Ok);
            }
        }
    }

    #[test]
    fn the_verdict_compares_norms_with_the_threshold() {
        let verdict =
            |depth, octaves, decades| summarise(&spec(), &geometric(depth, octaves), decades).verdict.unwrap();
        // Seven layers of a factor 2 are 6 log10 2 = 1.81 decades, eight are 2.11.
        assert_eq!(verdict(7, -1, 2.0), Verdict::Stable);
        assert_eq!(verdict(8, -1, 2.0), Verdict::Vanishing);
        assert_eq!(verdict(7, 1, 2.0), Verdict::Stable);
        assert_eq!(verdict(8, 1, 2.0), Verdict::Exploding);
        assert_eq!(verdict(7, -1, 1.5), Verdict::Vanishing);
        assert_eq!(verdict(1, -1, 2.0), Verdict::Stable);
    }

    #[test]
    fn the_depth_limit_is_where_the_verdict_turns() {
        let summary = summarise(&spec(), &geometric(20, -1), 2.0);
        let limit = summary.max_trainable_depth.unwrap();
        let verdict = |depth: f64| summarise(&spec(), &geometric(depth as i32, -1), 2.0).verdict;
        assert_eq!(verdict(limit.floor()), Some(Verdict::Stable));
        assert_eq!(verdict(limit.ceil()), Some(Verdict::Vanishing));
    }

    #[test]
    fn the_fit_is_least_squares() {
        // log10 |delta| at L - l = 0, 1, 2, 3.
        let y = [0.0, 1.0, 1.0, 3.0_f64];
        let squares = y.iter().rev().map(|v| Scaled::from(10f64.powf(2.0 * v)));
        let summary = summarise(&spec(), &result(squares), 2.0);
        // Slope sum(dx dy) / sum(dx^2) = 4.5 / 5; r^2 = 4.5^2 / (5 * 4.75).
        close(summary.grad_decades_per_layer, 0.9);
        close(summary.grad_fit_r2, 20.25 / 23.75);
        close(summary.log10_grad_ratio_total, 6.0);
    }

    #[test]
    fn what_is_undefined_is_absent() {
        let two = summarise(&spec(), &geometric(2, -1), 2.0);
        assert_eq!((two.grad_decades_per_layer, two.depth_scale, two.max_trainable_depth), (None, None, None));
        close(two.log10_grad_ratio_total, -2.0 * 2f64.log10());
        let level = summarise(&spec(), &geometric(5, 0), 2.0);
        assert_eq!((level.grad_decades_per_layer, level.grad_fit_r2), (Some(0.0), None));
        assert_eq!((level.depth_scale, level.max_trainable_depth), (None, None));
        assert_eq!(level.verdict, Some(Verdict::Stable));
    }

    #[test]
    fn a_zero_gradient_anywhere_is_dead() {
        for at in 0..4 {
            let mut network = geometric(4, -1);
            network.delta_squares[at] = Scaled::new(0.0, -300);
            let summary = summarise(&spec(), &network, 2.0);
            assert_eq!((summary.status, summary.verdict), (Status::Ok, Some(Verdict::Dead)));
            assert_eq!(summary.grad_decades_per_layer, None);
            assert_eq!(summary.log10_grad_ratio_total.is_some(), at == 1 || at == 2);
        }
    }

    #[test]
    fn non_finite_numbers_are_divergence_and_errors_are_failures() {
        for bad in [Scaled::from(f64::INFINITY), Scaled::ABSENT] {
            let mut network = geometric(4, -1);
            network.delta_squares[1] = bad;
            let summary = summarise(&spec(), &network, 2.0);
            assert_eq!((summary.status, summary.verdict, summary.grad_fit_r2), (Status::Diverged, None, None));
            let network = NetworkResult { loss: bad, ..geometric(4, -1) };
            let summary = summarise(&spec(), &network, 2.0);
            assert_eq!((summary.status, summary.loss, summary.log10_loss), (Status::Diverged, None, None));
            let cotangent = NetworkSpec { loss: Loss::Cotangent, ..spec() };
            let summary = summarise(&cotangent, &network, 2.0);
            assert_eq!((summary.status, summary.loss), (Status::Ok, None), "there is no loss to diverge");
        }
        let network = NetworkResult { error: Some("out of memory".into()), ..geometric(4, -1) };
        let summary = summarise(&spec(), &network, 2.0);
        let nothing = (Status::Failed, None, None, None);
        assert_eq!((summary.status, summary.loss, summary.verdict, summary.log10_grad_ratio_total), nothing);
    }

    #[test]
    fn a_loss_outside_float64_keeps_its_logarithm() {
        let network = NetworkResult { loss: Scaled::new(0.5, 5001), ..geometric(3, 0) };
        let summary = summarise(&spec(), &network, 2.0);
        assert_eq!((summary.status, summary.loss), (Status::Ok, None));
        close(summary.log10_loss, 5000.0 * 2f64.log10());
        let zero = summarise(&spec(), &NetworkResult { loss: Scaled::ZERO, ..network }, 2.0);
        assert_eq!((zero.loss, zero.log10_loss), (Some(0.0), None));
    }
}
