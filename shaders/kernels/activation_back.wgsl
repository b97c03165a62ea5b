// dLoss/du += phi'(u) dLoss/dphi for tensors [networks, row_pad, column_pad], and everything that is recorded of phi'.
// Bindings: heads; networks; grad: dLoss/dphi; argument: u; target: dLoss/du; columns: sums of |w| per column from
// `draw_weights`, those of layer `path_layer`; records; histogram. Heads: source = grad, other = u, weight, bias = the
// readout's weights, old and target, whose rows have the exponents that `row_powers` chose. Params: layer. Two records a
// strip; the first: stamp, sum phi', sum phi'^2, the strip's D (phi' stored = phi' * 2^D), path sums |f|, f^2, largest f,
// exponent of the strip's weights, elements, saturated, active, units, dead units, 1 where there are paths; the second with
// FLAG_MOMENTS: the moments of what was written. One workgroup owns a strip. Grid: (strips, 1, networks).

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
    let saturation = networks[network].saturation;
    let knee = vec2<f32>(networks[network].knee_below, networks[network].knee_above);
    let flat_set = vec2<f32>(networks[network].flat_below, networks[network].flat_above);
    let top_exponent = collected_top(params.target_head, network);
    let source_rows = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad);
    let old_rows = rows_of(SLOT_OLD, network, params.row_pad, params.column_pad);
    let target_rows = rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad);
    // A decay of DECAY_START needs |u| >= 9; with u^2 (erf) or u^3 (gelu_tanh) in the exponent 6; a parameter may multiply u.
    let steep = kind == 9u || kind == 16u;
    let far = u.exponent >= select(3, 2, steep) || kind == 7u || kind == 12u;
    if (thread == 0u) {
        atomicStore(&most_decay, 0u);
    }
    clear_bins(thread);
    clear_largest(thread);
    if (inside && far && activation_decays(kind)) {
        let limit = decay_floor(networks[network].depth);
        var least = 0u;
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            let x = grad_argument(argument[base + row * params.column_pad], u, kind);
            let own = activation_grad(kind, x, p).y;
            if (is_finite(x) && own <= limit) {
                least = max(least, decay_word(own));
            }
        }
        atomicMax(&most_decay, least);
    }
    workgroupBarrier(); // the smallest decay of the strip is known
    let decay = power_of_decay(atomicLoad(&most_decay));
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    // Sums of phi', |phi'|, phi'^2; elements that are not flat.
    var sums = vec4<f32>(0.0);
    var highest = 0.0;
    // Elements, saturated, active.
    var counts = vec4<f32>(0.0);
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var v = 0.0;
            if (row < params.rows && inside) {
                let x = grad_argument(argument[at], u, kind);
                let parts = activation_grad(kind, x, p);
                let slope = parts.x * exp_scaled(-parts.y, decay);
                let d = grad[at];
                let exponent = row_exponent(values[target_rows + row]);
                let source = row_exponent(grad[source_rows + row]);
                let power = select(source - exponent, 0, source == NO_ROW || exponent == NO_ROW);
                if (decay == 0 && abs(power) < 64) {
                    v = (d * pow2(power)) * slope;
                } else if (abs_bits(d) < 0x00800000u) {
                    // Its phi' may lie above the range that the row's exponent leaves.
                    v = select(parts.x, 0.0, is_finite(parts.x));
                } else {
                    v = (d * parts.x) * exp_scaled(-parts.y, power);
                }
                if (old.written) {
                    v += values[at] * row_factor(row_exponent(values[old_rows + row]), exponent);
                }
                let flat = v * row_factor(exponent, top_exponent);
                bits = max(bits, finite_bits(flat));
                lane_seen += seen(v, flat);
                counts.x += 1.0;
                if (is_finite(slope)) {
                    sums += vec4<f32>(slope, abs(slope), slope * slope, 0.0);
                    highest = max(highest, abs(slope));
                    let beyond = x <= knee.x || x >= knee.y;
                    counts.y += select(0.0, 1.0, beyond && abs(slope) * pow2(-decay) < saturation);
                    counts.z += select(0.0, 1.0, x > 0.0);
                }
                let flat_here = is_finite(x) && (x <= flat_set.x || x >= flat_set.y);
                sums.w += select(1.0, 0.0, flat_here);
            }
            values[at] = v;
        }
    }
    let top = largest_of(bits);
    let column_sums = sum_column(thread, sums);
    let column_top = max_column(thread, highest);
    let total = sum_lanes(thread, vec4<f32>(sums.x, sums.z, counts.y, counts.z));
    let at_readout = networks[network].depth == params.layer && params.layer != NONE;
    let weight_head = select(params.weight_head, params.bias_head, at_readout);
    let paths = (params.flags & FLAG_PATHS) != 0u && weight_head != NONE;
    var share = vec4<f32>(0.0);
    var units = vec4<f32>(0.0);
    var weight_exponent = 0;
    if (inside && thread < LANES) {
        units = vec4<f32>(1.0, select(0.0, 1.0, column_sums.w == 0.0), 0.0, 0.0);
        if (paths) {
            let of_weights = columns[(params.path_layer * params.networks + network) * params.path_stride + column];
            weight_exponent = i32(of_weights.w);
            share = vec4<f32>(of_weights.x * column_sums.y, of_weights.y * column_sums.z, of_weights.z * column_top, 0.0);
        }
    }
    let path = sum_columns(thread, vec4<f32>(share.x, share.y, units.x, units.y));
    let elements = sum_lanes(thread, counts);
    let at = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
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
    partial[thread].x = select(0.0, share.z, thread < LANES);
    workgroupBarrier(); // the columns' largest factors are stored
    if (thread == 0u) {
        var path_top = 0.0;
        for (var lane = 0u; lane < LANES; lane += 1u) {
            path_top = max(path_top, partial[lane].x);
        }
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, top_exponent);
        }
        records[at] = stamp_of_rows(network);
        records[at + 1u] = bitcast<u32>(total.x);
        records[at + 2u] = bitcast<u32>(total.y);
        records[at + 3u] = bitcast<u32>(decay);
        records[at + 4u] = bitcast<u32>(path.x);
        records[at + 5u] = bitcast<u32>(path.y);
        records[at + 6u] = bitcast<u32>(path_top);
        records[at + 7u] = bitcast<u32>(weight_exponent);
        records[at + 8u] = u32(elements.x);
        records[at + 9u] = u32(total.z);
        records[at + 10u] = u32(total.w);
        records[at + 11u] = u32(path.z);
        records[at + 12u] = u32(path.w);
        records[at + 13u] = select(0u, 1u, paths);
    }
}
