// Arguments of activations beyond the range of f32. From the largest |u| of the tensor, by integers alone: tiny (below
// 2^-40: phi(0) + slope u), huge (above 2^60: asymptotes), else the true u. Needs heads and networks.

const TINY: i32 = -40;
const HUGE: i32 = 60;
// Decays below this leave phi' within 2^-61: no common power is taken out.
const DECAY_START: f32 = 42.0;
// Larger than any `decay_floor`.
const DECAY_LIMIT: f32 = 2.4e8;
const SINE: u32 = 19u;
// Its phi' falls by a power of u alone, and never stops.
const SOFTSIGN: u32 = 13u;

// u for phi': the sign and zero are kept, magnitudes are cut to where phi' no longer changes.
fn grad_argument(raw: f32, scale: Scale, kind: u32) -> f32 {
    let x = raw * pow2(scale.shift);
    if (x == 0.0 || !is_finite(x)) {
        return x;
    }
    let magnitude = abs(x) * pow2(scale.exponent);
    let limit = pow2(select(40, select(100, 126, kind == SOFTSIGN), kind == SINE || kind == SOFTSIGN));
    return select(-1.0, 1.0, x > 0.0) * clamp(magnitude, pow2(-60), limit);
}

// Decays beyond this count as zero: one a layer of the network's depth, squared, still fits an exponent of 32 bits.
fn decay_floor(depth: u32) -> f32 {
    return 6.9e8 / (f32(depth) + 2.0);
}

// floor(decay / ln 2).
fn whole_power(decay: f32) -> i32 {
    return i32(min(decay, DECAY_LIMIT) * 1.44269504);
}

// A decay as `atomicMax` collects the smallest.
fn decay_word(decay: f32) -> u32 {
    return INFINITY_BITS - abs_bits(decay);
}

// The power of two D that is taken out where nothing decays less: stored number = number * 2^D.
fn power_of_decay(stored: u32) -> i32 {
    if (stored == 0u) {
        return 0;
    }
    let decay = bitcast<f32>(INFINITY_BITS - stored);
    if (!(decay >= DECAY_START)) {
        return 0;
    }
    return whole_power(decay);
}

// D of phi, over a whole layer.
fn layer_tail(head: u32, network: u32) -> i32 {
    return power_of_decay(atomicLoad(&heads[head * params.networks + network].tail_bits));
}
