// h = skip + a branch for tensors [networks, row_pad, column_pad], joined at the larger exponent. Bindings: heads;
// networks; skip; branch; target; records; histogram. Heads: source = skip, other = branch, target.
// Two records a strip: with FLAG_MOMENTS the moments of h; then stamp, sum skip^2, its exponent / 2, sum (a branch)^2, its
// exponent / 2. One workgroup owns a strip.
// Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> skip: array<f32>;
@group(0) @binding(4) var<storage, read_write> branch: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

@compute @workgroup_size(256)
fn add(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let s = scale_of(params.source_head, network);
    let b = scale_of(params.other_head, network);
    let a = networks[network].branch;
    let branch_exponent = b.exponent + networks[network].branch_exponent;
    let branch_zero = b.zero || a == 0.0;
    let exponent = joined_exponent(s.exponent, s.zero, branch_exponent, branch_zero);
    let skip_down = pow2(select(s.exponent - exponent, 0, s.zero));
    let branch_down = pow2(select(branch_exponent - exponent, 0, branch_zero));
    clear_bins(thread);
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            var v = 0.0;
            if (row < params.rows && column < params.columns) {
                let x = skip[at] * pow2(s.shift);
                let y = (branch[at] * pow2(b.shift)) * a;
                v = x * skip_down + y * branch_down;
                bits = max(bits, finite_bits(v));
                lane_seen += seen(v, v);
                squares.x += select(0.0, x * x, is_finite(x));
                squares.y += select(0.0, y * y, is_finite(y));
            }
            values[at] = v;
        }
    }
    let top = largest_of(bits);
    let total = sum_lanes(thread, squares);
    let first = params.record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        strip_moments(thread, network, first, base, column < params.columns, lane_seen, top, exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
        let at = first + RECORD_WORDS;
        records[at] = stamp_of_sources(network);
        records[at + 1u] = bitcast<u32>(total.x);
        records[at + 2u] = bitcast<u32>(s.exponent);
        records[at + 3u] = bitcast<u32>(total.y);
        records[at + 4u] = bitcast<u32>(branch_exponent);
    }
}
