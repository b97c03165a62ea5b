//! Passes over tensors that are not matrix products: column sums, cosines between samples, statistics of phi', path
//! factors. Every function is inlined into the caller's SIMD dispatch.

use pulp::Simd;

use super::columns::UnitSums;
use super::moments::SHARED;
use super::real::Real;
use super::team::Team;

const LANES: usize = 8;
/// Columns of a matrix that one thread takes at a time.
const UNIT_SHARE: usize = 256;
/// Rows between two flushes of a float32 column accumulator into float64.
const FLUSH: usize = 32;

/// Calls `f(j, partial)` semantics over columns: sums `x[b, j]` into `out[j]`.
#[inline(always)]
pub fn column_sums<T: Real>(x: &[T], columns: usize, scratch: &mut Vec<T>, out: &mut Vec<f64>) {
    out.clear();
    out.resize(columns, 0.0);
    for block in x.chunks(FLUSH * columns) {
        scratch.clear();
        scratch.resize(columns, T::ZERO);
        for row in block.chunks_exact(columns) {
            add(&mut scratch[..columns], row);
        }
        for (o, s) in out.iter_mut().zip(&*scratch) {
            *o += s.to_f64();
        }
    }
}

#[inline(always)]
fn add<T: Real>(acc: &mut [T], x: &[T]) {
    for (a, v) in acc.iter_mut().zip(x) {
        *a += *v;
    }
}

/// Which samples are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    All,
    /// Samples 2k and 2k + 1.
    Adjacent,
}

/// Sum of 1 - cosine over sample pairs, and the number of pairs. `squares[b]` is |x_b|^2; samples whose square is zero
/// (or below [`Real::SQUARE_FLOOR`]) or not finite take part in no pair.
///
/// With unit vectors u_b, the sum over all pairs of |u_a - u_b|^2 / 2 is V/2 (sum |u_b - s|^2 - |sum (u_b - s)|^2 / V) for
/// any shift s; the first unit vector as shift keeps the differences exact where all samples are nearly parallel.
#[inline(always)]
pub fn cosine_gaps<T: Real, S: Simd>(
    simd: S,
    x: &[T],
    columns: usize,
    squares: &[f64],
    pairs: Pairs,
    scratch: &mut [Vec<T>; 2],
) -> (f64, u64) {
    let valid = |b: usize| squares[b] > T::SQUARE_FLOOR && squares[b].is_finite();
    let inverse = |b: usize| T::from_f64(1.0 / squares[b].sqrt());
    match pairs {
        Pairs::Adjacent => {
            let (mut gap, mut count) = (0.0, 0);
            for (k, pair) in x.chunks_exact(2 * columns).enumerate() {
                if valid(2 * k) && valid(2 * k + 1) {
                    let (a, b) = pair.split_at(columns);
                    let (ia, ib) = (inverse(2 * k), inverse(2 * k + 1));
                    gap += 0.5 * difference_square(a, ia, b, ib);
                    count += 1;
                }
            }
            (gap, count)
        }
        Pairs::All => {
            let Some(first) = (0..squares.len()).find(|&b| valid(b)) else { return (0.0, 0) };
            let [shift, acc] = scratch;
            let scale = inverse(first);
            shift.clear();
            shift.extend(x[first * columns..(first + 1) * columns].iter().map(|&v| v * scale));
            acc.clear();
            acc.resize(columns, T::ZERO);
            let mut sums = vec![0.0; columns];
            // 0 for samples that take part in no pair.
            let scales: Vec<T> = (0..squares.len()).map(|b| if valid(b) { inverse(b) } else { T::ZERO }).collect();
            let (mut total, mut count) = (0.0, 0u64);
            for (rows, scales) in x.chunks(FLUSH * columns).zip(scales.chunks(FLUSH)) {
                for (rows, scales) in rows.chunks(4 * columns).zip(scales.chunks(4)) {
                    if let Ok(four) = <&[T; 4]>::try_from(scales)
                        && scales.iter().all(|&scale| scale != T::ZERO)
                    {
                        total += T::shifted_four(simd, rows, four, shift, acc);
                        count += 4;
                        continue;
                    }
                    for (row, &scale) in rows.chunks_exact(columns).zip(scales).filter(|(_, scale)| **scale != T::ZERO)
                    {
                        total += T::shifted(simd, row, scale, shift, acc);
                        count += 1;
                    }
                }
                flush(acc, &mut sums);
            }
            let square: f64 = sums.iter().map(|v| v * v).sum();
            let v = count as f64;
            ((0.5 * (v * total - square)).max(0.0), count * (count - 1) / 2)
        }
    }
}

#[inline(always)]
fn flush<T: Real>(acc: &mut [T], sums: &mut [f64]) {
    for (s, a) in sums.iter_mut().zip(acc) {
        *s += a.to_f64();
        *a = T::ZERO;
    }
}

#[inline(always)]
fn difference_square<T: Real>(a: &[T], ia: T, b: &[T], ib: T) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for l in 0..a.len() {
            let d = a[l] * ia - b[l] * ib;
            lanes[l] += d * d;
        }
    }
    lanes.iter().map(|v| v.to_f64()).sum()
}

/// Per unit: sum of |x|, sum of x^2 and maximum of |x| over rows; used for phi' over samples and for W over outputs.
#[derive(Clone, Debug, Default)]
pub struct UnitStats<T> {
    pub abs: Vec<f64>,
    pub square: Vec<f64>,
    pub max: Vec<T>,
}

impl<T: Real> UnitStats<T> {
    pub fn clear(&mut self, columns: usize) {
        for v in [&mut self.abs, &mut self.square] {
            v.clear();
            v.resize(columns, 0.0);
        }
        self.max.clear();
        self.max.resize(columns, T::ZERO);
    }

    #[inline(always)]
    pub fn fill<S: Simd>(&mut self, simd: S, x: &[T], columns: usize) {
        self.clear(columns);
        for block in x.chunks(FLUSH * columns) {
            T::units(simd, block, columns, 0, self.sums());
        }
    }

    /// [`UnitStats::fill`] of a matrix of any size, whose columns threads can share: the same bits.
    pub fn matrix<S: Simd>(&mut self, team: &Team, simd: S, x: &[T], columns: usize) {
        self.clear(columns);
        let share = if x.len() < SHARED { columns } else { UNIT_SHARE };
        let (abs, square) = (self.abs.chunks_mut(share), self.square.chunks_mut(share));
        team.each(abs.zip(square).zip(self.max.chunks_mut(share)).enumerate(), |(i, ((abs, square), max))| {
            T::dispatch(
                simd,
                #[inline(always)]
                || {
                    for block in x.chunks(FLUSH * columns) {
                        T::units(simd, block, columns, i * share, (&mut *abs, &mut *square, &mut *max));
                    }
                },
            );
        });
    }

    pub fn sums(&mut self) -> UnitSums<'_, T> {
        (&mut self.abs, &mut self.square, &mut self.max)
    }
}

/// Largest finite |x|.
#[inline(always)]
pub fn abs_max<T: Real>(x: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for l in 0..LANES {
            let a = chunk[l].magnitude();
            lanes[l] = if (a > lanes[l]) & (a < T::INFINITY) { a } else { lanes[l] };
        }
    }
    for (l, v) in rest.iter().enumerate() {
        let a = v.magnitude();
        lanes[l] = if (a > lanes[l]) & (a < T::INFINITY) { a } else { lanes[l] };
    }
    lanes.iter().fold(0.0, |m: f64, v| m.max(v.to_f64()))
}

/// Number of (i, j, b) with |w[i, j]| |d[b, j]| > `bound`: per unit j, the weights sorted, one binary search a sample.
pub fn paths_above<T: Real>(w: &[T], d: &[T], columns: usize, bound: f64) -> u64 {
    let mut sorted = vec![0.0; w.len() / columns];
    let mut count = 0;
    for j in 0..columns {
        for (s, v) in sorted.iter_mut().zip(w.iter().skip(j).step_by(columns)) {
            *s = v.to_f64().abs();
        }
        sorted.sort_unstable_by(f64::total_cmp);
        for v in d.iter().skip(j).step_by(columns) {
            let v = v.to_f64().abs();
            count += (sorted.len() - sorted.partition_point(|&s| s * v <= bound)) as u64;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    fn sample(rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|i| ((i * 37 + i * i * 11) % 101) as f64 / 50.0 - 0.97).collect()
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
        let mut scratch = [Vec::new(), Vec::new()];
        let (gap, count) = cosine_gaps(Scalar::new(), &x, columns, &squares, Pairs::All, &mut scratch);
        assert_eq!(count, pairs);
        assert!((gap - want).abs() < 1e-10 * want, "{gap} {want}");
        let (gap, count) = cosine_gaps(Scalar::new(), &x, columns, &squares, Pairs::Adjacent, &mut scratch);
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
        let mut scratch = [Vec::new(), Vec::new()];
        let (want, _) = cosine_gaps(Scalar::new(), &wide, columns, &squares, Pairs::All, &mut scratch);
        let (got, _) = cosine_gaps(Scalar::new(), &x, columns, &squares, Pairs::All, &mut [Vec::new(), Vec::new()]);
        assert!((got / want - 1.0).abs() < 1e-2, "{got} {want}");
    }

    #[test]
    fn paths_above_one_equal_the_count_by_hand() {
        let (w, d, columns) = (sample(5, 7), sample(4, 7), 7);
        let mut want = 0;
        for i in 0..5 {
            for b in 0..4 {
                want += (0..7).filter(|&j| (w[i * 7 + j] * d[b * 7 + j]).abs() > 0.3).count() as u64;
            }
        }
        assert_eq!(paths_above(&w, &d, columns, 0.3), want);
    }

    #[test]
    fn large_matrices_have_the_same_unit_statistics_with_any_number_of_threads() {
        let columns = 2 * UNIT_SHARE + 37;
        let x: Vec<f32> = sample(SHARED / columns + 1, columns).iter().map(|&v| v as f32).collect();
        let of = |threads: usize| {
            let mut stats = UnitStats::default();
            stats.matrix(&Team::new(threads), Scalar::new(), &x, columns);
            (stats.abs, stats.square, stats.max)
        };
        let mut whole = UnitStats::default();
        whole.fill(Scalar::new(), &x, columns);
        assert_eq!(of(0), (whole.abs, whole.square, whole.max));
        assert_eq!(of(0), of(3));
    }

    #[test]
    fn unit_statistics_equal_the_direct_sums() {
        let (rows, columns) = (70, 5);
        let x = sample(rows, columns);
        let mut stats = UnitStats::default();
        stats.fill(Scalar::new(), &x, columns);
        for j in 0..columns {
            let column = || x.iter().skip(j).step_by(columns).map(|v| v.abs());
            assert!((stats.abs[j] - column().sum::<f64>()).abs() < 1e-10);
            assert!((stats.square[j] - column().map(|v| v * v).sum::<f64>()).abs() < 1e-10);
            assert_eq!(stats.max[j], column().fold(0.0, f64::max));
        }
    }
}
