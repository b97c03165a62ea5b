//! Passes over tensors that are not matrix products: statistics of units, maxima, path factors. Every function is inlined into the caller's SIMD dispatch.

use pulp::Simd;

use super::columns::UnitSums;
use super::moments::SHARED;
use super::real::Real;
use super::samples::FLUSH;
use super::team::Team;

const LANES: usize = 8;
/// Columns of a matrix that one thread takes at a time.
const UNIT_SHARE: usize = 256;
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

/// Replaces positive finite numbers by their natural logarithms, to 1e-15: in vectors, where none is subnormal.
#[inline(always)]
pub fn logarithms(values: &mut [f64]) {
    if values.iter().any(|v| *v < f64::MIN_POSITIVE) {
        values.iter_mut().for_each(|v| *v = v.ln());
        return;
    }
    for v in values {
        // v = 2^k m with m in [1/sqrt(2), sqrt(2)]; ln m = 2 artanh((m - 1) / (m + 1)).
        let bits = v.to_bits();
        let m = f64::from_bits(bits & ((1 << 52) - 1) | 1f64.to_bits());
        let upper = m > std::f64::consts::SQRT_2;
        let k = f64::from((bits >> 52) as i32 - if upper { 1022 } else { 1023 });
        let m = if upper { 0.5 * m } else { m };
        let t = (m - 1.0) / (m + 1.0);
        let t2 = t * t;
        let mut sum = 1.0 / 21.0;
        for n in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
            sum = sum * t2 + 1.0 / n;
        }
        *v = k * std::f64::consts::LN_2 + 2.0 * t * sum;
    }
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
    fn logarithms_equal_those_of_the_library() {
        let around_one = (0..2000).map(|i| 0.5 + f64::from(i) / 1000.0);
        let anywhere = (-1020..1020).map(|k| libm::scalbn(1.0 + f64::from(k + 1020) / 2040.0, k));
        let values: Vec<f64> = around_one.chain(anywhere).collect();
        let near = |values: &[f64]| {
            let mut logs = values.to_vec();
            logarithms(&mut logs);
            for (v, log) in values.iter().zip(logs) {
                assert!((log - v.ln()).abs() <= 1e-15 * v.ln().abs().max(1.0), "{v}: {log}");
            }
        };
        near(&values);
        near(&[1.0, 3e-320, 2.0]);
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
