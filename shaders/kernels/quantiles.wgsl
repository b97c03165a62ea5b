// Where the quantiles 5, 25, 50, 75 and 95 % of |x| lie in histograms, which are cleared for the next layer. Bindings:
// histogram: [slot, network, SLOT_WORDS]; records. Record: stamp, elements, then per quantile its bin, the elements below
// the bin and those inside, then the exponent of the bins. Params: rows = networks, histogram = first slot, other_record =
// words between slots. One lane owns a network and slot. Grid: (ceil(networks / 64), slots, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> histogram: array<u32>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;

@compute @workgroup_size(64)
fn quantiles(@builtin(global_invocation_id) id: vec3<u32>) {
    let network = params.first + id.x;
    if (id.x >= params.rows) {
        return;
    }
    let base = ((params.histogram + id.y) * params.networks + network) * SLOT_WORDS;
    var count = 0u;
    for (var i = 0u; i < BINS; i += 1u) {
        count += histogram[base + i];
    }
    let at = params.record + id.y * params.other_record + network * params.record_stride;
    var percent = array<u32, 5>(5u, 25u, 50u, 75u, 95u);
    var next = 0u;
    var below = 0u;
    for (var i = 0u; i < BINS; i += 1u) {
        let here = histogram[base + i];
        histogram[base + i] = 0u;
        // The rank q (n - 1), rounded down, lies in this bin.
        while (next < 5u) {
            let last = max(count, 1u) - 1u;
            let rank = (last / 100u) * percent[next] + ((last % 100u) * percent[next]) / 100u;
            if (here == 0u || rank >= below + here) {
                break;
            }
            records[at + 2u + 3u * next] = i;
            records[at + 3u + 3u * next] = below;
            records[at + 4u + 3u * next] = here;
            next += 1u;
        }
        below += here;
    }
    records[at] = params.stamp;
    records[at + 1u] = count;
    records[at + 17u] = histogram[base + BINS];
}
