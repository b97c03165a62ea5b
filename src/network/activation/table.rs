//! The rows of the activation table and the float64 functions behind them.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use super::{
    ActivationKind, ActivationRow, Facts, GELU_TANH_CUBIC, Line, ParamRow, QUICK_GELU_SLOPE, SCALED_TANH_AMPLITUDE,
    SELU_ALPHA, SELU_SCALE,
};

const FLAT: Line = Line { slope: 0.0, intercept: 0.0 };
const UNIT: Line = Line { slope: 1.0, intercept: 0.0 };
const INF: f64 = f64::INFINITY;
const NEVER: [f64; 2] = [-INF, INF];

fn level(intercept: f64) -> Line {
    Line { slope: 0.0, intercept }
}
fn slope(slope: f64) -> Line {
    Line { slope, intercept: 0.0 }
}
fn facts(sup: f64, knee: [f64; 2], flat: [f64; 2], far: [Line; 2], at_zero: f64, s0: [f64; 2]) -> Facts {
    Facts { sup_derivative: sup, knee, flat, far, at_zero, slopes_at_zero: s0 }
}
/// 1 / (1 + e^-u) without overflow.
fn logistic(u: f64) -> f64 {
    let t = libm::exp(-u.abs());
    if u >= 0.0 { 1.0 / (1.0 + t) } else { t / (1.0 + t) }
}
/// Derivative of u * sigmoid(s u) at u, in parts.
fn swish_parts(u: f64, s: f64) -> (f64, f64) {
    let v = s * u;
    let t = libm::exp(-v.abs());
    let d = (1.0 + t) * (1.0 + t);
    if v >= 0.0 { ((1.0 + t + v * t) / d, 0.0) } else { ((1.0 + t + v) / d, -v) }
}
/// u * sigmoid(s u), in parts.
fn swish_value_parts(u: f64, s: f64) -> (f64, f64) {
    if u < 0.0 { (u / (1.0 + libm::exp(s * u)), -s * u) } else { (u * logistic(s * u), 0.0) }
}
/// Derivative of tanh(v), in parts.
fn tanh_parts(v: f64) -> (f64, f64) {
    let t = libm::exp(-2.0 * v.abs());
    (4.0 / ((1.0 + t) * (1.0 + t)), 2.0 * v.abs())
}
/// Mills ratio Phi(-x)/phi(x) of the normal distribution for x > 0.
fn mills(x: f64) -> f64 {
    if x < 8.0 {
        0.5 * libm::erfc(x * FRAC_1_SQRT_2) * (2.0 * PI).sqrt() * libm::exp(0.5 * x * x)
    } else {
        // Laplace's continued fraction, 60 terms: below 1e-16 relative from x = 8.
        let mut f = x;
        for k in (1..=60).rev() {
            f = x + k as f64 / f;
        }
        1.0 / f
    }
}
fn gelu_parts(u: f64) -> (f64, f64) {
    let norm = 1.0 / (2.0 * PI).sqrt();
    if u >= 0.0 {
        (1.0 - 0.5 * libm::erfc(u * FRAC_1_SQRT_2) + u * norm * libm::exp(-0.5 * u * u), 0.0)
    } else {
        (norm * (u + mills(-u)), 0.5 * u * u)
    }
}
fn gelu_tanh_parts(u: f64) -> (f64, f64) {
    let k = (2.0 / PI).sqrt();
    let v = k * (u + GELU_TANH_CUBIC * u * u * u);
    let dv = k * (1.0 + 3.0 * GELU_TANH_CUBIC * u * u);
    let t = libm::exp(-2.0 * v.abs());
    let s = 1.0 / (1.0 + t);
    if u >= 0.0 { (s + 2.0 * u * dv * t * s * s, 0.0) } else { (s + 2.0 * u * dv * s * s, -2.0 * v) }
}
fn mish_parts(u: f64) -> (f64, f64) {
    let t = libm::exp(-u.abs());
    if u >= 0.0 {
        let d = 1.0 + 2.0 * t + 2.0 * t * t;
        ((1.0 + 2.0 * t) / d + 4.0 * u * (1.0 + t) * t * t / (d * d), 0.0)
    } else {
        let d = t * (t + 2.0) + 2.0;
        ((t + 2.0) / d + 4.0 * u * (t + 1.0) / (d * d), -u)
    }
}
fn mish(u: f64) -> f64 {
    let t = libm::exp(-u.abs());
    if u >= 0.0 {
        u * (1.0 + 2.0 * t) / (1.0 + 2.0 * t + 2.0 * t * t)
    } else {
        u * t * (t + 2.0) / (t * (t + 2.0) + 2.0)
    }
}
fn gelu_tanh(u: f64) -> f64 {
    let v = (2.0 / PI).sqrt() * (u + GELU_TANH_CUBIC * u * u * u);
    u * logistic(2.0 * v)
}
fn softplus(u: f64, beta: f64) -> f64 {
    let v = beta * u;
    (v.max(0.0) + libm::log1p(libm::exp(-v.abs()))) / beta
}

const SLOPE: ParamRow = ParamRow { name: "negative_slope", default: 0.01, min: 0.0 };
const ALPHA: ParamRow = ParamRow { name: "alpha", default: 1.0, min: 1e-6 };
const BETA: ParamRow = ParamRow { name: "beta", default: 1.0, min: 1e-6 };

macro_rules! row {
    ($kind:ident, $name:literal, $aliases:expr, $param:expr, $value:expr, $parts:expr, $facts:expr, $doc:literal, $source:literal) => {
        row!($kind, $name, $aliases, $param, $value, $parts, $facts, $doc, $source, tail: None)
    };
    ($kind:ident, $name:literal, $aliases:expr, $param:expr, $value:expr, $parts:expr, $facts:expr, $doc:literal, $source:literal, tail: $tail:expr) => {
        ActivationRow {
            kind: ActivationKind::$kind,
            name: $name,
            aliases: $aliases,
            param: $param,
            value: $value,
            derivative_parts: $parts,
            value_parts: $tail,
            facts: $facts,
            doc: $doc,
            source: $source,
        }
    };
}

/// The activations, indexed by [`ActivationKind`].
pub static TABLE: [ActivationRow; 21] = [
    row!(
        Linear,
        "linear",
        &["identity", "none"],
        None,
        |u, _| u,
        |_, _| (1.0, 0.0),
        |_| facts(1.0, NEVER, NEVER, [UNIT, UNIT], 0.0, [1.0, 1.0]),
        "u",
        "deep linear networks: Saxe et al. 2013"
    ),
    row!(
        Sigmoid,
        "sigmoid",
        &["logistic"],
        None,
        |u, _| logistic(u),
        |u, _| {
            let t = libm::exp(-u.abs());
            (1.0 / ((1.0 + t) * (1.0 + t)), u.abs())
        },
        |_| facts(0.25, [0.0, 0.0], NEVER, [FLAT, level(1.0)], 0.5, [0.25, 0.25]),
        "1/(1+e^-u); derivative at most 1/4",
        "Hochreiter 1991",
        tail: Some(|u, _| if u < 0.0 { (1.0 / (1.0 + libm::exp(u)), -u) } else { (logistic(u), 0.0) })
    ),
    row!(
        Tanh,
        "tanh",
        &[],
        None,
        |u, _| libm::tanh(u),
        |u, _| tanh_parts(u),
        |_| facts(1.0, [0.0, 0.0], NEVER, [level(-1.0), level(1.0)], 0.0, [1.0, 1.0]),
        "tanh(u)",
        "LeCun et al. 1998"
    ),
    row!(
        Relu,
        "relu",
        &[],
        None,
        |u, _| if u.is_nan() { u } else { u.max(0.0) },
        |u, _| (if u.is_nan() { u } else { f64::from(u > 0.0) }, 0.0),
        |_| facts(1.0, [0.0, INF], [0.0, INF], [FLAT, UNIT], 0.0, [0.0, 1.0]),
        "max(u, 0); derivative 0 at 0",
        "Nair & Hinton 2010; Glorot et al. 2011"
    ),
    row!(
        LeakyRelu,
        "leaky_relu",
        &["lrelu"],
        Some(SLOPE),
        |u, p| if u > 0.0 { u } else { p * u },
        |u, p| (if u > 0.0 { 1.0 } else { p }, 0.0),
        |p| facts(
            p.max(1.0),
            if p == 0.0 { [0.0, INF] } else { NEVER },
            if p == 0.0 { [0.0, INF] } else { NEVER },
            [slope(p), UNIT],
            0.0,
            [p, 1.0]
        ),
        "u above 0, negative_slope u below",
        "Maas et al. 2013"
    ),
    row!(
        Elu,
        "elu",
        &[],
        Some(ALPHA),
        |u, a| if u > 0.0 { u } else { a * libm::expm1(u) },
        |u, a| if u > 0.0 { (1.0, 0.0) } else { (a, -u) },
        |a| facts(a.max(1.0), [0.0, INF], NEVER, [level(-a), UNIT], 0.0, [a, 1.0]),
        "u above 0, alpha (e^u - 1) below",
        "Clevert et al. 2015"
    ),
    row!(
        Selu,
        "selu",
        &[],
        None,
        |u, _| SELU_SCALE * if u > 0.0 { u } else { SELU_ALPHA * libm::expm1(u) },
        |u, _| if u > 0.0 { (SELU_SCALE, 0.0) } else { (SELU_SCALE * SELU_ALPHA, -u) },
        |_| facts(
            SELU_SCALE * SELU_ALPHA,
            [0.0, INF],
            NEVER,
            [level(-SELU_SCALE * SELU_ALPHA), slope(SELU_SCALE)],
            0.0,
            [SELU_SCALE * SELU_ALPHA, SELU_SCALE]
        ),
        "self-normalising ELU",
        "Klambauer et al. 2017"
    ),
    row!(
        Celu,
        "celu",
        &[],
        Some(ALPHA),
        |u, a| if u > 0.0 { u } else { a * libm::expm1(u / a) },
        |u, a| if u > 0.0 { (1.0, 0.0) } else { (1.0, -u / a) },
        |a| facts(1.0, [0.0, INF], NEVER, [level(-a), UNIT], 0.0, [1.0, 1.0]),
        "u above 0, alpha (e^(u/alpha) - 1) below",
        "Barron 2017"
    ),
    row!(
        Gelu,
        "gelu",
        &[],
        None,
        |u, _| 0.5 * u * libm::erfc(-u * FRAC_1_SQRT_2),
        |u, _| gelu_parts(u),
        |_| facts(1.128_904_145_185_155_8, [-std::f64::consts::SQRT_2, INF], NEVER, [FLAT, UNIT], 0.0, [0.5, 0.5]),
        "u Phi(u), exact",
        "Hendrycks & Gimpel 2016",
        tail: Some(|u, _| {
            let norm = 1.0 / (2.0 * PI).sqrt();
            if u < 0.0 { (norm * u * mills(-u), 0.5 * u * u) } else { (0.5 * u * libm::erfc(-u * FRAC_1_SQRT_2), 0.0) }
        })
    ),
    row!(
        GeluTanh,
        "gelu_tanh",
        &["gelu_approximate", "gelu_new"],
        None,
        |u, _| gelu_tanh(u),
        |u, _| gelu_tanh_parts(u),
        |_| facts(1.129_0, [-std::f64::consts::SQRT_2, INF], NEVER, [FLAT, UNIT], 0.0, [0.5, 0.5]),
        "GELU's tanh form",
        "Hendrycks & Gimpel 2016",
        tail: Some(|u, _| {
            let v = 2.0 * (2.0 / PI).sqrt() * (u + GELU_TANH_CUBIC * u * u * u);
            if u < 0.0 { (u / (1.0 + libm::exp(v)), -v) } else { (gelu_tanh(u), 0.0) }
        })
    ),
    row!(
        Silu,
        "silu",
        &["swish"],
        None,
        |u, _| u * logistic(u),
        |u, _| swish_parts(u, 1.0),
        |_| facts(1.099_839_320_128_866_3, [-2.399_357_280_520_546_7, INF], NEVER, [FLAT, UNIT], 0.0, [0.5, 0.5]),
        "u sigmoid(u)",
        "Elfwing et al. 2017; Ramachandran et al. 2017",
        tail: Some(|u, _| swish_value_parts(u, 1.0))
    ),
    row!(
        Mish,
        "mish",
        &[],
        None,
        |u, _| mish(u),
        |u, _| mish_parts(u),
        |_| facts(1.088_4, [-2.256_4, INF], NEVER, [FLAT, UNIT], 0.0, [0.6, 0.6]),
        "u tanh(softplus(u))",
        "Misra 2019",
        tail: Some(|u, _| {
            let t = libm::exp(-u.abs());
            if u < 0.0 { (u * (t + 2.0) / (t * (t + 2.0) + 2.0), -u) } else { (mish(u), 0.0) }
        })
    ),
    row!(
        Softplus,
        "softplus",
        &[],
        Some(BETA),
        softplus,
        |u, b| {
            let v = b * u;
            let t = libm::exp(-v.abs());
            if v >= 0.0 { (1.0 / (1.0 + t), 0.0) } else { (1.0 / (1.0 + t), -v) }
        },
        |b| facts(1.0, [0.0, INF], NEVER, [FLAT, UNIT], LN_2 / b, [0.5, 0.5]),
        "log(1 + e^(beta u)) / beta",
        "Dugas et al. 2001",
        tail: Some(|u, b| {
            // log1p(t) = t (1 - t/2 + ...): t alone once t is below the rounding.
            if b * u < -40.0 { (1.0 / b, -b * u) } else { (softplus(u, b), 0.0) }
        })
    ),
    row!(
        Softsign,
        "softsign",
        &[],
        None,
        |u, _| if u.is_infinite() { u.signum() } else { u / (1.0 + u.abs()) },
        |u, _| (1.0 / ((1.0 + u.abs()) * (1.0 + u.abs())), 0.0),
        |_| facts(1.0, [0.0, 0.0], NEVER, [level(-1.0), level(1.0)], 0.0, [1.0, 1.0]),
        "u/(1+|u|)",
        "Glorot & Bengio 2010"
    ),
    row!(
        HardTanh,
        "hard_tanh",
        &["hardtanh"],
        None,
        |u, _| u.clamp(-1.0, 1.0),
        |u, _| (f64::from(u > -1.0 && u < 1.0), 0.0),
        |_| facts(1.0, [-1.0, 1.0], [-1.0, 1.0], [level(-1.0), level(1.0)], 0.0, [1.0, 1.0]),
        "u clamped to [-1, 1]",
        "Collobert 2004"
    ),
    row!(
        HardSigmoid,
        "hard_sigmoid",
        &["hardsigmoid"],
        None,
        |u, _| ((u + 3.0) / 6.0).clamp(0.0, 1.0),
        |u, _| (if u > -3.0 && u < 3.0 { 1.0 / 6.0 } else { 0.0 }, 0.0),
        |_| facts(1.0 / 6.0, [-3.0, 3.0], [-3.0, 3.0], [FLAT, level(1.0)], 0.5, [1.0 / 6.0, 1.0 / 6.0]),
        "(u + 3)/6 clamped to [0, 1]",
        "Courbariaux et al. 2015; PyTorch's slope"
    ),
    row!(
        Erf,
        "erf",
        &[],
        None,
        |u, _| libm::erf(u),
        |u, _| (2.0 / PI.sqrt(), u * u),
        |_| facts(
            2.0 / PI.sqrt(),
            [0.0, 0.0],
            NEVER,
            [level(-1.0), level(1.0)],
            0.0,
            [2.0 / PI.sqrt(), 2.0 / PI.sqrt()]
        ),
        "erf(u)",
        "Williams 1997"
    ),
    row!(
        Relu6,
        "relu6",
        &[],
        None,
        |u, _| u.clamp(0.0, 6.0),
        |u, _| (f64::from(u > 0.0 && u < 6.0), 0.0),
        |_| facts(1.0, [0.0, 6.0], [0.0, 6.0], [FLAT, level(6.0)], 0.0, [0.0, 1.0]),
        "u clamped to [0, 6]",
        "Krizhevsky 2010"
    ),
    row!(
        ScaledTanh,
        "scaled_tanh",
        &["lecun_tanh"],
        None,
        |u, _| SCALED_TANH_AMPLITUDE * libm::tanh(2.0 * u / 3.0),
        |u, _| {
            let (f, d) = tanh_parts(2.0 * u / 3.0);
            (f * SCALED_TANH_AMPLITUDE * 2.0 / 3.0, d)
        },
        |_| {
            let s = SCALED_TANH_AMPLITUDE * 2.0 / 3.0;
            facts(s, [0.0, 0.0], NEVER, [level(-SCALED_TANH_AMPLITUDE), level(SCALED_TANH_AMPLITUDE)], 0.0, [s, s])
        },
        "1.7159 tanh(2u/3)",
        "LeCun et al. 1998"
    ),
    row!(
        Sine,
        "sine",
        &["sin"],
        None,
        |u, _| libm::sin(u),
        |u, _| (libm::cos(u), 0.0),
        |_| facts(1.0, NEVER, NEVER, [FLAT, FLAT], 0.0, [1.0, 1.0]),
        "sin(u)",
        "Sitzmann et al. 2020"
    ),
    row!(
        QuickGelu,
        "quick_gelu",
        &[],
        None,
        |u, _| u * logistic(QUICK_GELU_SLOPE * u),
        |u, _| swish_parts(u, QUICK_GELU_SLOPE),
        |_| facts(
            1.099_839_320_128_866_3,
            [-2.399_357_280_520_546_7 / QUICK_GELU_SLOPE, INF],
            NEVER,
            [FLAT, UNIT],
            0.0,
            [0.5, 0.5]
        ),
        "u sigmoid(1.702 u)",
        "Hendrycks & Gimpel 2016",
        tail: Some(|u, _| swish_value_parts(u, QUICK_GELU_SLOPE))
    ),
];
