//! Singular values of the Jacobian dh_L/dh_0 of a plain network at one sample: the product of D_l W_l with D_l =
//! diag(phi'(u_l)), in float64, with a power of two taken out after every layer.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Simd;

use super::network::Runner;
use super::real::Real;
use super::tensor::{log2_size, scale_in_place};
use crate::stats::{Scaled, Spectrum};

/// Singular values below this part of the largest are rounding, and count as 0.
const RESOLUTION: f64 = 1e-14;

impl<T: Real, S: Simd> Runner<'_, T, S> {
    /// Fills the spectrum of row L. The forward pass is done.
    pub(super) fn jacobian(&mut self) {
        let spec = self.spec;
        let (n, inputs) = (spec.width as usize, spec.input_size as usize);
        let mut exponent = 0;
        let mut product: Vec<f64> = Vec::new();
        for layer in 1..=spec.depth {
            let state = &self.workspace.layers[layer as usize];
            let (weight, slopes) = (state.weight.wide(), state.phi_grad.wide());
            let fan_in = spec.fan_in(layer) as usize;
            let mut next = weight;
            if layer > 1 {
                next = vec![0.0; n * inputs];
                matmul(
                    MatMut::from_row_major_slice_mut(&mut next, n, inputs),
                    Accum::Replace,
                    MatRef::from_row_major_slice(&state.weight.wide(), n, fan_in),
                    MatRef::from_row_major_slice(&product, n, inputs),
                    1.0,
                    Par::Seq,
                );
            }
            for (row, slope) in next.chunks_exact_mut(inputs).zip(&slopes) {
                row.iter_mut().for_each(|v| *v *= slope);
            }
            exponent += state.weight.exponent + state.phi_grad.exponent;
            let largest = next.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            if let Some(k) = log2_size(largest) {
                scale_in_place(&mut next, -k);
                exponent += k;
            }
            product = next;
        }
        self.record(spec.depth).spectrum = spectrum(&product, n, inputs, exponent);
    }
}

/// The spectrum of a matrix [rows, columns], row-major, times 2^exponent; absent where it is not finite.
fn spectrum(matrix: &[f64], rows: usize, columns: usize, exponent: i32) -> Spectrum {
    if matrix.iter().any(|v| !v.is_finite()) {
        return Spectrum::ABSENT;
    }
    let Ok(values) = MatRef::from_row_major_slice(matrix, rows, columns).singular_values() else {
        return Spectrum::ABSENT;
    };
    let max = values.iter().fold(0.0, |m: f64, v| m.max(*v));
    let min = values.iter().fold(f64::INFINITY, |m: f64, v| m.min(*v));
    let mean = |power: i32| values.iter().map(|v| v.powi(power)).sum::<f64>() / values.len() as f64;
    let (second, fourth) = (mean(2), mean(4));
    Spectrum {
        min: Scaled::new(if min < RESOLUTION * max { 0.0 } else { min }, exponent),
        mean_square: Scaled::new(second, 2 * exponent),
        max: Scaled::new(max, exponent),
        m4_ratio: if second > 0.0 { Scaled::from(fourth / (second * second)) } else { Scaled::ABSENT },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_known_singular_values_has_them_at_any_scale() {
        // A rotation by 30 degrees times diag(3, 4), with a column of zeros.
        let (c, s) = (0.75f64.sqrt(), 0.5);
        let found = spectrum(&[3.0 * c, -4.0 * s, 0.0, 3.0 * s, 4.0 * c, 0.0], 2, 3, -5000);
        let close = |got: Scaled, want: f64, exponent: i32| {
            assert!((got.mantissa / want - 1.0).abs() < 1e-14, "{got:?} {want}");
            assert_eq!(got.exponent, exponent);
        };
        close(found.min, 3.0, -5000);
        close(found.max, 4.0, -5000);
        close(found.mean_square, 12.5, -10000);
        close(found.m4_ratio, (81.0 + 256.0) / 2.0 / 156.25, 0);
    }

    #[test]
    fn a_singular_matrix_has_the_value_zero_and_a_broken_one_none() {
        assert_eq!(spectrum(&[1.0, 2.0, 2.0, 4.0], 2, 2, 0).min, Scaled::ZERO);
        assert!(spectrum(&[1.0, f64::NAN, 2.0, 4.0], 2, 2, 0).max.mantissa.is_nan());
        assert!(spectrum(&[0.0; 4], 2, 2, 0).m4_ratio.mantissa.is_nan());
    }
}
