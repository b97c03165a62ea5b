// Norms of samples: what turns the rows of a tensor into unit vectors, and the spread of their logarithms. 32 rows at a time,
// 8 neighbouring lanes each. Needs `element(which, index)`, math, and THREADS = 256.

var<workgroup> parts: array<f32, 256>;
var<workgroup> tops: array<u32, 256>;

// A sample's norm: sqrt(total) * 2^-shift, its direction absent where not `valid`. `total` in the first lane of a row alone.
struct RowNorm {
    valid: bool,
    shift: i32,
    total: f32,
}

// By all lanes. `base`: the row's first element; `inside`: the row exists.
fn row_norm(thread: u32, which: u32, base: u32, columns: u32, inside: bool) -> RowNorm {
    let lane = thread % 8u;
    var top = 0u;
    if (inside) {
        for (var c = lane; c < columns; c += 8u) {
            top = max(top, abs_bits(element(which, base + c)));
        }
    }
    tops[thread] = top;
    workgroupBarrier(); // all maxima are stored
    for (var i = 0u; i < 8u; i += 1u) {
        top = max(top, tops[thread - lane + i]);
    }
    // 0 and subnormal numbers stand for an absent direction, like infinities and NaN.
    let valid = inside && top >= 0x00800000u && top < INFINITY_BITS;
    let shift = max(-exponent_of(top), -126);
    var square = 0.0;
    if (valid) {
        for (var c = lane; c < columns; c += 8u) {
            let x = element(which, base + c) * pow2(shift);
            square += x * x;
        }
    }
    parts[thread] = square;
    workgroupBarrier(); // all partial squares are stored
    var total = 0.0;
    if (lane == 0u && inside) {
        for (var i = 0u; i < 8u; i += 1u) {
            total += parts[thread + i];
        }
    }
    return RowNorm(valid, shift, total);
}

// (power of two, reciprocal norm), the reciprocal 0 for a sample without a direction.
fn direction_of(norm: RowNorm) -> vec2<f32> {
    if (!norm.valid) {
        return vec2<f32>(0.0);
    }
    return vec2<f32>(pow2(norm.shift), 1.0 / sqrt(norm.total));
}

// By all lanes, after `row_norm`: the spread of log2 of the rows' norms. `exponent`: what a row's own exponent adds. Record:
// stamp, samples, reference m, sums of (log2 norm - m) and of its square.
fn record_spread(thread: u32, at: u32, norm: RowNorm, exponent: i32, stamp: u32) {
    if (thread % 8u == 0u) {
        if (norm.valid) {
            parts[thread] = 0.5 * log2_own(norm.total) - f32(norm.shift) + f32(exponent);
        }
        tops[thread] = select(0u, 1u, norm.valid);
    }
    workgroupBarrier(); // the logarithms are stored
    if (thread == 0u) {
        var samples = 0.0;
        var sum = 0.0;
        for (var i = 0u; i < 256u; i += 8u) {
            if (tops[i] == 1u) {
                samples += 1.0;
                sum += parts[i];
            }
        }
        let mean = sum / max(samples, 1.0);
        var around = vec2<f32>(0.0);
        for (var i = 0u; i < 256u; i += 8u) {
            if (tops[i] == 1u) {
                around += vec2<f32>(parts[i] - mean, (parts[i] - mean) * (parts[i] - mean));
            }
        }
        records[at] = stamp;
        records[at + 1u] = u32(samples);
        records[at + 2u] = bitcast<u32>(mean);
        records[at + 3u] = bitcast<u32>(around.x);
        records[at + 4u] = bitcast<u32>(around.y);
    }
    workgroupBarrier(); // the logarithms are read
}
