//! Matrix products by faer, of row-major matrices into row-major ones, cut where its kernels are slow, and into blocks that
//! threads can share where they are large.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::real::Real;
use super::team::Team;

/// Columns of the output that faer's AVX2 kernel forms at one time, in vectors of 8, four rows deep. With two vectors it is
/// as fast for its size, with one half as fast: eight sums must be under way, or each waits for its last addition.
const KERNEL: usize = 24;
const TWO_VECTORS: usize = 16;

/// Where to cut `columns` so that no kernel works on a single vector: before the last two.
fn cut(columns: usize) -> Option<usize> {
    let rest = columns % KERNEL;
    (columns > KERNEL && (1..=KERNEL - TWO_VECTORS).contains(&rest)).then(|| columns - rest - (KERNEL - TWO_VECTORS))
}

/// Multiplications from which a product is cut into blocks: a third of a millisecond.
const LARGE: usize = 1 << 25;
/// Columns and rows of a block; the last one of a kind takes up to twice as many. Columns are a multiple of what faer's
/// kernels form at one time, on AVX2 as on AVX-512.
const BLOCK_COLUMNS: usize = 96;
const BLOCK_ROWS: usize = 512;

/// First index of every block, and the end.
fn borders(length: usize, block: usize) -> Vec<usize> {
    let count = (length / block).max(1);
    (0..count).map(|i| i * block).chain([length]).collect()
}

/// out = alpha a b; `out` is [rows of a, columns of b].
pub fn product<T: Real, S: Simd>(team: &Team, simd: S, out: &mut [T], a: MatRef<T>, b: MatRef<T>, alpha: T) {
    let out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    if a.nrows() * a.ncols() * b.ncols() < LARGE {
        return block_product(simd, out, a, b, alpha);
    }
    // By shape alone, also where one thread does it all: faer's order of additions may depend on what it is given.
    let (rows, columns) = (borders(a.nrows(), BLOCK_ROWS), borders(b.ncols(), BLOCK_COLUMNS));
    let mut blocks = Vec::with_capacity(rows.len() * columns.len());
    let mut below = out;
    for row in rows.windows(2) {
        let (mut right, rest) = below.split_at_row_mut(row[1] - row[0]);
        below = rest;
        for column in columns.windows(2) {
            let (block, rest) = right.split_at_col_mut(column[1] - column[0]);
            right = rest;
            blocks.push((block, a.subrows(row[0], row[1] - row[0]), b.subcols(column[0], column[1] - column[0])));
        }
    }
    team.each(blocks.into_iter(), |(out, a, b)| block_product(simd, out, a, b, alpha));
}

fn block_product<T: Real, S: Simd>(_: S, mut out: MatMut<T>, a: MatRef<T>, b: MatRef<T>, alpha: T) {
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
            product(&Team::new(1), simd, &mut out, left, right, 0.5);
            for (i, got) in out.iter().enumerate() {
                let (r, c) = (i / columns, i % columns);
                // Sums of a few multiples of 1/16 are exact.
                let want: f32 = (0..depth).map(|k| a[r * depth + k] * b[k * columns + c]).sum();
                assert_eq!(*got, 0.5 * want, "{columns} columns, row {r}, column {c}");
            }
        }
    }

    struct Shared;

    impl WithSimd for Shared {
        type Output = ();
        fn with_simd<S: Simd>(self, simd: S) {
            for (rows, depth, columns) in [(3, 40_000, 301), (1100, 130, 250), (130, 512, 512)] {
                let value = |i: usize| ((i * 37) % 19) as f32 * 0.25 - 2.0;
                let a: Vec<f32> = (0..rows * depth).map(value).collect();
                let b: Vec<f32> = (0..depth * columns).map(|i| value(i + 5)).collect();
                let left = MatRef::from_row_major_slice(&a, rows, depth);
                let right = MatRef::from_row_major_slice(&b, depth, columns);
                let of = |threads: usize| {
                    let mut out = vec![f32::NAN; rows * columns];
                    product(&Team::new(threads), simd, &mut out, left, right, 0.3);
                    out
                };
                let alone = of(0);
                assert_eq!(alone, of(3), "{rows} x {depth} x {columns}");
                for at in (0..rows * columns).step_by(997) {
                    let (r, c) = (at / columns, at % columns);
                    let exact: f64 = (0..depth).map(|k| f64::from(a[r * depth + k] * b[k * columns + c])).sum();
                    assert!((f64::from(alone[at]) - 0.3 * exact).abs() < 1e-3, "{rows} x {depth} x {columns}: {at}");
                }
            }
        }
    }

    #[test]
    fn large_products_are_the_same_bits_with_any_number_of_threads() {
        Arch::new().dispatch(Shared);
    }

    #[test]
    fn products_are_whole_wherever_they_are_cut() {
        for columns in [1, 7, 24, 25, 31, 32, 33, 48, 56, 128] {
            Arch::new().dispatch(Compare(columns));
        }
    }
}
