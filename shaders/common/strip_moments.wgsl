// Moments of a strip of `values` whose rows have no exponents of their own. Needs strip and moments.

// `lane_seen` and `top` come of the pass that wrote; `base`: the column's first element.
fn strip_moments(
    thread: u32, network: u32, at: u32, base: u32, inside: bool, lane_seen: vec4<f32>, top: u32, exponent: i32,
) {
    let c = centre_of(thread, lane_seen, top);
    var powers = vec4<f32>(0.0);
    if (inside) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            powers += deviation_powers(values[base + row * params.column_pad], c);
        }
    }
    record_moments(thread, network, at, c, powers, exponent);
}
