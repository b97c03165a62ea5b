//! Reductions over a row: eight interleaved sums in plain code for float64 and processors without vector instructions,
//! explicit vectors for float32. (Elementwise loops vectorise by themselves; reductions do not, because the compiler may
//! not reorder a float sum.)

use pulp::Simd;

use super::real::Real;

const LANES: usize = 8;

/// Sums over one row, with d = x - shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowReduction {
    pub deviation: f64,
    pub deviation_square: f64,
    pub square: f64,
    pub abs_max: f64,
    pub zeros: u64,
}

impl RowReduction {
    fn join(&mut self, part: &RowReduction) {
        self.deviation += part.deviation;
        self.deviation_square += part.deviation_square;
        self.square += part.square;
        self.abs_max = self.abs_max.max(part.abs_max);
        self.zeros += part.zeros;
    }
}

/// Sums over one row of phi'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhiReduction {
    pub sum: f64,
    pub saturated: u64,
    pub active: u64,
}

fn total<T: Real>(lanes: [T; LANES]) -> f64 {
    lanes.iter().map(|v| v.to_f64()).sum()
}
fn count(lanes: [u32; LANES]) -> u64 {
    lanes.iter().map(|&v| u64::from(v)).sum()
}

/// Sums, maximum and zeros of a row in plain code.
#[inline(always)]
pub fn plain_reduce<T: Real>(x: &[T], shift: T) -> RowReduction {
    let (mut s1, mut s2, mut q, mut m) = ([T::ZERO; LANES], [T::ZERO; LANES], [T::ZERO; LANES], [T::ZERO; LANES]);
    let mut z = [0u32; LANES];
    for chunk in x.chunks(LANES) {
        for (l, v) in chunk.iter().enumerate() {
            let d = *v - shift;
            s1[l] += d;
            s2[l] += d * d;
            q[l] += *v * *v;
            let a = v.magnitude();
            m[l] = if a > m[l] { a } else { m[l] };
            z[l] += u32::from(*v == T::ZERO);
        }
    }
    RowReduction {
        deviation: total(s1),
        deviation_square: total(s2),
        square: total(q),
        abs_max: m.iter().fold(0.0, |a: f64, b| a.max(b.to_f64())),
        zeros: count(z),
    }
}

/// Sum of a[i] * b[i] in plain code.
#[inline(always)]
pub fn plain_dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (l, (a, b)) in a.iter().zip(b).enumerate() {
            lanes[l] += *a * *b;
        }
    }
    total(lanes)
}

/// Sum of (scale a - b)^2 in plain code, the differences added to `acc`.
#[inline(always)]
pub fn plain_shifted<T: Real>(a: &[T], scale: T, b: &[T], acc: &mut [T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    for (i, ((a, b), acc)) in a.iter().zip(b).zip(acc).enumerate() {
        let d = *a * scale - *b;
        *acc += d;
        lanes[i % LANES] += d * d;
    }
    total(lanes)
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

/// Adds the columns from `first` on of a few rows.
#[inline(always)]
pub fn plain_units<T: Real>(x: &[T], columns: usize, first: usize, (abs, square, max): UnitSums<'_, T>) {
    for j in first..columns {
        let (mut s, mut q, mut m) = (T::ZERO, T::ZERO, max[j]);
        for v in x.iter().skip(j).step_by(columns) {
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

/// [`plain_units`] with vectors: a few columns at a time in registers.
#[inline(always)]
pub fn units<S: Simd>(simd: S, x: &[f32], columns: usize, (abs, square, max): UnitSums<'_, f32>) {
    let lanes = S::F32_LANES;
    let whole = if lanes < 4 { 0 } else { columns / lanes * lanes };
    for j in (0..whole).step_by(lanes) {
        let mut s = simd.splat_f32s(0.0);
        let mut q = s;
        let mut m = S::as_simd_f32s(&max[j..j + lanes]).0[0];
        for row in x.chunks_exact(columns) {
            let a = simd.abs_f32s(S::as_simd_f32s(&row[j..j + lanes]).0[0]);
            s = simd.add_f32s(s, a);
            q = simd.mul_add_e_f32s(a, a, q);
            m = simd.select_f32s(simd.less_than_f32s(m, a), a, m);
        }
        S::as_mut_simd_f32s(&mut max[j..j + lanes]).0[0] = m;
        let wide = |v: &S::f32s, out: &mut [f64]| {
            let parts: &[f32] = bytemuck::cast_slice(std::slice::from_ref(v));
            out.iter_mut().zip(parts).for_each(|(o, p)| *o += f64::from(*p));
        };
        wide(&s, &mut abs[j..j + lanes]);
        wide(&q, &mut square[j..j + lanes]);
    }
    plain_units(x, columns, whole, (abs, square, max));
}

/// [`plain_reduce`] with vectors.
#[inline(always)]
pub fn reduce<S: Simd>(simd: S, x: &[f32], shift: f32) -> RowReduction {
    if S::F32_LANES < 4 {
        return plain_reduce(x, shift);
    }
    let (head, tail) = S::as_simd_f32s(x);
    let zero = simd.splat_f32s(0.0);
    let one = simd.splat_f32s(1.0);
    let k = simd.splat_f32s(shift);
    let (mut s1, mut s2, mut q, mut m, mut z) = (zero, zero, zero, zero, zero);
    for &v in head {
        let d = simd.sub_f32s(v, k);
        s1 = simd.add_f32s(s1, d);
        s2 = simd.mul_add_e_f32s(d, d, s2);
        q = simd.mul_add_e_f32s(v, v, q);
        let a = simd.abs_f32s(v);
        m = simd.select_f32s(simd.less_than_f32s(m, a), a, m);
        z = simd.add_f32s(z, simd.select_f32s(simd.equal_f32s(v, zero), one, zero));
    }
    let rest = plain_reduce(tail, shift);
    RowReduction {
        deviation: f64::from(simd.reduce_sum_f32s(s1)) + rest.deviation,
        deviation_square: f64::from(simd.reduce_sum_f32s(s2)) + rest.deviation_square,
        square: f64::from(simd.reduce_sum_f32s(q)) + rest.square,
        abs_max: f64::from(simd.reduce_max_f32s(m)).max(rest.abs_max),
        zeros: simd.reduce_sum_f32s(z) as u64 + rest.zeros,
    }
}

/// [`plain_reduce`] of a block of rows with its sums kept in registers; `squares` has the sum of squares of each row.
#[inline(always)]
pub fn reduce_rows<S: Simd>(simd: S, x: &[f32], columns: usize, shift: f32, squares: &mut [f64]) -> RowReduction {
    let mut rest = RowReduction { deviation: 0.0, deviation_square: 0.0, square: 0.0, abs_max: 0.0, zeros: 0 };
    if S::F32_LANES < 4 {
        return plain_reduce_rows(x, columns, shift, squares);
    }
    let zero = simd.splat_f32s(0.0);
    let one = simd.splat_f32s(1.0);
    let k = simd.splat_f32s(shift);
    let (mut s1, mut s2, mut m, mut z) = (zero, zero, zero, zero);
    for (row, square) in x.chunks_exact(columns).zip(squares) {
        let (head, tail) = S::as_simd_f32s(row);
        let mut q = zero;
        for &v in head {
            let d = simd.sub_f32s(v, k);
            s1 = simd.add_f32s(s1, d);
            s2 = simd.mul_add_e_f32s(d, d, s2);
            q = simd.mul_add_e_f32s(v, v, q);
            let a = simd.abs_f32s(v);
            m = simd.select_f32s(simd.less_than_f32s(m, a), a, m);
            z = simd.add_f32s(z, simd.select_f32s(simd.equal_f32s(v, zero), one, zero));
        }
        *square = f64::from(simd.reduce_sum_f32s(q));
        if !tail.is_empty() {
            let part = plain_reduce(tail, shift);
            *square += part.square;
            rest.join(&part);
        }
    }
    rest.join(&RowReduction {
        deviation: f64::from(simd.reduce_sum_f32s(s1)),
        deviation_square: f64::from(simd.reduce_sum_f32s(s2)),
        square: 0.0,
        abs_max: f64::from(simd.reduce_max_f32s(m)),
        zeros: simd.reduce_sum_f32s(z) as u64,
    });
    rest
}

/// [`reduce_rows`] in plain code.
#[inline(always)]
pub fn plain_reduce_rows<T: Real>(x: &[T], columns: usize, shift: T, squares: &mut [f64]) -> RowReduction {
    let mut total = RowReduction { deviation: 0.0, deviation_square: 0.0, square: 0.0, abs_max: 0.0, zeros: 0 };
    for (row, square) in x.chunks_exact(columns).zip(squares) {
        let part = plain_reduce(row, shift);
        *square = part.square;
        total.join(&part);
    }
    total
}

/// [`plain_dot`] with vectors.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    if S::F32_LANES < 4 {
        return plain_dot(a, b);
    }
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.splat_f32s(0.0);
    for (&a, &b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(a, b, sum);
    }
    f64::from(simd.reduce_sum_f32s(sum)) + plain_dot(a_tail, b_tail)
}

/// [`plain_shifted`] with vectors.
#[inline(always)]
pub fn shifted<S: Simd>(simd: S, a: &[f32], scale: f32, b: &[f32], acc: &mut [f32]) -> f64 {
    if S::F32_LANES < 4 {
        return plain_shifted(a, scale, b, acc);
    }
    let ((a, a_tail), (b, b_tail), (acc, acc_tail)) =
        (S::as_simd_f32s(a), S::as_simd_f32s(b), S::as_mut_simd_f32s(acc));
    let k = simd.splat_f32s(scale);
    let mut sum = simd.splat_f32s(0.0);
    for ((&a, &b), acc) in a.iter().zip(b).zip(acc) {
        // Rounded before the difference, as in plain code: equal samples must differ by exactly zero.
        let d = simd.sub_f32s(simd.mul_f32s(a, k), b);
        *acc = simd.add_f32s(*acc, d);
        sum = simd.mul_add_e_f32s(d, d, sum);
    }
    f64::from(simd.reduce_sum_f32s(sum)) + plain_shifted(a_tail, scale, b_tail, acc_tail)
}

/// [`plain_phi`] with vectors.
#[inline(always)]
pub fn phi<S: Simd>(simd: S, u: &[f32], d: &[f32], threshold: f32, knee: [f32; 2]) -> PhiReduction {
    if S::F32_LANES < 4 {
        return plain_phi(u, d, threshold, knee);
    }
    let ((u, u_tail), (d, d_tail)) = (S::as_simd_f32s(u), S::as_simd_f32s(d));
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (low, high, bound) = (simd.splat_f32s(knee[0]), simd.splat_f32s(knee[1]), simd.splat_f32s(threshold));
    let (mut sum, mut saturated, mut active) = (zero, zero, zero);
    for (&u, &d) in u.iter().zip(d) {
        sum = simd.add_f32s(sum, d);
        let beyond = simd.or_m32s(simd.less_than_or_equal_f32s(u, low), simd.less_than_or_equal_f32s(high, u));
        let small = simd.less_than_f32s(simd.abs_f32s(d), bound);
        saturated = simd.add_f32s(saturated, simd.select_f32s(simd.and_m32s(beyond, small), one, zero));
        active = simd.add_f32s(active, simd.select_f32s(simd.less_than_f32s(zero, u), one, zero));
    }
    let rest = plain_phi(u_tail, d_tail, threshold, knee);
    PhiReduction {
        sum: f64::from(simd.reduce_sum_f32s(sum)) + rest.sum,
        saturated: simd.reduce_sum_f32s(saturated) as u64 + rest.saturated,
        active: simd.reduce_sum_f32s(active) as u64 + rest.active,
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Compare(usize);

    impl WithSimd for Compare {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let n = self.0;
            let x: Vec<f32> =
                (0..n).map(|i| if i % 5 == 0 { 0.0 } else { ((i * 37) % 19) as f32 * 0.3 - 2.0 }).collect();
            let y: Vec<f32> = (0..n).map(|i| ((i * 11) % 7) as f32 * 0.01).collect();
            let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
            let (a, b) = (reduce(simd, &x, 0.25), plain_reduce(&x, 0.25));
            near(a.deviation, b.deviation);
            near(a.deviation_square, b.deviation_square);
            near(a.square, b.square);
            assert_eq!((a.abs_max, a.zeros), (b.abs_max, b.zeros));
            for columns in [1, 4, 11, 50].into_iter().filter(|c| n.is_multiple_of(*c)) {
                let (mut p, mut q) = (vec![0.0; n / columns], vec![0.0; n / columns]);
                let a = reduce_rows(simd, &x, columns, 0.25, &mut p);
                let b = plain_reduce_rows(&x, columns, 0.25, &mut q);
                near(a.deviation, b.deviation);
                near(a.deviation_square, b.deviation_square);
                assert_eq!((a.abs_max, a.zeros), (b.abs_max, b.zeros));
                p.iter().zip(&q).for_each(|(p, q)| near(*p, *q));
            }
            near(dot(simd, &x, &y), plain_dot(&x, &y));
            let (mut p, mut q) = (y.clone(), y.clone());
            near(shifted(simd, &x, 0.5, &y, &mut p), plain_shifted(&x, 0.5, &y, &mut q));
            assert_eq!(p, q);
            if n > 0 {
                for columns in [1, 5, 8, 11].into_iter().filter(|c| n.is_multiple_of(*c)) {
                    let (mut a, mut b) = (vec![0.0; 3 * columns], vec![0.0; 3 * columns]);
                    let (mut am, mut bm) = (vec![0.5; columns], vec![0.5; columns]);
                    let ((aa, rest), (ba, other)) = (a.split_at_mut(columns), b.split_at_mut(columns));
                    units(simd, &x, columns, (aa, &mut rest[..columns], &mut am));
                    plain_units(&x, columns, 0, (ba, &mut other[..columns], &mut bm));
                    a.iter().zip(&b).for_each(|(a, b)| near(*a, *b));
                    assert_eq!(am, bm);
                }
            }
            let (a, b) = (phi(simd, &x, &y, 0.03, [-1.0, 1.0]), plain_phi(&x, &y, 0.03, [-1.0, 1.0]));
            near(a.sum, b.sum);
            assert_eq!((a.saturated, a.active), (b.saturated, b.active));
        }
    }

    #[test]
    fn vectors_equal_plain_code_at_any_length() {
        for n in [0, 1, 7, 8, 9, 15, 16, 17, 88, 100, 1000] {
            Arch::new().dispatch(Compare(n));
            Arch::Scalar.dispatch(Compare(n));
        }
    }
}
