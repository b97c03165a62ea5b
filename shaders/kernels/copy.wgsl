// target = source, stored bits and head alike, and the exponents of rows with FLAG_ROWS. Bindings: heads; source, target:
// [networks, row_pad, column_pad]; records; histogram. Heads: source, target. With FLAG_MOMENTS a record a workgroup has the
// moments of its elements. One lane owns a vec4. Grid: (ceil(row_pad * column_pad / 256), 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> source: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;
@group(0) @binding(5) var<storage, read_write> histogram: array<atomic<u32>>;

const THREADS: u32 = 64u;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(64)
fn copy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let size = params.row_pad * params.column_pad / 4u;
    let item = group.x * 64u + thread;
    var v = vec4<f32>(0.0);
    if (item < size) {
        v = source[network * size + item];
        values[network * size + item] = v;
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
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        let quads = params.column_pad / 4u;
        let row = item / quads;
        let column = (item % quads) * 4u;
        let exponent = heads[params.source_head * params.networks + network].exponent;
        var factor = 1.0;
        if ((params.flags & FLAG_ROWS) != 0u && row < params.rows) {
            let word = source[(rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad) + row) / 4u][row % 4u];
            factor = row_factor(row_exponent(word), exponent);
        }
        let flat = v * factor;
        clear_bins(thread);
        if (thread == 0u) {
            atomicStore(&largest, 0u);
        }
        workgroupBarrier(); // `largest` is 0
        atomicMax(&largest, max(max(finite_bits(flat.x), finite_bits(flat.y)), max(finite_bits(flat.z), finite_bits(flat.w))));
        var lane_seen = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            if (row < params.rows && column + i < params.columns) {
                lane_seen += seen(v[i], flat[i]);
            }
        }
        workgroupBarrier(); // every lane has raised `largest`
        let c = centre_of(thread, lane_seen, atomicLoad(&largest));
        var powers = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            if (row < params.rows && column + i < params.columns) {
                powers += deviation_powers(flat[i], c);
            }
        }
        let at = params.record + network * params.record_stride + group.x * RECORD_WORDS;
        record_moments(thread, network, at, c, powers, exponent);
    }
}
