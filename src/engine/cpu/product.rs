//! Matrix products by faer, of row-major matrices into row-major ones, cut where its kernels are slow.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::real::Real;

/// Columns of the output that faer's AVX2 kernel forms at one time, in vectors of 8, four rows deep. With two vectors it is
/// as fast for its size, with one half as fast: eight sums must be under way, or each waits for its last addition.
const KERNEL: usize = 24;
const TWO_VECTORS: usize = 16;

/// Where to cut `columns` so that no kernel works on a single vector: before the last two.
fn cut(columns: usize) -> Option<usize> {
    let rest = columns % KERNEL;
    (columns > KERNEL && (1..=KERNEL - TWO_VECTORS).contains(&rest)).then(|| columns - rest - (KERNEL - TWO_VECTORS))
}

/// out = alpha a b; `out` is [rows of a, columns of b].
pub fn product<T: Real, S: Simd>(_: S, out: &mut [T], a: MatRef<T>, b: MatRef<T>, alpha: T) {
    let mut out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    let one = |out: MatMut<T>, b: MatRef<T>| matmul(out, Accum::Replace, a, b, alpha, Par::Seq);
    match cut(b.ncols()) {
        Some(at) if S::F32_LANES == 8 => {
            let (left, right) = out.split_at_col_mut(at);
            let (b_left, b_right) = b.split_at_col(at);
            one(left, b_left);
            one(right, b_right);
        }
        _ => one(out.as_mut(), b),
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    #[test]
    fn no_kernel_is_left_with_a_single_vector() {
        for columns in 1..600 {
            match cut(columns) {
                Some(at) => {
                    assert!(at.is_multiple_of(8) && (9..=16).contains(&(columns - at)), "{columns}: {at}");
                    assert!(at % KERNEL == 0 || at % KERNEL == TWO_VECTORS, "{columns}: {at}");
                }
                None => assert!(columns <= KERNEL || columns % KERNEL == 0 || columns % KERNEL > 8, "{columns}"),
            }
        }
    }

    struct Compare(usize);

    impl WithSimd for Compare {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            let (rows, depth, columns) = (5, 9, self.0);
            let value = |i: usize| ((i * 37) % 19) as f32 * 0.25 - 2.0;
            let a: Vec<f32> = (0..rows * depth).map(value).collect();
            let b: Vec<f32> = (0..depth * columns).map(|i| value(i + 5)).collect();
            let mut out = vec![f32::NAN; rows * columns];
            let (left, right) =
                (MatRef::from_row_major_slice(&a, rows, depth), MatRef::from_row_major_slice(&b, depth, columns));
            product(simd, &mut out, left, right, 0.5);
            for (i, got) in out.iter().enumerate() {
                let (r, c) = (i / columns, i % columns);
                // Sums of a few multiples of 1/16 are exact.
                let want: f32 = (0..depth).map(|k| a[r * depth + k] * b[k * columns + c]).sum();
                assert_eq!(*got, 0.5 * want, "{columns} columns, row {r}, column {c}");
            }
        }
    }

    #[test]
    fn products_are_whole_wherever_they_are_cut() {
        for columns in [1, 7, 24, 25, 31, 32, 33, 48, 56, 128] {
            Arch::new().dispatch(Compare(columns));
        }
    }
}
