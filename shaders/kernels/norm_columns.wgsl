// Batch norm: u = (z - mean) / sqrt(var + eps) over the rows of each column. Bindings: heads; networks; source: z
// [networks, row_pad, column_pad]; target: u; inverse: [networks, column_pad], one over the deviation.
// Heads: source, target. One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> inverse: array<f32>;

@compute @workgroup_size(256)
fn norm_columns(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let z = scale_of(params.source_head, network);
    let factor = pow2(z.shift);
    let eps = eps_at(network, z.exponent);
    let count = f32(params.rows);
    clear_largest(thread);
    var sum = 0.0;
    var bounds = no_bounds();
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let x = source[base + row * params.column_pad] * factor;
            sum += x;
            bounds = widened(bounds, x);
        }
    }
    let total = sum_column(thread, vec4<f32>(sum, 0.0, 0.0, 0.0)).x;
    let mean = bounded_mean(total / count, bounds_column(thread, bounds));
    var square = 0.0;
    if (inside) {
        for (var row = slice; row < params.rows; row += SLICES) {
            let d = source[base + row * params.column_pad] * factor - mean;
            square += d * d;
        }
    }
    let inv = inverse_deviation(sum_column(thread, vec4<f32>(square, 0.0, 0.0, 0.0)).x / count, eps);
    var bits = 0u;
    if (column < params.column_pad) {
        for (var row = slice; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var u = 0.0;
            if (inside && row < params.rows) {
                u = (source[at] * factor - mean) * inv;
                bits = max(bits, finite_bits(u));
            }
            values[at] = u;
        }
        if (slice == 0u) {
            inverse[network * params.column_pad + column] = inv;
        }
    }
    let top = largest_of(bits);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, -eps.down);
        }
    }
}
