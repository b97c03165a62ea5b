// Rewrites h = phi(u) where no single workgroup could know how: where all of it lies in an exponential tail, at the common
// power 2^-D; where u is huge and all of it on a flat side, whose limit the exponent of u would drown. Elsewhere it does
// nothing. Follows `activation` on the same tensors. Bindings: heads; networks; source: u; target: h [networks, row_pad,
// column_pad]; records and histogram, whose moments and counts of h it replaces. Heads: source, target. One workgroup owns a
// strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> histogram: array<atomic<u32>>;

@compute @workgroup_size(256)
fn activation_rewrite(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    // Set by `activation` alone, so that every workgroup decides alike.
    let tail = layer_tail(params.source_head, network);
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let f = phi_of(network, scale);
    let flat = phi_all_flat(f, atomicLoad(&heads[params.source_head * params.networks + network].grown));
    clear_bins(thread);
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    if ((tail > 0 || flat) && column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            let at = base + row * params.column_pad;
            var h = 0.0;
            if (flat) {
                h = phi_at(f, source[at], true);
            } else {
                h = phi_of_tail(f, source[at], tail);
            }
            uncount(values[at]);
            values[at] = h;
            bits = max(bits, finite_bits(h));
            lane_seen += seen(h, h);
        }
    }
    let top = largest_of(bits);
    let c = centre_of(thread, lane_seen, top);
    var powers = vec4<f32>(0.0);
    if ((tail > 0 || flat) && column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            powers += deviation_powers(values[base + row * params.column_pad], c);
        }
    }
    let sums = sum_lanes(thread, powers);
    if (tail > 0 || flat) {
        add_bins(thread, network, params.histogram, select(-tail, 0, flat));
    }
    if (thread == 0u && (tail > 0 || flat)) {
        // Larger than what `activation` left: all of that was below 2^-60.
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            heads[params.target_head * params.networks + network].exponent = select(-tail, 0, flat);
        }
        if ((params.flags & FLAG_MOMENTS) != 0u) {
            let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
            write_centred(network, at, c, sums, select(-tail, 0, flat));
        }
    }
}
