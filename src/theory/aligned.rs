//! The backward pass of residual sums without norm, where the gradient is not independent of the activations: a skip keeps
//! what they share, and every branch adds to it. A readout points dLoss/dh_L along h_L, by output_size/width of its square,
//! and a gradient drawn at random has 1/width of its square in the mean over units, which is where activations with a mean
//! are. Both parts outgrow the rest, so that they matter at any width once the network is deep.
//!
//! Given u = W h + b, the weights are W = (u - b) h^T/|h|^2 + W' with W' h = 0, so W^T v is an isotropic vector of square
//! w |v|^2 and, beyond it, kappa h with kappa = (u - b).v/|h|^2. Units are independent and alike, so that kappa is an
//! expectation over Gaussians, and Stein's lemma gives it: with v = phi'(u) g, w E d(phi'(u) g)/du.

use super::expectation::Moments;
use crate::network::{InitKind, NetworkSpec, Residual};

/// What the forward pass has found; vectors over l start at l = 1 but for `square` and `mean`, which start at 0.
pub(super) struct Forward<'a> {
    pub weights: &'a [f64],
    /// Moments at the argument of phi, and its variance; `None` in a linear stem.
    pub arguments: &'a [Option<(Moments, f64)>],
    /// Mean square, and mean over units, of h_l.
    pub square: &'a [f64],
    pub mean: &'a [f64],
}

/// log10 |delta_l|^2 for l = 1..=L and log10 |dLoss/dx|^2, relative to |dLoss/dh_L|^2.
pub(super) type Backward = (Vec<f64>, f64);

/// Second moments per unit of g = dLoss/dh_l over seeds: an isotropic part of square `rest`, and the aligned one, a function
/// of the unit's activations (a sum of multiples of h_k, k >= l, and of the vector of ones) with random coefficients. Of
/// that: the coefficient C of a phi(u_k), the same for all k <= l, in units of 1/|h_l|, and the mean over units.
#[derive(Clone, Copy)]
struct Gradient {
    rest: f64,
    aligned: f64,
    coefficient: f64,
    crossed: f64,
    mean: f64,
}

/// W^T phi'(u) g: an isotropic part, and kappa h. Of kappa |h|: mean square, and products with C and with the mean of g.
struct Branch {
    rest: f64,
    square: f64,
    with_coefficient: f64,
    with_mean: f64,
}

/// Orthogonal weights keep |W^T v|^2: the isotropic part has what kappa h leaves.
fn keeps_length(spec: &NetworkSpec) -> bool {
    matches!(spec.init.kind, InitKind::Orthogonal)
}

/// The isotropic part of dLoss/dh_L per aligned part `share`.
fn rest_at_top(spec: &NetworkSpec, share: f64) -> f64 {
    if keeps_length(spec) { (1.0 - share).max(0.0) } else { 1.0 }
}

/// The even binary exponent of a size, by which squares are kept near 1.
fn exponent(size: f64) -> i32 {
    if size > 0.0 && size.is_finite() { libm::ilogb(size).div_euclid(2) * 2 } else { 0 }
}

/// h_l = h_{l-k} + a phi(u_l), with plain layers between. `share` is what dLoss/dh_L has along h_L beyond its part of an
/// isotropic vector.
pub(super) fn post_act(spec: &NetworkSpec, forward: &Forward, share: f64) -> Option<Backward> {
    let Forward { weights, arguments, square, mean } = forward;
    let (depth, n) = (weights.len(), f64::from(spec.width));
    let mut deltas = vec![0.0; depth];
    let at = |l: usize| mean[l] / square[l].sqrt();
    let mut g = Gradient {
        rest: rest_at_top(spec, share),
        aligned: share,
        coefficient: share,
        crossed: share * at(depth),
        mean: share * at(depth).powi(2),
    };
    let start = (g.rest + g.aligned).log10();
    let (mut taken, mut l) = (0.0, depth);
    while l > 0 {
        let skips = spec.layer_residual(l as u32) == Residual::PostAct;
        let (a, layers) = if skips { (spec.residual_scale, spec.residual_every as usize) } else { (1.0, 1) };
        let from = l.checked_sub(layers)?;
        let (m, q) = (*arguments)[l - 1].as_ref()?;
        let delta = g.through(m, a, square[l]);
        deltas[l - 1] = delta.log10() + taken;
        let mut branch = g.branch(m, *q, [a, weights[l - 1]], [square[l - 1], square[l]]);
        // The mean of the isotropic part, which the skip keeps too, turns the branch.
        let turn = a * weights[l - 1] * m.bend * (square[l - 1] / q).sqrt();
        branch.with_mean += turn * g.rest / n;
        branch.rest = weights[l - 1] * delta - if keeps_length(spec) { branch.square } else { 0.0 };
        for k in (from + 1..l).rev() {
            let (m, _) = (*arguments)[k - 1].as_ref()?;
            let delta = m.derivative_square * (branch.rest + branch.square * m.mixed_ratio);
            deltas[k - 1] = delta.log10() + taken;
            let slope = weights[k - 1] * m.square_slope * (square[k - 1] / square[k]).sqrt();
            branch.square *= slope * slope;
            branch.with_coefficient *= slope;
            branch.with_mean *= slope;
            branch.rest = weights[k - 1] * delta - if keeps_length(spec) { branch.square } else { 0.0 };
        }
        g = if skips { g.plus(&branch, at(from), square[from] / square[l]) } else { Gradient::of(&branch, at(from)) };
        taken += g.rescale();
        l = from;
    }
    let input = (g.rest + g.aligned).log10() + taken;
    Some((deltas.iter().map(|delta| delta - start).collect(), input - start))
}

impl Gradient {
    /// E (a phi'(u) g)^2 at h = rest of the sum + a phi(u), of mean square `square`.
    fn through(&self, m: &Moments, a: f64, square: f64) -> f64 {
        let root = square.sqrt();
        let value = a * m.mean / root;
        // E C (g less C a phi(u)), and the mean square of that.
        let others_mean = self.crossed - value * self.coefficient;
        let others = self.aligned - a * a * m.square / square * self.coefficient - 2.0 * value * others_mean;
        let own = a * a * m.mixed_ratio * m.square * m.derivative_square / square * self.coefficient;
        let both = 2.0 * a * m.derivative_value / root * others_mean;
        a * a * (m.derivative_square * (self.rest + others) + own + both)
    }

    /// The aligned part of W^T a phi'(u) g with u of variance q, from h of `squares[0]` to h of `squares[1]`.
    fn branch(&self, m: &Moments, q: f64, [a, w]: [f64; 2], squares: [f64; 2]) -> Branch {
        // E phi'' over |u|, and E (phi phi')' less what the mean has of it.
        let bend = m.bend / q.sqrt();
        let from_coefficient = a * a * w * (m.square_slope - bend * m.mean) * (squares[0] / squares[1]).sqrt();
        let from_mean = a * w * bend * squares[0].sqrt();
        let with_coefficient = from_coefficient * self.coefficient + from_mean * self.crossed;
        let with_mean = from_coefficient * self.crossed + from_mean * self.mean;
        let square = from_coefficient * with_coefficient + from_mean * with_mean;
        Branch { rest: 0.0, square, with_coefficient, with_mean }
    }

    /// The sum of skip and branch, at h of mean over root mean square `mean` and of `shrink` times the mean square.
    fn plus(&self, branch: &Branch, mean: f64, shrink: f64) -> Gradient {
        let Branch { rest, square, with_mean, .. } = *branch;
        let with_coefficient = branch.with_coefficient * shrink.sqrt();
        Gradient {
            rest: self.rest + rest,
            aligned: self.aligned + 2.0 * (with_coefficient * (1.0 - mean * mean) + with_mean * mean) + square,
            coefficient: self.coefficient * shrink + 2.0 * with_coefficient + square,
            crossed: self.crossed * shrink.sqrt() + with_mean + mean * (with_coefficient + square),
            mean: self.mean + 2.0 * mean * with_mean + mean * mean * square,
        }
    }

    fn of(branch: &Branch, mean: f64) -> Gradient {
        let Branch { rest, square, .. } = *branch;
        Gradient { rest, aligned: square, coefficient: square, crossed: mean * square, mean: mean * mean * square }
    }

    /// Takes a power of two out, and returns its log10.
    fn rescale(&mut self) -> f64 {
        let exponent = exponent(self.rest + self.aligned);
        let factor = libm::exp2(-f64::from(exponent));
        for part in
            [&mut self.rest, &mut self.aligned, &mut self.coefficient, &mut self.crossed, &mut self.mean].into_iter()
        {
            *part *= factor;
        }
        f64::from(exponent) * std::f64::consts::LOG10_2
    }
}

/// h_l = h_{l-1} + a (W_l phi(h_{l-1}) + b_l): the aligned part of dLoss/dh_l is c h_L + a sum over k >= l of
/// kappa_{k+1} (phi phi')(h_k), and kappa_l = a w d(c |h_L|^2 ..)/d|h_l|^2, the product of the slopes of the squares.
pub(super) fn pre_act(spec: &NetworkSpec, forward: &Forward, share: f64) -> Option<Backward> {
    let Forward { weights, arguments, square, .. } = forward;
    let (depth, a) = (weights.len(), spec.residual_scale);
    let mut deltas = vec![0.0; depth];
    let (mut rest, mut aligned) = (rest_at_top(spec, share), share);
    let start = (rest + aligned).log10();
    // Coefficients in units of 1/|h_l|: of h_L; of the Hermite polynomials of degree 0, 1 and of the others in the sum
    // over k, the others taken to be of degree 2; and kappa's.
    let mut top = share.sqrt();
    let mut degrees = [0.0; 3];
    let mut slope = top;
    let mut taken = 0.0;
    for l in (1..=depth).rev() {
        let w = weights[l - 1];
        let whole = rest + aligned;
        let Some((m, _)) = &(*arguments)[l - 1] else {
            deltas[l - 1] = whole.log10() + taken;
            (rest, aligned) = (w * whole, 0.0);
            continue;
        };
        deltas[l - 1] = (a * a * whole).log10() + taken;
        let shrink = (square[l - 1] / square[l]).sqrt();
        top *= shrink;
        slope *= shrink;
        degrees[1] *= shrink;
        degrees[2] *= shrink * shrink;
        let q = square[l - 1];
        let kappa = a * w * slope;
        // (phi phi')(h) by degree, over |h|.
        let fourth = m.mixed_ratio * m.square * m.derivative_square / q;
        let [constant, line] = [m.value_slope / q.sqrt(), m.square_slope];
        let others = (fourth - constant * constant - line * line).max(0.0).sqrt();
        let parts = [constant, line, others];
        let sum: f64 = degrees.iter().zip(parts).map(|(degree, part)| degree * part).sum();
        let along = kappa * (top * line + a * sum);
        let kept = if keeps_length(spec) { kappa * kappa * m.square / q } else { 0.0 };
        rest += a * a * m.derivative_square * (w * whole - kept);
        aligned += 2.0 * a * along + a * a * kappa * kappa * fourth;
        degrees.iter_mut().zip(parts).for_each(|(degree, part)| *degree += kappa * part);
        slope *= 1.0 + a * a * w * line;
        let exponent = exponent(rest + aligned);
        let [factor, root] = [exponent, exponent / 2].map(|e| libm::exp2(-f64::from(e)));
        rest *= factor;
        aligned *= factor;
        top *= root;
        slope *= root;
        degrees.iter_mut().for_each(|degree| *degree *= root);
        taken += f64::from(exponent) * std::f64::consts::LOG10_2;
    }
    let input = (rest + aligned).log10() + taken;
    Some((deltas.iter().map(|delta| delta - start).collect(), input - start))
}
