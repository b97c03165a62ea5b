// Second pass of the mean softmax cross-entropy: delta = (softmax - onehot) / B, where the true class gets minus the sum of
// the others, at the row's power 2^-D. Bindings: heads; prediction: y [networks, row_pad, column_pad]; labels; softmax: from
// `cross_entropy_rows`; target: delta; records; histogram. Heads: source = y, target = delta. Two records a workgroup: the
// moments of delta; then stamp, sum of (largest - y_true), its exponent, sum of ln(sum of e^..), its exponent. One lane owns
// a sample. Grid: (ceil(row_pad / 64), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> prediction: array<f32>;
@group(0) @binding(3) var<storage, read_write> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> softmax: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

const THREADS: u32 = 64u;

var<workgroup> losses: array<vec2<f32>, THREADS>;
var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(64)
fn cross_entropy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 64u + thread;
    let base = (network * params.row_pad + row) * params.column_pad;
    let y = scale_of(params.source_head, network);
    // No row's D is smaller.
    let least = max(-collected_top(params.target_head, network), 0);
    let batch = f32(params.rows);
    clear_bins(thread);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
    }
    workgroupBarrier(); // `largest` is 0
    var bits = 0u;
    var loss = vec2<f32>(0.0);
    var lane_seen = vec4<f32>(0.0);
    var flat = 0.0;
    if (row < params.row_pad) {
        let inside = row < params.rows;
        var others = 0.0;
        var decay = 0;
        var label = 0u;
        var info = vec2<f32>(0.0);
        if (inside) {
            label = labels[network * params.row_pad + row];
            info = softmax[network * params.row_pad + row];
            let exponent = row_exponent(values[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row]);
            decay = select(-exponent, 0, exponent == NO_ROW);
        }
        flat = pow2(least - decay);
        for (var k = 0u; k < params.column_pad; k += 1u) {
            var v = 0.0;
            if (inside && k < params.columns && k != label) {
                let gap = ((info.x - prediction[base + k]) * pow2(y.shift)) * pow2(y.exponent);
                let e = exp_scaled(-gap, decay);
                others += e;
                v = (e / info.y) / batch;
                bits = max(bits, finite_bits(v * flat));
                lane_seen += seen(v, v * flat);
            }
            values[base + k] = v;
        }
        if (inside) {
            let v = -((others / info.y) / batch);
            values[base + label] = v;
            bits = max(bits, finite_bits(v * flat));
            lane_seen += seen(v, v * flat);
            let behind = (info.x - prediction[base + label]) * pow2(y.shift);
            var rest = info.y - 1.0;
            if (behind == 0.0) {
                rest = others * flat;
            }
            if (decay == 0) {
                rest = select(log1p_own(min(rest, 1.0)), log_own(1.0 + max(rest, 1.0)), rest > 1.0);
            }
            loss = vec2<f32>(behind, rest);
        }
    }
    losses[thread] = loss;
    atomicMax(&largest, bits);
    workgroupBarrier(); // losses and `largest` are complete
    let top = atomicLoad(&largest);
    let centre = centre_of(thread, lane_seen, top);
    var powers = vec4<f32>(0.0);
    if (row < params.rows) {
        for (var k = 0u; k < params.columns; k += 1u) {
            powers += deviation_powers(values[base + k] * flat, centre);
        }
    }
    let first = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    record_moments(thread, network, first, centre, powers, -least);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, -least);
        }
        var total = losses[0];
        for (var i = 1u; i < THREADS; i += 1u) {
            total += losses[i];
        }
        let at = first + RECORD_WORDS;
        records[at] = stamp_of_rows(network);
        records[at + 1u] = bitcast<u32>(total.x);
        records[at + 2u] = bitcast<u32>(y.exponent);
        records[at + 3u] = bitcast<u32>(total.y);
        records[at + 4u] = bitcast<u32>(-least);
    }
}
