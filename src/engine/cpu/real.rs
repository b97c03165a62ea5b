//! The two float types of the CPU engine behind one small trait, so that float32 and float64 run the same structure
//! with their own arithmetic: float32 uses vectorised polynomials, float64 the reference functions of the table rows.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub};

use pulp::Arch;

use super::math;
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
    const ZERO: Self;
    const INFINITY: Self;

    fn from_f32(x: f32) -> Self;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn magnitude(self) -> Self;
    /// Runs a pass with the best vector instructions; the closure must be `#[inline(always)]`, or it is compiled for the
    /// target's baseline. Float64 is the oracle: it stays at the target's baseline.
    fn dispatch<R>(arch: Arch, pass: impl FnOnce() -> R) -> R;
    /// Lets `draw` fill f32 values and widens them into `out`; `scratch` is reused.
    fn fill(out: &mut [Self], scratch: &mut Vec<f32>, draw: impl FnOnce(&mut [f32]) -> i32) -> i32;
    /// (h, phi') of a row of u, elementwise.
    fn activate(activation: &Activation, u: &[Self], h: &mut [Self], phi_grad: &mut [Self]);
}

impl Real for f32 {
    const ORDINARY: i32 = 40;
    const DERIVATIVE_FLOOR: f64 = -60.0;
    const SQUARE_FLOOR: f64 = 6.223_015_277_861_142e-61; // 2^-200
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
    #[inline(always)]
    fn dispatch<R>(arch: Arch, pass: impl FnOnce() -> R) -> R {
        arch.dispatch(pass)
    }
    #[inline(always)]
    fn fill(out: &mut [f32], _: &mut Vec<f32>, draw: impl FnOnce(&mut [f32]) -> i32) -> i32 {
        draw(out)
    }
    #[inline(always)]
    fn activate(activation: &Activation, u: &[f32], h: &mut [f32], phi_grad: &mut [f32]) {
        math::activate(activation, u, h, phi_grad);
    }
}

impl Real for f64 {
    const ORDINARY: i32 = 300;
    const DERIVATIVE_FLOOR: f64 = -400.0;
    const SQUARE_FLOOR: f64 = 1e-300;
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
    #[inline(always)]
    fn dispatch<R>(_: Arch, pass: impl FnOnce() -> R) -> R {
        pass()
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
    fn activate(activation: &Activation, u: &[f64], h: &mut [f64], phi_grad: &mut [f64]) {
        let row = activation.row();
        for ((u, h), d) in u.iter().zip(h).zip(phi_grad) {
            *h = (row.value)(*u, activation.param);
            let (factor, decay) = (row.derivative_parts)(*u, activation.param);
            *d = if decay == 0.0 { factor } else { factor * libm::exp(-decay) };
        }
    }
}
