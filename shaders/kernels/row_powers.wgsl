// Chooses the exponents of the rows of dLoss/du before `activation_back` writes it: the power of two of the row's largest g
// phi', where phi' counts by its decay alone, joined with what the target's row held before. Bindings: heads; networks;
// grad: g = dLoss/dphi [networks, row_pad, column_pad]; argument: u; target: dLoss/du, its row exponents only. Heads: source
// = g, other = u, old and target. A workgroup owns 32 rows, 8 lanes each. Grid: (ceil(rows / 32), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> grad: array<f32>;
@group(0) @binding(4) var<storage, read_write> argument: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;

var<workgroup> tops: array<i32, 256>;

@compute @workgroup_size(256)
fn row_powers(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let row = group.x * 32u + thread / 8u;
    let lane = thread % 8u;
    let inside = row < params.rows;
    let base = (network * params.row_pad + row) * params.column_pad;
    let u = scale_of(params.other_head, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let limit = decay_floor(networks[network].depth);
    var top = NO_ROW;
    if (inside) {
        for (var c = lane; c < params.columns; c += 8u) {
            top = max(top, power_through(finite_bits(grad[base + c]), argument[base + c], u, kind, p, limit));
        }
    }
    tops[thread] = top;
    workgroupBarrier(); // every lane's largest power is stored
    var exponent = NO_ROW;
    if (lane == 0u && inside) {
        for (var i = 1u; i < 8u; i += 1u) {
            top = max(top, tops[thread + i]);
        }
        let source = row_exponent(grad[rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row]);
        if (top != NO_ROW) {
            exponent = row_plus(source, top);
        }
        if (rows_top(params.old_head, network) != NO_ROW) {
            let old = values[rows_of(SLOT_OLD, network, params.row_pad, params.column_pad) + row];
            exponent = max(exponent, row_exponent(old));
        }
        values[rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) + row] = row_word(exponent);
    }
    workgroupBarrier(); // the parts of every row are read
    tops[thread] = exponent;
    workgroupBarrier(); // the exponents of the rows are stored
    if (thread == 0u) {
        for (var i = 8u; i < 256u; i += 8u) {
            exponent = max(exponent, tops[i]);
        }
        raise_row_top(params.target_head, network, exponent);
    }
}
