// Mean squared error 1/(2B) sum (y - d)^2: delta = (y - d) / B. Bindings: heads; prediction: y [networks, row_pad,
// column_pad]; goal: d; target: delta; records; histogram. Heads: source = y, other = d, target.
// Two records a strip: the moments of delta; then stamp, sum (y - d)^2, its exponent / 2. One workgroup owns a strip.
// Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> prediction: array<f32>;
@group(0) @binding(3) var<storage, read_write> goal: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> histogram: array<atomic<u32>>;

@compute @workgroup_size(256)
fn mse(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let y = scale_of(params.source_head, network);
    let d = scale_of(params.other_head, network);
    let exponent = joined_exponent(y.exponent, y.zero, d.exponent, d.zero);
    let y_down = pow2(select(y.exponent - exponent, 0, y.zero));
    let d_down = pow2(select(d.exponent - exponent, 0, d.zero));
    clear_bins(thread);
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            let difference = (prediction[at] * pow2(y.shift)) * y_down - (goal[at] * pow2(d.shift)) * d_down;
            let v = difference / f32(params.rows);
            values[at] = v;
            bits = max(bits, finite_bits(v));
            if (row < params.rows && column < params.columns) {
                lane_seen += seen(v, v);
            }
            squares.x += difference * difference;
        }
    }
    if (group.x == 0u) {
        for (var row = thread; row < params.rows; row += THREADS) {
            values[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row] = row_word(exponent);
        }
    }
    let top = largest_of(bits);
    let total = sum_lanes(thread, squares);
    let first = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    strip_moments(thread, network, first, base, column < params.columns, lane_seen, top, exponent);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
        let at = first + RECORD_WORDS;
        records[at] = stamp_of_sources(network);
        records[at + 1u] = bitcast<u32>(total.x);
        records[at + 2u] = bitcast<u32>(exponent);
    }
}
