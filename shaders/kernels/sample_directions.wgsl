// Norms of the samples of one or two tensors [networks, row_pad, column_pad]: what turns them into unit vectors, and the
// spread of their logarithms, which with FLAG_ROWS counts the rows' exponents of the first. Bindings: heads; first, second
// (workgroup y chooses); directions: [y, network, row_pad] of (power of two, reciprocal norm), the reciprocal 0 for a sample
// that is zero or not finite; records. Record a workgroup: stamp, samples, reference m, sums of (log2 norm - m) and of its
// square. A workgroup owns 32 rows, 8 lanes each. Grid: (ceil(rows / 32), tensors, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<storage, read_write> directions: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;

var<workgroup> parts: array<f32, 256>;
var<workgroup> tops: array<u32, 256>;

fn element(which: u32, index: u32) -> f32 {
    if (which == 0u) {
        return first[index];
    }
    return second[index];
}

@compute @workgroup_size(256)
fn sample_directions(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let which = group.y;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let inside = row < params.rows;
    let base = (network * params.row_pad + row) * params.column_pad;
    var top = 0u;
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
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
        for (var c = lane; c < params.columns; c += 8u) {
            let x = element(which, base + c) * pow2(shift);
            square += x * x;
        }
    }
    parts[thread] = square;
    workgroupBarrier(); // all partial squares are stored
    if (lane == 0u && inside) {
        var total = 0.0;
        for (var i = 0u; i < 8u; i += 1u) {
            total += parts[thread + i];
        }
        let sample = (which * params.networks + network) * params.row_pad + row;
        if (valid) {
            directions[sample] = vec2<f32>(pow2(shift), 1.0 / sqrt(total));
            parts[thread] = 0.5 * log2_own(total) - f32(shift);
            if ((params.flags & FLAG_ROWS) != 0u && which == 0u) {
                // Relative to the largest exponent: the spread does not see what is common to all.
                let exponent = row_exponent(first[rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row]);
                parts[thread] += f32(exponent - rows_top(params.source_head, network));
            }
        } else {
            directions[sample] = vec2<f32>(0.0);
        }
        tops[thread] = select(0u, 1u, valid);
    } else if (lane == 0u) {
        tops[thread] = 0u;
    }
    workgroupBarrier(); // the logarithms are stored
    if (thread == 0u && which == 0u && (params.flags & FLAG_SPREAD) != 0u) {
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
        let at = params.record + network * params.record_stride + group.x * 8u;
        records[at] = stamp_of_sources(network);
        records[at + 1u] = u32(samples);
        records[at + 2u] = bitcast<u32>(mean);
        records[at + 3u] = bitcast<u32>(around.x);
        records[at + 4u] = bitcast<u32>(around.y);
    }
}
