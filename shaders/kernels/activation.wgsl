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
    let f = phi_of(network, scale);
    let exponent = phi_exponent(f);
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
                h = phi_at(f, raw, false);
                grown |= phi_grows(f, raw);
                bits = max(bits, finite_bits(h));
                lane_seen += seen(h, h);
                if (f.decaying) {
                    tail_bits = max(tail_bits, phi_decay(f, raw));
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
