// Rewrites h = phi(u) where all of it lies in an exponential tail, at the common power 2^-D; elsewhere it does nothing.
// Follows `activation` on the same tensors. Bindings: heads; networks; source: u; target: h [networks, row_pad,
// column_pad]; records, whose moments of h it replaces. Heads: source, target. One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;

@compute @workgroup_size(256)
fn activation_rewrite(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    // Set by `activation` alone, so that every workgroup decides alike.
    let tail = layer_tail(params.source_head, network);
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    if (tail > 0 && column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            let at = base + row * params.column_pad;
            let parts = activation_tail(kind, grad_argument(source[at], scale, kind), p);
            let h = parts.x * exp_scaled(-parts.y, tail);
            values[at] = h;
            bits = max(bits, finite_bits(h));
            lane_seen += seen(h, h);
        }
    }
    let top = largest_of(bits);
    let c = centre_of(thread, lane_seen, top);
    var powers = vec4<f32>(0.0);
    if (tail > 0 && column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            powers += deviation_powers(values[base + row * params.column_pad], c);
        }
    }
    let sums = sum_lanes(thread, powers);
    if (thread == 0u && tail > 0) {
        // Larger than what `activation` left: all of that was below 2^-60.
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            heads[params.target_head * params.networks + network].exponent = -tail;
        }
        if ((params.flags & FLAG_MOMENTS) != 0u) {
            let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
            write_centred(at, c, sums, -tail);
        }
    }
}
