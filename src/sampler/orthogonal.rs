//! Haar-distributed (semi-)orthogonal matrices by Householder QR in float64, in a fixed order of operations that uses
//! only + - * / and sqrt, so that the result is the same on every machine (Stewart 1980; the signs of diag(R) make the
//! distribution Haar: Mezzadri 2007).

/// A `[rows, cols]` row-major matrix with orthonormal rows (rows <= cols) or columns (rows >= cols) from `rows * cols`
/// normal draws in `normals`, row-major.
pub fn orthogonal(normals: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    assert_eq!(normals.len(), rows * cols, "one draw per element");
    // Work on the tall orientation, stored column after column: m >= n.
    let tall = rows >= cols;
    let (m, n) = if tall { (rows, cols) } else { (cols, rows) };
    let mut a = vec![0.0; m * n];
    for i in 0..rows {
        for j in 0..cols {
            let (r, c) = if tall { (i, j) } else { (j, i) };
            a[c * m + r] = normals[i * cols + j];
        }
    }
    let mut sign = vec![1.0; n];
    let mut beta = vec![0.0; n];
    for k in 0..n {
        let (head, tail) = a.split_at_mut((k + 1) * m);
        let v = &mut head[k * m + k..];
        let norm = dot(v, v).sqrt();
        if norm == 0.0 {
            continue;
        }
        let alpha = if v[0] > 0.0 { -norm } else { norm };
        // R[k,k] = alpha; the column of Q is multiplied by its sign.
        sign[k] = if alpha > 0.0 { 1.0 } else { -1.0 };
        v[0] -= alpha;
        beta[k] = 2.0 / dot(v, v);
        for column in tail.chunks_exact_mut(m) {
            reflect(v, beta[k], &mut column[k..]);
        }
    }
    // Q = H_1 ... H_n applied to the first n unit vectors.
    let mut q = vec![0.0; m * n];
    for (c, column) in q.chunks_exact_mut(m).enumerate() {
        column[c] = sign[c];
        for k in (0..=c).rev() {
            reflect(&a[k * m + k..(k + 1) * m], beta[k], &mut column[k..]);
        }
    }
    let mut out = vec![0.0; rows * cols];
    for i in 0..rows {
        for j in 0..cols {
            out[i * cols + j] = if tall { q[j * m + i] } else { q[i * m + j] };
        }
    }
    out
}

/// Eight interleaved partial sums in a fixed order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (ac, bc) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = ac.remainder().iter().zip(bc.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ac.zip(bc) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// x -= beta (v . x) v.
fn reflect(v: &[f64], beta: f64, x: &mut [f64]) {
    let s = beta * dot(v, x);
    for (x, v) in x.iter_mut().zip(v) {
        *x -= s * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{TensorId, normal, normal_integer, words};

    fn normals(count: usize, seed: u64) -> Vec<f64> {
        (0..count)
            .map(|i| {
                let word = words(seed, TensorId::Weight, 1, 0, (i / 4) as u32)[i % 4];
                f64::from(normal_integer(word, &normal::TABLE)) / f64::from(1 << 21)
            })
            .collect()
    }

    #[test]
    fn rows_or_columns_are_orthonormal() {
        for (rows, cols) in [(1, 1), (7, 7), (12, 5), (5, 12), (33, 32)] {
            let q = orthogonal(&normals(rows * cols, 7), rows, cols);
            let k = rows.min(cols);
            for a in 0..k {
                for b in 0..k {
                    let product: f64 = if rows <= cols {
                        (0..cols).map(|j| q[a * cols + j] * q[b * cols + j]).sum()
                    } else {
                        (0..rows).map(|i| q[i * cols + a] * q[i * cols + b]).sum()
                    };
                    assert!((product - f64::from(a == b)).abs() < 1e-13, "{rows}x{cols} {a} {b}: {product}");
                }
            }
        }
    }

    #[test]
    fn the_distribution_is_haar_not_qr() {
        // Without the signs of diag(R), trace moments are wrong: for Haar, E tr(Q) = 0 and E tr(Q)^2 = 1.
        let (n, draws) = (4, 4000);
        let traces: Vec<f64> = (0..draws)
            .map(|s| {
                let q = orthogonal(&normals(n * n, 1000 + s), n, n);
                (0..n).map(|i| q[i * n + i]).sum()
            })
            .collect();
        let mean = traces.iter().sum::<f64>() / draws as f64;
        let square = traces.iter().map(|t| t * t).sum::<f64>() / draws as f64;
        let error = 4.0 / (draws as f64).sqrt();
        assert!(mean.abs() < error, "mean {mean}");
        assert!((square - 1.0).abs() < error * 1.5, "mean square {square}");
    }
}
