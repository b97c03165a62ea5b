// Backward of `norm_columns`, through mean and variance: dLoss/dz += (du - mean(du) - u mean(du u)) / deviation, means over
// the rows of a column. Bindings: heads; networks; grad: dLoss/du; normed: u; inverse; target: dLoss/dz; records; histogram.
// Heads: source = grad, other = u, weight = z, old and target. Rows meet here: they are flattened to the largest exponent.
// With FLAG_MOMENTS a record a strip has the moments of what was written. One workgroup owns a strip. Grid: (strips, 1,
// networks).

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
fn norm_columns_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let g = scale_of(params.source_head, network);
    let u = scale_of(params.other_head, network);
    let z = scale_of(params.weight_head, network);
    let old = scale_of(params.old_head, network);
    let eps = eps_at(network, z.exponent);
    let own = g.exponent - eps.down - z.exponent;
    let own_top = select(clamp(own, -ROW_LIMIT, ROW_LIMIT), NO_ROW, g.zero);
    let top_exponent = max(own_top, rows_top(params.old_head, network));
    let grad_top = rows_top(params.source_head, network);
    let source_rows = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad);
    let old_rows = rows_of(SLOT_OLD, network, params.row_pad, params.column_pad);
    let target_rows = rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad);
    clear_bins(thread);
    clear_largest(thread);
    var sum = 0.0;
    var bounds = no_bounds();
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let at = base + row * params.column_pad;
            let d = (grad[at] * row_factor(row_exponent(grad[source_rows + row]), grad_top)) * pow2(g.shift);
            sum += d;
            bounds = widened(bounds, d);
        }
    }
    let total = sum_column(thread, vec4<f32>(sum, 0.0, 0.0, 0.0)).x;
    let mean = bounded_mean(total / f32(params.rows), bounds_column(thread, bounds));
    // The mean of u is 0: what is constant in the gradient leaves nothing.
    var products = 0.0;
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let at = base + row * params.column_pad;
            let d = (grad[at] * row_factor(row_exponent(grad[source_rows + row]), grad_top)) * pow2(g.shift);
            products += (d - mean) * ((normed[at] * pow2(u.shift)) * pow2(u.exponent));
        }
    }
    let pull = sum_column(thread, vec4<f32>(products, 0.0, 0.0, 0.0)).x / f32(params.rows);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    if (column < params.column_pad) {
        for (var row = slice; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var v = 0.0;
            if (inside && row < params.rows) {
                let x = (normed[at] * pow2(u.shift)) * pow2(u.exponent);
                let d = (grad[at] * row_factor(row_exponent(grad[source_rows + row]), grad_top)) * pow2(g.shift);
                v = (d - mean - x * pull) * inverse[network * params.column_pad + column];
                var exponent = own_top;
                if (old.written) {
                    let old_exponent = row_exponent(values[old_rows + row]);
                    exponent = max(own_top, old_exponent);
                    v = v * row_factor(own_top, exponent) + values[at] * row_factor(old_exponent, exponent);
                }
                if (column == 0u) {
                    values[target_rows + row] = row_word(exponent);
                }
                let flat = v * row_factor(exponent, top_exponent);
                bits = max(bits, finite_bits(flat));
                lane_seen += seen(v, flat);
            }
            values[at] = v;
        }
    }
    let top = largest_of(bits);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let c = centre_of(thread, lane_seen, top);
        var powers = vec4<f32>(0.0);
        if (inside) {
            for (var row = slice; row < params.rows; row += SLICES) {
                var exponent = own_top;
                if (old.written) {
                    exponent = max(own_top, row_exponent(values[old_rows + row]));
                }
                let flat = values[base + row * params.column_pad] * row_factor(exponent, top_exponent);
                powers += deviation_powers(flat, c);
            }
        }
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        record_moments(thread, network, at, c, powers, top_exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, top_exponent);
        }
    }
}
