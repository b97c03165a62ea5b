//! Reductions over a row: eight interleaved sums in plain code for float64 and processors without vector instructions,
//! explicit vectors for float32. Reductions over columns are in `columns.rs`. (Elementwise loops vectorise by themselves; reductions do not, because the compiler may
//! not reorder a float sum.)

use pulp::Simd;

use super::real::Real;

pub(super) const LANES: usize = 8;

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
    pub const ZERO: Self = RowReduction { deviation: 0.0, deviation_square: 0.0, square: 0.0, abs_max: 0.0, zeros: 0 };

    fn join(&mut self, part: &RowReduction) {
        self.deviation += part.deviation;
        self.deviation_square += part.deviation_square;
        self.square += part.square;
        self.abs_max = self.abs_max.max(part.abs_max);
        self.zeros += part.zeros;
    }
}

pub(super) fn total<T: Real>(lanes: [T; LANES]) -> f64 {
    lanes.iter().map(|v| v.to_f64()).sum()
}
pub(super) fn count(lanes: [u32; LANES]) -> u64 {
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

/// [`plain_reduce`] with vectors.
#[inline(always)]
pub fn reduce<S: Simd>(simd: S, x: &[f32], shift: f32) -> RowReduction {
    let mut square = [0.0];
    let sums = reduce_rows(simd, x, x.len().max(1), shift, &mut square);
    RowReduction { square: square[0], ..sums }
}

/// Running sums of a block of rows: of deviations and their squares, the largest and the smallest |x|. Few enough that two
/// of these stay in registers.
#[derive(Clone, Copy)]
struct Running<S: Simd> {
    deviation: S::f32s,
    deviation_square: S::f32s,
    largest: S::f32s,
    smallest: S::f32s,
}

impl<S: Simd> Running<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = simd.splat_f32s(0.0);
        let smallest = simd.splat_f32s(f32::INFINITY);
        Running { deviation: zero, deviation_square: zero, largest: zero, smallest }
    }

    /// Adds a vector; returns `square` with its squares added. NaN shows there, whatever the extremes make of it.
    #[inline(always)]
    fn add(&mut self, simd: S, v: S::f32s, shift: S::f32s, square: S::f32s) -> S::f32s {
        let (d, a) = (simd.sub_f32s(v, shift), simd.abs_f32s(v));
        self.deviation = simd.add_f32s(self.deviation, d);
        self.deviation_square = simd.mul_add_e_f32s(d, d, self.deviation_square);
        self.largest = simd.max_f32s(a, self.largest);
        self.smallest = simd.min_f32s(a, self.smallest);
        simd.mul_add_e_f32s(v, v, square)
    }

    /// [`Running::add`] of a vector that is zero outside the mask.
    #[inline(always)]
    fn add_masked(&mut self, simd: S, v: S::f32s, (shift, mask): (S::f32s, S::m32s), square: S::f32s) -> S::f32s {
        let d = simd.select_f32s(mask, simd.sub_f32s(v, shift), simd.splat_f32s(0.0));
        let a = simd.abs_f32s(v);
        self.deviation = simd.add_f32s(self.deviation, d);
        self.deviation_square = simd.mul_add_e_f32s(d, d, self.deviation_square);
        self.largest = simd.max_f32s(a, self.largest);
        let a = simd.select_f32s(mask, a, simd.splat_f32s(f32::INFINITY));
        self.smallest = simd.min_f32s(a, self.smallest);
        simd.mul_add_e_f32s(v, v, square)
    }
}

/// [`plain_reduce`] of a block of rows with its sums kept in registers; `squares` has the sum of squares of each row.
/// Two sets of sums, because each waits for its last addition.
#[inline(always)]
pub fn reduce_rows<S: Simd>(simd: S, x: &[f32], columns: usize, shift: f32, squares: &mut [f64]) -> RowReduction {
    if S::F32_LANES < 4 {
        return plain_reduce_rows(x, columns, shift, squares);
    }
    let k = simd.splat_f32s(shift);
    let zero = simd.splat_f32s(0.0);
    let (mut a, mut b) = (Running::new(simd), Running::new(simd));
    let mask = simd.mask_between_m32s(0, (columns % S::F32_LANES) as u32).mask();
    for (row, square) in x.chunks_exact(columns).zip(squares) {
        let (head, tail) = S::as_simd_f32s(row);
        let (pairs, last) = pulp::as_arrays::<2, _>(head);
        let (mut p, mut q) = (zero, zero);
        for &[v, w] in pairs {
            p = a.add(simd, v, k, p);
            q = b.add(simd, w, k, q);
        }
        for &v in last {
            p = a.add(simd, v, k, p);
        }
        if !tail.is_empty() {
            q = b.add_masked(simd, simd.partial_load_f32s(tail), (k, mask), q);
        }
        *square = f64::from(simd.reduce_sum_f32s(simd.add_f32s(p, q)));
    }
    let sum = |a: S::f32s, b: S::f32s| f64::from(simd.reduce_sum_f32s(a)) + f64::from(simd.reduce_sum_f32s(b));
    let smallest = simd.reduce_min_f32s(simd.min_f32s(a.smallest, b.smallest));
    RowReduction {
        deviation: sum(a.deviation, b.deviation),
        deviation_square: sum(a.deviation_square, b.deviation_square),
        square: 0.0,
        abs_max: f64::from(simd.reduce_max_f32s(simd.max_f32s(a.largest, b.largest))),
        // Counted in a pass of their own, because most tensors have none.
        zeros: if smallest == 0.0 { zeros(simd, x) } else { 0 },
    }
}

#[inline(always)]
fn zeros<S: Simd>(simd: S, x: &[f32]) -> u64 {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (head, tail) = S::as_simd_f32s(x);
    let mut zeros = zero;
    for &v in head {
        zeros = simd.add_f32s(zeros, simd.select_f32s(simd.equal_f32s(v, zero), one, zero));
    }
    simd.reduce_sum_f32s(zeros) as u64 + tail.iter().filter(|v| **v == 0.0).count() as u64
}

/// [`reduce_rows`] in plain code.
#[inline(always)]
pub fn plain_reduce_rows<T: Real>(x: &[T], columns: usize, shift: T, squares: &mut [f64]) -> RowReduction {
    let mut total = RowReduction::ZERO;
    for (row, square) in x.chunks_exact(columns).zip(squares) {
        let part = plain_reduce(row, shift);
        *square = part.square;
        total.join(&part);
    }
    total
}

/// [`plain_dot`] with vectors: four sums, because each waits for its last addition.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f64 {
    if S::F32_LANES < 4 {
        return plain_dot(a, b);
    }
    let ((a, a_tail), (b, b_tail)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let ((a, a_last), (b, b_last)) = (pulp::as_arrays::<4, _>(a), pulp::as_arrays::<4, _>(b));
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (a, b) in a.iter().zip(b) {
        for i in 0..4 {
            sums[i] = simd.mul_add_e_f32s(a[i], b[i], sums[i]);
        }
    }
    for (i, (&a, &b)) in a_last.iter().zip(b_last).enumerate() {
        sums[i] = simd.mul_add_e_f32s(a, b, sums[i]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
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

/// Adds four differences k a - b to `acc`, their squares to `sums`.
#[inline(always)]
fn add_four<S: Simd>(
    simd: S,
    mut d: [S::f32s; 4],
    k: &[S::f32s; 4],
    b: S::f32s,
    acc: S::f32s,
    sums: &mut [S::f32s; 4],
) -> S::f32s {
    for i in 0..4 {
        d[i] = simd.sub_f32s(simd.mul_f32s(d[i], k[i]), b);
        sums[i] = simd.mul_add_e_f32s(d[i], d[i], sums[i]);
    }
    simd.add_f32s(acc, simd.add_f32s(simd.add_f32s(d[0], d[1]), simd.add_f32s(d[2], d[3])))
}

/// [`shifted`] of four rows at a time.
#[inline(always)]
pub fn shifted_four<S: Simd>(simd: S, a: &[f32], scales: &[f32; 4], b: &[f32], acc: &mut [f32]) -> f64 {
    let columns = b.len();
    let row = |i: usize| &a[i * columns..(i + 1) * columns];
    if S::F32_LANES < 4 {
        return (0..4).map(|i| plain_shifted(row(i), scales[i], b, acc)).sum();
    }
    let mut k = [simd.splat_f32s(0.0); 4];
    for i in 0..4 {
        k[i] = simd.splat_f32s(scales[i]);
    }
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (a0, a1) = (S::as_simd_f32s(row(0)).0, S::as_simd_f32s(row(1)).0);
    let (a2, a3) = (S::as_simd_f32s(row(2)).0, S::as_simd_f32s(row(3)).0);
    let ((b, b_tail), (acc, acc_tail)) = (S::as_simd_f32s(b), S::as_mut_simd_f32s(acc));
    let rows = a0.iter().zip(a1).zip(a2).zip(a3);
    for (((((a0, a1), a2), a3), &b), acc) in rows.zip(b).zip(acc) {
        *acc = add_four(simd, [*a0, *a1, *a2, *a3], &k, b, *acc, &mut sums);
    }
    if !b_tail.is_empty() {
        // Zero in the lanes that are not there.
        let whole = columns - b_tail.len();
        let part = |x: &[f32]| simd.partial_load_f32s(x);
        let d = [part(&row(0)[whole..]), part(&row(1)[whole..]), part(&row(2)[whole..]), part(&row(3)[whole..])];
        let sum = add_four(simd, d, &k, part(b_tail), part(acc_tail), &mut sums);
        simd.partial_store_f32s(acc_tail, sum);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    f64::from(simd.reduce_sum_f32s(sum))
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
