//! Batch, layer and rms normalisation, forward and full backward (through mean and variance), at any exponent: with
//! z = z' 2^e the root is taken of var' + eps 2^-2e.

use super::kernels::abs_max;
use super::moments::block_rows;
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
    /// Of every group, in the units of z': the variance, then what it makes of one over its root.
    variance: Vec<f64>,
    /// mean(g u) of every group.
    pulls: Vec<T>,
    units: UnitRanges<T>,
}

/// Sum, least and largest of each column; NaN counts in the sums alone.
#[derive(Clone, Debug, Default)]
pub struct UnitRanges<T> {
    sums: Vec<f64>,
    /// A second list of sums.
    others: Vec<f64>,
    least: Vec<T>,
    most: Vec<T>,
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

/// The smaller and the larger of two numbers; a number where `v` is NaN.
#[inline(always)]
fn lesser<T: Real>(least: T, v: T) -> T {
    if v < least { v } else { least }
}
#[inline(always)]
fn larger<T: Real>(most: T, v: T) -> T {
    if v > most { v } else { most }
}

/// Sums of a row in flight at one time, because each waits for its last addition.
const LANES: usize = 16;

/// Calls `each(lane, i)` for 0 <= i < length, a lane every [`LANES`]th time.
#[inline(always)]
fn in_lanes(length: usize, mut each: impl FnMut(usize, usize)) {
    let whole = length - length % LANES;
    for first in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            each(lane, first + lane);
        }
    }
    for i in whole..length {
        each(i - whole, i);
    }
}

#[inline(always)]
fn total(lanes: [f64; LANES]) -> f64 {
    lanes.iter().sum()
}

/// The mean of a row, within its range.
#[inline(always)]
fn row_mean<T: Real>(x: &[T]) -> T {
    let (mut sum, mut least, mut most) = ([0.0; LANES], [T::INFINITY; LANES], [-T::INFINITY; LANES]);
    in_lanes(x.len(), |lane, i| {
        sum[lane] += x[i].to_f64();
        least[lane] = lesser(least[lane], x[i]);
        most[lane] = larger(most[lane], x[i]);
    });
    let (least, most) = (least.into_iter().fold(T::INFINITY, lesser), most.into_iter().fold(-T::INFINITY, larger));
    bounded_mean(total(sum) / x.len() as f64, [least, most])
}

/// Means over the rows of each column, [columns].
#[inline(always)]
pub fn column_means<T: Real>(data: &[T], columns: usize, units: &mut UnitRanges<T>, means: &mut Vec<T>) {
    let UnitRanges { sums, least, most, .. } = units;
    restart(sums, columns, 0.0);
    restart(least, columns, T::INFINITY);
    restart(most, columns, -T::INFINITY);
    for row in data.chunks_exact(columns) {
        for (((v, sum), least), most) in row.iter().zip(&mut *sums).zip(&mut *least).zip(&mut *most) {
            *sum += v.to_f64();
            *least = lesser(*least, *v);
            *most = larger(*most, *v);
        }
    }
    let rows = (data.len() / columns) as f64;
    means.clear();
    means.extend(
        sums.iter().zip(least).zip(most).map(|((s, &mut least), &mut most)| bounded_mean(s / rows, [least, most])),
    );
}

/// `length` times the same value.
#[inline(always)]
fn restart<V: Copy>(list: &mut Vec<V>, length: usize, value: V) {
    list.clear();
    list.resize(length, value);
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
    let mut variance = std::mem::take(&mut state.variance);
    restart(&mut variance, groups, 0.0);
    let mut deviation = 0.0f64;
    let block = block_rows(columns) * columns;
    let blocks = z.data.chunks(block).zip(u.data.chunks_mut(block));
    if per_unit {
        column_means(&z.data, columns, &mut state.units, &mut state.mean);
        // Deviations go to u, their squares are summed from there. The rounding of the mean is taken out below.
        let (sum, square) = (&mut state.units.sums, &mut state.units.others);
        restart(sum, columns, 0.0);
        restart(square, columns, 0.0);
        for (z, u) in blocks {
            for (z, u) in z.chunks_exact(columns).zip(u.chunks_exact_mut(columns)) {
                let sums = sum.iter_mut().zip(&mut *square);
                for (((u, z), mean), (sum, square)) in u.iter_mut().zip(z).zip(&state.mean).zip(sums) {
                    *u = *z - *mean;
                    let d = u.to_f64();
                    *sum += d;
                    *square += d * d;
                }
            }
            deviation = deviation.max(abs_max(u));
        }
        for ((variance, sum), square) in variance.iter_mut().zip(sum).zip(square) {
            let rest = *sum / rows as f64;
            *variance = (*square / rows as f64 - rest * rest).max(0.0);
        }
    } else {
        restart(&mut state.mean, groups, T::ZERO);
        let mut samples = variance.iter_mut().zip(&mut state.mean);
        for (z, u) in blocks {
            for (z, u) in z.chunks_exact(columns).zip(u.chunks_exact_mut(columns)) {
                let Some((variance, mean)) = samples.next() else { break };
                if group == (Group::Sample { centred: true }) {
                    *mean = row_mean(z);
                }
                let (mean, mut square) = (*mean, [0.0; LANES]);
                in_lanes(columns, |lane, j| {
                    u[j] = z[j] - mean;
                    square[lane] += u[j].to_f64() * u[j].to_f64();
                });
                *variance = total(square) / columns as f64;
            }
            deviation = deviation.max(abs_max(u));
        }
    }
    // eps in the stored units of z; beyond float64 the variance is negligible.
    let eps_stored = if z.exponent < -450 { f64::INFINITY } else { libm::scalbn(eps, (-2 * z.exponent).max(-2000)) };
    let inverse_of = |v: f64| if eps_stored.is_infinite() { 1.0 / eps.sqrt() } else { 1.0 / (v + eps_stored).sqrt() };
    variance.iter_mut().for_each(|v| *v = inverse_of(*v));
    let inverses = variance;
    // With eps = 0 a constant group has no direction: its u is 0 / 0, which stays visible as a non-finite value.
    let largest = inverses.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
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
    state.variance = inverses;
    let mut inverses = state.inverse.iter();
    u.abs_max = 0.0;
    for block in u.data.chunks_mut(block) {
        for row in block.chunks_exact_mut(columns) {
            if per_unit {
                row.iter_mut().zip(&state.inverse).for_each(|(u, i)| *u *= *i);
            } else if let Some(&i) = inverses.next() {
                row.iter_mut().for_each(|u| *u *= i);
            }
        }
        u.abs_max = u.abs_max.max(abs_max(block));
    }
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
    let block = block_rows(columns) * columns;
    let blocks = g.data.chunks(block).zip(u.data.chunks(block)).zip(out.data.chunks_mut(block));
    out.abs_max = 0.0;
    if group == Group::Unit {
        column_means(&g.data, columns, &mut state.units, &mut state.mean);
        let products = &mut state.units.others;
        restart(products, columns, 0.0);
        for (g, u) in g.data.chunks_exact(columns).zip(u.data.chunks_exact(columns)) {
            for (((product, g), u), mean) in products.iter_mut().zip(g).zip(u).zip(&state.mean) {
                *product += ((*g - *mean) * *u).to_f64();
            }
        }
        let n = rows as f64;
        state.pulls.clear();
        state.pulls.extend(products.iter().map(|p| T::from_f64(p / n * pull)));
        for ((g, u), out_block) in blocks {
            let rows = g.chunks_exact(columns).zip(u.chunks_exact(columns)).zip(out_block.chunks_exact_mut(columns));
            for ((g, u), out) in rows {
                let units = state.inverse.iter().zip(&state.mean).zip(&state.pulls);
                for (((out, g), u), ((inverse, mean), pull)) in out.iter_mut().zip(g).zip(u).zip(units) {
                    *out = *inverse * (*g - *mean - *u * *pull);
                }
            }
            out.abs_max = out.abs_max.max(abs_max(out_block));
        }
    } else {
        let n = columns as f64;
        for (i, ((g, u_block), out_block)) in blocks.enumerate() {
            let rows =
                g.chunks_exact(columns).zip(u_block.chunks_exact(columns)).zip(out_block.chunks_exact_mut(columns));
            for (b, ((g, x), out)) in (i * block_rows(columns)..).zip(rows) {
                let pull =
                    if u.rows.is_empty() { pull } else { libm::scalbn(1.0, 2 * (u.exponent + u.row(b)).max(-500)) };
                let mean = if group == (Group::Sample { centred: true }) { row_mean(g) } else { T::ZERO };
                let mut products = [0.0; LANES];
                in_lanes(columns, |lane, j| products[lane] += ((g[j] - mean) * x[j]).to_f64());
                let (product, inverse) = (T::from_f64(total(products) / n * pull), state.inverse[b]);
                for ((out, g), x) in out.iter_mut().zip(g).zip(x) {
                    *out = inverse * (*g - mean - *x * product);
                }
            }
            out.abs_max = out.abs_max.max(abs_max(out_block));
        }
    }
    out.exponent = g.exponent + state.exponent;
    let given = g.rows.len().max(state.rows.len());
    out.rows.extend((0..given).map(|b| g.row(b) + state.rows.get(b).copied().unwrap_or(0)));
}
