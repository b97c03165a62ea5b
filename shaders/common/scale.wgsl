// Reading and writing heads. A reader multiplies x' by 2^shift, which brings the largest element into [1, 2), and takes
// `exponent` for the result: x = (x' * 2^shift) * 2^exponent. Needs the binding `heads` and `params`.

// The exponent of a row of zeros, and of a tensor of such rows (common/row_scale.wgsl).
const NO_ROW: i32 = -1073741824;
// Sums over a batch of at most 4096 products of numbers below 4 stay below 2 after this power of two.
const SUM_SHIFT: i32 = 13;

struct Scale {
    shift: i32,
    exponent: i32,
    // The tensor is absent or has no finite element other than zero.
    zero: bool,
    // Some dispatch has written it (it may hold non-finite elements even where `zero`).
    written: bool,
}

fn scale_at(index: u32) -> Scale {
    let bits = atomicLoad(&heads[index].max_bits);
    let written = heads[index].written == 1u;
    let exponent = heads[index].exponent;
    if (bits < 0x00800000u) {
        return Scale(0, select(exponent, 0, exponent == NO_ROW), true, written);
    }
    let shift = max(-exponent_of(bits), -126);
    return Scale(shift, exponent - shift, false, written);
}

fn scale_of(head: u32, network: u32) -> Scale {
    if (head == NONE) {
        return Scale(0, 0, true, false);
    }
    return scale_at(head * params.networks + network);
}

// The exponent at which two terms are joined: the larger one of those that are not zero.
fn joined_exponent(a: i32, a_zero: bool, b: i32, b_zero: bool) -> i32 {
    if (a_zero) {
        return b;
    }
    if (b_zero) {
        return a;
    }
    return max(a, b);
}

// By one invocation of a dispatch and network.
fn write_head(head: u32, network: u32, exponent: i32) {
    let index = head * params.networks + network;
    heads[index].exponent = exponent;
    heads[index].written = 1u;
}

fn raise_max(head: u32, network: u32, bits: u32) {
    atomicMax(&heads[head * params.networks + network].max_bits, bits);
}
