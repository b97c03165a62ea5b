//! Composite Gauss-Legendre quadrature in float64: smooth pieces between given break points, 20 nodes each. Written here
//! because a node table and a loop are all that is needed; it knows nothing of networks.

use std::f64::consts::PI;
use std::sync::LazyLock;

/// Nodes of one piece.
pub const NODES: usize = 20;

/// Nodes on (-1, 1) and weights of the Gauss-Legendre rule of order [`NODES`].
pub static LEGENDRE: LazyLock<[(f64, f64); NODES]> = LazyLock::new(|| {
    let n = NODES as f64;
    std::array::from_fn(|i| {
        // Newton's method from Tricomi's first guess; P_n and P_n' by the three-term recurrence.
        let mut x = libm::cos(PI * (i as f64 + 0.75) / (n + 0.5));
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut p0, mut p1) = (1.0, x);
            for k in 2..=NODES {
                let k = k as f64;
                (p0, p1) = (p1, ((2.0 * k - 1.0) * x * p1 - (k - 1.0) * p0) / k);
            }
            slope = n * (x * p1 - p0) / (x * x - 1.0);
            let step = p1 / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    })
});

/// Calls `visit(x, weight)` for the nodes of all pieces between neighbouring `breaks` (sorted).
pub fn visit_nodes(breaks: &[f64], mut visit: impl FnMut(f64, f64)) {
    for pair in breaks.windows(2) {
        let (middle, half) = (0.5 * (pair[0] + pair[1]), 0.5 * (pair[1] - pair[0]));
        if half > 0.0 {
            for &(node, weight) in LEGENDRE.iter() {
                visit(middle + half * node, half * weight);
            }
        }
    }
}

/// The integral of `f` over the pieces between `breaks` (sorted).
pub fn integrate(breaks: &[f64], mut f: impl FnMut(f64) -> f64) -> f64 {
    let mut sum = 0.0;
    visit_nodes(breaks, |x, weight| sum += weight * f(x));
    sum
}

/// Sorts break points, drops those outside `[low, high]` and adds both ends.
pub fn clip_breaks(mut breaks: Vec<f64>, low: f64, high: f64) -> Vec<f64> {
    breaks.retain(|&x| x > low && x < high);
    breaks.extend([low, high]);
    breaks.sort_by(f64::total_cmp);
    breaks.dedup();
    breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_degree_39_are_exact() {
        for k in 0..=39 {
            let got = integrate(&[-1.0, 1.0], |x| x.powi(k));
            let want = if k % 2 == 0 { 2.0 / f64::from(k + 1) } else { 0.0 };
            assert!((got - want).abs() < 1e-14, "x^{k}: {got}");
        }
    }

    #[test]
    fn break_points_at_kinks_keep_the_accuracy() {
        let got = integrate(&clip_breaks(vec![0.3, 5.0], -1.0, 2.0), |x| (x - 0.3).abs());
        assert!((got - (1.69 + 2.89) / 2.0).abs() < 1e-14);
    }
}
