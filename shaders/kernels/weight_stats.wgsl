// Moments of W and, per column j, the sum, the sum of squares and the maximum of |w_ij| over i: the weights' share of the
// path factors. Bindings: heads; weight: [networks, row_pad, column_pad]; columns: [networks, column_pad] of (sum, square,
// max, -) at the exponent of W's head; records; histogram. Head: source = W. One workgroup owns a strip.
// Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> columns: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;
@group(0) @binding(5) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(256)
fn weight_stats(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let factor = pow2(scale.shift);
    let counted = (params.flags & FLAG_HISTOGRAM) != 0u;
    if (counted) {
        for (var i = thread; i < BINS; i += STRIP_THREADS) {
            atomicStore(&bins[i], 0u);
        }
    }
    clear_largest(thread);

    var counts = vec4<f32>(0.0);
    var magnitudes = vec4<f32>(0.0);
    var bits = 0u;
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let x = weight[base + row * params.column_pad] * factor;
            counts.x += 1.0;
            if (is_finite(x)) {
                counts.z += select(0.0, 1.0, x == 0.0);
                counts.w += x;
                magnitudes.x += abs(x);
                magnitudes.y += x * x;
                bits = max(bits, abs_bits(x));
            } else {
                counts.y += 1.0;
            }
        }
    }
    magnitudes.z = bitcast<f32>(bits);
    let sums = sum_column(thread, magnitudes);
    let highest = max_column(thread, magnitudes.z);
    if (inside && slice == 0u) {
        columns[network * params.column_pad + column] = vec4<f32>(sums.x, sums.y, highest, 0.0);
    }
    let total = sum_strip(thread, counts);
    let top = largest_of(bits);
    let mean = total.w / max(total.x - total.y, 1.0);
    var powers = vec4<f32>(0.0);
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let x = weight[base + row * params.column_pad] * factor;
            if (is_finite(x)) {
                powers += powers_of(x - mean);
                if (counted) {
                    atomicAdd(&bins[bin_of(x)], 1u);
                }
            }
        }
    }
    let around = sum_strip(thread, powers);
    if (thread == 0u) {
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        write_moments(at, total, mean, around, top, scale.exponent);
    }
    if (counted) {
        // The barriers of the sums stand between the counts and this.
        for (var i = thread; i < BINS; i += STRIP_THREADS) {
            let count = atomicLoad(&bins[i]);
            if (count > 0u) {
                atomicAdd(&histogram[(params.histogram * params.networks + network) * BINS + i], count);
            }
        }
    }
}
