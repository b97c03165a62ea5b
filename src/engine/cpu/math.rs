//! Float32 elementary functions and activations as branch-free arithmetic that the compiler vectorises at whatever
//! width the caller's target features allow. Where there are vector instructions a multiplication and the addition after it
//! are fused, so results depend on the SIMD level (which is part of the fingerprint), not on the width.

#![expect(clippy::excessive_precision, reason = "coefficients as published")]

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

use pulp::Simd;

use crate::network::Activation;
use crate::network::ActivationKind as Kind;
use crate::network::activation::{GELU_TANH_CUBIC, QUICK_GELU_SLOPE, SCALED_TANH_AMPLITUDE, SELU_ALPHA, SELU_SCALE};

/// 1.5 * 2^23: adding it rounds to the nearest integer and leaves that integer in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has 9 trailing zero bits, so that its product with |k| <= 256 is exact.
const LN2_HIGH: f32 = 0.693_359_375;
const LN2_LOW: f32 = -2.121_944_4e-4;
const SQRT_2_OVER_PI: f32 = 0.797_884_56;
const INV_SQRT_2PI: f32 = 0.398_942_28;
/// Largest argument of sine that is reduced in float32.
const FAR_SINE: f32 = 1e4;

/// a * b + c, fused where the processor does that in one instruction.
#[inline(always)]
fn fma<S: Simd>(a: f32, b: f32, c: f32) -> f32 {
    if S::F32_LANES >= 4 { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn select(condition: bool, yes: f32, no: f32) -> f32 {
    if condition { yes } else { no }
}

/// e^(high + low) for high + low <= 88; 0 below 2^-126. `low` is a small correction of `high`.
#[inline(always)]
fn exp_parts<S: Simd>(high: f32, low: f32) -> f32 {
    let x = if high < -104.0 { -104.0 } else { high };
    let shifted = fma::<S>(x, LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = fma::<S>(k, -LN2_LOW, fma::<S>(k, -LN2_HIGH, x)) + low;
    // Taylor to degree 7 on |r| <= 0.35: relative error below 1e-8.
    let p = 1.0 / 5040.0;
    let p = fma::<S>(p, r, 1.0 / 720.0);
    let p = fma::<S>(p, r, 1.0 / 120.0);
    let p = fma::<S>(p, r, 1.0 / 24.0);
    let p = fma::<S>(p, r, 1.0 / 6.0);
    let p = fma::<S>(p, r, 0.5);
    let p = fma::<S>(p * r, r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let scale = f32::from_bits(exponent << 23);
    select(x < -87.3, 0.0, p * scale)
}

/// e^x for x <= 88.
#[inline(always)]
pub fn exp<S: Simd>(x: f32) -> f32 {
    exp_parts::<S>(x, 0.0)
}

/// log(1 + t) for 0 <= t <= 1: 2 artanh(t / (2 + t)).
#[inline(always)]
pub fn log1p_unit<S: Simd>(t: f32) -> f32 {
    let s = t / (2.0 + t);
    let q = s * s;
    let p = 2.0 / 15.0;
    let p = fma::<S>(p, q, 2.0 / 13.0);
    let p = fma::<S>(p, q, 2.0 / 11.0);
    let p = fma::<S>(p, q, 2.0 / 9.0);
    let p = fma::<S>(p, q, 2.0 / 7.0);
    let p = fma::<S>(p, q, 2.0 / 5.0);
    let p = fma::<S>(p, q, 2.0 / 3.0);
    fma::<S>(p * q, s, 2.0 * s)
}

/// e^x - 1 for x <= 0.
#[inline(always)]
pub fn expm1_negative<S: Simd>(x: f32) -> f32 {
    let near = select(x < -0.5, -0.5, x);
    let p = 1.0 / 40320.0;
    let p = fma::<S>(p, near, 1.0 / 5040.0);
    let p = fma::<S>(p, near, 1.0 / 720.0);
    let p = fma::<S>(p, near, 1.0 / 120.0);
    let p = fma::<S>(p, near, 1.0 / 24.0);
    let p = fma::<S>(p, near, 1.0 / 6.0);
    let p = fma::<S>(p, near, 0.5);
    let series = fma::<S>(p * near, near, near);
    select(x < -0.5, exp::<S>(x) - 1.0, series)
}

/// e^(-x^2) with the square in two parts.
#[inline(always)]
fn exp_minus_square<S: Simd>(x: f32) -> f32 {
    let (high, low) = square_parts(x);
    exp_parts::<S>(-high, -low)
}

/// x^2 as (exact part, small rest); |x| beyond 20 is cut, where e^(-x^2) is 0 anyway.
#[inline(always)]
fn square_parts(x: f32) -> (f32, f32) {
    let a = select(x.abs() > 20.0, 20.0, x.abs());
    let high = f32::from_bits(a.to_bits() & 0xffff_f000);
    (high * high, (a - high) * (a + high))
}

/// erfc(x) e^(x^2) for x >= 0: Chebyshev fit of Numerical Recipes (section "Error Function"), relative error 1.2e-7.
#[inline(always)]
fn erfc_scaled<S: Simd>(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * x);
    let p = 0.170_872_77;
    let p = fma::<S>(p, t, -(0.822_152_23));
    let p = fma::<S>(p, t, 1.488_515_87);
    let p = fma::<S>(p, t, -(1.135_203_98));
    let p = fma::<S>(p, t, 0.278_868_07);
    let p = fma::<S>(p, t, -(0.186_288_06));
    let p = fma::<S>(p, t, 0.096_784_18);
    let p = fma::<S>(p, t, 0.374_091_96);
    let p = fma::<S>(p, t, 1.000_023_68);
    let p = fma::<S>(p, t, -(1.265_512_23));
    t * exp::<S>(p)
}

/// (erf(x), e^(-x^2)).
#[inline(always)]
fn erf_and_gauss<S: Simd>(x: f32) -> (f32, f32) {
    let gauss = exp_minus_square::<S>(x);
    let far = 1.0 - erfc_scaled::<S>(x.abs()) * gauss;
    let a = select(x.abs() > 0.6, 0.6, x.abs());
    let q = a * a;
    let p = 1.0 / 685_440.0;
    let p = fma::<S>(p, q, -(1.0 / 75600.0));
    let p = fma::<S>(p, q, 1.0 / 9360.0);
    let p = fma::<S>(p, q, -(1.0 / 1320.0));
    let p = fma::<S>(p, q, 1.0 / 216.0);
    let p = fma::<S>(p, q, -(1.0 / 42.0));
    let p = fma::<S>(p, q, 1.0 / 10.0);
    let p = fma::<S>(p, q, -(1.0 / 3.0));
    let near = FRAC_2_SQRT_PI * (a + a * (p * q));
    let magnitude = select(x.abs() > 0.6, far, near);
    (magnitude.copysign(x), gauss)
}

/// (tanh(v), tanh'(v)).
#[inline(always)]
fn tanh_pair<S: Simd>(v: f32) -> (f32, f32) {
    let a = v.abs();
    let t = exp::<S>(-2.0 * select(a > 60.0, 60.0, a));
    let r = 1.0 / (1.0 + t);
    let far = (1.0 - t) * r;
    let b = select(a > 0.625, 0.625, a);
    let q = b * b;
    // Minimax polynomial of Cephes' tanhf on |v| < 0.625.
    let p = -5.704_988_7e-3;
    let p = fma::<S>(p, q, 2.063_909_e-2);
    let p = fma::<S>(p, q, -(5.373_971_4e-2));
    let p = fma::<S>(p, q, 1.333_144_2e-1);
    let p = fma::<S>(p, q, -(3.333_328_2e-1));
    let near = fma::<S>(p * q, b, b);
    (select(a > 0.625, far, near).copysign(v), (4.0 * t) * (r * r))
}

/// (sigmoid(v), 1 - sigmoid(v), sigmoid'(v)).
#[inline(always)]
fn sigmoid_parts<S: Simd>(v: f32) -> (f32, f32, f32) {
    let a = v.abs();
    let t = exp::<S>(-select(a > 120.0, 120.0, a));
    let r = 1.0 / (1.0 + t);
    let (big, small) = (r, t * r);
    (select(v >= 0.0, big, small), select(v >= 0.0, small, big), small * r)
}

/// (u sigmoid(s u), derivative).
#[inline(always)]
fn swish_pair<S: Simd>(u: f32, s: f32) -> (f32, f32) {
    let (p, q, _) = sigmoid_parts::<S>(s * u);
    (u * p, p * (1.0 + (s * u) * q))
}

#[inline(always)]
fn gelu_pair<S: Simd>(u: f32) -> (f32, f32) {
    let x = u * FRAC_1_SQRT_2;
    // The square of u/sqrt 2 is half the square of u: exact in two parts.
    let (high, low) = square_parts(select(u.abs() > 20.0, 20.0, u.abs()));
    let gauss = exp_parts::<S>(-0.5 * high, -0.5 * low);
    let tail = 0.5 * erfc_scaled::<S>(x.abs()) * gauss;
    let density = INV_SQRT_2PI * gauss;
    // Close to 0 the cumulative function is 1/2 + small: its relative error is that of float32.
    let cumulative = select(u >= 0.0, 1.0 - tail, tail);
    let v = select(u.abs() > 20.0, 0.0, u * density);
    (u * cumulative, cumulative + v)
}

#[inline(always)]
fn gelu_tanh_pair<S: Simd>(u: f32) -> (f32, f32) {
    let c = GELU_TANH_CUBIC as f32;
    let a = select(u.abs() > 1e6, 1e6, u.abs()).copysign(u);
    let v = SQRT_2_OVER_PI * (a + c * a * a * a);
    let dv = SQRT_2_OVER_PI * (1.0 + 3.0 * c * a * a);
    let (p, q, _) = sigmoid_parts::<S>(2.0 * v);
    let bend = (2.0 * a * dv) * q;
    (u * p, p * (1.0 + select(q == 0.0, 0.0, bend)))
}

#[inline(always)]
fn mish_pair<S: Simd>(u: f32) -> (f32, f32) {
    let a = u.abs();
    let t = exp::<S>(-select(a > 120.0, 120.0, a));
    let t2 = t * t;
    let positive = 1.0 + 2.0 * t + 2.0 * t2;
    let negative = t2 + 2.0 * t + 2.0;
    let up = u >= 0.0;
    let r = 1.0 / select(up, positive, negative);
    let gate = select(up, 1.0 + 2.0 * t, t2 + 2.0 * t) * r;
    let bend = select(up, (1.0 + t) * t2, t * (1.0 + t)) * (r * r);
    let v = select(a > 120.0, 0.0, 4.0 * u * bend);
    (u * gate, gate + v)
}

#[inline(always)]
fn sine_pair<S: Simd>(u: f32) -> (f32, f32) {
    // Reduction by multiples of pi in three parts (Cody & Waite): right to 1e-6 for |u| up to `FAR_SINE`.
    let a = select(u.abs() > FAR_SINE, FAR_SINE, u.abs()).copysign(u);
    let shifted = a * std::f32::consts::FRAC_1_PI + ROUND;
    let k = shifted - ROUND;
    let r = ((a - k * 3.140_625) - k * 9.670_257_6e-4) - k * 6.277_114_2e-7;
    let r = r.clamp(-1.6, 1.6);
    let sign = f32::from_bits((shifted.to_bits() & 1) << 31 | 1.0f32.to_bits());
    let q = r * r;
    let p = -1.0 / 39_916_800.0;
    let p = fma::<S>(p, q, 1.0 / 362_880.0);
    let p = fma::<S>(p, q, -(1.0 / 5040.0));
    let p = fma::<S>(p, q, 1.0 / 120.0);
    let p = fma::<S>(p, q, -(1.0 / 6.0));
    let sin = (p * q) * r + r;
    let p = 1.0 / 479_001_600.0;
    let p = fma::<S>(p, q, -(1.0 / 3_628_800.0));
    let p = fma::<S>(p, q, 1.0 / 40320.0);
    let p = fma::<S>(p, q, -(1.0 / 720.0));
    let p = fma::<S>(p, q, 1.0 / 24.0);
    let p = fma::<S>(p, q, -(0.5));
    let cos = p * q + 1.0;
    (sin * sign, cos * sign)
}

/// Sine and cosine of the arguments beyond [`FAR_SINE`], reduced in float64.
#[cold]
#[inline(never)]
fn far_sine(u: &[f32], h: &mut [f32], d: &mut [f32]) {
    for ((u, h), d) in u.iter().zip(h).zip(d) {
        if u.abs() > FAR_SINE {
            // What float32 cannot hold still has some phase: a value of a finite network is never infinite for it.
            let (sin, cos) = libm::sincos(f64::from(u.clamp(-f32::MAX, f32::MAX)));
            (*h, *d) = (sin as f32, cos as f32);
        }
    }
}

#[inline(always)]
fn map(u: &[f32], h: &mut [f32], d: &mut [f32], f: impl Fn(f32) -> (f32, f32)) {
    let n = u.len();
    let (h, d) = (&mut h[..n], &mut d[..n]);
    for i in 0..n {
        (h[i], d[i]) = f(u[i]);
    }
}

/// (h, phi') of a row of u.
#[inline(always)]
pub fn activate<S: Simd>(activation: &Activation, u: &[f32], h: &mut [f32], d: &mut [f32]) {
    let p = activation.param as f32;
    match activation.kind {
        Kind::Linear => map(u, h, d, |u| (u, 1.0)),
        Kind::Sigmoid => map(u, h, d, |u| {
            let (s, _, d) = sigmoid_parts::<S>(u);
            (s, d)
        }),
        Kind::Tanh => map(u, h, d, tanh_pair::<S>),
        Kind::Relu => map(u, h, d, |u| (select(u > 0.0, u, u * 0.0), select(u > 0.0, 1.0, 0.0))),
        Kind::LeakyRelu => map(u, h, d, |u| (select(u > 0.0, u, p * u), select(u > 0.0, 1.0, p))),
        Kind::Elu => map(u, h, d, |u| {
            let x = select(u > 0.0, 0.0, u);
            (select(u > 0.0, u, p * expm1_negative::<S>(x)), select(u > 0.0, 1.0, p * exp::<S>(x)))
        }),
        Kind::Selu => {
            let (scale, alpha) = (SELU_SCALE as f32, (SELU_SCALE * SELU_ALPHA) as f32);
            map(u, h, d, |u| {
                let x = select(u > 0.0, 0.0, u);
                (
                    select(u > 0.0, scale * u, alpha * expm1_negative::<S>(x)),
                    select(u > 0.0, scale, alpha * exp::<S>(x)),
                )
            });
        }
        Kind::Celu => {
            let inverse = (1.0 / activation.param) as f32;
            map(u, h, d, |u| {
                let x = select(u > 0.0, 0.0, u * inverse);
                (select(u > 0.0, u, p * expm1_negative::<S>(x)), select(u > 0.0, 1.0, exp::<S>(x)))
            });
        }
        Kind::Gelu => map(u, h, d, gelu_pair::<S>),
        Kind::GeluTanh => map(u, h, d, gelu_tanh_pair::<S>),
        Kind::Silu => map(u, h, d, |u| swish_pair::<S>(u, 1.0)),
        Kind::QuickGelu => map(u, h, d, |u| swish_pair::<S>(u, QUICK_GELU_SLOPE as f32)),
        Kind::Mish => map(u, h, d, mish_pair::<S>),
        Kind::Softplus => {
            let inverse = (1.0 / activation.param) as f32;
            map(u, h, d, |u| {
                let v = p * u;
                let a = v.abs();
                let t = exp::<S>(-select(a > 120.0, 120.0, a));
                let r = 1.0 / (1.0 + t);
                let rest = log1p_unit::<S>(t) * inverse;
                (select(u > 0.0, u + rest, rest), select(u > 0.0, r, t * r))
            });
        }
        Kind::Softsign => map(u, h, d, |u| {
            let r = 1.0 / (1.0 + u.abs());
            (select(u.abs() > 1e30, 1.0f32.copysign(u), u * r), r * r)
        }),
        Kind::HardTanh => map(u, h, d, |u| (u.clamp(-1.0, 1.0), select(u > -1.0 && u < 1.0, 1.0, 0.0))),
        Kind::HardSigmoid => {
            map(u, h, d, |u| (((u + 3.0) * (1.0 / 6.0)).clamp(0.0, 1.0), select(u > -3.0 && u < 3.0, 1.0 / 6.0, 0.0)))
        }
        Kind::Erf => map(u, h, d, |u| {
            let (value, gauss) = erf_and_gauss::<S>(u);
            (value, FRAC_2_SQRT_PI * gauss)
        }),
        Kind::Relu6 => map(u, h, d, |u| (u.clamp(0.0, 6.0), select(u > 0.0 && u < 6.0, 1.0, 0.0))),
        Kind::ScaledTanh => {
            let amplitude = SCALED_TANH_AMPLITUDE as f32;
            map(u, h, d, |u| {
                let (value, slope) = tanh_pair::<S>(u * (2.0 / 3.0));
                (amplitude * value, amplitude * (2.0 / 3.0) * slope)
            });
        }
        Kind::Sine => {
            map(u, h, d, sine_pair::<S>);
            // Counted without a branch: a sum of integers vectorises.
            let far: u32 = u.iter().map(|u| u32::from(u.abs() > FAR_SINE)).sum();
            if far > 0 {
                far_sine(u, h, d);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;
    use crate::network::activation::TABLE;

    /// Relative to the value, except near a zero of the function, where the scale is that of the function around it.
    const TOLERANCE: f64 = 2e-6;

    #[test]
    fn every_activation_is_right_in_float32() {
        Arch::new().dispatch(EveryActivation);
        Arch::Scalar.dispatch(EveryActivation);
    }

    #[test]
    fn sine_keeps_its_phase_at_any_argument() {
        Arch::new().dispatch(FarSine);
        Arch::Scalar.dispatch(FarSine);
    }

    struct FarSine;

    impl WithSimd for FarSine {
        type Output = ();
        fn with_simd<S: Simd>(self, _: S) {
            // Decades of arguments, each long enough that the mean of sin^2 says something, and some float32 ends with.
            for decade in 3..=30 {
                let u: Vec<f32> = (0..4003)
                    .map(|i| 10f32.powi(decade) * (1.0 + i as f32 * 2.1e-3) * (1.0 - (i % 2 * 2) as f32))
                    .collect();
                let (mut h, mut d) = (vec![f32::NAN; u.len()], vec![f32::NAN; u.len()]);
                activate::<S>(&Activation::from(Kind::Sine), &u, &mut h, &mut d);
                for i in 0..u.len() {
                    let (sin, cos) = f64::from(u[i]).sin_cos();
                    let error = (f64::from(h[i]) - sin).abs().max((f64::from(d[i]) - cos).abs());
                    assert!(error <= 1e-6, "sin({}) = {}, want {sin}; cos {}, want {cos}", u[i], h[i], d[i]);
                }
                // The variance of sin^2 is 1/8: 5 standard errors.
                for x in [&h, &d] {
                    let mean = x.iter().map(|v| f64::from(v * v)).sum::<f64>() / x.len() as f64;
                    assert!((mean - 0.5).abs() < 5.0 * (0.125 / x.len() as f64).sqrt(), "10^{decade}: {mean}");
                }
            }
            let ends = [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            let (mut h, mut d) = ([0.0; 5], [0.0; 5]);
            activate::<S>(&Activation::from(Kind::Sine), &ends, &mut h, &mut d);
            assert!(h[..4].iter().zip(&d).all(|(h, d)| ((h * h + d * d) - 1.0).abs() < 1e-5));
            assert!(h[4].is_nan() && d[4].is_nan());
        }
    }

    struct EveryActivation;

    impl WithSimd for EveryActivation {
        type Output = ();
        fn with_simd<S: Simd>(self, _: S) {
            check::<S>();
        }
    }

    fn check<S: Simd>() {
        let mut grid: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 0.005 + 1e-4).collect();
        for k in -38..=30 {
            grid.extend([10f32.powi(k), -(10f32.powi(k)), 3.3 * 10f32.powi(k), -3.3 * 10f32.powi(k)]);
        }
        let mut h = vec![f32::NAN; grid.len()];
        let mut d = vec![f32::NAN; grid.len()];
        for row in &TABLE {
            let activation = Activation::from(row.kind);
            activate::<S>(&activation, &grid, &mut h, &mut d);
            for (i, &u) in grid.iter().enumerate() {
                let (want, slope) = (activation.value(f64::from(u)), activation.derivative(f64::from(u)));
                // In a tail e^-x the roundings of the argument x itself show: x * 2^-22.
                let tail = TOLERANCE + (row.derivative_parts)(f64::from(u), activation.param).1 * 2f64.powi(-22);
                let oscillates = row.kind == Kind::Sine;
                let scale = if oscillates { 1.0 } else { want.abs().max(1e-30) };
                assert!((f64::from(h[i]) - want).abs() <= tail * scale, "{}({u}) = {}, want {want}", row.name, h[i]);
                // phi' of gelu, silu and mish crosses zero near -1: absolute there, relative in the tails.
                let crossing = if oscillates {
                    1.0
                } else if u.abs() < 4.0 {
                    0.1
                } else {
                    0.0
                };
                let scale = slope.abs().max(crossing).max(1e-30);
                assert!((f64::from(d[i]) - slope).abs() <= tail * scale, "{}'({u}) = {}, want {slope}", row.name, d[i]);
            }
        }
    }
}
