// The histogram of |W|, after `draw_weights`: its bins need the tensor's largest element. Bindings: heads; weight: W
// [networks, row_pad, column_pad]; histogram: [slot, network, BINS]; records, which stay. Head: source = W.
// One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> histogram: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(256)
fn weight_histogram(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let factor = pow2(scale_of(params.source_head, network).shift);
    for (var i = thread; i < BINS; i += STRIP_THREADS) {
        atomicStore(&bins[i], 0u);
    }
    workgroupBarrier(); // the bins are 0
    if (column < params.columns) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            let x = weight[base + row * params.column_pad] * factor;
            if (is_finite(x)) {
                atomicAdd(&bins[bin_of(x)], 1u);
            }
        }
    }
    workgroupBarrier(); // every element is counted
    for (var i = thread; i < BINS; i += STRIP_THREADS) {
        let count = atomicLoad(&bins[i]);
        if (count > 0u) {
            atomicAdd(&histogram[(params.histogram * params.networks + network) * BINS + i], count);
        }
    }
}
