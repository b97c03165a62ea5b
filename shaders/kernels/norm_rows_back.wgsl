// Backward of `norm_rows`: dLoss/dz += (du - mean(du) - u mean(du u)) / deviation, means over the columns of a row, the
// first only with FLAG_CENTRE. Bindings: heads; networks; grad: dLoss/du; normed: u; inverse; target: dLoss/dz; records;
// histogram. Heads: source = grad, other = u, weight = z, old and target. A workgroup owns 32 rows, 8 lanes each. With
// FLAG_MOMENTS a record a workgroup has the moments of what was written. Grid: (ceil(row_pad / 32), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> normed: array<f32>;
@group(0) @binding(5) var<storage, read_write> inverse: array<f32>;
@group(0) @binding(6) var<storage, read_write> values: array<f32>;
@group(0) @binding(7) var<storage, read_write> records: array<u32>;
@group(0) @binding(8) var<storage, read_write> histogram: array<atomic<u32>>;

@compute @workgroup_size(256)
fn norm_rows_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let inside = row < params.rows;
    let base = (network * params.row_pad + row) * params.column_pad;
    let g = scale_of(params.source_head, network);
    let u = scale_of(params.other_head, network);
    let z = scale_of(params.weight_head, network);
    let old = scale_of(params.old_head, network);
    let eps = eps_at(network, z.exponent);
    // What the backward step adds to the exponent of a row.
    let added = -g.shift - eps.down - z.exponent;
    let own_top = select(row_plus(rows_top(params.source_head, network), added), NO_ROW, g.zero);
    let top_exponent = max(own_top, rows_top(params.old_head, network));
    var exponent = NO_ROW;
    var old_exponent = NO_ROW;
    if (inside && !g.zero) {
        let source = row_exponent(grad[rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row]);
        exponent = row_plus(source, added);
    }
    if (inside && old.written) {
        old_exponent = row_exponent(values[rows_of(SLOT_OLD, network, params.row_pad, params.column_pad) + row]);
    }
    let joined = max(exponent, old_exponent);
    let down = row_factor(exponent, joined);
    let old_down = row_factor(old_exponent, joined);
    let flat = row_factor(joined, top_exponent);
    clear_bins(thread);
    clear_largest(thread);
    var sum = 0.0;
    var bounds = no_bounds();
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
            let d = grad[base + c] * pow2(g.shift);
            sum += d;
            bounds = widened(bounds, d);
        }
    }
    let total = sum_row(thread, vec2<f32>(sum, 0.0)).x;
    var mean = bounded_mean(total / f32(params.columns), bounds_row(thread, bounds));
    if ((params.flags & FLAG_CENTRE) == 0u) {
        mean = 0.0;
    }
    // Where the mean of u is 0, what is constant in the gradient leaves nothing.
    var products = 0.0;
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
            let d = grad[base + c] * pow2(g.shift);
            products += (d - mean) * ((normed[base + c] * pow2(u.shift)) * pow2(u.exponent));
        }
    }
    let pull = sum_row(thread, vec2<f32>(products, 0.0)).x / f32(params.columns);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    if (row < params.row_pad) {
        for (var c = lane; c < params.column_pad; c += 8u) {
            var v = 0.0;
            if (inside && c < params.columns) {
                let x = (normed[base + c] * pow2(u.shift)) * pow2(u.exponent);
                let d = grad[base + c] * pow2(g.shift);
                v = ((d - mean - x * pull) * inverse[network * params.row_pad + row]) * down;
                if (old.written) {
                    v += values[base + c] * old_down;
                }
                bits = max(bits, finite_bits(v * flat));
                lane_seen += seen(v, v * flat);
            }
            values[base + c] = v;
        }
        if (lane == 0u) {
            values[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row] = row_word(joined);
        }
    }
    let top = largest_of(bits);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let centre = centre_of(thread, lane_seen, top);
        var powers = vec4<f32>(0.0);
        if (inside) {
            for (var c = lane; c < params.columns; c += 8u) {
                powers += deviation_powers(values[base + c] * flat, centre);
            }
        }
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        record_moments(thread, network, at, centre, powers, top_exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, top_exponent);
        }
    }
}
