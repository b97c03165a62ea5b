//! Reductions over the columns of a block of rows: per unit over samples, or over the outputs of a weight matrix. A few
//! columns at a time are kept in registers while the rows go by.

use pulp::Simd;

use super::real::Real;
use super::simd::{LANES, count, total};

/// Sums over all elements of phi'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhiReduction {
    pub sum: f64,
    pub saturated: u64,
    pub active: u64,
}

impl PhiReduction {
    const ZERO: PhiReduction = PhiReduction { sum: 0.0, saturated: 0, active: 0 };

    fn join(self, part: PhiReduction) -> PhiReduction {
        PhiReduction {
            sum: self.sum + part.sum,
            saturated: self.saturated + part.saturated,
            active: self.active + part.active,
        }
    }
}

/// Sum of phi', saturated and active elements in plain code.
#[inline(always)]
pub fn plain_phi<T: Real>(u: &[T], d: &[T], threshold: T, knee: [T; 2]) -> PhiReduction {
    let mut sum = [T::ZERO; LANES];
    let (mut saturated, mut active) = ([0u32; LANES], [0u32; LANES]);
    for (u, d) in u.chunks(LANES).zip(d.chunks(LANES)) {
        for (l, (u, d)) in u.iter().zip(d).enumerate() {
            sum[l] += *d;
            let beyond = (*u <= knee[0]) | (*u >= knee[1]);
            saturated[l] += u32::from(beyond & (d.magnitude() < threshold));
            active[l] += u32::from(*u > T::ZERO);
        }
    }
    PhiReduction { sum: total(sum), saturated: count(saturated), active: count(active) }
}

/// Per column: sums of |x| and of x^2, and the maximum of |x|.
pub type UnitSums<'a, T> = (&'a mut [f64], &'a mut [f64], &'a mut [T]);

/// Adds as many columns of a few rows as there are sums, from column `first` on.
#[inline(always)]
pub fn plain_units<T: Real>(x: &[T], columns: usize, first: usize, (abs, square, max): UnitSums<'_, T>) {
    for j in 0..max.len() {
        let (mut s, mut q, mut m) = (T::ZERO, T::ZERO, max[j]);
        for v in x.iter().skip(first + j).step_by(columns) {
            let a = v.magnitude();
            s += a;
            q += a * a;
            m = if a > m { a } else { m };
        }
        abs[j] += s.to_f64();
        square[j] += q.to_f64();
        max[j] = m;
    }
}

/// Adds the lanes of a vector to as many float64 sums.
#[inline(always)]
fn widen<S: Simd>(v: S::f32s, sums: &mut [f64]) {
    let parts: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&v));
    for (sum, part) in sums.iter_mut().zip(parts) {
        *sum += f64::from(*part);
    }
}

/// [`plain_units`] with vectors.
#[inline(always)]
pub fn units<S: Simd>(simd: S, x: &[f32], columns: usize, first: usize, (abs, square, max): UnitSums<'_, f32>) {
    let lanes = S::F32_LANES;
    if lanes < 4 {
        return plain_units(x, columns, first, (abs, square, max));
    }
    // Two at a time, because each sum waits for its last addition.
    let pairs = abs.chunks_mut(2 * lanes).zip(square.chunks_mut(2 * lanes)).zip(max.chunks_mut(2 * lanes));
    for (i, ((abs, square), max)) in pairs.enumerate() {
        let first = first + i * 2 * lanes;
        if max.len() > lanes {
            unit_vectors::<S, 2>(simd, x, columns, first, (abs, square, max));
        } else {
            unit_vectors::<S, 1>(simd, x, columns, first, (abs, square, max));
        }
    }
}

/// Adds the columns of `K` vectors, of which the last may not be whole.
#[inline(always)]
fn unit_vectors<S: Simd, const K: usize>(
    simd: S,
    x: &[f32],
    columns: usize,
    first: usize,
    (abs, square, max): UnitSums<'_, f32>,
) {
    let (lanes, count) = (S::F32_LANES, max.len());
    let part = |k: usize| k * lanes..count.min((k + 1) * lanes);
    let (mut s, mut q, mut m) = ([simd.splat_f32s(0.0); K], [simd.splat_f32s(0.0); K], [simd.splat_f32s(0.0); K]);
    for k in 0..K {
        m[k] = load(simd, &max[part(k)]);
    }
    for row in x.chunks_exact(columns) {
        let row = &row[first..first + count];
        for k in 0..K {
            let a = simd.abs_f32s(load(simd, &row[part(k)]));
            s[k] = simd.add_f32s(s[k], a);
            q[k] = simd.mul_add_e_f32s(a, a, q[k]);
            m[k] = simd.select_f32s(simd.less_than_f32s(m[k], a), a, m[k]);
        }
    }
    for k in 0..K {
        simd.partial_store_f32s(&mut max[part(k)], m[k]);
        widen::<S>(s[k], &mut abs[part(k)]);
        widen::<S>(q[k], &mut square[part(k)]);
    }
}

/// A vector, or the start of one and zeros.
#[inline(always)]
fn load<S: Simd>(simd: S, x: &[f32]) -> S::f32s {
    match S::as_simd_f32s(x).0 {
        [whole] => *whole,
        _ => simd.partial_load_f32s(x),
    }
}

/// [`plain_phi`] and [`plain_units`] of phi' in one pass over a block of rows of u and phi'.
#[inline(always)]
pub fn phi<S: Simd>(
    simd: S,
    (u, d): (&[f32], &[f32]),
    columns: usize,
    threshold: f32,
    knee: [f32; 2],
    (abs, square, max): UnitSums<'_, f32>,
) -> PhiReduction {
    let lanes = S::F32_LANES;
    if lanes < 4 {
        plain_units(d, columns, 0, (abs, square, max));
        return u
            .chunks_exact(columns)
            .zip(d.chunks_exact(columns))
            .map(|(u, d)| plain_phi(u, d, threshold, knee))
            .fold(PhiReduction::ZERO, PhiReduction::join);
    }
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (low, high, bound) = (simd.splat_f32s(knee[0]), simd.splat_f32s(knee[1]), simd.splat_f32s(threshold));
    let (mut saturated, mut active) = (zero, zero);
    let mut sums = [0.0; 16];
    for j in (0..columns).step_by(lanes) {
        let range = j..columns.min(j + lanes);
        // Lanes that are not there count for nothing.
        let one = simd.select_f32s(simd.mask_between_m32s(0, range.len() as u32).mask(), one, zero);
        let (mut sum, mut s, mut q) = (zero, zero, zero);
        let mut m = load(simd, &max[range.clone()]);
        for (u, d) in u.chunks_exact(columns).zip(d.chunks_exact(columns)) {
            let (u, d) = (load(simd, &u[range.clone()]), load(simd, &d[range.clone()]));
            let a = simd.abs_f32s(d);
            let beyond = simd.or_m32s(simd.less_than_or_equal_f32s(u, low), simd.less_than_or_equal_f32s(high, u));
            let flat = simd.and_m32s(beyond, simd.less_than_f32s(a, bound));
            saturated = simd.add_f32s(saturated, simd.select_f32s(flat, one, zero));
            active = simd.add_f32s(active, simd.select_f32s(simd.less_than_f32s(zero, u), one, zero));
            sum = simd.add_f32s(sum, d);
            s = simd.add_f32s(s, a);
            q = simd.mul_add_e_f32s(a, a, q);
            m = simd.select_f32s(simd.less_than_f32s(m, a), a, m);
        }
        simd.partial_store_f32s(&mut max[range.clone()], m);
        widen::<S>(sum, &mut sums);
        widen::<S>(s, &mut abs[range.clone()]);
        widen::<S>(q, &mut square[range]);
    }
    PhiReduction {
        sum: sums.iter().sum(),
        saturated: simd.reduce_sum_f32s(saturated) as u64,
        active: simd.reduce_sum_f32s(active) as u64,
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Compare {
        rows: usize,
        columns: usize,
    }

    impl WithSimd for Compare {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let Compare { rows, columns } = self;
            let n = rows * columns;
            let u: Vec<f32> =
                (0..n).map(|i| if i % 5 == 0 { 0.0 } else { ((i * 37) % 19) as f32 * 0.3 - 2.0 }).collect();
            let d: Vec<f32> = (0..n).map(|i| ((i * 11) % 7) as f32 * 0.01 - 0.02).collect();
            let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
            let fresh = || (vec![0.25; columns], vec![0.5; columns], vec![0.03f32; columns]);
            let same = |a: &(Vec<f64>, Vec<f64>, Vec<f32>), b: &(Vec<f64>, Vec<f64>, Vec<f32>)| {
                a.0.iter().zip(&b.0).chain(a.1.iter().zip(&b.1)).for_each(|(a, b)| near(*a, *b));
                assert_eq!(a.2, b.2);
            };
            let mut want = fresh();
            plain_units(&d, columns, 0, (&mut want.0, &mut want.1, &mut want.2));
            let mut got = fresh();
            units(simd, &d, columns, 0, (&mut got.0, &mut got.1, &mut got.2));
            same(&got, &want);
            let mut parts = fresh();
            let shares = parts.0.chunks_mut(16).zip(parts.1.chunks_mut(16)).zip(parts.2.chunks_mut(16));
            for (i, ((abs, square), max)) in shares.enumerate() {
                units(simd, &d, columns, 16 * i, (abs, square, max));
            }
            assert_eq!(parts, got, "in parts of 16 columns");
            let (threshold, knee) = (0.015, [-1.0, 1.0]);
            let mut got = fresh();
            let a = phi(simd, (&u, &d), columns, threshold, knee, (&mut got.0, &mut got.1, &mut got.2));
            same(&got, &want);
            let b = plain_phi(&u, &d, threshold, knee);
            near(a.sum, b.sum);
            assert_eq!((a.saturated, a.active), (b.saturated, b.active));
            assert!(n < 50 || (b.saturated > 0 && b.saturated < b.active), "the sample has both kinds");
        }
    }

    #[test]
    fn vectors_equal_plain_code_at_any_shape() {
        for (rows, columns) in [(1, 1), (3, 5), (2, 8), (16, 11), (7, 16), (4, 24), (5, 40), (3, 100)] {
            Arch::new().dispatch(Compare { rows, columns });
            Arch::Scalar.dispatch(Compare { rows, columns });
        }
    }
}
