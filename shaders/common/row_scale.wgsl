// Exponents of rows. A gradient keeps one power of two per sample, x = x' 2^e, because saturated samples lie further apart
// than f32 reaches. The exponents stand behind the elements of the tensor, in the same buffer, [slot, network, row_pad], as
// the bits e + 2^30: an ordinary float, or 0 for a row without an element other than zero. `Params.slots` chooses the slot:
// a tensor that is read and written in one dispatch has its old exponents in one and its new ones in the other. The head's
// exponent is the largest of the rows'; its `max_bits` measure the flattened values x' 2^(e - head's). Needs scale.

// Exponents saturate here.
const ROW_LIMIT: i32 = 1073000000;
// Bits of Params.slots.
const SLOT_SOURCE: u32 = 0u;
const SLOT_OLD: u32 = 2u;
const SLOT_TARGET: u32 = 3u;
const SLOT_BRANCH: u32 = 4u;

// Where the exponent of row 0 stands in the buffer of a tensor [networks, row_pad, column_pad].
fn rows_of(which: u32, network: u32, row_pad: u32, column_pad: u32) -> u32 {
    let slot = (params.slots >> which) & 1u;
    return params.networks * row_pad * column_pad + (slot * params.networks + network) * row_pad;
}

fn row_exponent(word: f32) -> i32 {
    return i32(bitcast<u32>(word)) + NO_ROW;
}

fn row_word(exponent: i32) -> f32 {
    return bitcast<f32>(u32(exponent - NO_ROW));
}

fn row_plus(exponent: i32, by: i32) -> i32 {
    return select(clamp(exponent + by, -ROW_LIMIT, ROW_LIMIT), NO_ROW, exponent == NO_ROW);
}

// What turns numbers at the first exponent into numbers at the second, larger one. Rows of zeros pass unchanged: they may
// hold elements that are not finite.
fn row_factor(exponent: i32, target_exponent: i32) -> f32 {
    return select(pow2(exponent - target_exponent), 1.0, exponent == NO_ROW || target_exponent == NO_ROW);
}

// The largest exponent of a tensor's rows as they are stored.
fn rows_top(head: u32, network: u32) -> i32 {
    if (head == NONE) {
        return NO_ROW;
    }
    let index = head * params.networks + network;
    return select(NO_ROW, heads[index].exponent, heads[index].written == 1u);
}

// The largest exponent of rows that `raise_row_top` has collected. It leaves 1 where all rows are zero.
fn collected_top(head: u32, network: u32) -> i32 {
    return max(i32(atomicLoad(&heads[head * params.networks + network].row_top)) + NO_ROW - 1, NO_ROW);
}

fn raise_row_top(head: u32, network: u32, exponent: i32) {
    atomicMax(&heads[head * params.networks + network].row_top, u32(exponent - NO_ROW) + 1u);
}
