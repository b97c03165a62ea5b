// Where the quantiles 5, 25, 50, 75 and 95 % of |x| lie in histograms, which are cleared for the next dispatch. Bindings:
// histogram: [slot, network, SLOT_WORDS]; records. Record: stamp, elements, then per quantile its bin, the elements below the
// bin and those inside, then the exponent of the bins. Params: histogram = first slot, other_record = words between slots.
// One workgroup owns a network and slot, a lane four neighbouring bins. Grid: (networks, slots, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> histogram: array<u32>;
@group(0) @binding(2) var<storage, read_write> records: array<u32>;

const LANE_BINS: u32 = 4u;

// Elements in the bins of the lanes up to each.
var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256)
fn quantiles(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.x;
    let base = ((params.histogram + group.y) * params.networks + network) * SLOT_WORDS;
    var own = vec4<u32>(0u);
    for (var i = 0u; i < LANE_BINS; i += 1u) {
        own[i] = histogram[base + thread * LANE_BINS + i];
        histogram[base + thread * LANE_BINS + i] = 0u;
    }
    let mine = own.x + own.y + own.z + own.w;
    sums[thread] = mine;
    workgroupBarrier(); // every lane's sum is stored
    for (var step = 1u; step < 256u; step *= 2u) {
        var before = 0u;
        if (thread >= step) {
            before = sums[thread - step];
        }
        workgroupBarrier(); // this round's terms are read
        sums[thread] += before;
        workgroupBarrier(); // this round's sums are stored
    }
    let count = sums[255];
    let at = params.record + group.y * params.other_record + network * params.record_stride;
    var percent = array<u32, 5>(5u, 25u, 50u, 75u, 95u);
    for (var which = 0u; which < 5u; which += 1u) {
        // The rank q (n - 1), rounded down, lies in this lane's bins or in another's.
        let last = max(count, 1u) - 1u;
        let rank = (last / 100u) * percent[which] + ((last % 100u) * percent[which]) / 100u;
        var below = sums[thread] - mine;
        for (var i = 0u; i < LANE_BINS; i += 1u) {
            if (rank >= below && rank < below + own[i]) {
                records[at + 2u + 3u * which] = thread * LANE_BINS + i;
                records[at + 3u + 3u * which] = below;
                records[at + 4u + 3u * which] = own[i];
            }
            below += own[i];
        }
    }
    if (thread == 0u) {
        records[at] = params.stamp;
        records[at + 1u] = count;
        records[at + 17u] = histogram[base + BINS];
    }
}
