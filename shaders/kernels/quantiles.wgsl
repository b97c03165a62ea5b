// Quantiles 5, 25, 50, 75 and 95 % of |x| from histograms, which are cleared for the next layer. Bindings: histogram:
// [slot, network, BINS]; records. Record: stamp, five quantiles, elements. Params: histogram = first slot, other_record =
// words between slots. One lane owns a network and slot. Grid: (ceil(networks / 64), slots, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> histogram: array<u32>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;

// The lower border of a bin; bin 0 starts at 0.
fn border(bin: u32) -> f32 {
    return select(bitcast<f32>(bin << 21u), 0.0, bin == 0u);
}

@compute @workgroup_size(64)
fn quantiles(@builtin(global_invocation_id) id: vec3<u32>) {
    let network = params.first + id.x;
    // `rows` networks take part.
    if (id.x >= params.rows) {
        return;
    }
    let base = ((params.histogram + id.y) * params.networks + network) * BINS;
    var count = 0u;
    for (var i = 0u; i < BINS; i += 1u) {
        count += histogram[base + i];
    }
    let at = params.record + id.y * params.other_record + network * params.record_stride;
    var share = array<f32, 5>(0.05, 0.25, 0.5, 0.75, 0.95);
    var next = 0u;
    var below = 0u;
    for (var i = 0u; i < BINS; i += 1u) {
        let here = histogram[base + i];
        histogram[base + i] = 0u;
        for (; next < 5u; next += 1u) {
            let goal = share[next] * f32(count);
            if (f32(below + here) < goal || here == 0u) {
                break;
            }
            let part = clamp((goal - f32(below)) / f32(here), 0.0, 1.0);
            // Elements below the smallest normal number of the layer's scale, and zeros, stand as 0.
            let value = select(border(i) + part * (border(i + 1u) - border(i)), 0.0, i < 4u);
            records[at + 1u + next] = bitcast<u32>(value);
        }
        below += here;
    }
    records[at] = params.stamp;
    records[at + 6u] = count;
}
