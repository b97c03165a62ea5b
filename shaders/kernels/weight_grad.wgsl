// Statistics of dLoss/dW = delta^T h, and with FLAG_MOMENTS of dLoss/db, the columns' sums of delta, reduced in the tile:
// neither is ever written. Bindings: heads; left: delta [networks, inner, row_pad]; right: h [networks, inner, column_pad];
// weight: W [networks, row_pad, column_pad]; records; histogram: the slots of dW and db. Here rows = fan_out, columns =
// fan_in, inner = the batch. Heads: source = delta, other = h, weight = W. Samples meet here: the rows of delta are
// flattened while they are loaded. Two records a tile: moments of its part of dW (common/records.wgsl), word 14 = <W, dW>;
// moments of the elements of db that belong to its rows, in the tiles of the first columns. One lane owns an 8 x 8 block.
// Grid: (tiles, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> right: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> largest: atomic<u32>;
var<workgroup> largest_bias: atomic<u32>;

// The sum over the batch of the left operand's row r of this lane.
fn left_sum(r: u32) -> f32 {
    if (r < 4u) {
        return left_sum_low[r];
    }
    return left_sum_high[r - 4u];
}

// Moments of db, whose elements the lanes of the first columns hold.
fn bias_grad(thread: u32, network: u32, at: u32, place: Place, d: Scale) {
    let factor = pow2(d.shift) * pow2(-SUM_SHIFT);
    var lane_seen = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        if (place.column_low == 0u && block_row(place, r) < params.rows) {
            let x = left_sum(r) * factor;
            lane_seen += seen(x, x);
            atomicMax(&largest_bias, finite_bits(x));
        }
    }
    workgroupBarrier(); // every lane has raised `largest_bias`
    let c = centre_of(thread, lane_seen, atomicLoad(&largest_bias));
    var powers = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        if (place.column_low == 0u && block_row(place, r) < params.rows) {
            powers += deviation_powers(left_sum(r) * factor, c);
        }
    }
    let sums = sum_lanes(thread, powers);
    add_bins(thread, network, params.histogram + 1u, d.exponent + SUM_SHIFT);
    if (thread == 0u) {
        write_centred(network, at, c, sums, d.exponent + SUM_SHIFT);
    }
}

@compute @workgroup_size(THREADS)
fn weight_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let rows = params.row_pad;
    let columns = params.column_pad;
    let quads = columns / 4u;
    let place = place_of(group.x, thread, rows, columns);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
        atomicStore(&largest_bias, 0u);
    }
    clear_bins(thread);
    flatten_left(params.source_head, network, rows_of(SLOT_SOURCE, network, params.inner, rows));
    multiply(
        place, rows, columns, params.inner,
        network * params.inner * (rows / 4u), rows / 4u, network * params.inner * quads, quads, thread,
    );

    let d = scale_of(params.source_head, network);
    let h = scale_of(params.other_head, network);
    let w = scale_of(params.weight_head, network);
    var values = block_values();
    // n, non-finite, zeros, sum; then <W, dW>.
    var first = vec4<f32>(0.0);
    var dot_weight = 0.0;
    var bits = 0u;
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        for (var half = 0u; half < 2u; half += 1u) {
            let column = select(place.column_high, place.column_low, half == 0u);
            let v = ((values[2u * r + half] * pow2(d.shift)) * pow2(h.shift)) * pow2(-SUM_SHIFT);
            values[2u * r + half] = v;
            if (row < params.rows && column < params.columns) {
                let weights = weight[(network * rows + row) * quads + column / 4u] * pow2(w.shift);
                for (var i = 0u; i < 4u; i += 1u) {
                    if (column + i < params.columns) {
                        let x = v[i];
                        first.x += 1.0;
                        if (is_finite(x)) {
                            first.z += select(0.0, 1.0, x == 0.0);
                            first.w += x;
                            dot_weight += weights[i] * x;
                            bits = max(bits, abs_bits(x));
                        } else {
                            first.y += 1.0;
                        }
                    }
                }
            }
        }
    }
    workgroupBarrier(); // `largest` and `bins` are 0
    atomicMax(&largest, bits);
    let total = sum_lanes(thread, first);
    let mean = total.w / max(total.x - total.y, 1.0);
    var powers = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        for (var half = 0u; half < 2u; half += 1u) {
            let column = select(place.column_high, place.column_low, half == 0u);
            let v = values[2u * r + half];
            for (var i = 0u; i < 4u; i += 1u) {
                if (row < params.rows && column + i < params.columns && is_finite(v[i])) {
                    powers += powers_of(v[i] - mean);
                    count(v[i]);
                }
            }
        }
    }
    let sums = sum_lanes(thread, powers);
    let dots = sum_lanes(thread, vec4<f32>(dot_weight, 0.0, 0.0, 0.0));
    let at = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    let exponent = d.exponent + h.exponent + SUM_SHIFT;
    // The barriers of `sum_lanes` stand between the counts and this.
    add_bins(thread, network, params.histogram, exponent);
    if (thread == 0u) {
        write_moments(network, at, total, mean, sums, atomicLoad(&largest), exponent);
        records[at + 11u] = bitcast<u32>(w.exponent);
        records[at + 14u] = bitcast<u32>(dots.x);
    }
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        workgroupBarrier(); // the bins of dW are added
        clear_bins(thread);
        bias_grad(thread, network, at + RECORD_WORDS, place, d);
    }
}
