//! The activation of a layer with its statistics, in every range: true values in the ordinary range, straight lines far
//! outside it, and derivatives with a power of two taken out where all of them lie in an exponential tail.

use pulp::Simd;

use super::kernels::{UnitStats, abs_max};
use super::moments::Accumulator;
use super::real::Real;
use super::tensor::{Tensor, power};
use crate::network::Activation;

/// log2 |phi'| below which an element counts as exactly zero.
pub const LOG2_DERIVATIVE_MIN: f64 = -1_048_576.0;

/// What one pass over u reports.
#[derive(Clone, Debug, Default)]
pub struct PhiStats<T> {
    /// Sum of phi' (stored values, at the exponent of the derivative tensor).
    pub sum: f64,
    pub saturated: u64,
    pub active: u64,
    pub dead_units: u64,
    /// Per unit, over samples.
    pub units: UnitStats<T>,
}

/// A straight-line stand-in for phi: slopes below and above zero, a constant, and whether the result keeps u's exponent.
struct Lines<T> {
    slopes: [T; 2],
    constant: [T; 2],
    keeps_exponent: bool,
}

/// h = phi(u) and phi'(u), [batch, columns]; moments of h into `acc` row by row, with `squares[b]` = |h_b|^2.
#[inline(always)]
pub fn activate<T: Real, S: Simd>(
    simd: S,
    activation: &Activation,
    u: &Tensor<T>,
    columns: usize,
    (h, phi_grad): (&mut Tensor<T>, &mut Tensor<T>),
    stats: &mut PhiStats<T>,
    (acc, squares): (&mut Accumulator, &mut Vec<f64>),
) {
    let facts = activation.facts();
    h.resize(u.data.len());
    phi_grad.resize(u.data.len());
    let lines = lines(activation, u);
    // Knees in the stored units of u.
    let knee = facts.knee.map(|k| T::from_f64(if k.is_infinite() { k } else { libm::scalbn(k, -u.exponent) }));
    let threshold = T::from_f64(0.01 * facts.sup_derivative);
    // Far outside and bounded: the true value, which may be infinite; the functions have limits there.
    let to_true = power::<T>(u.exponent.min(120));
    let mut true_u = vec![T::ZERO; if u.exponent != 0 && lines.is_none() { columns } else { 0 }];
    (stats.sum, stats.saturated, stats.active) = (0.0, 0, 0);
    squares.clear();
    let rows =
        u.data.chunks_exact(columns).zip(h.data.chunks_exact_mut(columns)).zip(phi_grad.data.chunks_exact_mut(columns));
    for ((u_row, h_row), d_row) in rows {
        match &lines {
            Some(lines) => line_row(lines, u_row, h_row, d_row),
            None if u.exponent == 0 => T::activate::<S>(activation, u_row, h_row, d_row),
            None => {
                for (t, v) in true_u.iter_mut().zip(u_row) {
                    *t = *v * to_true;
                }
                T::activate::<S>(activation, &true_u, h_row, d_row);
            }
        }
        squares.push(acc.row(simd, h_row).square);
        let part = T::phi(simd, u_row, d_row, threshold, knee);
        stats.sum += part.sum;
        stats.saturated += part.saturated;
        stats.active += part.active;
    }
    stats.units.fill(simd, &phi_grad.data, columns);
    h.exponent = if lines.is_some_and(|l| l.keeps_exponent) { u.exponent } else { 0 };
    h.abs_max = acc.abs_max();
    phi_grad.exponent = 0;
    phi_grad.abs_max = stats.units.max.iter().fold(0.0, |m: f64, v| m.max(v.to_f64()));
    let has_flat = facts.flat.iter().any(|f| f.is_finite());
    stats.dead_units = if has_flat { stats.units.max.iter().filter(|&&m| m == T::ZERO).count() as u64 } else { 0 };
    let (param, row) = (activation.param, activation.row());
    if phi_grad.abs_max < T::DERIVATIVE_FLOOR.exp2() {
        exponential_tail(u, |v| (row.derivative_parts)(v, param), phi_grad);
        stats.units.fill(simd, &phi_grad.data, columns);
        stats.sum = phi_grad.data.iter().map(|v| v.to_f64()).sum();
    }
    if h.exponent == 0
        && h.abs_max < T::DERIVATIVE_FLOOR.exp2()
        && let Some(parts) = row.value_parts
    {
        exponential_tail(u, |v| parts(v, param), h);
        acc.restart();
        squares.clear();
        squares.extend(h.data.chunks_exact(columns).map(|row| acc.row(simd, row).square));
    }
}

/// Lines for a tensor whose typical size is far below or above 1; `None` where phi is evaluated as it is.
fn lines<T: Real>(activation: &Activation, u: &Tensor<T>) -> Option<Lines<T>> {
    if u.exponent == 0 {
        return None;
    }
    let facts = activation.facts();
    if u.exponent < 0 {
        let slopes = facts.slopes_at_zero.map(T::from_f64);
        let constant = [T::from_f64(facts.at_zero); 2];
        let keeps_exponent = facts.at_zero == 0.0;
        return Some(Lines { slopes, constant, keeps_exponent });
    }
    let slopes = facts.far.map(|line| line.slope);
    // With every element on a flat side the outputs are the bounded limits: evaluate as it is.
    let grows = u.data.iter().any(|v| slopes[usize::from(*v > T::ZERO)] != 0.0 && *v != T::ZERO);
    grows.then(|| Lines {
        slopes: slopes.map(T::from_f64),
        constant: facts.far.map(|line| T::from_f64(libm::scalbn(line.intercept, -u.exponent))),
        keeps_exponent: true,
    })
}

#[inline(always)]
fn line_row<T: Real>(lines: &Lines<T>, u: &[T], h: &mut [T], d: &mut [T]) {
    for ((u, h), d) in u.iter().zip(h).zip(d) {
        let side = usize::from(*u > T::ZERO);
        *d = lines.slopes[side];
        *h = if lines.keeps_exponent { *d * *u + lines.constant[side] } else { lines.constant[side] };
    }
}

/// Values or derivatives of a layer that lies in an exponential tail altogether: factor e^-decay with the largest power
/// of two taken out. Elements below 2^-1048576 count as zero.
#[cold]
fn exponential_tail<T: Real>(u: &Tensor<T>, parts: impl Fn(f64) -> (f64, f64), out: &mut Tensor<T>) {
    let parts = |v: &T| {
        let (factor, decay) = parts(libm::scalbn(v.to_f64(), u.exponent));
        (factor, -decay * std::f64::consts::LOG2_E)
    };
    let log2 = |(factor, power): (f64, f64)| factor.abs().log2() + power;
    let largest = u.data.iter().map(|v| log2(parts(v))).filter(|v| !v.is_nan()).fold(f64::NEG_INFINITY, f64::max);
    if largest < LOG2_DERIVATIVE_MIN {
        out.data.fill(T::ZERO);
        out.abs_max = 0.0;
        return;
    }
    let exponent = largest.floor();
    for (v, d) in u.data.iter().zip(&mut out.data) {
        let (factor, power) = parts(v);
        // A factor of zero is a flat piece; the exponent of the rest stays within float64.
        *d = if factor == 0.0 { T::ZERO } else { T::from_f64(factor * (power - exponent).exp2()) };
    }
    out.exponent = exponent as i32;
    out.abs_max = abs_max(&out.data);
}
