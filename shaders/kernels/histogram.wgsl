// The histogram of |x|. A second pass over what is written: the bins need the tensor's largest element. Bindings: heads;
// source: x [networks, row_pad, column_pad], with FLAG_ROWS flattened; histogram: [slot, network, BINS]. Head: source.
// One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> source: array<f32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(256)
fn histogram(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let top = rows_top(params.source_head, network);
    let rows = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad);
    let with_rows = (params.flags & FLAG_ROWS) != 0u;
    for (var i = thread; i < BINS; i += STRIP_THREADS) {
        atomicStore(&bins[i], 0u);
    }
    workgroupBarrier(); // the bins are 0
    if (column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            var factor = pow2(scale.shift);
            if (with_rows) {
                let exponent = row_exponent(source[rows + row]);
                factor = select(pow2(exponent - top + scale.shift), 1.0, exponent == NO_ROW || top == NO_ROW);
            }
            let x = source[base + row * params.column_pad] * factor;
            if (is_finite(x)) {
                atomicAdd(&bins[bin_of(x)], 1u);
            }
        }
    }
    workgroupBarrier(); // every element is counted
    for (var i = thread; i < BINS; i += STRIP_THREADS) {
        let count = atomicLoad(&bins[i]);
        if (count > 0u) {
            atomicAdd(&counts[(params.histogram * params.networks + network) * BINS + i], count);
        }
    }
}
