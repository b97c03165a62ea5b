// Transcendental functions of our own: drivers' built-ins differ and fail in tails. Relative error about 1e-6 or better
// wherever the argument itself allows it. Coefficients: Cephes (Moshier), erfc: Hastings-type fit of Numerical Recipes.

const SQRT_HALF: f32 = 0.70710678;

// e^x * 2^k. Exact zero far below, a large finite number far above.
fn exp_scaled(x: f32, k: i32) -> f32 {
    let c = clamp(x, -2.7e8, 2.7e8);
    let n = floor(c * 1.44269504 + 0.5);
    // Beyond 2^22 the argument itself is coarser than ln 2: its power of two is all that it tells.
    let r = clamp((c - n * 0.693359375) - n * -2.12194440e-4, -0.5, 0.5);
    var p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    return ldexp2(p * r * r + r + 1.0, i32(n) + k);
}

fn exp_own(x: f32) -> f32 {
    return exp_scaled(x, 0);
}

// ln x for normal x > 0.
fn log_own(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    var e = exponent_of(bits);
    var m = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    if (m > 1.41421356) {
        m = m * 0.5;
        e += 1;
    }
    let t = m - 1.0;
    let z = t * t;
    var p = 7.0376836292e-2;
    p = p * t - 1.1514610310e-1;
    p = p * t + 1.1676998740e-1;
    p = p * t - 1.2420140846e-1;
    p = p * t + 1.4249322787e-1;
    p = p * t - 1.6668057665e-1;
    p = p * t + 2.0000714765e-1;
    p = p * t - 2.4999993993e-1;
    p = p * t + 3.3333331174e-1;
    let f = f32(e);
    return (t + (t * z * p - 0.5 * z + f * -2.12194440e-4)) + f * 0.693359375;
}

fn log2_own(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let m = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    return f32(exponent_of(bits)) + log_own(m) * 1.44269504;
}

// ln(1 + x) for 0 <= x <= 1: 2 artanh(x / (2 + x)).
fn log1p_own(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    var p = 0.06666667;
    p = p * z + 0.07692308;
    p = p * z + 0.09090909;
    p = p * z + 0.11111111;
    p = p * z + 0.14285714;
    p = p * z + 0.2;
    p = p * z + 0.33333333;
    return 2.0 * (s + s * z * p);
}

// e^x - 1.
fn expm1_own(x: f32) -> f32 {
    if (abs(x) > 0.5) {
        return exp_own(x) - 1.0;
    }
    var p = 2.4801587e-5;
    p = p * x + 1.9841270e-4;
    p = p * x + 1.3888889e-3;
    p = p * x + 8.3333333e-3;
    p = p * x + 4.1666667e-2;
    p = p * x + 1.6666667e-1;
    p = p * x + 0.5;
    return x + x * x * p;
}

fn tanh_own(x: f32) -> f32 {
    let a = abs(x);
    if (a < 0.625) {
        let z = x * x;
        var p = -5.70498872745e-3;
        p = p * z + 2.06390887954e-2;
        p = p * z - 5.37397155531e-2;
        p = p * z + 1.33314422036e-1;
        p = p * z - 3.33332819422e-1;
        return p * z * x + x;
    }
    return sign(x) * (1.0 - 2.0 / (exp_own(min(2.0 * a, 60.0)) + 1.0));
}

// e^(x^2) erfc(x) for x >= 0.
fn erfcx_own(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * x);
    var p = 0.17087277;
    p = p * t - 0.82215223;
    p = p * t + 1.48851587;
    p = p * t - 1.13520398;
    p = p * t + 0.27886807;
    p = p * t - 0.18628806;
    p = p * t + 0.09678418;
    p = p * t + 0.37409196;
    p = p * t + 1.00002368;
    p = p * t - 1.26551223;
    return t * exp_own(p);
}

// x as (head, rest): head has 12 significant bits, so that its square is exact.
fn split(x: f32) -> vec2<f32> {
    let head = bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
    return vec2<f32>(head, x - head);
}

// e^(-factor x^2) without the rounding of x^2, as (e^rest, decay): the product e^rest * e^-decay is the value.
fn gauss_parts(x: f32, factor: f32) -> vec2<f32> {
    if (abs(x) > 64.0) {
        return vec2<f32>(1.0, factor * x * x);
    }
    let s = split(x);
    return vec2<f32>(exp_own(-factor * s.y * (x + s.x)), factor * (s.x * s.x));
}

fn gauss(x: f32, factor: f32) -> f32 {
    let g = gauss_parts(x, factor);
    return g.x * exp_own(-g.y);
}

fn erf_own(x: f32) -> f32 {
    let a = abs(x);
    if (a < 0.75) {
        let z = x * x;
        var p = 1.3122532963802806e-6;
        p = p * z - 1.3228751322751323e-5;
        p = p * z + 1.0683760683760684e-4;
        p = p * z - 7.5757575757575758e-4;
        p = p * z + 4.6296296296296296e-3;
        p = p * z - 2.3809523809523809e-2;
        p = p * z + 0.1;
        p = p * z - 0.33333333;
        return 1.12837917 * (x + x * z * p);
    }
    return sign(x) * (1.0 - gauss(min(a, 8.0), 1.0) * erfcx_own(min(a, 8.0)));
}

// x modulo pi/2 as (quadrant 0..3, remainder in about [-pi/4, pi/4] with its own relative precision).
struct Reduced {
    quadrant: u32,
    rest: f32,
}

// Bits of 2/pi after the binary point, most significant word first.
const TWO_OVER_PI: array<u32, 8> = array<u32, 8>(
    0xA2F9836Eu, 0x4E441529u, 0xFC2757D1u, 0xF534DDC0u, 0xDB629599u, 0x3C439041u, 0xFE5163ABu, 0xDEBBC561u,
);

fn mul_wide(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    let low = a0 * b0;
    let mid = a1 * b0 + (low >> 16u);
    let mid2 = a0 * b1 + (mid & 0xffffu);
    return vec2<u32>(a * b, a1 * b1 + (mid >> 16u) + (mid2 >> 16u));
}

fn two_over_pi(word: i32) -> u32 {
    if (word < 0 || word > 7) {
        return 0u;
    }
    var digits = TWO_OVER_PI;
    return digits[word];
}

// Payne & Hanek's reduction for |x| >= 1: the 24-bit mantissa times a 96-bit window of 2/pi.
fn reduce_far(x: f32) -> Reduced {
    let bits = abs_bits(x);
    let mantissa = (bits & 0x007fffffu) | 0x00800000u;
    // |x| = mantissa * 2^shift.
    let shift = exponent_of(bits) - 23;
    // Bits of 2/pi before `start` contribute multiples of 4 to the quotient.
    let start = max(shift - 2, 0);
    let word = start / 32;
    let offset = u32(start % 32);
    var window: array<u32, 3>;
    for (var i = 0; i < 3; i += 1) {
        let high = two_over_pi(word + i) << offset;
        window[i] = high | select(two_over_pi(word + i + 1) >> (32u - max(offset, 1u)), 0u, offset == 0u);
    }
    // mantissa * window, kept modulo 2^96: the value is product * 2^(shift - start - 96).
    let p2 = mul_wide(mantissa, window[2]);
    let p1 = mul_wide(mantissa, window[1]);
    let p0 = mantissa * window[0];
    let low = p2.x;
    let middle = p1.x + p2.y;
    let carry = select(0u, 1u, middle < p1.x);
    let high = p0 + p1.y + carry;
    // Integer bits on top of the fraction: shift - start = 2 where start > 0, less (even negative) where start = 0.
    let point = shift - start;
    var quotient = 0u;
    var fraction = high;
    var next = middle;
    if (point == 2) {
        quotient = high >> 30u;
        fraction = (high << 2u) | (middle >> 30u);
        next = (middle << 2u) | (low >> 30u);
    } else {
        // start = 0, shift <= 2: the whole product is exact in 24 + 96 bits; its point lies `-point` bits further left.
        // product * 2^point / 2^96: the integer part needs the bits that p0 dropped above 2^96.
        let top = mul_wide(mantissa, window[0]);
        let above = top.y + select(0u, 1u, (top.x + p1.y < top.x) || (top.x + p1.y + carry < carry));
        let left = u32(-point);
        if (point >= 0) {
            let up = u32(point);
            quotient = (above << up) | select(high >> (32u - max(up, 1u)), 0u, up == 0u);
            fraction = (high << up) | select(middle >> (32u - max(up, 1u)), 0u, up == 0u);
            next = (middle << up) | select(low >> (32u - max(up, 1u)), 0u, up == 0u);
        } else {
            quotient = above >> left;
            fraction = (above << (32u - left)) | (high >> left);
            next = (high << (32u - left)) | (middle >> left);
        }
    }
    // Round to the nearest quadrant; keep 31 significant bits of what remains.
    var negative = false;
    if ((fraction & 0x80000000u) != 0u) {
        quotient += 1u;
        negative = true;
        fraction = ~fraction;
        next = ~next;
    }
    let lead = min(countLeadingZeros(fraction), 31u);
    let kept = (fraction << lead) | select(next >> (32u - max(lead, 1u)), 0u, lead == 0u);
    let value = f32(kept >> 8u) * pow2(-24 - i32(lead)) * 1.57079633;
    var rest = select(value, -value, negative);
    if (x < 0.0) {
        rest = -rest;
        quotient = 4u - (quotient & 3u);
    }
    return Reduced(quotient & 3u, rest);
}

fn reduce_angle(x: f32) -> Reduced {
    if (abs(x) > 200.0) {
        return reduce_far(x);
    }
    let n = floor(x * 0.636619772 + 0.5);
    // pi/2 in four parts of few bits: the products with n are exact.
    var r = x - n * 1.5703125;
    r = r - n * 4.8375129699707031e-4;
    r = r - n * 7.5494899554e-8;
    r = r - n * 5.3903029e-15;
    return Reduced(u32(i32(n) & 3), r);
}

fn sin_near(r: f32) -> f32 {
    let z = r * r;
    var p = 2.7557319e-6;
    p = p * z - 1.9841270e-4;
    p = p * z + 8.3333333e-3;
    p = p * z - 1.6666667e-1;
    return r + r * z * p;
}

fn cos_near(r: f32) -> f32 {
    let z = r * r;
    var p = -2.7557319e-7;
    p = p * z + 2.4801587e-5;
    p = p * z - 1.3888889e-3;
    p = p * z + 4.1666667e-2;
    p = p * z - 0.5;
    return 1.0 + z * p;
}

// sin(x + quarter * pi/2).
fn sin_shifted(x: f32, quarter: u32) -> f32 {
    let reduced = reduce_angle(x);
    let q = (reduced.quadrant + quarter) & 3u;
    let v = select(sin_near(reduced.rest), cos_near(reduced.rest), (q & 1u) == 1u);
    return select(v, -v, q >= 2u);
}
