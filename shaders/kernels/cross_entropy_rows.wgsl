// First pass of the mean softmax cross-entropy: per sample the largest logit, the sum of e^(y - largest) and delta's
// exponent, minus the sample's smallest decay. Bindings: heads; networks; prediction: y [networks, row_pad, column_pad];
// labels: [networks, row_pad]; softmax: [networks, row_pad] of (largest stored y, sum); target: delta, its row exponents
// only. Heads: source = y, target = delta. One lane owns a sample. Grid: (ceil(row_pad / 64), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> prediction: array<f32>;
@group(0) @binding(4) var<storage, read_write> labels: array<u32>;
@group(0) @binding(5) var<storage, read_write> softmax: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn cross_entropy_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 64u + thread;
    if (row >= params.rows) {
        return;
    }
    let base = (network * params.row_pad + row) * params.column_pad;
    let y = scale_of(params.source_head, network);
    let label = labels[network * params.row_pad + row];
    var top = prediction[base];
    for (var k = 1u; k < params.columns; k += 1u) {
        top = max(top, prediction[base + k]);
    }
    var sum = 0.0;
    var gap = 2.0 * DECAY_LIMIT;
    for (var k = 0u; k < params.columns; k += 1u) {
        let decay = ((top - prediction[base + k]) * pow2(y.shift)) * pow2(y.exponent);
        sum += exp_own(-decay);
        if (k != label) {
            gap = min(gap, decay);
        }
    }
    softmax[network * params.row_pad + row] = vec2<f32>(top, sum);
    let exponent = select(-power_of_decay(decay_word(max(gap, 0.0))), NO_ROW, gap > decay_floor(networks[network].depth));
    values[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row] = row_word(exponent);
    raise_row_top(params.target_head, network, exponent);
}
