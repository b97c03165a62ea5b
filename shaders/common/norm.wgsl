// What forward and backward of a norm share: the place of eps among the exponents. With z = z' 2^e, the variance of z' is
// joined by eps 2^-2e; where that is large, 2^2q is taken out of both, and u = u' 2^-q.

struct Eps {
    // q.
    down: i32,
    // 2^-2q.
    factor: f32,
    // eps 2^(-2e - 2q).
    value: f32,
    // Below this variance and eps vanish together: 0 where there is no eps, and a constant group has no norm (0 / 0).
    least: f32,
}

fn eps_at(network: u32, exponent: i32) -> Eps {
    let place = networks[network].eps_exponent - 2 * exponent;
    let zero = networks[network].eps == 0.0;
    let q = select(max(place >> 1u, 0), 0, zero);
    return Eps(q, pow2(-2 * q), networks[network].eps * pow2(place - 2 * q), select(pow2(-100), 0.0, zero));
}

// A mean lies between the smallest and the largest of its numbers; where rounding leaves that range, a constant group would
// have a direction.
fn bounded_mean(mean: f32, bounds: vec2<f32>) -> f32 {
    if (mean < bounds.x) {
        return bounds.x;
    }
    if (mean > bounds.y) {
        return bounds.y;
    }
    return mean;
}

// The bounds of no numbers.
fn no_bounds() -> vec2<f32> {
    return vec2<f32>(3.4e38, -3.4e38);
}

fn widened(bounds: vec2<f32>, v: f32) -> vec2<f32> {
    return vec2<f32>(min(bounds.x, v), max(bounds.y, v));
}

// 1 / sqrt(variance + eps).
fn inverse_deviation(variance: f32, eps: Eps) -> f32 {
    return 1.0 / sqrt(max(variance * eps.factor + eps.value, eps.least));
}
