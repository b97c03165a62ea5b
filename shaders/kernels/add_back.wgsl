// Backward of `add`: dLoss/dskip += g, dLoss/dbranch = a g, each row brought into [1, 2) first. Bindings: heads; networks;
// grad: g [networks, row_pad, column_pad]; skip, values = branch: the targets; records; histogram. Heads: source = g, old
// and target of the skip, branch. With FLAG_MOMENTS a record a workgroup has the moments of dLoss/dbranch. A workgroup owns
// 32 rows, 8 lanes each. Grid: (ceil(row_pad / 32), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> skip: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> row_tops: array<u32, 256>;
var<workgroup> largest_branch: atomic<u32>;

@compute @workgroup_size(256)
fn add_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let base = (network * params.row_pad + row) * params.column_pad;
    let g = scale_of(params.source_head, network);
    let old = scale_of(params.old_head, network);
    let a = networks[network].branch;
    // The exponent of the largest element is the largest of the normalised rows'.
    let own_top = select(g.exponent, NO_ROW, g.zero);
    let skip_top = max(own_top, rows_top(params.old_head, network));
    let branch_top = row_plus(own_top, networks[network].branch_exponent);
    if (thread == 0u) {
        atomicStore(&largest_branch, 0u);
    }
    clear_bins(thread);
    clear_largest(thread);
    var top = 0u;
    if (row < params.row_pad) {
        for (var c = lane; c < params.column_pad; c += 8u) {
            top = max(top, finite_bits(grad[base + c]));
        }
    }
    row_tops[thread] = top;
    workgroupBarrier(); // all maxima are stored
    for (var i = 0u; i < 8u; i += 1u) {
        top = max(top, row_tops[thread - lane + i]);
    }
    var bits = 0u;
    var branch_bits = 0u;
    var branch_flat = 0.0;
    var lane_seen = vec4<f32>(0.0);
    if (row < params.row_pad) {
        var exponent = NO_ROW;
        var shift = 0;
        if (row < params.rows && top >= 0x00800000u) {
            shift = max(-exponent_of(top), -126);
            let source = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row;
            exponent = row_plus(row_exponent(grad[source]), -shift);
        }
        var old_exponent = NO_ROW;
        if (old.written) {
            old_exponent = row_exponent(skip[rows_of(SLOT_OLD, network, params.row_pad, params.column_pad) + row]);
        }
        let joined = max(exponent, old_exponent);
        let branch_exponent = row_plus(exponent, networks[network].branch_exponent);
        let down = row_factor(exponent, joined);
        let old_down = row_factor(old_exponent, joined);
        let flat = row_factor(joined, skip_top);
        branch_flat = row_factor(branch_exponent, branch_top);
        for (var c = lane; c < params.column_pad; c += 8u) {
            let x = grad[base + c] * pow2(shift);
            var v = x * down;
            if (old.written) {
                v += skip[base + c] * old_down;
            }
            skip[base + c] = v;
            let y = a * x;
            values[base + c] = y;
            bits = max(bits, finite_bits(v * flat));
            branch_bits = max(branch_bits, finite_bits(y * branch_flat));
            if (row < params.rows && c < params.columns) {
                lane_seen += seen(y, y * branch_flat);
            }
        }
        if (lane == 0u) {
            skip[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row] = row_word(joined);
            values[rows_of(SLOT_BRANCH, network, params.row_pad, params.column_pad) + row] = row_word(branch_exponent);
        }
    }
    atomicMax(&largest_branch, branch_bits);
    let most = largest_of(bits);
    let branch_most = atomicLoad(&largest_branch);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let centre = centre_of(thread, lane_seen, branch_most);
        var powers = vec4<f32>(0.0);
        if (row < params.rows) {
            for (var c = lane; c < params.columns; c += 8u) {
                powers += deviation_powers(values[base + c] * branch_flat, centre);
            }
        }
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        record_moments(thread, network, at, centre, powers, branch_top);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, most);
        raise_max(params.branch_head, network, branch_most);
        if (group.x == 0u) {
            write_head(params.target_head, network, skip_top);
            write_head(params.branch_head, network, branch_top);
        }
    }
}
