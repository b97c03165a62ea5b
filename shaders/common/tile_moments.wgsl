// Moments of the block that a product's workgroup holds in registers, at the tile's own exponent: nobody knows the tensor's
// largest element yet. Needs block, records and one of the products.

var<workgroup> tile_parts: array<vec4<f32>, THREADS>;

// Sum over the lanes in a fixed order; the same value in each.
fn sum_lanes(thread: u32, v: vec4<f32>) -> vec4<f32> {
    tile_parts[thread] = v;
    workgroupBarrier(); // all parts are stored
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        if (thread < step) {
            tile_parts[thread] += tile_parts[thread + step];
        }
        workgroupBarrier(); // this round's sums are stored
    }
    let total = tile_parts[0];
    workgroupBarrier(); // the total is read before the parts are used again
    return total;
}

// Records `values` (as `block_values`), whose largest finite element has the bits `top`, at `exponent`; zeros among them
// that were not zero before they were flattened are not counted: `zeros` is this lane's number of true ones.
fn tile_moments(
    thread: u32, at: u32, place: Place, values: array<vec4<f32>, 16>, zeros: f32, top: u32, exponent: i32,
) {
    var v = values;
    let shift = select(max(-exponent_of(top), -126), 0, top < 0x00800000u);
    let factor = pow2(shift);
    var counts = vec4<f32>(0.0, 0.0, zeros, 0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        for (var half = 0u; half < 2u; half += 1u) {
            let column = select(place.column_high, place.column_low, half == 0u);
            for (var i = 0u; i < 4u; i += 1u) {
                if (row < params.rows && column + i < params.columns) {
                    let x = v[2u * r + half][i];
                    counts.x += 1.0;
                    if (is_finite(x)) {
                        counts.w += x * factor;
                    } else {
                        counts.y += 1.0;
                    }
                }
            }
        }
    }
    let total = sum_lanes(thread, counts);
    let mean = total.w / max(total.x - total.y, 1.0);
    var powers = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        for (var half = 0u; half < 2u; half += 1u) {
            let column = select(place.column_high, place.column_low, half == 0u);
            for (var i = 0u; i < 4u; i += 1u) {
                let x = v[2u * r + half][i];
                if (row < params.rows && column + i < params.columns && is_finite(x)) {
                    powers += powers_of(x * factor - mean);
                }
            }
        }
    }
    let sums = sum_lanes(thread, powers);
    if (thread == 0u) {
        write_moments(at, total, mean, sums, abs_bits(bitcast<f32>(top) * factor), exponent - shift);
    }
}
