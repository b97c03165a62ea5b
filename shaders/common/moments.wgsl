// Moments of what a workgroup has just written, at the workgroup's own exponent: nobody knows the tensor's largest element
// yet. While a lane writes it adds up what it has `seen`; then it takes its own elements once more, from registers or the
// cache, for the powers of their deviations and for the histogram. Needs records, scale, counting (`clear_bins` is the kernel's),
// and the `sum_lanes` of a layout.

// Elements, non-finite, zeros, sum. `v` as it is stored: numbers that flattening turns to zero are no zeros.
fn seen(v: f32, flat: f32) -> vec4<f32> {
    if (!is_finite(v)) {
        return vec4<f32>(1.0, 1.0, 0.0, 0.0);
    }
    return vec4<f32>(1.0, 0.0, select(0.0, 1.0, v == 0.0), flat);
}

// The point that deviations are taken from, after x * 2^shift has brought the workgroup's largest element into [1, 2).
struct Centre {
    total: vec4<f32>,
    mean: f32,
    shift: i32,
    top: u32,
}

// `top`: bits of the workgroup's largest finite element.
fn centre_of(thread: u32, lane_seen: vec4<f32>, top: u32) -> Centre {
    let total = sum_lanes(thread, lane_seen);
    let shift = select(max(-exponent_of(top), -126), 0, top < 0x00800000u);
    let mean = (total.w / max(total.x - total.y, 1.0)) * pow2(shift);
    return Centre(total, select(0.0, mean, is_finite(mean)), shift, top);
}

// Counts `flat` as well.
fn deviation_powers(flat: f32, c: Centre) -> vec4<f32> {
    count(flat);
    return select(vec4<f32>(0.0), powers_of(flat * pow2(c.shift) - c.mean), is_finite(flat));
}

// By one lane. `powers`: their sum over all lanes; `exponent`: of the flattened numbers.
fn write_centred(network: u32, at: u32, c: Centre, powers: vec4<f32>, exponent: i32) {
    let largest = abs_bits(bitcast<f32>(c.top) * pow2(c.shift));
    write_moments(network, at, c.total, c.mean, powers, largest, select(exponent - c.shift, 0, exponent == NO_ROW));
}

fn record_moments(thread: u32, network: u32, at: u32, c: Centre, lane_powers: vec4<f32>, exponent: i32) {
    let powers = sum_lanes(thread, lane_powers);
    add_bins(thread, network, params.histogram, exponent);
    if (thread == 0u) {
        write_centred(network, at, c, powers, exponent);
    }
}
