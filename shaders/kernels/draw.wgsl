// Draws one tensor of every network, or measures one that the host has uploaded; writes its head and, with FLAG_ROWS, the
// exponents of its rows. Bindings: heads; networks; draws; table: normal nodes; records; target: [network, row_pad,
// column_pad / 4]; histogram. With FLAG_MOMENTS a record a workgroup has the moments of its elements. One lane owns four
// neighbouring elements of a row, padding included. Grid: (ceil(row_pad * column_pad / 256), in rows of DRAW_ACROSS,
// networks), or of a range of layers (ceil(row_pad * column_pad / 256), layers, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> draws: array<Draw>;
@group(0) @binding(4) var<storage, read_write> table: array<i32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

const THREADS: u32 = 64u;
// Workgroups side by side; more stand in further rows of the grid, which ends at 65,535.
const DRAW_ACROSS: u32 = 32768u;

var<workgroup> largest: atomic<u32>;

@compute @workgroup_size(64)
fn draw(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    // Of a range of layers every row of the grid draws one, else they are one tensor's.
    let layer = select(0u, group.y, params.stacked != 0u);
    let how = draws[(params.draw + layer) * params.networks + network];
    let quads = params.column_pad / 4u;
    let item = (group.y - layer) * DRAW_ACROSS + group.x;
    let head = params.target_head + layer;
    let quad = item * 64u + thread;
    let row = quad / quads;
    let column = (quad % quads) * 4u;
    let inside = row < params.row_pad;
    clear_bins(thread);
    if (thread == 0u) {
        atomicStore(&largest, 0u);
        if (item == 0u) {
            write_head(head, network, how.exponent);
        }
    }
    workgroupBarrier(); // `largest` is 0
    var v = vec4<f32>(0.0);
    if (inside) {
        let index = (layer * params.stacked + network) * params.row_pad * quads + quad;
        if (how.law == LAW_GIVEN) {
            v = values[index];
        } else {
            let seed = vec2<u32>(networks[network].seed_low, networks[network].seed_high);
            v = drawn_quad(how, seed, row, column);
            values[index] = v;
        }
    }
    // Rows are whole vec4s, and no more of them than elements.
    if ((params.flags & FLAG_ROWS) != 0u && quad < params.row_pad / 4u) {
        let rows = rows_of(SLOT_TARGET, network, params.row_pad, params.column_pad) / 4u;
        values[rows + quad] = vec4<f32>(row_word(how.exponent));
    }
    let bits = max(max(finite_bits(v.x), finite_bits(v.y)), max(finite_bits(v.z), finite_bits(v.w)));
    atomicMax(&largest, bits);
    workgroupBarrier(); // every lane has raised `largest`
    let top = atomicLoad(&largest);
    if (thread == 0u) {
        raise_max(head, network, top);
    }
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        var lane_seen = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            if (row < params.rows && column + i < params.columns) {
                lane_seen += seen(v[i], v[i]);
            }
        }
        let c = centre_of(thread, lane_seen, top);
        var powers = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            if (row < params.rows && column + i < params.columns) {
                powers += deviation_powers(v[i], c);
            }
        }
        let at = params.record + network * params.record_stride + item * RECORD_WORDS;
        record_moments(thread, network, at, c, powers, how.exponent);
    }
}
