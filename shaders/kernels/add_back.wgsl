// Backward of `add`: dLoss/dskip += g, dLoss/dbranch = a g. Bindings: heads; networks; grad: g [networks, row_pad,
// column_pad]; skip, branch: the targets. Heads: source = g, old and target of the skip, branch. One workgroup owns a strip.
// Grid: (strips, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> skip: array<f32>;
@group(0) @binding(5) var<storage, read_write> branch: array<f32>;

var<workgroup> largest_branch: atomic<u32>;

@compute @workgroup_size(256)
fn add_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let column = group.x * LANES + thread % LANES;
    let base = network * params.row_pad * params.column_pad + column;
    let g = scale_of(params.source_head, network);
    let old = scale_of(params.old_head, network);
    let a = networks[network].branch;
    let exponent = joined_exponent(g.exponent, g.zero, old.exponent, old.zero);
    let down = pow2(select(g.exponent - exponent, 0, g.zero));
    let old_down = pow2(select(old.exponent - exponent, 0, old.zero));
    if (thread == 0u) {
        atomicStore(&largest_branch, 0u);
    }
    clear_largest(thread);
    var bits = 0u;
    var branch_bits = 0u;
    if (column < params.column_pad) {
        for (var row = thread / LANES; row < params.row_pad; row += SLICES) {
            let at = base + row * params.column_pad;
            let x = grad[at] * pow2(g.shift);
            var v = x * down;
            if (old.written) {
                v += (skip[at] * pow2(old.shift)) * old_down;
            }
            skip[at] = v;
            branch[at] = a * x;
            bits = max(bits, finite_bits(v));
            branch_bits = max(branch_bits, finite_bits(a * x));
        }
    }
    atomicMax(&largest_branch, branch_bits);
    let top = largest_of(bits);
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        raise_max(params.branch_head, network, atomicLoad(&largest_branch));
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
            write_head(params.branch_head, network, g.exponent + networks[network].branch_exponent);
        }
    }
}
