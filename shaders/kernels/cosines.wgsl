// Differences between the samples' unit vectors, for their cosines, of one or two tensors [networks, row_pad, column_pad],
// by the reciprocal norms of whole rows from `sample_directions`. Bindings: first, second: the tensors (workgroup y
// chooses); directions: [y, network, row_pad]; records. Record a strip: stamp, sum over samples and the strip's columns of
// |u - mean|^2, of the pairs' squared differences, samples, pairs. One workgroup owns a strip. Grid: (strips, tensors, networks).

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

    // Of unit vectors less the first sample's, which keeps their differences exact where all are nearly parallel: sum and sum
    // of squares over samples that have a direction. Of their pairs: sum of squared differences.
    var shift = 0.0;
    for (var row = 0u; inside && row < params.rows; row += 1u) {
        let direction = directions[sample + row];
        if (direction.y > 0.0) {
            shift = (element(which, base + row * params.column_pad) * direction.x) * direction.y;
            break;
        }
    }
    var seen = vec4<f32>(0.0);
    var valid_pairs = 0.0;
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            var previous = 0.0;
            var valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let direction = directions[sample + row];
                if (direction.y > 0.0) {
                    let unit = (element(which, base + row * params.column_pad) * direction.x) * direction.y;
                    let u = unit - shift;
                    seen += vec4<f32>(u, u * u, 0.0, 1.0);
                    valid += 1u;
                    if (valid == 2u) {
                        seen.z += (unit - previous) * (unit - previous);
                        valid_pairs += 1.0;
                    }
                    previous = unit;
                }
            }
        }
    }
    let column_seen = sum_column(thread, seen);
    let samples = column_seen.w;
    // |u - mean|^2 is the same with the shift and without.
    let gap = column_seen.y - column_seen.x * column_seen.x / max(samples, 1.0);
    let strip = sum_columns(thread, vec4<f32>(gap, column_seen.z, 0.0, 0.0));
    let of_pairs = sum_column(thread, vec4<f32>(valid_pairs, 0.0, 0.0, 0.0));
    if (thread == 0u) {
        let at = params.record + which * params.other_record + network * params.record_stride + group.x * 8u;
        records[at] = params.stamp;
        records[at + 1u] = bitcast<u32>(strip.x);
        records[at + 2u] = bitcast<u32>(strip.y);
        records[at + 3u] = u32(samples);
        records[at + 4u] = u32(of_pairs.x);
    }
}
