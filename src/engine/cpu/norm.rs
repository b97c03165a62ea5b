//! Batch, layer and rms normalisation, forward and full backward (through mean and variance), at any exponent: with
//! z = z' 2^e the root is taken of var' + eps 2^-2e.

use super::kernels::{abs_max, column_sums};
use super::real::Real;
use super::tensor::{Tensor, exponent_for, power};
use crate::network::Norm;

/// What the backward pass needs besides u itself.
#[derive(Clone, Debug, Default)]
pub struct NormState<T> {
    /// u' = (z' - mean') * inverse[k], k the unit (batch) or the sample (layer, rms).
    pub inverse: Vec<T>,
    mean: Vec<T>,
    /// The true 1/sqrt(var + eps) is inverse * 2^(exponent + rows[b]), `rows` empty as in a [`Tensor`].
    pub exponent: i32,
    rows: Vec<i32>,
    scratch: Vec<T>,
    sums: Vec<f64>,
    products: Vec<f64>,
    bounds: Vec<[T; 2]>,
}

/// A mean lies between the smallest and the largest of its numbers; where rounding leaves that range a constant group would
/// have a direction. NaN stays.
#[inline(always)]
pub fn bounded_mean<T: Real>(mean: f64, [least, most]: [T; 2]) -> T {
    let mean = T::from_f64(mean);
    match mean {
        m if m < least => least,
        m if m > most => most,
        m => m,
    }
}

/// The range from the smallest to the largest number, where it has ordinary ones.
#[inline(always)]
fn widened<T: Real>([least, most]: [T; 2], v: T) -> [T; 2] {
    [if v < least { v } else { least }, if v > most { v } else { most }]
}

#[inline(always)]
fn bounds<T: Real>(values: &[T]) -> [T; 2] {
    values.iter().fold([T::INFINITY, -T::INFINITY], |range, &v| widened(range, v))
}

/// Means over the rows of each column, [columns].
#[inline(always)]
pub fn column_means<T: Real>(
    data: &[T],
    columns: usize,
    scratch: &mut Vec<T>,
    (sums, ranges): (&mut Vec<f64>, &mut Vec<[T; 2]>),
    means: &mut Vec<T>,
) {
    let rows = (data.len() / columns) as f64;
    column_sums(data, columns, scratch, sums);
    ranges.clear();
    ranges.resize(columns, [T::INFINITY, -T::INFINITY]);
    for row in data.chunks_exact(columns) {
        for (range, &v) in ranges.iter_mut().zip(row) {
            *range = widened(*range, v);
        }
    }
    means.clear();
    means.extend(sums.iter().zip(ranges.iter()).map(|(s, &range)| bounded_mean(s / rows, range)));
}

/// What a norm takes its means over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// The samples of a unit.
    Unit,
    /// The units of a sample; without the mean if not `centred`.
    Sample { centred: bool },
}

impl Group {
    fn of(norm: Norm) -> Group {
        match norm {
            Norm::Batch => Group::Unit,
            Norm::Layer => Group::Sample { centred: true },
            Norm::Rms => Group::Sample { centred: false },
            Norm::None => unreachable!("a program has a norm op only where its key has a norm"),
        }
    }
}

/// u = norm(z), [batch, columns].
#[inline(always)]
pub fn forward<T: Real>(
    norm: Norm,
    eps: f64,
    z: &Tensor<T>,
    columns: usize,
    u: &mut Tensor<T>,
    state: &mut NormState<T>,
) {
    state.rows.clear();
    if z.rows.is_empty() {
        forward_flat(Group::of(norm), eps, z, columns, u, state);
    } else {
        forward_rows(Group::of(norm), eps, z, columns, u, state);
    }
}

/// [`forward`] where samples have exponents of their own: they meet under batch norm, and are apart otherwise.
#[cold]
fn forward_rows<T: Real>(
    group: Group,
    eps: f64,
    z: &Tensor<T>,
    columns: usize,
    u: &mut Tensor<T>,
    state: &mut NormState<T>,
) {
    if group == Group::Unit {
        let mut z = z.clone();
        z.flatten();
        return forward_flat(group, eps, &z, columns, u, state);
    }
    u.resize(z.data.len());
    u.exponent = 0;
    let (mut sample, mut part, mut own) = (Tensor::default(), Tensor::default(), NormState::default());
    state.inverse.clear();
    state.exponent = 0;
    for (b, row) in z.data.chunks_exact(columns).enumerate() {
        sample.data.clear();
        sample.data.extend_from_slice(row);
        sample.exponent = z.exponent + z.row(b);
        forward_flat(group, eps, &sample, columns, &mut part, &mut own);
        u.data[b * columns..(b + 1) * columns].copy_from_slice(&part.data);
        u.rows.push(part.exponent);
        state.inverse.extend_from_slice(&own.inverse);
        state.rows.push(own.exponent);
    }
    u.settle(columns);
    u.abs_max = abs_max(&u.data);
    // In units of the settled rows: u' = (z' - mean') inverse.
    let sized = |b: usize| abs_max(&u.data[b * columns..(b + 1) * columns]) > 0.0;
    for b in (0..state.rows.len()).filter(|&b| sized(b)) {
        let shift = u.exponent + u.row(b) - (z.exponent + z.row(b)) - state.rows[b];
        state.inverse[b] *= power::<T>(-shift);
        state.rows[b] += shift;
    }
}

#[inline(always)]
fn forward_flat<T: Real>(
    group: Group,
    eps: f64,
    z: &Tensor<T>,
    columns: usize,
    u: &mut Tensor<T>,
    state: &mut NormState<T>,
) {
    let rows = z.data.len() / columns;
    u.resize(z.data.len());
    let per_unit = group == Group::Unit;
    let groups = if per_unit { columns } else { rows };
    let mut variance = vec![0.0; groups];
    if per_unit {
        let lists = (&mut state.sums, &mut state.bounds);
        column_means(&z.data, columns, &mut state.scratch, lists, &mut state.mean);
        // Deviations go to u, their squares are summed from there. The rounding of the mean is taken out below.
        let (mut square, mut sum) = (vec![0.0; columns], vec![0.0; columns]);
        for (z, u) in z.data.chunks_exact(columns).zip(u.data.chunks_exact_mut(columns)) {
            for j in 0..columns {
                u[j] = z[j] - state.mean[j];
                let d = u[j].to_f64();
                sum[j] += d;
                square[j] += d * d;
            }
        }
        for j in 0..columns {
            let rest = sum[j] / rows as f64;
            variance[j] = (square[j] / rows as f64 - rest * rest).max(0.0);
        }
    } else {
        state.mean.clear();
        state.mean.resize(groups, T::ZERO);
        for (b, (z, u)) in z.data.chunks_exact(columns).zip(u.data.chunks_exact_mut(columns)).enumerate() {
            if group == (Group::Sample { centred: true }) {
                let sum: f64 = z.iter().map(|v| v.to_f64()).sum();
                state.mean[b] = bounded_mean(sum / columns as f64, bounds(z));
            }
            let mut square = 0.0;
            for (u, z) in u.iter_mut().zip(z) {
                *u = *z - state.mean[b];
                square += u.to_f64() * u.to_f64();
            }
            variance[b] = square / columns as f64;
        }
    }
    // eps in the stored units of z; beyond float64 the variance is negligible.
    let eps_stored = if z.exponent < -450 { f64::INFINITY } else { libm::scalbn(eps, (-2 * z.exponent).max(-2000)) };
    let inverse_of = |v: f64| if eps_stored.is_infinite() { 1.0 / eps.sqrt() } else { 1.0 / (v + eps_stored).sqrt() };
    let inverses: Vec<f64> = variance.iter().map(|&v| inverse_of(v)).collect();
    // With eps = 0 a constant group has no direction: its u is 0 / 0, which stays visible as a non-finite value.
    let largest = inverses.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let deviation = abs_max(&u.data);
    let size = largest * deviation;
    u.exponent = if eps_stored.is_infinite() {
        z.exponent
    } else if size > 0.0 {
        exponent_for::<T>(libm::ilogb(size))
    } else {
        0
    };
    let shift = if eps_stored.is_infinite() { 0 } else { -u.exponent };
    state.inverse.clear();
    state.inverse.extend(inverses.iter().map(|&v| T::from_f64(libm::scalbn(v, shift))));
    state.exponent = u.exponent - z.exponent;
    for (b, row) in u.data.chunks_exact_mut(columns).enumerate() {
        if per_unit {
            for (u, i) in row.iter_mut().zip(&state.inverse) {
                *u *= *i;
            }
        } else {
            let i = state.inverse[b];
            row.iter_mut().for_each(|u| *u *= i);
        }
    }
    u.abs_max = abs_max(&u.data);
}

/// dLoss/dz from dLoss/du: inverse (g - mean(g) - u mean(g u)), the means over the group; rms has no mean(g). Where the mean
/// of u is 0, mean(g u) is taken of g - mean(g), so that a constant g leaves nothing.
#[inline(always)]
pub fn backward<T: Real>(
    norm: Norm,
    g: &Tensor<T>,
    u: &Tensor<T>,
    columns: usize,
    state: &mut NormState<T>,
    out: &mut Tensor<T>,
) {
    let group = Group::of(norm);
    if group == Group::Unit && !g.rows.is_empty() {
        let mut g = g.clone();
        g.flatten();
        backward_group(group, &g, u, columns, state, out);
    } else {
        backward_group(group, g, u, columns, state, out);
    }
}

#[inline(always)]
fn backward_group<T: Real>(
    group: Group,
    g: &Tensor<T>,
    u: &Tensor<T>,
    columns: usize,
    state: &mut NormState<T>,
    out: &mut Tensor<T>,
) {
    let rows = g.data.len() / columns;
    out.resize(g.data.len());
    // u u mean(g u) carries 2^(2 e_u): nothing to add where u is far below 1 (e_u is never far above).
    let pull = libm::scalbn(1.0, 2 * u.exponent.max(-500));
    if group == Group::Unit {
        let lists = (&mut state.sums, &mut state.bounds);
        column_means(&g.data, columns, &mut state.scratch, lists, &mut state.mean);
        state.products.clear();
        state.products.resize(columns, 0.0);
        for (g, u) in g.data.chunks_exact(columns).zip(u.data.chunks_exact(columns)) {
            for j in 0..columns {
                state.products[j] += ((g[j] - state.mean[j]) * u[j]).to_f64();
            }
        }
        let n = rows as f64;
        state.scratch.clear();
        state.scratch.extend(state.products.iter().map(|p| T::from_f64(p / n * pull)));
        let rows =
            g.data.chunks_exact(columns).zip(u.data.chunks_exact(columns)).zip(out.data.chunks_exact_mut(columns));
        for ((g, u), out) in rows {
            for j in 0..columns {
                out[j] = state.inverse[j] * (g[j] - state.mean[j] - u[j] * state.scratch[j]);
            }
        }
    } else {
        let rows =
            g.data.chunks_exact(columns).zip(u.data.chunks_exact(columns)).zip(out.data.chunks_exact_mut(columns));
        for (b, ((g, x), out)) in rows.enumerate() {
            let n = columns as f64;
            let pull = if u.rows.is_empty() { pull } else { libm::scalbn(1.0, 2 * (u.exponent + u.row(b)).max(-500)) };
            let mean = if group == (Group::Sample { centred: true }) {
                bounded_mean(g.iter().map(|v| v.to_f64()).sum::<f64>() / n, bounds(g))
            } else {
                T::ZERO
            };
            let product: f64 = g.iter().zip(x).map(|(g, u)| ((*g - mean) * *u).to_f64()).sum();
            let (product, inverse) = (T::from_f64(product / n * pull), state.inverse[b]);
            for j in 0..columns {
                out[j] = inverse * (g[j] - mean - x[j] * product);
            }
        }
    }
    out.exponent = g.exponent + state.exponent;
    let given = g.rows.len().max(state.rows.len());
    out.rows.extend((0..given).map(|b| g.row(b) + state.rows.get(b).copied().unwrap_or(0)));
    out.abs_max = abs_max(&out.data);
}
