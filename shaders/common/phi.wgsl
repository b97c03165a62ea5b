// h = phi(u) over a whole tensor: how, follows from the largest |u| (common/regime.wgsl), from the smallest decay of phi where
// it has an exponential tail, and from the sides on which huge arguments lie. Needs networks, scale, math, activation, regime.

struct Phi {
    kind: u32,
    p: f32,
    // Of u.
    scale: Scale,
    at_zero: f32,
    // By the sign of u.
    near: vec2<f32>,
    far: vec2<f32>,
    offset: vec2<f32>,
    tiny: bool,
    huge: bool,
    bounded: bool,
    // The exponent stays with u where h is proportional to it.
    kept: bool,
    // Arguments below 2^61 pass unchanged; beyond, a bounded phi no longer changes.
    limit: f32,
    // Whether all of phi may lie so far in its tail that a common power of two is taken out.
    decaying: bool,
}

fn phi_of(network: u32, scale: Scale) -> Phi {
    let kind = networks[network].activation;
    let at_zero = networks[network].at_zero;
    let near = vec2<f32>(networks[network].slope_below, networks[network].slope_above);
    let far = vec2<f32>(networks[network].far_slope_below, networks[network].far_slope_above);
    let offset = vec2<f32>(networks[network].far_intercept_below, networks[network].far_intercept_above);
    let tiny = !scale.zero && scale.exponent < TINY;
    let huge = !scale.zero && scale.exponent > HUGE;
    let bounded = far.x == 0.0 && far.y == 0.0;
    let kept = (tiny && at_zero == 0.0) || (huge && !bounded);
    let limit = pow2(select(HUGE + 2, 100, kind == SINE));
    // A decay of DECAY_START needs |u| >= 9; with u^3 (gelu_tanh) in the exponent 6; a parameter may multiply u.
    let steep = kind == 9u;
    let decaying = activation_has_tail(kind) && !tiny && (scale.exponent >= select(3, 2, steep) || kind == 12u);
    return Phi(
        kind, networks[network].param, scale, at_zero, near, far, offset, tiny, huge, bounded, kept, limit, decaying,
    );
}

// The exponent of what `phi_at` returns.
fn phi_exponent(f: Phi) -> i32 {
    return select(0, f.scale.exponent, f.kept);
}

// phi of a stored argument; `flat`: `phi_all_flat`, and its exponent is 0.
fn phi_at(f: Phi, raw: f32, flat: bool) -> f32 {
    let x = raw * pow2(f.scale.shift);
    let above = x > 0.0;
    if (!is_finite(raw)) {
        return raw;
    }
    if (f.tiny) {
        let slope = select(f.near.x, f.near.y, above);
        return select(f.at_zero + slope * (x * pow2(f.scale.exponent)), slope * x, f.kept);
    }
    let follows = f.huge && !f.bounded && !flat;
    if (follows && exponent_of(abs_bits(x)) + f.scale.exponent > 20) {
        return select(f.far.x, f.far.y, above) * x + select(f.offset.x, f.offset.y, above) * pow2(-f.scale.exponent);
    }
    let value = activation_value(f.kind, clamp(x * pow2(f.scale.exponent), -f.limit, f.limit), f.p);
    return value * select(1.0, pow2(-f.scale.exponent), follows);
}

// 1 where a huge argument lies on a side on which phi grows.
fn phi_grows(f: Phi, raw: f32) -> u32 {
    let slope = select(f.far.x, f.far.y, raw > 0.0);
    return select(0u, 1u, f.huge && !f.bounded && is_finite(raw) && raw * pow2(f.scale.shift) != 0.0 && slope != 0.0);
}

// The decay of phi as `atomicMax` collects the smallest, for `decaying`.
fn phi_decay(f: Phi, raw: f32) -> u32 {
    let tail = activation_tail(f.kind, grad_argument(raw, f.scale, f.kind), f.p);
    let counts = tail.x != 0.0 && is_finite(tail.x) && is_finite(tail.y);
    return select(0u, decay_word(tail.y), counts);
}

// Whether phi grows on one side, on the other tends to a limit that is not zero, and u is huge and nothing of it (`grown`)
// on the side that grows.
fn phi_all_flat(f: Phi, grown: u32) -> bool {
    let limit = any((f.far == vec2<f32>(0.0)) & (f.offset != vec2<f32>(0.0)));
    return any(f.far != vec2<f32>(0.0)) && limit && !f.scale.zero && f.scale.exponent > HUGE && grown == 0u;
}

// phi where all of it lies in the tail; its exponent is -tail.
fn phi_of_tail(f: Phi, raw: f32, tail: i32) -> f32 {
    let parts = activation_tail(f.kind, grad_argument(raw, f.scale, f.kind), f.p);
    // Zeros decay less than anything else: their power may lie beyond f32.
    return select(parts.x * exp_scaled(-parts.y, tail), 0.0, parts.x == 0.0);
}
