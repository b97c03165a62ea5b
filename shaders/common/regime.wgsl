// Arguments of activations beyond the range of f32. From the largest |u| of the tensor, by integers alone: tiny (below
// 2^-40: phi(0) + slope u), huge (above 2^60: asymptotes), else the true u. Needs heads and networks.

const TINY: i32 = -40;
const HUGE: i32 = 60;
// Decays below this leave phi' within 2^-61: no common power is taken out.
const DECAY_START: f32 = 42.0;
const DECAY_LIMIT: f32 = 1048576.0;
const SINE: u32 = 19u;

// u for phi': the sign and zero are kept, magnitudes are cut to where phi' no longer changes.
fn grad_argument(raw: f32, scale: Scale, kind: u32) -> f32 {
    let x = raw * pow2(scale.shift);
    if (x == 0.0 || !is_finite(x)) {
        return x;
    }
    let magnitude = abs(x) * pow2(scale.exponent);
    let limit = pow2(select(40, 100, kind == SINE));
    return select(-1.0, 1.0, x > 0.0) * clamp(magnitude, pow2(-60), limit);
}

// The power of two D that is taken out over a whole layer, from the smallest decay: stored number = number * 2^D.
fn power_of_decay(stored: u32) -> i32 {
    if (stored == 0u) {
        return 0;
    }
    let decay = bitcast<f32>(INFINITY_BITS - stored);
    if (decay < DECAY_START) {
        return 0;
    }
    return i32(min(decay * 1.44269504, DECAY_LIMIT));
}

// D of phi'.
fn layer_decay(head: u32, network: u32) -> i32 {
    return power_of_decay(atomicLoad(&heads[head * params.networks + network].decay_bits));
}

// D of phi.
fn layer_tail(head: u32, network: u32) -> i32 {
    return power_of_decay(atomicLoad(&heads[head * params.networks + network].tail_bits));
}

fn raise_decay(head: u32, network: u32, decay: f32) {
    atomicMax(&heads[head * params.networks + network].decay_bits, INFINITY_BITS - abs_bits(decay));
}
