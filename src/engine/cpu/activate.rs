//! The activation of a layer with its statistics, in every range: true values in the ordinary range, straight lines far
//! outside it, and values and derivatives of a sample with a power of two taken out where all of them lie in an
//! exponential tail.

use pulp::Simd;

use super::columns::plain_phi;
use super::kernels::{UnitStats, abs_max};
use super::moments::block_rows;
use super::real::Real;
use super::samples::Samples;
use super::tensor::{Tensor, exponent_for, log2_size, power, scale_in_place};
use crate::network::Activation;
use crate::network::activation::Parts;

/// log2 |phi'| below which a sample's slopes count as exactly zero in a network of this depth: the exponent of the
/// square of one such factor per layer fits into 32 bits.
pub fn log2_floor(depth: u32) -> f64 {
    -1e9 / (f64::from(depth) + 2.0)
}

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

/// How phi is evaluated for stored values of u that share an exponent.
struct Rule<'a, T> {
    activation: &'a Activation,
    exponent: i32,
    lines: Option<Lines<T>>,
    /// Factor to the true values, which may be infinite: far outside and bounded, the functions have limits there.
    to_true: T,
    /// Knees in the stored units of u.
    knee: [T; 2],
    threshold: T,
}

impl<'a, T: Real> Rule<'a, T> {
    fn new(activation: &'a Activation, u: &[T], exponent: i32) -> Self {
        let facts = activation.facts();
        let knee = facts.knee.map(|k| T::from_f64(if k.is_infinite() { k } else { libm::scalbn(k, -exponent) }));
        Rule {
            activation,
            exponent,
            lines: lines(activation, u, exponent),
            to_true: power::<T>(exponent.min(120)),
            knee,
            threshold: T::from_f64(0.01 * facts.sup_derivative),
        }
    }

    fn h_exponent(&self) -> i32 {
        if self.lines.as_ref().is_some_and(|l| l.keeps_exponent) { self.exponent } else { 0 }
    }

    /// (h, phi') of some values; `scratch` is for the true ones.
    #[inline(always)]
    fn evaluate<S: Simd>(&self, u: &[T], scratch: &mut Vec<T>, h: &mut [T], d: &mut [T]) {
        match &self.lines {
            Some(lines) => on_lines(lines, u, h, d),
            None if self.exponent == 0 => T::activate::<S>(self.activation, u, h, d),
            None => {
                scratch.clear();
                scratch.extend(u.iter().map(|v| *v * self.to_true));
                T::activate::<S>(self.activation, scratch, h, d);
            }
        }
    }
}

/// h = phi(u) and phi'(u), [batch, columns]; slopes of samples below 2^floor are zero; statistics of h into `samples`.
#[inline(always)]
pub fn activate<T: Real, S: Simd>(
    simd: S,
    (activation, floor): (&Activation, f64),
    u: &Tensor<T>,
    columns: usize,
    (h, phi_grad): (&mut Tensor<T>, &mut Tensor<T>),
    stats: &mut PhiStats<T>,
    samples: &mut Samples<T>,
) {
    let facts = activation.facts();
    h.resize(u.data.len());
    phi_grad.resize(u.data.len());
    (stats.sum, stats.saturated, stats.active) = (0.0, 0, 0);
    let has_flat = facts.flat.iter().any(|f| f.is_finite());
    // Rows that lie in a tail of phi' or of phi.
    let (mut faint, mut faint_h) = (Vec::new(), Vec::new());
    let small = T::DERIVATIVE_FLOOR.exp2();
    if u.rows.is_empty() {
        let rule = Rule::new(activation, &u.data, u.exponent);
        let has_tail = activation.row().value_parts.is_some() && rule.h_exponent() == 0;
        let square_bound = columns as f64 * small * small;
        stats.units.clear(columns);
        let mut scratch = Vec::new();
        let block = block_rows(columns) * columns;
        let blocks = u.data.chunks(block).zip(h.data.chunks_mut(block)).zip(phi_grad.data.chunks_mut(block));
        for ((u, h), d) in blocks {
            let first = samples.squares.len();
            rule.evaluate::<S>(u, &mut scratch, h, d);
            samples.rows(simd, h, columns);
            let part = T::phi(simd, (u, d), columns, rule.threshold, rule.knee, stats.units.sums());
            stats.sum += part.sum;
            stats.saturated += part.saturated;
            stats.active += part.active;
            // One look at the first element settles it for ordinary rows.
            let low = T::from_f64(small);
            for (b, d) in d.chunks_exact(columns).enumerate().filter(|(_, d)| !has_flat && d[0].magnitude() < low) {
                if abs_max(d) < small && d.iter().all(|v| v.to_f64().is_finite()) {
                    faint.push(first + b);
                }
            }
            for (b, h) in h.chunks_exact(columns).enumerate().filter(|_| has_tail) {
                if samples.squares[first + b] <= square_bound && abs_max(h) < small {
                    faint_h.push(first + b);
                }
            }
        }
        h.exponent = rule.h_exponent();
        phi_grad.exponent = 0;
        phi_grad.abs_max = stats.units.max.iter().fold(0.0, |m: f64, v| m.max(v.to_f64()));
        if !faint.is_empty() {
            tails(
                u,
                &faint,
                Tail { parts: activation.row().derivative_parts, param: activation.param, floor },
                columns,
                phi_grad,
            );
        }
        if !faint_h.is_empty()
            && let Some(parts) = activation.row().value_parts
        {
            tails(u, &faint_h, Tail { parts, param: activation.param, floor }, columns, h);
        }
    } else {
        separate_rows::<T, S>((activation, floor), u, columns, (h, phi_grad), stats);
    }
    if !faint.is_empty() || !u.rows.is_empty() {
        let mut buffer = Vec::new();
        let flat = phi_grad.flat(&mut buffer);
        stats.units.fill(simd, flat, columns);
        stats.sum = flat.iter().map(|v| v.to_f64()).sum();
    }
    if faint_h.is_empty() && u.rows.is_empty() {
        samples.reconcile(simd, h, columns);
    } else {
        samples.settle(simd, h, columns);
    }
    stats.dead_units = if has_flat { stats.units.max.iter().filter(|&&m| m == T::ZERO).count() as u64 } else { 0 };
}

/// [`activate`] without the statistics of h, where rows of u have exponents of their own.
#[cold]
fn separate_rows<T: Real, S: Simd>(
    (activation, floor): (&Activation, f64),
    u: &Tensor<T>,
    columns: usize,
    (h, phi_grad): (&mut Tensor<T>, &mut Tensor<T>),
    stats: &mut PhiStats<T>,
) {
    let small = T::DERIVATIVE_FLOOR.exp2();
    let table = activation.row();
    let (mut u_row, mut scratch) = (Vec::new(), Vec::new());
    (h.exponent, phi_grad.exponent) = (0, 0);
    for b in 0..u.rows.len() {
        let range = b * columns..(b + 1) * columns;
        u_row.clear();
        u_row.extend_from_slice(&u.data[range.clone()]);
        let total = u.exponent + u.row(b);
        let exponent = log2_size(abs_max(&u_row)).map_or(0, |k| exponent_for::<T>(total + k));
        scale_in_place(&mut u_row, total - exponent);
        let rule = Rule::new(activation, &u_row, exponent);
        let (h_row, d_row) = (&mut h.data[range.clone()], &mut phi_grad.data[range]);
        rule.evaluate::<S>(&u_row, &mut scratch, h_row, d_row);
        let part = plain_phi(&u_row, d_row, rule.threshold, rule.knee);
        stats.saturated += part.saturated;
        stats.active += part.active;
        let tail = |parts| Tail { parts, param: activation.param, floor };
        let faint = abs_max(d_row) < small;
        phi_grad.rows.push(if faint { tail(table.derivative_parts).take_out(&u_row, exponent, d_row) } else { 0 });
        h.rows.push(match table.value_parts {
            Some(parts) if rule.h_exponent() == 0 && abs_max(h_row) < small => {
                tail(parts).take_out(&u_row, exponent, h_row)
            }
            _ => rule.h_exponent(),
        });
    }
    phi_grad.settle(columns);
    phi_grad.abs_max = abs_max(&phi_grad.data);
    h.settle(columns);
}

/// Lines for values whose typical size is far below or above 1; `None` where phi is evaluated as it is.
fn lines<T: Real>(activation: &Activation, u: &[T], exponent: i32) -> Option<Lines<T>> {
    if exponent == 0 {
        return None;
    }
    let facts = activation.facts();
    if exponent < 0 {
        let slopes = facts.slopes_at_zero.map(T::from_f64);
        let constant = [T::from_f64(facts.at_zero); 2];
        let keeps_exponent = facts.at_zero == 0.0;
        return Some(Lines { slopes, constant, keeps_exponent });
    }
    let slopes = facts.far.map(|line| line.slope);
    // With every element on a flat side the outputs are the bounded limits: evaluate as it is.
    let grows = u.iter().any(|v| slopes[usize::from(*v > T::ZERO)] != 0.0 && *v != T::ZERO);
    grows.then(|| Lines {
        slopes: slopes.map(T::from_f64),
        constant: facts.far.map(|line| T::from_f64(libm::scalbn(line.intercept, -exponent))),
        keeps_exponent: true,
    })
}

#[inline(always)]
fn on_lines<T: Real>(lines: &Lines<T>, u: &[T], h: &mut [T], d: &mut [T]) {
    for ((u, h), d) in u.iter().zip(h).zip(d) {
        let side = usize::from(*u > T::ZERO);
        *d = lines.slopes[side];
        *h = if lines.keeps_exponent { *d * *u + lines.constant[side] } else { lines.constant[side] };
    }
}

/// Values or derivatives of the `faint` rows of a tensor of true values, each row with a power of two taken out.
#[cold]
fn tails<T: Real>(u: &Tensor<T>, faint: &[usize], tail: Tail, columns: usize, out: &mut Tensor<T>) {
    out.rows.resize(u.data.len() / columns, 0);
    for &b in faint {
        let range = b * columns..(b + 1) * columns;
        out.rows[b] = tail.take_out(&u.data[range.clone()], u.exponent, &mut out.data[range]);
    }
    out.settle(columns);
    out.abs_max = abs_max(&out.data);
}

/// The table's functions for an exponential tail.
#[derive(Clone, Copy)]
struct Tail {
    parts: Parts,
    param: f64,
    /// log2 below which a sample counts as zero.
    floor: f64,
}

impl Tail {
    /// Values or derivatives of a sample that lies in the tail altogether: factor e^-decay with the largest power of
    /// two taken out, which is returned.
    fn take_out<T: Real>(self, u: &[T], exponent: i32, out: &mut [T]) -> i32 {
        let parts = |v: &T| {
            let (factor, decay) = (self.parts)(libm::scalbn(v.to_f64(), exponent), self.param);
            (factor, -decay * std::f64::consts::LOG2_E)
        };
        let log2 = |(factor, power): (f64, f64)| factor.abs().log2() + power;
        let largest = u.iter().map(|v| log2(parts(v))).filter(|v| !v.is_nan()).fold(f64::NEG_INFINITY, f64::max);
        if largest < self.floor {
            out.iter_mut().filter(|d| !d.to_f64().is_nan()).for_each(|d| *d = T::ZERO);
            return 0;
        }
        let top = largest.floor();
        for (v, d) in u.iter().zip(out) {
            let (factor, power) = parts(v);
            // A factor of zero is a flat piece; the exponent of the rest stays within float64.
            *d = if factor == 0.0 { T::ZERO } else { T::from_f64(factor * (power - top).exp2()) };
        }
        top as i32
    }
}
