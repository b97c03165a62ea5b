// Powers of two and the bits of floats. Finiteness and maxima go by bits: drivers differ on comparisons with NaN.

const INFINITY_BITS: u32 = 0x7f800000u;

// 2^k as a normal number; 0 below 2^-126, 2^127 above 2^127.
fn pow2(k: i32) -> f32 {
    return select(bitcast<f32>(u32(clamp(k, -126, 127) + 127) << 23u), 0.0, k < -126);
}

// x * 2^k for k in -252 ..= 254, in two exact steps unless the result is subnormal.
fn ldexp2(x: f32, k: i32) -> f32 {
    let c = clamp(k, -300, 254);
    let half = c / 2;
    return x * pow2(half) * pow2(c - half);
}

// Bits of |x|: ordered like |x|.
fn abs_bits(x: f32) -> u32 {
    return bitcast<u32>(x) & 0x7fffffffu;
}

fn is_finite(x: f32) -> bool {
    return abs_bits(x) < INFINITY_BITS;
}

// Bits of |x| where x is finite, else 0: what a maximum over finite elements takes.
fn finite_bits(x: f32) -> u32 {
    let bits = abs_bits(x);
    return select(0u, bits, bits < INFINITY_BITS);
}

// floor(log2 |x|) of a normal number, from its bits.
fn exponent_of(bits: u32) -> i32 {
    return i32((bits >> 23u) & 0xffu) - 127;
}
