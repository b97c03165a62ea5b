// h = phi(u) for tensors [networks, row_pad, column_pad], in the regime of u; records the smallest decay of phi in u's head
// where phi has an exponential tail. Bindings: heads; networks; source: u; target: h; records; histogram. Heads: source,
// target. With FLAG_MOMENTS a record a strip has the moments of h. One workgroup owns a strip. Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> source: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> most_tail: atomic<u32>;
var<workgroup> any_grown: atomic<u32>;

@compute @workgroup_size(256)
fn activation(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let scale = scale_of(params.source_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let at_zero = networks[network].at_zero;
    let near = vec2<f32>(networks[network].slope_below, networks[network].slope_above);
    let far = vec2<f32>(networks[network].far_slope_below, networks[network].far_slope_above);
    let offset = vec2<f32>(networks[network].far_intercept_below, networks[network].far_intercept_above);
    let tiny = !scale.zero && scale.exponent < TINY;
    let huge = !scale.zero && scale.exponent > HUGE;
    let bounded = far.x == 0.0 && far.y == 0.0;
    // The exponent stays with u where h is proportional to it.
    let kept = (tiny && at_zero == 0.0) || (huge && !bounded);
    let exponent = select(0, scale.exponent, kept);
    // Arguments below 2^61 pass unchanged; beyond, a bounded phi no longer changes.
    let limit = pow2(select(HUGE + 2, 100, kind == SINE));
    // A decay of DECAY_START needs |u| >= 9; with u^3 (gelu_tanh) in the exponent 6; a parameter may multiply u.
    let steep = kind == 9u;
    let decaying = activation_has_tail(kind) && !tiny && (scale.exponent >= select(3, 2, steep) || kind == 12u);
    if (thread == 0u) {
        atomicStore(&most_tail, 0u);
        atomicStore(&any_grown, 0u);
    }
    clear_bins(thread);
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var tail_bits = 0u;
    var grown = 0u;
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            var h = 0.0;
            if (row < params.rows && column < params.columns) {
                let raw = source[base + row * params.column_pad];
                let x = raw * pow2(scale.shift);
                let above = x > 0.0;
                if (!is_finite(raw)) {
                    h = raw;
                } else if (tiny) {
                    let slope = select(near.x, near.y, above);
                    h = select(at_zero + slope * (x * pow2(scale.exponent)), slope * x, kept);
                } else if (huge && !bounded) {
                    grown |= select(0u, 1u, x != 0.0 && select(far.x, far.y, above) != 0.0);
                    if (exponent_of(abs_bits(x)) + scale.exponent > 20) {
                        h = select(far.x, far.y, above) * x + select(offset.x, offset.y, above) * pow2(-scale.exponent);
                    } else {
                        h = activation_value(kind, x * pow2(scale.exponent), p) * pow2(-scale.exponent);
                    }
                } else {
                    h = activation_value(kind, clamp(x * pow2(scale.exponent), -limit, limit), p);
                }
                bits = max(bits, finite_bits(h));
                lane_seen += seen(h, h);
                if (decaying) {
                    let tail = activation_tail(kind, grad_argument(raw, scale, kind), p);
                    if (tail.x != 0.0 && is_finite(tail.x) && is_finite(tail.y)) {
                        tail_bits = max(tail_bits, decay_word(tail.y));
                    }
                }
            }
            values[base + row * params.column_pad] = h;
        }
    }
    atomicMax(&most_tail, tail_bits);
    atomicMax(&any_grown, grown);
    let top = largest_of(bits);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        let source_index = params.source_head * params.networks + network;
        atomicMax(&heads[source_index].tail_bits, atomicLoad(&most_tail));
        atomicMax(&heads[source_index].grown, atomicLoad(&any_grown));
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
    }
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        strip_moments(thread, network, at, base, column < params.columns, lane_seen, top, exponent);
    }
}
