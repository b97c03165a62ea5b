// h minus its mean over the batch, per unit: the right operand of dLoss/dW = delta^T h before a batch norm, where the deltas
// of a unit sum to zero and a constant part of h would leave rounding noise. With FLAG_ARGUMENT the source is u, and
// phi(u) - phi(0) is formed without cancellation. Bindings: heads; networks; source: h or u [networks, row_pad, column_pad];
// target. Heads: source, target. One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(256)
fn centre(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let at_zero = networks[network].at_zero;
    let near = vec2<f32>(networks[network].slope_below, networks[network].slope_above);
    let of_argument = (params.flags & FLAG_ARGUMENT) != 0u;
    let tiny = !scale.zero && scale.exponent < TINY;
    let exponent = select(scale.exponent, 0, of_argument && !tiny);
    clear_largest(thread);
    var sum = 0.0;
    var bounds = no_bounds();
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var v = 0.0;
            if (inside && row < params.rows) {
                v = source[at] * pow2(scale.shift);
                if (of_argument && is_finite(v)) {
                    if (tiny) {
                        v = v * select(near.x, near.y, v > 0.0);
                    } else {
                        v = activation_change(kind, v * pow2(scale.exponent), p, at_zero);
                    }
                }
                sum += v;
                bounds = widened(bounds, v);
            }
            values[at] = v;
        }
    }
    let total = sum_column(thread, vec4<f32>(sum, 0.0, 0.0, 0.0)).x;
    let mean = bounded_mean(total / f32(params.rows), bounds_column(thread, bounds));
    var bits = 0u;
    if (inside) {
        for (var row = thread / LANES; row < params.rows; row += SLICES) {
            let at = base + row * params.column_pad;
            let v = values[at] - mean;
            values[at] = v;
            bits = max(bits, finite_bits(v));
        }
    }
    let top = largest_of(bits);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
    }
}
