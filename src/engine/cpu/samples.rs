//! What is taken of a tensor of samples, [batch, columns], a block of rows at a time while the block is in the cache:
//! moments, the square of every row, and on request cosines between samples and sums over samples.

use pulp::Simd;

use super::moments::{Accumulator, Detail, block_rows};
use super::real::Real;
use super::rows::{reconcile, settle_and_measure};
use super::tensor::Tensor;

/// Rows between two flushes of a float32 column accumulator into float64.
pub(super) const FLUSH: usize = 32;

/// Which samples are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pairs {
    #[default]
    All,
    /// Samples 2k and 2k + 1.
    Adjacent,
}

/// Sums over the rows of each column.
#[derive(Clone, Debug, Default)]
pub struct ColumnSums<T> {
    partial: Vec<T>,
    pending: usize,
    sums: Vec<f64>,
}

impl<T: Real> ColumnSums<T> {
    pub fn begin(&mut self, columns: usize) {
        self.pending = 0;
        self.partial.clear();
        self.partial.resize(columns, T::ZERO);
        self.sums.clear();
        self.sums.resize(columns, 0.0);
    }

    /// Adds a few rows.
    #[inline(always)]
    pub fn rows(&mut self, x: &[T], columns: usize) {
        for row in x.chunks_exact(columns) {
            self.partial.iter_mut().zip(row).for_each(|(sum, v)| *sum += *v);
        }
        self.added(x.len() / columns);
    }

    #[inline(always)]
    fn added(&mut self, rows: usize) {
        self.pending += rows;
        if self.pending >= FLUSH {
            self.flush();
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        self.pending = 0;
        for (sum, partial) in self.sums.iter_mut().zip(&mut self.partial) {
            *sum += partial.to_f64();
            *partial = T::ZERO;
        }
    }

    #[inline(always)]
    pub fn finish(&mut self) -> &[f64] {
        self.flush();
        &self.sums
    }
}

/// Sum of 1 - cosine over sample pairs. Samples whose square is zero (or below [`Real::SQUARE_FLOOR`]) or not finite take
/// part in no pair.
///
/// With unit vectors u_b, the sum over all pairs of |u_a - u_b|^2 / 2 is V/2 (sum |u_b - s|^2 - |sum (u_b - s)|^2 / V) for
/// any shift s; the first unit vector as shift keeps the differences exact where all samples are nearly parallel.
#[derive(Clone, Debug, Default)]
pub struct Cosines<T> {
    pairs: Pairs,
    /// The first unit vector, once there is one.
    shift: Vec<T>,
    differences: ColumnSums<T>,
    scales: Vec<T>,
    /// Sum of |u_b - s|^2, or of 1 - cosine over adjacent pairs.
    total: f64,
    /// Samples with a direction, or adjacent pairs of such.
    count: u64,
}

impl<T: Real> Cosines<T> {
    pub fn begin(&mut self, pairs: Pairs) {
        self.pairs = pairs;
        self.shift.clear();
        (self.total, self.count) = (0.0, 0);
    }

    /// Adds a few rows, an even number unless they are the last; `squares[b]` is |x_b|^2.
    #[inline(always)]
    pub fn rows<S: Simd>(&mut self, simd: S, x: &[T], columns: usize, squares: &[f64]) {
        // 0 for samples that take part in no pair.
        let scales = &mut self.scales;
        scales.resize(squares.len(), T::ZERO);
        for (scale, &square) in scales.iter_mut().zip(squares) {
            let inverse = T::from_f64(1.0 / square.sqrt());
            *scale = if (square > T::SQUARE_FLOOR) & (square < f64::INFINITY) { inverse } else { T::ZERO };
        }
        match self.pairs {
            Pairs::Adjacent => {
                for (pair, scales) in x.chunks_exact(2 * columns).zip(scales.chunks_exact(2)) {
                    if scales[0] != T::ZERO && scales[1] != T::ZERO {
                        let (a, b) = pair.split_at(columns);
                        self.total += 0.5 * difference_square(a, scales[0], b, scales[1]);
                        self.count += 1;
                    }
                }
            }
            Pairs::All => self.all(simd, x, columns),
        }
    }

    #[inline(always)]
    fn all<S: Simd>(&mut self, simd: S, x: &[T], columns: usize) {
        let Cosines { shift, differences, scales, total, count, .. } = self;
        if shift.is_empty() {
            let Some(first) = scales.iter().position(|&scale| scale != T::ZERO) else { return };
            let scale = scales[first];
            shift.extend(x[first * columns..(first + 1) * columns].iter().map(|&v| v * scale));
            differences.begin(columns);
        }
        for (rows, scales) in x.chunks(4 * columns).zip(scales.chunks(4)) {
            if let Ok(four) = <&[T; 4]>::try_from(scales)
                && scales.iter().all(|&scale| scale != T::ZERO)
            {
                *total += T::shifted_four(simd, rows, four, shift, &mut differences.partial);
                *count += 4;
                continue;
            }
            for (row, &scale) in rows.chunks_exact(columns).zip(scales).filter(|(_, scale)| **scale != T::ZERO) {
                *total += T::shifted(simd, row, scale, shift, &mut differences.partial);
                *count += 1;
            }
        }
        differences.added(scales.len());
    }

    /// The sum of 1 - cosine, and the number of pairs.
    pub fn finish(&mut self) -> (f64, u64) {
        if self.pairs == Pairs::Adjacent || self.count == 0 {
            return (self.total, self.count);
        }
        let square: f64 = self.differences.finish().iter().map(|v| v * v).sum();
        let v = self.count as f64;
        ((0.5 * (v * self.total - square)).max(0.0), self.count * (self.count - 1) / 2)
    }
}

#[inline(always)]
fn difference_square<T: Real>(a: &[T], ia: T, b: &[T], ib: T) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [T::ZERO; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for l in 0..a.len() {
            let d = a[l] * ia - b[l] * ib;
            lanes[l] += d * d;
        }
    }
    lanes.iter().map(|v| v.to_f64()).sum()
}

/// Statistics of one tensor of samples; its buffers serve the next one.
#[derive(Clone, Debug)]
pub struct Samples<T> {
    pub moments: Accumulator,
    /// |x_b|^2 of the stored rows.
    pub squares: Vec<f64>,
    cosines: Cosines<T>,
    with_cosines: bool,
    sums: ColumnSums<T>,
    with_sums: bool,
}

impl<T: Real> Default for Samples<T> {
    fn default() -> Self {
        Samples {
            moments: Accumulator::new(Detail::PLAIN),
            squares: Vec::new(),
            cosines: Cosines::default(),
            with_cosines: false,
            sums: ColumnSums::default(),
            with_sums: false,
        }
    }
}

impl<T: Real> Samples<T> {
    /// Starts anew, with cosines of these pairs and with sums over samples of so many columns.
    pub fn begin(&mut self, detail: Detail, cosines: Option<Pairs>, sums: Option<usize>) {
        self.moments = Accumulator::new(detail);
        self.with_cosines = cosines.is_some();
        self.cosines.pairs = cosines.unwrap_or_default();
        self.with_sums = sums.is_some();
        self.restart(sums.unwrap_or(0));
    }

    /// Forgets every row.
    pub fn restart(&mut self, columns: usize) {
        self.moments.restart();
        self.squares.clear();
        self.cosines.begin(self.cosines.pairs);
        if self.with_sums {
            self.sums.begin(columns);
        }
    }

    /// Adds a block of [`super::moments::block_rows`] rows, or the last ones.
    #[inline(always)]
    pub fn rows<S: Simd>(&mut self, simd: S, x: &[T], columns: usize) {
        let first = self.squares.len();
        self.moments.rows(simd, x, columns, &mut self.squares);
        if self.with_cosines {
            self.cosines.rows(simd, x, columns, &self.squares[first..]);
        }
        if self.with_sums {
            self.sums.rows(x, columns);
        }
    }

    /// After the last row: gives the tensor its maximum and, where rows lie far apart, exponents to rows, and then measures
    /// the stored rows once more. Returns whether it came to that.
    pub fn reconcile<S: Simd>(&mut self, simd: S, tensor: &mut Tensor<T>, columns: usize) -> bool {
        let changed = T::dispatch(
            simd,
            #[inline(always)]
            || reconcile(simd, tensor, columns, &mut self.moments, &mut self.squares),
        );
        if changed {
            self.again(simd, tensor, columns);
        }
        changed
    }

    /// [`Samples::reconcile`] where rows are known to lie far apart.
    #[cold]
    pub fn settle<S: Simd>(&mut self, simd: S, tensor: &mut Tensor<T>, columns: usize) {
        settle_and_measure(simd, tensor, columns, &mut self.moments, &mut self.squares);
        self.again(simd, tensor, columns);
    }

    #[cold]
    fn again<S: Simd>(&mut self, simd: S, tensor: &Tensor<T>, columns: usize) {
        self.with_sums = false;
        if self.with_cosines {
            self.cosines.begin(self.cosines.pairs);
            let rows = block_rows(columns);
            T::dispatch(
                simd,
                #[inline(always)]
                || {
                    for (x, squares) in tensor.data.chunks(rows * columns).zip(self.squares.chunks(rows)) {
                        self.cosines.rows(simd, x, columns, squares);
                    }
                },
            );
        }
    }

    /// The sum of 1 - cosine and the number of pairs, if they were asked for.
    pub fn cosines(&mut self) -> Option<(f64, u64)> {
        self.with_cosines.then(|| self.cosines.finish())
    }

    /// Sums over samples, if they were asked for and the rows are as they were written.
    pub fn sums(&mut self) -> Option<&[f64]> {
        self.with_sums.then(|| self.sums.finish())
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    fn sample(rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|i| ((i * 37 + i * i * 11) % 101) as f64 / 50.0 - 0.97).collect()
    }

    fn gaps<T: Real>(x: &[T], columns: usize, squares: &[f64], pairs: Pairs) -> (f64, u64) {
        let of_blocks = |rows: usize| {
            let mut cosines = Cosines::default();
            cosines.begin(pairs);
            for (x, squares) in x.chunks(rows * columns).zip(squares.chunks(rows)) {
                cosines.rows(Scalar::new(), x, columns, squares);
            }
            cosines.finish()
        };
        let (whole, parts) = (of_blocks(squares.len().next_multiple_of(2)), of_blocks(2));
        assert_eq!(whole.1, parts.1);
        assert!((whole.0 - parts.0).abs() <= 1e-5 * whole.0, "{whole:?} {parts:?}");
        whole
    }

    #[test]
    fn cosine_gaps_equal_the_sum_over_pairs() {
        let (rows, columns) = (9, 13);
        let mut x = sample(rows, columns);
        x[4 * columns..5 * columns].fill(0.0);
        let squares: Vec<f64> = x.chunks(columns).map(|r| r.iter().map(|v| v * v).sum()).collect();
        let cosine = |a: usize, b: usize| {
            let dot: f64 = (0..columns).map(|j| x[a * columns + j] * x[b * columns + j]).sum();
            dot / (squares[a] * squares[b]).sqrt()
        };
        let (mut want, mut pairs) = (0.0, 0);
        for a in 0..rows {
            for b in a + 1..rows {
                if a != 4 && b != 4 {
                    want += 1.0 - cosine(a, b);
                    pairs += 1;
                }
            }
        }
        let (gap, count) = gaps(&x, columns, &squares, Pairs::All);
        assert_eq!(count, pairs);
        assert!((gap - want).abs() < 1e-10 * want, "{gap} {want}");
        let (gap, count) = gaps(&x, columns, &squares, Pairs::Adjacent);
        let want: f64 = [0, 2, 6].iter().map(|&a| 1.0 - cosine(a, a + 1)).sum();
        assert_eq!(count, 3);
        assert!((gap - want).abs() < 1e-10 * want);
    }

    #[test]
    fn tiny_gaps_survive_in_float32() {
        let columns = 64;
        let base: Vec<f64> = sample(1, columns);
        let x: Vec<f32> = (0..8)
            .flat_map(|b| {
                base.iter().enumerate().map(move |(j, v)| (v * (1.0 + 1e-4 * ((b * 7 + j) % 5) as f64)) as f32)
            })
            .collect();
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let squares: Vec<f64> = wide.chunks(columns).map(|r| r.iter().map(|v| v * v).sum()).collect();
        let (want, _) = gaps(&wide, columns, &squares, Pairs::All);
        let (got, _) = gaps(&x, columns, &squares, Pairs::All);
        assert!((got / want - 1.0).abs() < 1e-2, "{got} {want}");
    }

    #[test]
    fn sums_over_samples_are_those_of_the_columns() {
        let (rows, columns) = (70, 5);
        let x = sample(rows, columns);
        let mut sums = ColumnSums::default();
        sums.begin(columns);
        x.chunks(16 * columns).for_each(|block| sums.rows(block, columns));
        for (j, sum) in sums.finish().iter().enumerate() {
            let want: f64 = x.iter().skip(j).step_by(columns).sum();
            assert!((sum - want).abs() < 1e-12, "{sum} {want}");
        }
    }
}
