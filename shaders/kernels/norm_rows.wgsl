// Layer norm (FLAG_CENTRE) and rms norm: u = (z - mean) / sqrt(var + eps) over the columns of each row.
// Bindings: heads; networks; source: z [networks, row_pad, column_pad]; target: u; inverse: [networks, row_pad], one over
// the deviation. Heads: source, target. A workgroup owns 32 rows, 8 lanes each. Grid: (ceil(row_pad / 32), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> inverse: array<f32>;

@compute @workgroup_size(256)
fn norm_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let inside = row < params.rows;
    let base = (network * params.row_pad + row) * params.column_pad;
    let z = scale_of(params.source_head, network);
    let factor = pow2(z.shift);
    let eps = eps_at(network, z.exponent);
    let count = f32(params.columns);
    clear_largest(thread);
    var sum = 0.0;
    var bounds = no_bounds();
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
            let x = source[base + c] * factor;
            sum += x;
            bounds = widened(bounds, x);
        }
    }
    let total = sum_row(thread, vec2<f32>(sum, 0.0)).x;
    var mean = bounded_mean(total / count, bounds_row(thread, bounds));
    if ((params.flags & FLAG_CENTRE) == 0u) {
        mean = 0.0;
    }
    var square = 0.0;
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
            let d = source[base + c] * factor - mean;
            square += d * d;
        }
    }
    let inv = inverse_deviation(sum_row(thread, vec2<f32>(square, 0.0)).x / count, eps);
    var bits = 0u;
    if (row < params.row_pad) {
        for (var c = lane; c < params.column_pad; c += 8u) {
            var u = 0.0;
            if (inside && c < params.columns) {
                u = (source[base + c] * factor - mean) * inv;
                bits = max(bits, finite_bits(u));
            }
            values[base + c] = u;
        }
        if (lane == 0u) {
            inverse[network * params.row_pad + row] = inv;
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
