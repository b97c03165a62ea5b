//! Samples that lie further apart than the float range. Saturated activations, and chance over many layers, separate
//! the rows of a tensor by any factor, and a row that is far below another one can dominate the next layer. So rows
//! carry exponents of their own once they differ much; where rows meet, the small ones come to the largest one's.

use pulp::Simd;

use super::kernels::abs_max;
use super::moments::Accumulator;
use super::real::Real;
use super::tensor::{Tensor, exponent_for, log2_size, power, scale_in_place};
use crate::stats::Scaled;

impl<T: Real> Tensor<T> {
    /// What row b has on top of `exponent`.
    pub fn row(&self, b: usize) -> i32 {
        self.rows.get(b).copied().unwrap_or(0)
    }

    /// Where rows lie further apart than the ordinary range, by the squares of the stored rows.
    #[inline(always)]
    fn is_wide(&self, columns: usize, squares: &[f64]) -> bool {
        let (mut top, mut bottom) = (0.0, f64::INFINITY);
        for &square in squares {
            top = if square > top && square < f64::INFINITY { square } else { top };
            bottom = if square < bottom { square } else { bottom };
        }
        let bound = top * T::SQUARES[0];
        if bottom >= bound {
            return false;
        }
        let small = |b: usize| squares[b] < bound && abs_max(&self.data[b * columns..(b + 1) * columns]) > 0.0;
        (0..squares.len()).any(small)
    }

    /// Gives every row the exponent that brings its largest element into [1, 2), if rows lie further apart than the
    /// ordinary range; otherwise one exponent to all. A row of zeros has no size and no exponent.
    pub fn settle(&mut self, columns: usize) {
        let sizes: Vec<Option<i32>> = self.data.chunks_exact(columns).map(|row| log2_size(abs_max(row))).collect();
        let total = |b: usize| self.exponent + self.row(b);
        let sized = || sizes.iter().enumerate().filter_map(|(b, size)| size.map(|k| total(b) + k));
        let (Some(top), Some(bottom)) = (sized().max(), sized().min()) else {
            self.rows.clear();
            return;
        };
        let narrow = top - bottom <= T::ORDINARY;
        let exponent = if narrow { exponent_for::<T>(top) } else { top };
        let target = |b: usize, size: i32| if narrow { exponent } else { total(b) + size };
        let targets: Vec<i32> = sizes.iter().enumerate().map(|(b, k)| k.map_or(exponent, |k| target(b, k))).collect();
        let shifts: Vec<i32> =
            (0..sizes.len()).map(|b| if sizes[b].is_some() { total(b) - targets[b] } else { 0 }).collect();
        for (row, &shift) in self.data.chunks_exact_mut(columns).zip(&shifts) {
            if shift != 0 {
                scale_in_place(row, shift);
            }
        }
        self.rows.clear();
        if !narrow {
            self.rows.extend(targets.iter().map(|t| t - exponent));
        }
        self.exponent = exponent;
    }

    /// The values with one exponent for all: the tensor's own, or a copy in `buffer` where small rows are rounded.
    pub fn flat<'a>(&'a self, buffer: &'a mut Vec<T>) -> &'a [T] {
        if self.rows.is_empty() {
            return &self.data;
        }
        buffer.clear();
        buffer.extend_from_slice(&self.data);
        self.scale_rows(buffer, &self.rows);
        buffer
    }

    /// Brings all rows to one exponent.
    pub fn flatten(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            let mut data = std::mem::take(&mut self.data);
            self.scale_rows(&mut data, &rows);
            self.data = data;
        }
    }

    fn scale_rows(&self, data: &mut [T], shifts: &[i32]) {
        let columns = data.len() / shifts.len();
        for (row, &shift) in data.chunks_exact_mut(columns).zip(shifts).filter(|(_, shift)| **shift != 0) {
            scale_in_place(row, shift);
        }
    }

    /// The values in float64 with one exponent for all.
    pub fn wide(&self) -> Vec<f64> {
        let columns = if self.rows.is_empty() { 1 } else { self.data.len() / self.rows.len() };
        let scaled = |(i, v): (usize, &T)| libm::scalbn(v.to_f64(), self.row(i / columns));
        self.data.iter().enumerate().map(scaled).collect()
    }

    /// Raises rows below 2^`floor`, so that something of that size can be added to them.
    pub fn raise_rows(&mut self, columns: usize, floor: i32) {
        for (row, shift) in self.data.chunks_exact_mut(columns).zip(&mut self.rows) {
            let missing = floor - self.exponent - *shift;
            if missing > 0 {
                scale_in_place(row, -missing);
                *shift += missing;
            }
        }
    }

    /// Row exponents of an elementwise product.
    pub fn joint_rows(&self, other: &Tensor<T>) -> Vec<i32> {
        let rows = self.rows.len().max(other.rows.len());
        (0..rows).map(|b| self.row(b) + other.row(b)).collect()
    }

    /// Sum of squares of all elements of a tensor with row exponents.
    pub fn square(&self, columns: usize) -> Scaled {
        let rows = self.data.chunks_exact(columns).enumerate();
        let sum = rows.map(|(b, row)| libm::scalbn(row_square(row), 2 * self.row(b))).sum();
        Scaled::new(sum, 2 * self.exponent)
    }
}

/// Sum of squares of a row, in float64.
pub fn row_square<T: Real>(row: &[T]) -> f64 {
    row.iter().map(|v| v.to_f64() * v.to_f64()).sum()
}

/// After the pass that took a tensor's moments: where its rows lie far apart they get exponents of their own, or share
/// one again, and moments and squares are taken once more, from the stored rows. Returns whether it came to that.
#[inline(always)]
pub fn reconcile<T: Real, S: Simd>(
    simd: S,
    tensor: &mut Tensor<T>,
    columns: usize,
    acc: &mut Accumulator,
    squares: &mut Vec<f64>,
) -> bool {
    let changed = !tensor.rows.is_empty() || tensor.is_wide(columns, squares);
    if changed {
        settle_and_measure(simd, tensor, columns, acc, squares);
    } else {
        tensor.abs_max = acc.abs_max();
    }
    changed
}

/// The second half of [`reconcile`].
#[cold]
pub fn settle_and_measure<T: Real, S: Simd>(
    simd: S,
    tensor: &mut Tensor<T>,
    columns: usize,
    acc: &mut Accumulator,
    squares: &mut Vec<f64>,
) {
    tensor.settle(columns);
    tensor.abs_max = abs_max(&tensor.data);
    squares.clear();
    squares.extend(tensor.data.chunks_exact(columns).map(row_square));
    acc.restart();
    for row in tensor.wide().chunks_exact(columns) {
        acc.row(simd, row);
    }
    // Rows below float64 are small, not zero.
    acc.set_zeros(tensor.data.iter().filter(|v| **v == T::ZERO).count() as u64);
}

/// out = a + scale * b row by row, each row at the exponent of its larger part.
pub fn sum_rows<T: Real>(a: &Tensor<T>, b: &Tensor<T>, scale: f64, columns: usize, out: &mut Tensor<T>) {
    let count = a.data.len() / columns;
    out.resize(a.data.len());
    out.exponent = 0;
    let scale_size = log2_size(scale.abs());
    for i in 0..count {
        let range = i * columns..(i + 1) * columns;
        let (x, y) = (&a.data[range.clone()], &b.data[range.clone()]);
        let (e_x, e_y) = (a.exponent + a.row(i), b.exponent + b.row(i));
        let size_x = log2_size(abs_max(x)).map(|k| k + e_x);
        let size_y = log2_size(abs_max(y)).zip(scale_size).map(|(k, s)| k + s + e_y);
        let top = size_x.max(size_y).unwrap_or(0);
        let p = size_x.map_or(T::ZERO, |_| power(e_x - top));
        let q = size_y.map_or(T::ZERO, |_| T::from_f64(libm::scalbn(scale, e_y - top)));
        for ((o, x), y) in out.data[range].iter_mut().zip(x).zip(y) {
            *o = *x * p + *y * q;
        }
        out.rows.push(top);
    }
    out.settle(columns);
    out.abs_max = abs_max(&out.data);
}

/// Rows of `delta` brought to the scale that they have in delta^T source, and the exponent of that product's terms.
pub fn for_outer_product<T: Real>(delta: &Tensor<T>, source: &Tensor<T>, buffer: &mut Vec<T>) -> i32 {
    let rows = delta.joint_rows(source);
    let count = rows.len();
    let (n, m) = (delta.data.len() / count, source.data.len() / count);
    let counts =
        |b: usize| abs_max(&delta.data[b * n..(b + 1) * n]) > 0.0 && abs_max(&source.data[b * m..(b + 1) * m]) > 0.0;
    let top = (0..count).filter(|&b| counts(b)).map(|b| rows[b]).max().unwrap_or(0);
    let shifts: Vec<i32> = rows.iter().map(|r| (r - top).min(0)).collect();
    buffer.clear();
    buffer.extend_from_slice(&delta.data);
    delta.scale_rows(buffer, &shifts);
    delta.exponent + source.exponent + top
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data: &[f32], exponent: i32, rows: &[i32]) -> Tensor<f32> {
        Tensor { data: data.to_vec(), exponent, rows: rows.to_vec(), abs_max: abs_max(data) }
    }

    /// True values as (mantissa, exponent) with the mantissa in [1, 2).
    fn truth(t: &Tensor<f32>, columns: usize) -> Vec<(f64, i32)> {
        let split = |(i, v): (usize, &f32)| {
            let (m, e) = libm::frexp(f64::from(*v));
            (m, if m == 0.0 { 0 } else { e + t.exponent + t.row(i / columns) })
        };
        t.data.iter().enumerate().map(split).collect()
    }

    #[test]
    fn settling_changes_no_value_and_brings_every_row_near_one() {
        let mut wide = tensor(&[1.5e-20, -2e-21, 0.0, 0.0, 3e8, 1.0, 1.25, -0.5], 7, &[-3000, 0, -400, 900]);
        let before = truth(&wide, 2);
        wide.settle(2);
        assert_eq!(truth(&wide, 2), before);
        assert_eq!(wide.rows[1..], [0, -400 + 28 - 900, 0]);
        for row in [0, 2, 3] {
            assert!((1.0..2.0).contains(&abs_max(&wide.data[2 * row..2 * row + 2])));
        }
        let mut near = tensor(&[1.0, 0.25, 3.0, 5.0], -900, &[900, 880]);
        let before = truth(&near, 2);
        near.settle(2);
        assert_eq!((near.exponent, near.rows.len()), (0, 0));
        assert_eq!(truth(&near, 2), before);
    }

    #[test]
    fn sums_join_row_by_row_at_the_larger_part() {
        let a = tensor(&[1.0, 2.0, 1.0, -1.0, 0.0, 0.0], 0, &[0, -2000, 0]);
        let b = tensor(&[1.0, 1.0, 1.0, 0.5, 1.0, 4.0], -2000, &[]);
        let mut out = Tensor::default();
        sum_rows(&a, &b, 2.0, 2, &mut out);
        let want = [(1.0, 0), (2.0, 0), (3.0, -2000), (0.0, 0), (2.0, -2000), (8.0, -2000)];
        for ((m, e), (v, shift)) in truth(&out, 2).into_iter().zip(want) {
            let (mantissa, exponent) = libm::frexp(v);
            assert_eq!((m, e), (mantissa, if v == 0.0 { 0 } else { exponent + shift }));
        }
    }

    #[test]
    fn an_outer_product_joins_samples_by_the_exponents_of_both_factors() {
        // Sample 0 has the larger delta, sample 1 the larger product, sample 2 no source at all.
        let delta = tensor(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0, &[0, -1000, 0]);
        let source = tensor(&[1.0, 1.0, 1.5, 1.0, 0.0, 0.0], 0, &[-3000, 0, 0]);
        let mut buffer = Vec::new();
        let exponent = for_outer_product(&delta, &source, &mut buffer);
        assert_eq!(exponent, -1000);
        assert_eq!(buffer[..4], [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn moments_of_far_rows_are_those_of_the_whole_and_squares_those_of_the_rows() {
        use crate::engine::cpu::moments::Detail;
        let mut t = tensor(&[1.0, -1.0, 1.0, 1.0], 0, &[0, -700]);
        let mut acc = Accumulator::new(Detail::PLAIN);
        let mut squares = Vec::new();
        settle_and_measure(pulp::Scalar::new(), &mut t, 2, &mut acc, &mut squares);
        let moments = acc.finish(t.exponent);
        assert_eq!((moments.count, moments.zeros, moments.m2), (4, 0, 2.0));
        assert_eq!(squares, [2.0, 2.0]);
        assert_eq!(t.square(2), Scaled::new(2.0, 0));
    }
}
