// Elements of tensors that are drawn, addressed by their place: bits do not depend on who draws them. Needs rng.

const LAW_GIVEN: u32 = 0u;
const LAW_NORMAL: u32 = 1u;
const LAW_UNIFORM: u32 = 2u;
const LAW_TRUNCATED: u32 = 3u;
const LAW_DIAGONAL: u32 = 4u;
const LAW_CONSTANT: u32 = 5u;

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

// Four neighbouring elements of a row, zeros where they are padding. The column is a multiple of 4.
fn drawn_quad(how: Draw, seed: vec2<u32>, row: u32, column: u32) -> vec4<f32> {
    var v = vec4<f32>(0.0);
    if (row >= params.rows || column >= params.columns) {
        return v;
    }
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
    return v;
}
