// Moments of the block that a product's workgroup holds in registers. Needs block, moments and one of the products.

// Records `values` (as `block_values`), whose largest finite element in the workgroup has the bits `top`; `lane_seen` is
// what this lane has seen of them.
fn tile_moments(
    thread: u32, network: u32, at: u32, place: Place, values: array<vec4<f32>, 16>, lane_seen: vec4<f32>, top: u32, exponent: i32,
) {
    var v = values;
    let c = centre_of(thread, lane_seen, top);
    var powers = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        for (var half = 0u; half < 2u; half += 1u) {
            let column = select(place.column_high, place.column_low, half == 0u);
            for (var i = 0u; i < 4u; i += 1u) {
                if (row < params.rows && column + i < params.columns) {
                    powers += deviation_powers(v[2u * r + half][i], c);
                }
            }
        }
    }
    record_moments(thread, network, at, c, powers, exponent);
}

// What a lane sees of four neighbouring elements; those beyond the logical columns do not count.
fn seen_quad(v: vec4<f32>, flat: vec4<f32>, column: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i += 1u) {
        if (column + i < params.columns) {
            sum += seen(v[i], flat[i]);
        }
    }
    return sum;
}
