// Norms of the samples of one or two tensors [networks, row_pad, column_pad]: what turns them into unit vectors, and the
// spread of their logarithms, which with FLAG_ROWS counts the rows' exponents of the first. Bindings: heads; first, second
// (workgroup y chooses); directions: [y, network, row_pad] of (power of two, reciprocal norm), the reciprocal 0 for a sample
// that is zero or not finite; records. A record a workgroup (common/directions.wgsl). A workgroup owns 32 rows, 8 lanes each.
// Grid: (ceil(rows / 32), tensors, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<storage, read_write> directions: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;

const THREADS: u32 = 256u;

fn element(which: u32, index: u32) -> f32 {
    if (which == 0u) {
        return first[index];
    }
    return second[index];
}

@compute @workgroup_size(256)
fn sample_directions(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let which = group.y;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let inside = row < params.rows;
    let base = (network * params.row_pad + row) * params.column_pad;
    let norm = row_norm(thread, which, base, params.columns, inside);
    var exponent = 0;
    if (lane == 0u && inside) {
        directions[(which * params.networks + network) * params.row_pad + row] = direction_of(norm);
        if (norm.valid && (params.flags & FLAG_ROWS) != 0u && which == 0u) {
            // Relative to the largest exponent: the spread does not see what is common to all.
            let own = row_exponent(first[rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row]);
            exponent = own - rows_top(params.source_head, network);
        }
    }
    if (which == 0u && (params.flags & FLAG_SPREAD) != 0u) {
        let at = params.record + network * params.record_stride + group.x * 8u;
        record_spread(thread, at, norm, exponent, stamp_of_sources(network));
    }
}
