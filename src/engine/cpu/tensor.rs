//! Tensors of the CPU engine: row-major values with a power of two taken out.

use pulp::Simd;

use super::kernels::abs_max;
use super::real::Real;
use super::rows::sum_rows;

/// Values x' with x = x' * 2^exponent, or, in a tensor of samples that lie too far apart for one exponent,
/// x = x' * 2^(exponent + rows[b]) (`rows.rs`).
#[derive(Clone, Debug, Default)]
pub struct Tensor<T> {
    pub data: Vec<T>,
    pub exponent: i32,
    /// What row b has on top of `exponent`; empty where all rows share it.
    pub rows: Vec<i32>,
    /// Largest |x'| over the finite elements, or [`Tensor::UNKNOWN`] until a pass has found it.
    pub abs_max: f64,
}

impl<T: Real> Tensor<T> {
    /// Sets the length without keeping the contents; rows share one exponent again.
    pub fn resize(&mut self, len: usize) {
        self.data.resize(len, T::ZERO);
        self.rows.clear();
    }

    /// `abs_max` of a tensor that was written without looking.
    pub const UNKNOWN: f64 = f64::NAN;

    /// Finds `abs_max` if it is unknown.
    pub fn know_max<S: Simd>(&mut self, simd: S) {
        if self.abs_max.is_nan() {
            self.abs_max = T::dispatch(
                simd,
                #[inline(always)]
                || abs_max(&self.data),
            );
        }
    }

    /// log2 of the largest element, as a whole number of the stored values; `None` for a zero tensor.
    pub fn log2_max(&self) -> Option<i32> {
        debug_assert!(!self.abs_max.is_nan(), "the maximum is known");
        log2_size(self.abs_max)
    }

    /// Takes a power of two out if the largest element has left the ordinary range, so that products stay in range.
    pub fn normalise(&mut self) {
        if let Some(k) = self.log2_max()
            && k.abs() > T::ORDINARY / 2
        {
            scale_in_place(&mut self.data, -k);
            self.abs_max = libm::scalbn(self.abs_max, -k);
            self.exponent += k;
        }
    }
}

/// log2 of a size as a whole number; `None` for zero and what is not finite.
pub fn log2_size(size: f64) -> Option<i32> {
    (size > 0.0 && size.is_finite()).then(|| libm::ilogb(size))
}

/// 2^k as the engine's float; 0 below its range, its largest power of two above.
pub fn power<T: Real>(k: i32) -> T {
    T::from_f64(libm::scalbn(1.0, k.clamp(-1074, 1000)))
}

/// x *= 2^k exactly, also where 2^k itself is out of range.
pub fn scale_in_place<T: Real>(data: &mut [T], k: i32) {
    let half = k / 2;
    let (a, b) = (power::<T>(half), power::<T>(k - half));
    data.iter_mut().for_each(|x| *x = *x * a * b);
}

/// The exponent for a tensor whose typical size is about 2^t: 0 in the ordinary range, t outside.
pub fn exponent_for<T: Real>(t: i32) -> i32 {
    if t.abs() <= T::ORDINARY { 0 } else { t }
}

/// Elements that stay in the cache from one look to the next.
const CACHED: usize = 4096;

/// dst (+)= scale * src by powers of two, at the larger exponent; `scale` is the true factor of the new part.
pub fn accumulate<T: Real, S: Simd>(simd: S, dst: &mut Tensor<T>, src: &Tensor<T>, scale: f64) {
    let empty = dst.data.is_empty();
    let apart = !(dst.rows.is_empty() && src.rows.is_empty());
    if apart && !empty {
        let columns = src.data.len() / src.rows.len().max(dst.rows.len());
        let old = std::mem::take(dst);
        sum_rows(&old, src, scale, columns, dst);
        return;
    }
    let size =
        |t: &Tensor<T>, a: f64| (a != 0.0).then(|| t.log2_max().map(|m| m + t.exponent + libm::ilogb(a))).flatten();
    let old = if empty { None } else { size(dst, 1.0) };
    let exponent = match (old, size(src, scale)) {
        (Some(_), None) => return,
        (None, None) => src.exponent,
        (None, Some(_)) => src.exponent,
        (Some(a), Some(b)) => {
            let top = a.max(b);
            if (top - dst.exponent).abs() <= T::ORDINARY / 2 { dst.exponent } else { top }
        }
    };
    let factor = T::from_f64(libm::scalbn(scale, src.exponent - exponent));
    let shift = dst.exponent - exponent;
    if old.is_none() {
        dst.rows.clone_from(&src.rows);
        dst.data.clear();
    } else if shift != 0 {
        scale_in_place(&mut dst.data, shift);
    }
    dst.abs_max = 0.0;
    T::dispatch(
        simd,
        #[inline(always)]
        || {
            for (i, s) in src.data.chunks(CACHED).enumerate() {
                let first = i * CACHED;
                if old.is_none() {
                    dst.data.extend(s.iter().map(|s| *s * factor));
                } else {
                    let d = &mut dst.data[first..first + s.len()];
                    d.iter_mut().zip(s).for_each(|(d, s)| *d += *s * factor);
                }
                dst.abs_max = dst.abs_max.max(abs_max(&dst.data[first..first + s.len()]));
            }
        },
    );
    dst.exponent = exponent;
}
