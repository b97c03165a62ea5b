// Draws W of every network (or takes one that the host has uploaded) and measures it in the same pass: moments and, per
// column j, the sum, the sum of squares and the maximum of |w_ij| over i, the weights' share of the path factors. Bindings:
// heads; networks; draws; table: normal nodes; target: W [networks, row_pad, column_pad / 4]; columns: [networks,
// path_stride] of (sum, square, max, their exponent), those of `path_layer`; records; histogram. Head: target. Record:
// moments of the strip at its own exponent. One workgroup owns a strip, as 8 groups of four columns x 32 slices of rows.
// Grid: (strips, 1, networks), or (strips, layers, networks) for a range of layers.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> draws: array<Draw>;
@group(0) @binding(4) var<storage, read_write> table: array<i32>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> columns: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> records: array<u32>;
@group(0) @binding(8) var<storage, read_write> histogram: array<atomic<u32>>;

const GROUPS: u32 = 8u;
const ROW_SLICES: u32 = 32u;

// Sums over the slices of rows, per column; the same in each slice.
fn sum_rows(thread: u32, v: vec4<f32>) -> vec4<f32> {
    partial[thread] = v;
    workgroupBarrier(); // all parts are stored
    var total = vec4<f32>(0.0);
    for (var s = 0u; s < ROW_SLICES; s += 1u) {
        total += partial[s * GROUPS + thread % GROUPS];
    }
    workgroupBarrier(); // the parts are read before `partial` is used again
    return total;
}

fn max_rows(thread: u32, v: vec4<f32>) -> vec4<f32> {
    partial[thread] = v;
    workgroupBarrier(); // all parts are stored
    var top = vec4<f32>(0.0);
    for (var s = 0u; s < ROW_SLICES; s += 1u) {
        top = max(top, partial[s * GROUPS + thread % GROUPS]);
    }
    workgroupBarrier(); // the parts are read before `partial` is used again
    return top;
}

@compute @workgroup_size(256)
fn draw_weights(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let how = draws[(params.draw + group.y) * params.networks + network];
    let head = params.target_head + group.y;
    let seed = vec2<u32>(networks[network].seed_low, networks[network].seed_high);
    let quads = params.column_pad / 4u;
    let column = group.x * LANES + (thread % GROUPS) * 4u;
    let slice = thread / GROUPS;
    let base = (group.y * params.stacked + network) * params.row_pad * quads + column / 4u;
    clear_bins(thread);
    clear_largest(thread);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    if (column < params.column_pad) {
        for (var row = slice; row < params.row_pad; row += ROW_SLICES) {
            let at = base + row * quads;
            var v: vec4<f32>;
            if (how.law == LAW_GIVEN) {
                v = values[at];
            } else {
                v = drawn_quad(how, seed, row, column);
                values[at] = v;
            }
            bits = max(bits, max(max(finite_bits(v.x), finite_bits(v.y)), max(finite_bits(v.z), finite_bits(v.w))));
            for (var i = 0u; i < 4u; i += 1u) {
                if (row < params.rows && column + i < params.columns) {
                    lane_seen += seen(v[i], v[i]);
                }
            }
        }
    }
    let top = largest_of(bits);
    let c = centre_of(thread, lane_seen, top);

    // What this lane has just written comes back from the cache.
    var powers = vec4<f32>(0.0);
    var sums = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    var tops = vec4<f32>(0.0);
    if (column < params.columns) {
        for (var row = slice; row < params.rows; row += ROW_SLICES) {
            let raw = values[base + row * quads];
            let v = raw * pow2(c.shift);
            for (var i = 0u; i < 4u; i += 1u) {
                if (column + i < params.columns && is_finite(v[i])) {
                    powers += deviation_powers(raw[i], c);
                    sums[i] += abs(v[i]);
                    squares[i] += v[i] * v[i];
                    tops[i] = max(tops[i], abs(v[i]));
                }
            }
        }
    }
    let column_sums = sum_rows(thread, sums);
    let column_squares = sum_rows(thread, squares);
    let column_tops = max_rows(thread, tops);
    let exponent = how.exponent - c.shift;
    // The readout follows each network's own last layer.
    let depth = networks[network].depth;
    let layer = select(params.path_layer + group.y, depth + 1u, params.path_layer == NONE);
    // In a range some networks may have ended.
    if (slice == 0u && layer <= depth + select(1u, 0u, params.stacked != 0u)) {
        for (var i = 0u; i < 4u; i += 1u) {
            if (column + i < params.columns) {
                let own = vec4<f32>(column_sums[i], column_squares[i], column_tops[i], f32(exponent));
                columns[(layer * params.networks + network) * params.path_stride + column + i] = own;
            }
        }
    }
    let at = params.record + (group.y * params.stacked + network) * params.record_stride + group.x * RECORD_WORDS;
    record_moments(thread, network, at, c, powers, how.exponent);
    if (thread == 0u) {
        raise_max(head, network, top);
        if (group.x == 0u) {
            write_head(head, network, how.exponent);
        }
    }
}
