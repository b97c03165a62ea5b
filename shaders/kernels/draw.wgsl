// Draws one tensor of every network, or measures one that the host has uploaded; writes its head and, with FLAG_ROWS, the
// exponents of its rows.
// Bindings: heads; networks; draws; table: normal nodes; target: [network, row_pad, column_pad / 4].
// One lane owns four neighbouring elements of a row, padding included. Grid: (ceil(row_pad * column_pad / 256), 1, networks).

const LAW_GIVEN: u32 = 0u;
const LAW_NORMAL: u32 = 1u;
const LAW_UNIFORM: u32 = 2u;
const LAW_TRUNCATED: u32 = 3u;
const LAW_DIAGONAL: u32 = 4u;
const LAW_CONSTANT: u32 = 5u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> draws: array<Draw>;
@group(0) @binding(4) var<storage, read_write> table: array<i32>;
@group(0) @binding(5) var<storage, read_write> values: array<vec4<f32>>;

var<workgroup> largest: atomic<u32>;

// One element from its random word.
fn drawn(law: u32, word: u32, unit: f32) -> f32 {
    var integer = 0;
    switch law {
        case LAW_NORMAL: { integer = normal_integer(word); }
        case LAW_UNIFORM: { integer = uniform_integer(word); }
        default: { integer = truncated_integer(word); }
    }
    return f32(integer) * unit;
}

@compute @workgroup_size(64)
fn draw(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let how = draws[params.draw * params.networks + network];
    let quads = params.column_pad / 4u;
    let quad = group.x * 64u + thread;
    let row = quad / quads;
    let column = (quad % quads) * 4u;
    let inside = row < params.row_pad;
    if (thread == 0u) {
        atomicStore(&largest, 0u);
        if (group.x == 0u) {
            write_head(params.target_head, network, how.exponent);
        }
    }
    workgroupBarrier(); // `largest` is 0
    var v = vec4<f32>(0.0);
    if (inside) {
        let index = network * params.row_pad * quads + quad;
        if (how.law == LAW_GIVEN) {
            v = values[index];
        } else {
            if (row < params.rows && column < params.columns) {
                let seed = vec2<u32>(networks[network].seed_low, networks[network].seed_high);
                let element = (row % params.repeat_rows) * params.columns + column;
                var words = vec4<u32>(0u);
                var following = vec4<u32>(0u);
                let random = how.law <= LAW_TRUNCATED;
                if (random) {
                    words = philox4x32(vec4<u32>(element / 4u, how.layer, how.tensor, 0u), seed);
                    if (element % 4u != 0u) {
                        following = philox4x32(vec4<u32>(element / 4u + 1u, how.layer, how.tensor, 0u), seed);
                    }
                }
                for (var i = 0u; i < 4u; i += 1u) {
                    if (column + i >= params.columns) {
                        break;
                    }
                    let place = element % 4u + i;
                    if (random) {
                        let word = select(following[place & 3u], words[place & 3u], place < 4u);
                        v[i] = drawn(how.law, word, how.unit);
                    } else if (how.law == LAW_CONSTANT || row == column + i) {
                        v[i] = how.unit;
                    }
                }
            }
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
    if (thread == 0u) {
        raise_max(params.target_head, network, atomicLoad(&largest));
    }
}
