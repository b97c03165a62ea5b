// Sums of the samples' unit vectors, for cosines between samples, of one or two tensors [networks, row_pad, column_pad]. A
// second pass over what is written: the unit vectors need the norms of whole rows, from `sample_directions`. Bindings:
// first, second: the tensors (workgroup y chooses); directions: [y, network, row_pad]; records. Record a strip: stamp, sum
// over columns of (sum of unit vectors)^2, gap sum, sum of the pairs' products, of the pairs' squared differences, samples,
// pairs. One workgroup owns a strip. Grid: (strips, tensors, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> first: array<f32>;
@group(0) @binding(2) var<storage, read_write> second: array<f32>;
@group(0) @binding(3) var<storage, read_write> directions: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;

fn element(which: u32, index: u32) -> f32 {
    if (which == 0u) {
        return first[index];
    }
    return second[index];
}

@compute @workgroup_size(256)
fn cosines(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let which = group.y;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let sample = (which * params.networks + network) * params.row_pad;
    let pairs = (params.rows + 1u) / 2u;

    // The column's sum of unit vectors; samples and pairs that have a direction.
    var units = vec4<f32>(0.0);
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            var valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let direction = directions[sample + row];
                if (direction.y > 0.0) {
                    units.x += (element(which, base + row * params.column_pad) * direction.x) * direction.y;
                    units.y += 1.0;
                    valid += 1u;
                }
            }
            units.z += select(0.0, 1.0, valid == 2u);
        }
    }
    let column_units = sum_column(thread, units);
    let samples = column_units.y;
    let mean = column_units.x / max(samples, 1.0);

    // Deviations from the mean unit vector; the pairs' products and squared differences.
    var spread = vec4<f32>(0.0);
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            var previous = 0.0;
            var valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let direction = directions[sample + row];
                if (direction.y > 0.0) {
                    let u = (element(which, base + row * params.column_pad) * direction.x) * direction.y;
                    spread.x += u - mean;
                    spread.y += (u - mean) * (u - mean);
                    valid += 1u;
                    if (valid == 2u) {
                        spread.z += u * previous;
                        spread.w += (u - previous) * (u - previous);
                    }
                    previous = u;
                }
            }
        }
    }
    let around = sum_column(thread, spread);
    let gap = around.y - around.x * around.x / max(samples, 1.0);
    let strip = sum_columns(thread, vec4<f32>(column_units.x * column_units.x, gap, around.z, around.w));
    if (thread == 0u) {
        let at = params.record + which * params.other_record + network * params.record_stride + group.x * 8u;
        records[at] = params.stamp;
        records[at + 1u] = bitcast<u32>(strip.x);
        records[at + 2u] = bitcast<u32>(strip.y);
        records[at + 3u] = bitcast<u32>(strip.z);
        records[at + 4u] = bitcast<u32>(strip.w);
        records[at + 5u] = u32(samples);
        records[at + 6u] = u32(column_units.z);
    }
}
