// dLoss/dh += W^T delta: the product of delta [networks, row_pad, inner] and W [networks, inner, column_pad].
// Bindings: heads; left: delta; right: W; target: dLoss/dh [networks, row_pad, column_pad].
// Heads: source = delta, weight = W, old = target before (its first writer sets), target.
// One lane owns an 8 x 8 block. Grid: (tiles, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> right: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> product: array<vec4<f32>>;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(THREADS)
fn linear_back(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let rows = params.row_pad;
    let columns = params.column_pad;
    let quads = columns / 4u;
    let inner = params.inner / 4u;
    let place = place_of(group.x, thread, rows, columns);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
    }
    multiply(place, rows, columns, params.inner, network * rows * inner, inner, network * params.inner * quads, quads, thread);

    let d = scale_of(params.source_head, network);
    let w = scale_of(params.weight_head, network);
    let old = scale_of(params.old_head, network);
    let exponent = joined_exponent(d.exponent + w.exponent, d.zero || w.zero, old.exponent, old.zero);
    let factor = pow2(select(d.exponent + w.exponent - exponent, 0, d.zero || w.zero));
    let old_down = pow2(select(old.exponent - exponent, 0, old.zero));
    var values = block_values();
    var bits = 0u;
    for (var r = 0u; r < 8u; r += 1u) {
        let row = block_row(place, r);
        if (row < rows) {
            for (var half = 0u; half < 2u; half += 1u) {
                let column = select(place.column_high, place.column_low, half == 0u);
                if (column < columns) {
                    let index = (network * rows + row) * quads + column / 4u;
                    let raw = values[2u * r + half];
                    var v = ((raw * pow2(d.shift)) * pow2(w.shift)) * factor;
                    if (old.written) {
                        v += (product[index] * pow2(old.shift)) * old_down;
                    }
                    product[index] = v;
                    bits = max(bits, max(max(finite_bits(v.x), finite_bits(v.y)), max(finite_bits(v.z), finite_bits(v.w))));
                }
            }
        }
    }
    workgroupBarrier(); // `largest` is 0
    atomicMax(&largest, bits);
    workgroupBarrier(); // every lane has raised `largest`
    if (thread == 0u) {
        raise_max(params.target_head, network, atomicLoad(&largest));
        if (group.x == 0u) {
            write_head(params.target_head, network, exponent);
        }
    }
}
