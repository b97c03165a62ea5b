// z = W h + b: the product of h [networks, row_pad, inner] and the transpose of W [networks, column_pad, inner]. Bindings:
// heads; left: h; right: W; bias: [networks, 8, column_pad], one row used; target: z [networks, row_pad, column_pad];
// records; histogram. Heads: source = h, weight = W, bias, target = z. Product and bias are joined at the larger exponent.
// With FLAG_MOMENTS a record a tile has the moments of z. One lane owns an 8 x 8 block. Grid: (tiles, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> right: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> product: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(THREADS)
fn linear(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let rows = params.row_pad;
    let columns = params.column_pad;
    let quads = columns / 4u;
    let inner = params.inner / 4u;
    let place = place_of(group.x, thread, rows, columns);
    clear_bins(thread);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
    }
    multiply(place, rows, columns, params.inner, network * rows * inner, inner, network * columns * inner, inner, thread);

    let h = scale_of(params.source_head, network);
    let w = scale_of(params.weight_head, network);
    let b = scale_of(params.bias_head, network);
    let join = affine_of(h, w, b);
    let exponent = join.exponent;
    var values = block_values();
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        if (row < rows) {
            for (var half = 0u; half < 2u; half += 1u) {
                let column = select(place.column_high, place.column_low, half == 0u);
                if (column < columns) {
                    var v = vec4<f32>(0.0);
                    if (row < params.rows) {
                        v = affine(join, values[2u * r + half], bias[network * 8u * quads + column / 4u]);
                    }
                    product[(network * rows + row) * quads + column / 4u] = v;
                    values[2u * r + half] = v;
                    if (row < params.rows) {
                        lane_seen += seen_quad(v, v, column);
                    }
                    bits = max(bits, max(max(finite_bits(v.x), finite_bits(v.y)), max(finite_bits(v.z), finite_bits(v.w))));
                }
            }
        }
    }
    workgroupBarrier(); // `largest` is 0
    atomicMax(&largest, bits);
    workgroupBarrier(); // every lane has raised `largest`
    let top = atomicLoad(&largest);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        tile_moments(thread, network, at, place, values, lane_seen, top, exponent);
    }
    if (thread == 0u) {
        raise_max(params.target_head, network, top);
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
    }
}
