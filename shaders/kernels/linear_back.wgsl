// dLoss/dh += W^T delta: the product of delta [networks, row_pad, inner] and W [networks, inner, column_pad]. Bindings:
// heads; left: delta; right: W; target: dLoss/dh [networks, row_pad, column_pad]; records; histogram. With FLAG_MOMENTS a
// record a tile has the moments of what was written. Heads: source = delta, weight = W, old = target before (its first
// writer sets), target. Row b of the product comes of row b of delta alone: exponents of rows are added and joined in the
// epilogue. One lane owns an 8 x 8 block. Grid: (tiles, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> right: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> product: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(THREADS)
fn linear_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let rows = params.row_pad;
    let columns = params.column_pad;
    let quads = columns / 4u;
    let inner = params.inner / 4u;
    let place = place_of(group.x, thread, rows, columns);
    clear_bins(thread);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
    }
    multiply(place, rows, columns, params.inner, network * rows * inner, inner, network * params.inner * quads, quads, thread);

    let d = scale_of(params.source_head, network);
    let w = scale_of(params.weight_head, network);
    let old = scale_of(params.old_head, network);
    // What the product adds to the exponent of a row.
    let added = w.exponent - d.shift;
    let own_top = select(row_plus(rows_top(params.source_head, network), added), NO_ROW, d.zero || w.zero);
    let top_exponent = max(own_top, rows_top(params.old_head, network));
    let source_rows = rows_of(SLOT_SOURCE, network, rows, params.inner);
    let old_rows = rows_of(SLOT_OLD, network, rows, columns);
    let target_rows = rows_of(SLOT_TARGET, network, rows, columns);
    var values = block_values();
    var words_low = vec4<f32>(0.0);
    var words_high = vec4<f32>(0.0);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        if (row < rows) {
            var exponent = NO_ROW;
            if (own_top != NO_ROW) {
                exponent = row_plus(row_exponent(left[(source_rows + row) / 4u][row % 4u]), added);
            }
            var old_exponent = NO_ROW;
            if (old.written) {
                old_exponent = row_exponent(product[(old_rows + row) / 4u][row % 4u]);
            }
            let joined = max(exponent, old_exponent);
            let factor = row_factor(exponent, joined);
            let old_factor = row_factor(old_exponent, joined);
            let flat = row_factor(joined, top_exponent);
            for (var half = 0u; half < 2u; half += 1u) {
                let column = select(place.column_high, place.column_low, half == 0u);
                if (column < columns) {
                    let index = (network * rows + row) * quads + column / 4u;
                    let raw = values[2u * r + half];
                    var v = ((raw * pow2(d.shift)) * pow2(w.shift)) * factor;
                    if (old.written) {
                        v += product[index] * old_factor;
                    }
                    product[index] = v;
                    let f = v * flat;
                    values[2u * r + half] = f;
                    if (row < params.rows) {
                        lane_seen += seen_quad(v, f, column);
                    }
                    bits = max(bits, max(max(finite_bits(f.x), finite_bits(f.y)), max(finite_bits(f.z), finite_bits(f.w))));
                }
            }
            if (r < 4u) {
                words_low[r] = row_word(joined);
            } else {
                words_high[r - 4u] = row_word(joined);
            }
        }
    }
    // One lane of a row.
    if (place.column_low == 0u && place.row_low < rows) {
        product[(target_rows + place.row_low) / 4u] = words_low;
    }
    if (place.column_low == 0u && place.row_high < rows) {
        product[(target_rows + place.row_high) / 4u] = words_high;
    }
    workgroupBarrier(); // `largest` is 0
    atomicMax(&largest, bits);
    workgroupBarrier(); // every lane has raised `largest`
    let top = atomicLoad(&largest);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        tile_moments(thread, network, at, place, values, lane_seen, top, top_exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, top_exponent);
        }
    }
}
