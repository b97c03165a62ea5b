//! Moments of a tensor in one pass over rows: sums of deviations from a shift near the mean in eight lanes per row,
//! flushed to float64 after every row. Rows with non-finite elements, and tensors out of the ordinary range, take an
//! exact float64 path.

use pulp::Simd;

use super::real::Real;
use super::simd::RowReduction;
use super::team::Team;
use crate::stats::Moments;
use crate::stats::histogram::{BINS, bin, quantiles};

/// Which of the dearer parts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    pub kurtosis: bool,
    pub quantiles: bool,
}

impl Detail {
    pub const PLAIN: Detail = Detail { kurtosis: false, quantiles: false };
}

/// Accumulates one tensor.
#[derive(Clone, Debug)]
pub struct Accumulator {
    shift: f64,
    started: bool,
    detail: Detail,
    count: u64,
    nonfinite: u64,
    zeros: u64,
    s: [f64; 4],
    abs_max: f64,
    histogram: Vec<u32>,
}

/// Sums of one row.
#[derive(Clone, Copy, Debug)]
pub struct RowSums {
    /// Sum of x^2 of the row; infinite or NaN where an element is not finite or a square overflows.
    pub square: f64,
}

impl Accumulator {
    pub fn new(detail: Detail) -> Self {
        let histogram = if detail.quantiles { vec![0; BINS] } else { Vec::new() };
        Accumulator {
            shift: 0.0,
            started: false,
            detail,
            count: 0,
            nonfinite: 0,
            zeros: 0,
            s: [0.0; 4],
            abs_max: 0.0,
            histogram,
        }
    }

    /// Forgets everything that was added.
    pub fn restart(&mut self) {
        *self = Accumulator::new(self.detail);
    }

    /// Takes the shift from the first row.
    #[inline(always)]
    fn start<T: Real, S: Simd>(&mut self, simd: S, x: &[T]) {
        if !self.started {
            self.started = true;
            let mean = T::reduce(simd, x, T::ZERO).deviation / x.len() as f64;
            // The shift must be exact in the engine's float.
            self.shift = if mean.is_finite() { T::from_f64(mean).to_f64() } else { 0.0 };
        }
    }

    /// Adds rows, a block at a time, and appends their sums of squares to `squares`, as [`Accumulator::row`] has them.
    #[inline(always)]
    pub fn rows<T: Real, S: Simd>(&mut self, simd: S, x: &[T], columns: usize, squares: &mut Vec<f64>) {
        for block in x.chunks(block_rows(columns) * columns) {
            self.start(simd, &block[..columns]);
            let first = squares.len();
            squares.resize(first + block.len() / columns, 0.0);
            let sums = T::reduce_rows(simd, block, columns, T::from_f64(self.shift), &mut squares[first..]);
            self.take(simd, block, columns, &sums, &mut squares[first..]);
        }
    }

    /// [`Accumulator::rows`] of a matrix of any size, whose blocks threads can share; returns the sum of its products with
    /// the elements of `other`, if there is one. Sums are added in the order of the rows, whoever formed them.
    pub fn matrix<T: Real, S: Simd>(
        &mut self,
        team: &Team,
        simd: S,
        x: &[T],
        columns: usize,
        other: Option<&[T]>,
        squares: &mut Vec<f64>,
    ) -> f64 {
        let rows = block_rows(columns);
        let block = rows * columns;
        if x.len() < SHARED {
            return T::dispatch(
                simd,
                #[inline(always)]
                || {
                    let mut products = 0.0;
                    for (i, x) in x.chunks(block).enumerate() {
                        self.rows(simd, x, columns, squares);
                        products += product(simd, x, other, i * block);
                    }
                    products
                },
            );
        }
        self.start(simd, &x[..columns]);
        let shift = T::from_f64(self.shift);
        let first = squares.len();
        squares.resize(first + x.len() / columns, 0.0);
        let squares = &mut squares[first..];
        let mut sums = vec![(RowReduction::ZERO, 0.0); x.len().div_ceil(block)];
        let shares = x.chunks(SHARE * block).zip(sums.chunks_mut(SHARE)).zip(squares.chunks_mut(SHARE * rows));
        team.each(shares.enumerate(), |(share, ((x, sums), squares))| {
            T::dispatch(
                simd,
                #[inline(always)]
                || {
                    let blocks = x.chunks(block).zip(sums).zip(squares.chunks_mut(rows));
                    for (i, ((x, sum), squares)) in blocks.enumerate() {
                        let at = (share * SHARE + i) * block;
                        *sum = (T::reduce_rows(simd, x, columns, shift, squares), product(simd, x, other, at));
                    }
                },
            );
        });
        let mut products = 0.0;
        for ((x, (sums, part)), squares) in x.chunks(block).zip(&sums).zip(squares.chunks_mut(rows)) {
            self.take(simd, x, columns, sums, squares);
            products += part;
        }
        products
    }

    /// Adds a block of rows whose sums are at hand, or its rows one by one where they leave the ordinary range.
    #[inline(always)]
    fn take<T: Real, S: Simd>(
        &mut self,
        simd: S,
        block: &[T],
        columns: usize,
        sums: &RowReduction,
        squares: &mut [f64],
    ) {
        let [low, high] = T::SQUARES;
        if squares.iter().all(|&square| square > low && square < high) {
            self.add(block, sums);
        } else {
            for (row, square) in block.chunks_exact(columns).zip(squares) {
                *square = self.row(simd, row).square;
            }
        }
    }

    /// Adds values whose sums are at hand.
    #[inline(always)]
    fn add<T: Real>(&mut self, x: &[T], sums: &RowReduction) {
        self.count += x.len() as u64;
        self.s[0] += sums.deviation;
        self.s[1] += sums.deviation_square;
        self.zeros += sums.zeros;
        self.abs_max = self.abs_max.max(sums.abs_max);
        if self.detail.kurtosis {
            let (s3, s4) = higher(x, self.shift);
            self.s[2] += s3;
            self.s[3] += s4;
        }
        if self.detail.quantiles {
            for v in x {
                self.histogram[bin(v.to_f64())] += 1;
            }
        }
    }

    /// Adds one row.
    #[inline(always)]
    pub fn row<T: Real, S: Simd>(&mut self, simd: S, x: &[T]) -> RowSums {
        self.start(simd, x);
        let sums = T::reduce(simd, x, T::from_f64(self.shift));
        let square = sums.square;
        let [low, high] = T::SQUARES;
        let in_range = square < high && (square > low || sums.abs_max == 0.0);
        if in_range {
            self.add(x, &sums);
            RowSums { square }
        } else {
            self.careful(x);
            RowSums { square: x.iter().map(|v| v.to_f64() * v.to_f64()).sum() }
        }
    }

    /// Float64, element by element, finite elements only.
    #[cold]
    fn careful<T: Real>(&mut self, x: &[T]) {
        self.count += x.len() as u64;
        for v in x {
            let v = v.to_f64();
            if self.detail.quantiles {
                self.histogram[bin(v)] += 1;
            }
            if !v.is_finite() {
                self.nonfinite += 1;
                continue;
            }
            self.zeros += u64::from(v == 0.0);
            self.abs_max = self.abs_max.max(v.abs());
            let d = v - self.shift;
            for (power, s) in (1..).zip(&mut self.s) {
                *s += d.powi(power);
            }
        }
    }

    /// Replaces the number of zeros.
    pub fn set_zeros(&mut self, zeros: u64) {
        self.zeros = zeros;
    }

    pub fn abs_max(&self) -> f64 {
        self.abs_max
    }

    /// The moments of the tensor stored at `exponent`.
    pub fn finish(&self, exponent: i32) -> Moments {
        let n = (self.count - self.nonfinite) as f64;
        let [s1, s2, s3, s4] = self.s;
        let d = s1 / n;
        let m2 = (s2 - s1 * d).max(0.0);
        let (m3, m4) = if self.detail.kurtosis {
            (s3 - 3.0 * d * s2 + 2.0 * d * d * s1, s4 - 4.0 * d * s3 + 6.0 * d * d * s2 - 3.0 * d * d * d * s1)
        } else {
            (f64::NAN, f64::NAN)
        };
        let abs_quantiles = if self.detail.quantiles { quantiles(&self.histogram) } else { [f64::NAN; 5] };
        Moments {
            exponent,
            count: self.count,
            nonfinite: self.nonfinite,
            zeros: self.zeros,
            mean: self.shift + d,
            m2,
            m3,
            m4,
            abs_max: self.abs_max,
            abs_quantiles,
        }
    }
}

/// Sum of the products of `x` with the elements of `other` from `at` on; a function, because its inlining can be forced.
#[inline(always)]
fn product<T: Real, S: Simd>(simd: S, x: &[T], other: Option<&[T]>, at: usize) -> f64 {
    match other {
        Some(other) => T::dot(simd, x, &other[at..at + x.len()]),
        None => 0.0,
    }
}

/// Elements from which threads share a matrix, and blocks that one of them takes at a time.
pub const SHARED: usize = 1 << 18;
const SHARE: usize = 32;

/// Rows whose sums share float32 registers: few enough for their rounding not to show, and whole pairs and fours of samples
/// where there are so many.
pub fn block_rows(columns: usize) -> usize {
    match 2048 / columns {
        0..4 => 2,
        rows => rows.min(16) / 4 * 4,
    }
}

/// Sums of third and fourth powers of x - shift, in float64.
#[inline(always)]
fn higher<T: Real>(x: &[T], shift: f64) -> (f64, f64) {
    let mut s3 = [0.0; 4];
    let mut s4 = [0.0; 4];
    for chunk in x.chunks(4) {
        for (l, v) in chunk.iter().enumerate() {
            let d = v.to_f64() - shift;
            let d2 = d * d;
            s3[l] += d2 * d;
            s4[l] += d2 * d2;
        }
    }
    (s3.iter().sum(), s4.iter().sum())
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;

    const ALL: Detail = Detail { kurtosis: true, quantiles: true };

    fn direct(x: &[f64]) -> (f64, f64, f64, f64) {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let p = |k: i32| x.iter().map(|v| (v - mean).powi(k)).sum::<f64>();
        (mean, p(2), p(3), p(4))
    }

    fn check(x: &[f32], columns: usize, tolerance: f64) {
        let mut acc = Accumulator::new(ALL);
        let mut squares = Vec::new();
        acc.rows(Scalar::new(), x, columns, &mut squares);
        for (square, row) in squares.iter().zip(x.chunks(columns)) {
            let want: f64 = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
            assert!((square - want).abs() <= 1e-5 * want, "square {square} {want}");
        }
        let m = acc.finish(0);
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let (mean, m2, m3, m4) = direct(&wide);
        let sd = (m2 / x.len() as f64).sqrt();
        assert!((m.mean - mean).abs() <= tolerance * sd.max(mean.abs() * 1e-7), "mean {} {mean}", m.mean);
        assert!((m.m2 - m2).abs() <= tolerance * m2, "m2 {} {m2}", m.m2);
        assert!((m.m3 - m3).abs() <= tolerance * sd.powi(3) * x.len() as f64, "m3 {} {m3}", m.m3);
        assert!((m.m4 - m4).abs() <= tolerance * m4, "m4 {} {m4}", m.m4);
    }

    #[test]
    fn moments_equal_the_direct_sums() {
        let x: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1013) as f32 * 0.01 - 3.0).collect();
        for columns in [1, 5, 8, 50, 125, 1000] {
            check(&x, columns, 1e-5);
        }
    }

    struct Shared;

    impl WithSimd for Shared {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            for columns in [3, 700, 2048] {
                let rows = SHARED / columns + 5;
                let mut x: Vec<f32> = (0..rows * columns).map(|i| ((i * 7919) % 1013) as f32 * 0.01 - 3.0).collect();
                let y: Vec<f32> = x.iter().rev().copied().collect();
                // Rows that are taken one by one.
                x[5 * columns..6 * columns].fill(1e-30);
                x[40 * columns + 1] = f32::NAN;
                let of = |team: Team| {
                    let (mut acc, mut squares) = (Accumulator::new(ALL), Vec::new());
                    let products = acc.matrix(&team, simd, &x, columns, Some(&y), &mut squares);
                    (
                        format!("{:?}", acc.finish(0)),
                        squares.iter().map(|s| s.to_bits()).collect::<Vec<_>>(),
                        products.to_bits(),
                    )
                };
                let alone = of(Team::new(0));
                assert_eq!(alone, of(Team::new(3)), "{columns} columns");
                let (mut acc, mut squares) = (Accumulator::new(ALL), Vec::new());
                acc.rows(simd, &x, columns, &mut squares);
                assert_eq!(alone.0, format!("{:?}", acc.finish(0)), "{columns} columns, in one piece");
                assert_eq!(alone.1, squares.iter().map(|s| s.to_bits()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn large_matrices_have_the_same_moments_with_any_number_of_threads() {
        Arch::new().dispatch(Shared);
    }

    #[test]
    fn nearly_equal_values_keep_their_spread() {
        let x: Vec<f32> = (0..1024).map(|i| 0.5 + ((i * 31) % 17) as f32 * 2f32.powi(-22)).collect();
        check(&x, 64, 1e-5);
    }

    #[test]
    fn values_out_of_the_ordinary_range_keep_their_squares() {
        for scale in [1e-30f32, 1e30] {
            let x: Vec<f32> = (0..64).map(|i| (i as f32 - 20.0) * scale).collect();
            check(&x, 16, 1e-5);
        }
    }

    #[test]
    fn non_finite_elements_are_counted_and_left_out() {
        let mut acc = Accumulator::new(ALL);
        let sums = acc.row(Scalar::new(), &[1.0f32, f32::NAN, 0.0, f32::INFINITY, -3.0]);
        assert!(!sums.square.is_finite());
        let m = acc.finish(0);
        assert_eq!((m.count, m.nonfinite, m.zeros, m.abs_max), (5, 2, 1, 3.0));
        assert!((m.mean + 2.0 / 3.0).abs() < 1e-12);
    }
}
