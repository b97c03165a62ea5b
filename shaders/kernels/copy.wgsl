// target = source, stored bits and head alike, and the exponents of rows with FLAG_ROWS. Bindings: heads; source, target: [networks, row_pad, column_pad].
// Heads: source, target. One lane owns a vec4. Grid: (ceil(row_pad * column_pad / 256), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>;

@compute @workgroup_size(64)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let size = params.row_pad * params.column_pad / 4u;
    let item = group.x * 64u + thread;
    if (item < size) {
        values[network * size + item] = source[network * size + item];
    }
    // Rows are whole vec4s, and no more of them than elements.
    if ((params.flags & FLAG_ROWS) != 0u && item < params.row_pad / 4u) {
        let from_rows = rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) / 4u;
        let to_rows = rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) / 4u;
        values[to_rows + item] = source[from_rows + item];
    }
    if (item == 0u) {
        let from_index = params.source_head * params.networks + network;
        raise_max(params.target_head, network, atomicLoad(&heads[from_index].max_bits));
        write_head(params.target_head, network, heads[from_index].exponent);
    }
}
