// The activation table, one function pair a row: act_x(u, p) = phi(u) and act_x_grad(u, p) = phi'(u) as
// (factor, decay) with phi' = factor * e^-decay, decay >= 0. Numbers are those of network::activation::ActivationKind.

const SELU_ALPHA: f32 = 1.67326324;
const SELU_SCALE: f32 = 1.05070099;
const INV_SQRT_2PI: f32 = 0.39894228;
const QUICK_GELU_SLOPE: f32 = 1.702;
const SCALED_TANH_AMPLITUDE: f32 = 1.7159;
const SQRT_2_OVER_PI: f32 = 0.79788456;
const GELU_TANH_CUBIC: f32 = 0.044715;

fn logistic(u: f32) -> f32 {
    let t = exp_own(-abs(u));
    return select(t, 1.0, u >= 0.0) / (1.0 + t);
}

fn act_sigmoid_grad(u: f32) -> vec2<f32> {
    let t = exp_own(-abs(u));
    return vec2<f32>(1.0 / ((1.0 + t) * (1.0 + t)), abs(u));
}

fn act_tanh_grad(u: f32) -> vec2<f32> {
    let t = exp_own(-2.0 * abs(u));
    return vec2<f32>(4.0 / ((1.0 + t) * (1.0 + t)), 2.0 * abs(u));
}

fn act_gelu(u: f32) -> f32 {
    let tail = 0.5 * gauss(u, 0.5) * erfcx_own(abs(u) * SQRT_HALF);
    return u * select(tail, 1.0 - tail, u >= 0.0);
}

fn act_gelu_grad(u: f32) -> vec2<f32> {
    let scaled = erfcx_own(abs(u) * SQRT_HALF);
    if (u >= 0.0) {
        return vec2<f32>(1.0 + gauss(u, 0.5) * (u * INV_SQRT_2PI - 0.5 * scaled), 0.0);
    }
    // phi' = pdf(u) (u + Mills(-u)), Mills(x) = sqrt(pi/2) erfcx(x / sqrt 2).
    let g = gauss_parts(u, 0.5);
    return vec2<f32>(g.x * (u * INV_SQRT_2PI + 0.5 * scaled), g.y);
}

fn act_gelu_tanh(u: f32) -> f32 {
    return u * logistic(2.0 * SQRT_2_OVER_PI * (u + GELU_TANH_CUBIC * u * u * u));
}

fn act_gelu_tanh_grad(u: f32) -> vec2<f32> {
    let v = SQRT_2_OVER_PI * (u + GELU_TANH_CUBIC * u * u * u);
    let slope = SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_TANH_CUBIC * u * u);
    let t = exp_own(-2.0 * abs(v));
    let s = 1.0 / (1.0 + t);
    if (u >= 0.0) {
        return vec2<f32>(s + select(0.0, 2.0 * u * slope * t * s * s, t > 0.0), 0.0);
    }
    return vec2<f32>(s + 2.0 * u * slope * s * s, -2.0 * v);
}

// Derivative of u * sigmoid(s u).
fn swish_grad(u: f32, s: f32) -> vec2<f32> {
    let v = s * u;
    let t = exp_own(-abs(v));
    let d = (1.0 + t) * (1.0 + t);
    if (v >= 0.0) {
        return vec2<f32>((1.0 + t + select(0.0, v * t, t > 0.0)) / d, 0.0);
    }
    return vec2<f32>((1.0 + t + v) / d, -v);
}

fn act_mish(u: f32) -> f32 {
    let t = exp_own(-abs(u));
    if (u >= 0.0) {
        return u * ((1.0 + 2.0 * t) / (1.0 + 2.0 * t + 2.0 * t * t));
    }
    return u * t * ((t + 2.0) / (t * (t + 2.0) + 2.0));
}

fn act_mish_grad(u: f32) -> vec2<f32> {
    let t = exp_own(-abs(u));
    if (u >= 0.0) {
        let d = 1.0 + 2.0 * t + 2.0 * t * t;
        return vec2<f32>((1.0 + 2.0 * t) / d + select(0.0, 4.0 * u * (1.0 + t) * t * t / (d * d), t > 0.0), 0.0);
    }
    let d = t * (t + 2.0) + 2.0;
    return vec2<f32>((t + 2.0) / d + 4.0 * u * (t + 1.0) / (d * d), -u);
}

fn act_softplus(u: f32, beta: f32) -> f32 {
    let v = beta * u;
    return (max(v, 0.0) + log1p_own(exp_own(-abs(v)))) / beta;
}

fn act_softplus_grad(u: f32, beta: f32) -> vec2<f32> {
    let v = beta * u;
    return vec2<f32>(1.0 / (1.0 + exp_own(-abs(v))), max(-v, 0.0));
}

fn act_softsign_grad(u: f32) -> vec2<f32> {
    let a = 1.0 + abs(u);
    if (a < 1048576.0) {
        return vec2<f32>(1.0 / (a * a), 0.0);
    }
    return vec2<f32>(1.0, 2.0 * log_own(a));
}

fn act_erf_grad(u: f32) -> vec2<f32> {
    let g = gauss_parts(u, 1.0);
    return vec2<f32>(1.12837917 * g.x, g.y);
}

// phi(u) of activation number `kind` with parameter p.
fn activation_value(kind: u32, u: f32, p: f32) -> f32 {
    if (!is_finite(u)) {
        return u;
    }
    switch kind {
        case 0u: { return u; }
        case 1u: { return logistic(u); }
        case 2u: { return tanh_own(u); }
        case 3u: { return max(u, 0.0); }
        case 4u: { return select(p * u, u, u > 0.0); }
        case 5u: { return select(p * expm1_own(min(u, 0.0)), u, u > 0.0); }
        case 6u: { return SELU_SCALE * select(SELU_ALPHA * expm1_own(min(u, 0.0)), u, u > 0.0); }
        case 7u: { return select(p * expm1_own(min(u, 0.0) / p), u, u > 0.0); }
        case 8u: { return act_gelu(u); }
        case 9u: { return act_gelu_tanh(u); }
        case 10u: { return u * logistic(u); }
        case 11u: { return act_mish(u); }
        case 12u: { return act_softplus(u, p); }
        case 13u: { return u / (1.0 + abs(u)); }
        case 14u: { return clamp(u, -1.0, 1.0); }
        case 15u: { return clamp((u + 3.0) / 6.0, 0.0, 1.0); }
        case 16u: { return erf_own(u); }
        case 17u: { return clamp(u, 0.0, 6.0); }
        case 18u: { return SCALED_TANH_AMPLITUDE * tanh_own(2.0 * u / 3.0); }
        case 19u: { return sin_shifted(u, 0u); }
        default: { return u * logistic(QUICK_GELU_SLOPE * u); }
    }
}

// phi'(u) as (factor, decay).
fn activation_grad(kind: u32, u: f32, p: f32) -> vec2<f32> {
    if (!is_finite(u)) {
        return vec2<f32>(u, 0.0);
    }
    switch kind {
        case 0u: { return vec2<f32>(1.0, 0.0); }
        case 1u: { return act_sigmoid_grad(u); }
        case 2u: { return act_tanh_grad(u); }
        case 3u: { return vec2<f32>(select(0.0, 1.0, u > 0.0), 0.0); }
        case 4u: { return vec2<f32>(select(p, 1.0, u > 0.0), 0.0); }
        case 5u: { return vec2<f32>(select(p, 1.0, u > 0.0), max(-u, 0.0)); }
        case 6u: { return vec2<f32>(SELU_SCALE * select(SELU_ALPHA, 1.0, u > 0.0), max(-u, 0.0)); }
        case 7u: { return vec2<f32>(1.0, max(-u / p, 0.0)); }
        case 8u: { return act_gelu_grad(u); }
        case 9u: { return act_gelu_tanh_grad(u); }
        case 10u: { return swish_grad(u, 1.0); }
        case 11u: { return act_mish_grad(u); }
        case 12u: { return act_softplus_grad(u, p); }
        case 13u: { return act_softsign_grad(u); }
        case 14u: { return vec2<f32>(select(0.0, 1.0, u > -1.0 && u < 1.0), 0.0); }
        case 15u: { return vec2<f32>(select(0.0, 0.16666667, u > -3.0 && u < 3.0), 0.0); }
        case 16u: { return act_erf_grad(u); }
        case 17u: { return vec2<f32>(select(0.0, 1.0, u > 0.0 && u < 6.0), 0.0); }
        case 18u: {
            let parts = act_tanh_grad(2.0 * u / 3.0);
            return vec2<f32>(parts.x * (SCALED_TANH_AMPLITUDE * 2.0 / 3.0), parts.y);
        }
        case 19u: { return vec2<f32>(sin_shifted(u, 1u), 0.0); }
        default: { return swish_grad(u, QUICK_GELU_SLOPE); }
    }
}

// phi(u) - phi(0), without cancellation near 0.
fn activation_change(kind: u32, u: f32, p: f32, at_zero: f32) -> f32 {
    switch kind {
        case 1u: { return 0.5 * tanh_own(0.5 * u); }
        case 12u: {
            let v = p * u;
            if (abs(v) > 1.0) {
                return act_softplus(u, p) - at_zero;
            }
            // ln((1 + e^v) / 2) = v / 2 + ln cosh(v / 2), cosh y = 1 + 2 sinh^2(y / 2).
            let e = expm1_own(0.25 * v);
            let sinh = 0.5 * (e + e / (1.0 + e));
            return (0.5 * v + log1p_own(2.0 * sinh * sinh)) / p;
        }
        case 15u: { return clamp(u / 6.0, -0.5, 0.5); }
        default: { return activation_value(kind, u, p) - at_zero; }
    }
}

// Whether phi' vanishes exponentially somewhere.
fn activation_decays(kind: u32) -> bool {
    return kind == 1u || kind == 2u || (kind >= 5u && kind <= 13u) || kind == 16u || kind == 18u || kind == 20u;
}

// Whether phi vanishes exponentially towards minus infinity.
fn activation_has_tail(kind: u32) -> bool {
    return kind == 1u || (kind >= 8u && kind <= 12u) || kind == 20u;
}

// phi(u) as (factor, decay), for activations with a tail.
fn activation_tail(kind: u32, u: f32, p: f32) -> vec2<f32> {
    if (!(u < 0.0)) {
        return vec2<f32>(activation_value(kind, u, p), 0.0);
    }
    switch kind {
        case 1u: { return vec2<f32>(1.0 / (1.0 + exp_own(u)), -u); }
        case 8u: {
            let g = gauss_parts(u, 0.5);
            return vec2<f32>(g.x * (0.5 * u * erfcx_own(-u * SQRT_HALF)), g.y);
        }
        case 9u: {
            let v = 2.0 * SQRT_2_OVER_PI * (u + GELU_TANH_CUBIC * u * u * u);
            return vec2<f32>(u / (1.0 + exp_own(v)), -v);
        }
        case 10u: { return vec2<f32>(u / (1.0 + exp_own(u)), -u); }
        case 11u: {
            let t = exp_own(u);
            return vec2<f32>(u * (t + 2.0) / (t * (t + 2.0) + 2.0), -u);
        }
        case 12u: {
            if (p * u < -40.0) {
                return vec2<f32>(1.0 / p, -p * u);
            }
            return vec2<f32>(act_softplus(u, p), 0.0);
        }
        default: { return vec2<f32>(u / (1.0 + exp_own(QUICK_GELU_SLOPE * u)), -QUICK_GELU_SLOPE * u); }
    }
}
