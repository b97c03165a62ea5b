// dLoss/du += phi'(u) dLoss/dphi for tensors [networks, row_pad, column_pad], and everything that is recorded of phi'.
// Bindings: heads; networks; grad: dLoss/dphi; argument: u; target: dLoss/du; columns: sums of |w| per column from
// `draw_weights`, those of layer `path_layer`; records; histogram. Heads: source = grad, other = u, weight, bias = the
// readout's weights, old and target, whose rows have the exponents that `row_powers` chose. Params: layer. Two records a
// strip: that of phi' (common/phi_record.wgsl); with FLAG_MOMENTS the moments of what was written. One workgroup owns a strip.
// Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> argument: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
@group(0) @binding(6) var<storage, read_write> columns: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> records: array<u32>;
@group(0) @binding(8) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> most_decay: atomic<u32>;

@compute @workgroup_size(256)
fn activation_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let u = scale_of(params.other_head, network);
    let old = scale_of(params.old_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let bounds = phi_bounds(network);
    let top_exponent = collected_top(params.target_head, network);
    let source_rows = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad);
    let old_rows = rows_of(SLOT_OLD, network, params.row_pad, params.column_pad);
    let target_rows = rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad);
    if (thread == 0u) {
        atomicStore(&most_decay, 0u);
    }
    clear_bins(thread);
    clear_largest(thread);
    if (inside && slope_may_vanish(u, kind)) {
        let limit = decay_floor(networks[network].depth);
        var least = 0u;
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            least = max(least, slope_decay(argument[base + row * params.column_pad], u, kind, p, limit));
        }
        atomicMax(&most_decay, least);
    }
    workgroupBarrier(); // the smallest decay of the strip is known
    let decay = power_of_decay(atomicLoad(&most_decay));
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var of_phi = PhiSeen();
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var v = 0.0;
            if (row < params.rows && inside) {
                let slope = slope_at(argument[at], u, kind, p, decay);
                let exponent = row_exponent(values[target_rows + row]);
                v = through_phi(grad[at], slope, decay, row_exponent(grad[source_rows + row]), exponent);
                if (old.written) {
                    v += values[at] * row_factor(row_exponent(values[old_rows + row]), exponent);
                }
                let flat = v * row_factor(exponent, top_exponent);
                bits = max(bits, finite_bits(flat));
                lane_seen += seen(v, flat);
                of_phi = see_phi(of_phi, slope, bounds, decay);
            }
            values[at] = v;
        }
    }
    let top = largest_of(bits);
    let at_readout = networks[network].depth == params.layer && params.layer != NONE;
    let weight_head = select(params.weight_head, params.bias_head, at_readout);
    let paths = (params.flags & FLAG_PATHS) != 0u && weight_head != NONE;
    let at = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    record_phi(thread, network, at, column, inside, of_phi, decay, params.path_layer, paths, stamp_of_rows(network));
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let c = centre_of(thread, lane_seen, top);
        var powers = vec4<f32>(0.0);
        if (inside) {
            for (var row = thread / LANES; row < params.rows; row += SLICES) {
                let exponent = row_exponent(values[target_rows + row]);
                let flat = values[base + row * params.column_pad] * row_factor(exponent, top_exponent);
                powers += deviation_powers(flat, c);
            }
        }
        record_moments(thread, network, at + RECORD_WORDS, c, powers, top_exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, top_exponent);
        }
    }
}
