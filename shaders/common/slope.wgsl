// phi' by element on the way back, its decay included. Needs networks, scale, row_scale, math, activation, regime.

// What one element says of phi'.
struct Slope {
    // The argument, as `grad_argument` cuts it.
    x: f32,
    // phi' = parts.x * e^-parts.y.
    parts: vec2<f32>,
    // phi' * 2^decay.
    value: f32,
}

fn slope_at(raw: f32, u: Scale, kind: u32, p: f32, decay: i32) -> Slope {
    let x = grad_argument(raw, u, kind);
    let parts = activation_grad(kind, x, p);
    return Slope(x, parts, parts.x * exp_scaled(-parts.y, decay));
}

// Whether all of phi' may lie so far in its tail that a common power of two is taken out. A decay of DECAY_START needs
// |u| >= 9; with u^2 (erf) or u^3 (gelu_tanh) in the exponent 6; a parameter may multiply u.
fn slope_may_vanish(u: Scale, kind: u32) -> bool {
    let steep = kind == 9u || kind == 16u;
    let far = u.exponent >= select(3, 2, steep) || kind == 7u || kind == 12u;
    return far && activation_decays(kind);
}

// The decay of phi' as `atomicMax` collects the smallest; `limit`: of `decay_floor`.
fn slope_decay(raw: f32, u: Scale, kind: u32, p: f32, limit: f32) -> u32 {
    let x = grad_argument(raw, u, kind);
    let own = activation_grad(kind, x, p).y;
    return select(0u, decay_word(own), is_finite(x) && own <= limit);
}

// The power of two of g phi', where phi' counts by its decay alone. `bits`: of g, finite.
fn power_through(bits: u32, raw: f32, u: Scale, kind: u32, p: f32, limit: f32) -> i32 {
    if (bits < 0x00800000u) {
        return NO_ROW;
    }
    var power = exponent_of(bits);
    if (activation_decays(kind)) {
        let decay = activation_grad(kind, grad_argument(raw, u, kind), p).y;
        power = select(power - whole_power(decay), NO_ROW, decay > limit);
    }
    return power;
}

// g phi' at the exponent of its row; `source`: the exponent of g's row.
fn through_phi(d: f32, s: Slope, decay: i32, source: i32, exponent: i32) -> f32 {
    let power = select(source - exponent, 0, source == NO_ROW || exponent == NO_ROW);
    if (decay == 0 && abs(power) < 64) {
        return (d * pow2(power)) * s.value;
    }
    if (abs_bits(d) < 0x00800000u) {
        // Its phi' may lie above the range that the row's exponent leaves.
        return select(s.parts.x, 0.0, is_finite(s.parts.x));
    }
    return (d * s.parts.x) * exp_scaled(-s.parts.y, power);
}
