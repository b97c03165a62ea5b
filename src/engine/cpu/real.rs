//! The two float types of the CPU engine behind one small trait, so that float32 and float64 run the same structure
//! with their own arithmetic: float32 uses vectorised polynomials, float64 the reference functions of the table rows.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

use pulp::{Arch, Scalar, Simd, WithSimd};

use super::columns::{self, PhiReduction, UnitSums};
use super::math;
use super::simd::{self, RowReduction};
use crate::network::Activation;

/// A float of the engine.
pub trait Real:
    faer::traits::ComplexField
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
    + 'static
{
    /// Tensors whose typical size is within 2^+-ORDINARY hold their true values; outside, they carry an exponent.
    const ORDINARY: i32;
    /// Largest log2 of phi' below which a layer's derivatives are computed with a power of two taken out.
    const DERIVATIVE_FLOOR: f64;
    /// Samples whose stored |x_b|^2 is not above this have no direction: the inverse norm would overflow.
    const SQUARE_FLOOR: f64;
    /// Rows whose sum of squares lies within 2^+-2 ORDINARY need no care.
    const SQUARES: [f64; 2];
    const ZERO: Self;
    const INFINITY: Self;

    fn from_f32(x: f32) -> Self;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn magnitude(self) -> Self;
    /// Starts a whole network with the processor's vector instructions. Float64 always takes the plain code.
    fn launch<Op: WithSimd>(arch: Arch, op: Op) -> Op::Output;
    /// Runs a pass with the best vector instructions; the closure must be `#[inline(always)]`, or it is compiled for the
    /// target's baseline. Float64 is the oracle: it stays at the target's baseline.
    fn dispatch<S: Simd, R>(simd: S, pass: impl FnOnce() -> R) -> R;
    /// Sums, maximum and zeros of a row.
    fn reduce<S: Simd>(simd: S, x: &[Self], shift: Self) -> RowReduction;
    /// Sums, maximum and zeros of a block of rows, and the sum of squares of each.
    fn reduce_rows<S: Simd>(simd: S, x: &[Self], columns: usize, shift: Self, squares: &mut [f64]) -> RowReduction;
    /// Sum of a[i] * b[i].
    fn dot<S: Simd>(simd: S, a: &[Self], b: &[Self]) -> f64;
    /// Sum of (scale a - b)^2, the differences added to `acc`.
    fn shifted<S: Simd>(simd: S, a: &[Self], scale: Self, b: &[Self], acc: &mut [Self]) -> f64;
    /// [`Real::shifted`] of four rows.
    fn shifted_four<S: Simd>(simd: S, a: &[Self], scales: &[Self; 4], b: &[Self], acc: &mut [Self]) -> f64;
    /// Adds the sums of |x| and x^2 of the columns of a few rows, from `first` on as many as there are sums, to `abs` and
    /// `square`, and raises `max`.
    fn units<S: Simd>(simd: S, x: &[Self], columns: usize, first: usize, out: UnitSums<'_, Self>);
    /// Sum of phi', saturated and active elements of a few rows of (u, phi'), and the columns of phi' as in
    /// [`Real::units`].
    fn phi<S: Simd>(
        simd: S,
        rows: (&[Self], &[Self]),
        columns: usize,
        threshold: Self,
        knee: [Self; 2],
        out: UnitSums<'_, Self>,
    ) -> PhiReduction;
    /// Lets `draw` fill f32 values and widens them into `out`; `scratch` is reused.
    fn fill(out: &mut [Self], scratch: &mut Vec<f32>, draw: impl FnOnce(&mut [f32]) -> i32) -> i32;
    /// (h, phi') of a row of u, elementwise.
    fn activate<S: Simd>(activation: &Activation, u: &[Self], h: &mut [Self], phi_grad: &mut [Self]);
}

/// 2^k for an exponent of normal numbers.
const fn exp2(k: i32) -> f64 {
    f64::from_bits(((1023 + k) as u64) << 52)
}

impl Real for f32 {
    const ORDINARY: i32 = 40;
    const DERIVATIVE_FLOOR: f64 = -60.0;
    const SQUARE_FLOOR: f64 = 6.223_015_277_861_142e-61; // 2^-200
    const SQUARES: [f64; 2] = [exp2(-80), exp2(80)];
    const ZERO: f32 = 0.0;
    const INFINITY: f32 = f32::INFINITY;

    #[inline(always)]
    fn from_f32(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn magnitude(self) -> f32 {
        f32::abs(self)
    }
    fn launch<Op: WithSimd>(arch: Arch, op: Op) -> Op::Output {
        arch.dispatch(op)
    }
    #[inline(always)]
    fn dispatch<S: Simd, R>(simd: S, pass: impl FnOnce() -> R) -> R {
        simd.vectorize(pass)
    }
    #[inline(always)]
    fn reduce<S: Simd>(simd: S, x: &[f32], shift: f32) -> RowReduction {
        simd::reduce(simd, x, shift)
    }
    #[inline(always)]
    fn reduce_rows<S: Simd>(simd: S, x: &[f32], columns: usize, shift: f32, squares: &mut [f64]) -> RowReduction {
        simd::reduce_rows(simd, x, columns, shift, squares)
    }
    #[inline(always)]
    fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f64 {
        simd::dot(simd, a, b)
    }
    #[inline(always)]
    fn shifted<S: Simd>(simd: S, a: &[f32], scale: f32, b: &[f32], acc: &mut [f32]) -> f64 {
        simd::shifted(simd, a, scale, b, acc)
    }
    #[inline(always)]
    fn shifted_four<S: Simd>(simd: S, a: &[f32], scales: &[f32; 4], b: &[f32], acc: &mut [f32]) -> f64 {
        simd::shifted_four(simd, a, scales, b, acc)
    }
    #[inline(always)]
    fn units<S: Simd>(simd: S, x: &[f32], columns: usize, first: usize, out: UnitSums<'_, f32>) {
        columns::units(simd, x, columns, first, out);
    }
    #[inline(always)]
    fn phi<S: Simd>(
        simd: S,
        rows: (&[f32], &[f32]),
        columns: usize,
        threshold: f32,
        knee: [f32; 2],
        out: UnitSums<'_, f32>,
    ) -> PhiReduction {
        columns::phi(simd, rows, columns, threshold, knee, out)
    }
    #[inline(always)]
    fn fill(out: &mut [f32], _: &mut Vec<f32>, draw: impl FnOnce(&mut [f32]) -> i32) -> i32 {
        draw(out)
    }
    #[inline(always)]
    fn activate<S: Simd>(activation: &Activation, u: &[f32], h: &mut [f32], phi_grad: &mut [f32]) {
        math::activate::<S>(activation, u, h, phi_grad);
    }
}

impl Real for f64 {
    const ORDINARY: i32 = 300;
    const DERIVATIVE_FLOOR: f64 = -400.0;
    const SQUARE_FLOOR: f64 = 1e-300;
    const SQUARES: [f64; 2] = [exp2(-600), exp2(600)];
    const ZERO: f64 = 0.0;
    const INFINITY: f64 = f64::INFINITY;

    #[inline(always)]
    fn from_f32(x: f32) -> f64 {
        f64::from(x)
    }
    #[inline(always)]
    fn from_f64(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn magnitude(self) -> f64 {
        f64::abs(self)
    }
    fn launch<Op: WithSimd>(_: Arch, op: Op) -> Op::Output {
        op.with_simd(Scalar::new())
    }
    #[inline(always)]
    fn dispatch<S: Simd, R>(_: S, pass: impl FnOnce() -> R) -> R {
        pass()
    }
    fn reduce<S: Simd>(_: S, x: &[f64], shift: f64) -> RowReduction {
        simd::plain_reduce(x, shift)
    }
    fn reduce_rows<S: Simd>(_: S, x: &[f64], columns: usize, shift: f64, squares: &mut [f64]) -> RowReduction {
        simd::plain_reduce_rows(x, columns, shift, squares)
    }
    fn dot<S: Simd>(_: S, a: &[f64], b: &[f64]) -> f64 {
        simd::plain_dot(a, b)
    }
    fn shifted<S: Simd>(_: S, a: &[f64], scale: f64, b: &[f64], acc: &mut [f64]) -> f64 {
        simd::plain_shifted(a, scale, b, acc)
    }
    fn shifted_four<S: Simd>(_: S, a: &[f64], scales: &[f64; 4], b: &[f64], acc: &mut [f64]) -> f64 {
        a.chunks_exact(b.len()).zip(scales).map(|(row, &scale)| simd::plain_shifted(row, scale, b, acc)).sum()
    }
    fn units<S: Simd>(_: S, x: &[f64], columns: usize, first: usize, out: UnitSums<'_, f64>) {
        columns::plain_units(x, columns, first, out);
    }
    fn phi<S: Simd>(
        _: S,
        (u, d): (&[f64], &[f64]),
        columns: usize,
        threshold: f64,
        knee: [f64; 2],
        out: UnitSums<'_, f64>,
    ) -> PhiReduction {
        columns::plain_units(d, columns, 0, out);
        columns::plain_phi(u, d, threshold, knee)
    }
    fn fill(out: &mut [f64], scratch: &mut Vec<f32>, draw: impl FnOnce(&mut [f32]) -> i32) -> i32 {
        scratch.resize(out.len(), 0.0);
        let exponent = draw(scratch);
        for (o, s) in out.iter_mut().zip(scratch) {
            *o = f64::from(*s);
        }
        exponent
    }
    #[inline(always)]
    fn activate<S: Simd>(activation: &Activation, u: &[f64], h: &mut [f64], phi_grad: &mut [f64]) {
        let row = activation.row();
        for ((u, h), d) in u.iter().zip(h).zip(phi_grad) {
            *h = (row.value)(*u, activation.param);
            let (factor, decay) = (row.derivative_parts)(*u, activation.param);
            *d = if decay == 0.0 { factor } else { factor * libm::exp(-decay) };
        }
    }
}
