// Structures that the host fills: mirrored in src/engine/gpu/layout.rs and compared there by reflection.

// "No such head", "no such record".
const NONE: u32 = 0xffffffffu;

// Bits of Params.flags.
const FLAG_HISTOGRAM: u32 = 2u;
const FLAG_CENTRE: u32 = 8u;
const FLAG_COSINES: u32 = 16u;
const FLAG_PATHS: u32 = 32u;
const FLAG_SPREAD: u32 = 64u;
// The tensors have an exponent a row.
const FLAG_ROWS: u32 = 128u;
const FLAG_ARGUMENT: u32 = 256u;
// The kernel records the moments of what it writes (weight_grad: of dLoss/db).
const FLAG_MOMENTS: u32 = 512u;

// One dispatch. Tensors are [network, row_pad, column_pad], row-major; logical sizes are `rows` and `columns`, both
// paddings are multiples of 8 and hold zeros.
struct Params {
    // Networks of the batch: the stride of every array that is indexed [.., network].
    networks: u32,
    // First network of this dispatch.
    first: u32,
    // Layer index l (the readout: 0xffffffff).
    layer: u32,
    flags: u32,
    rows: u32,
    columns: u32,
    row_pad: u32,
    column_pad: u32,
    // Padded size of the summed index of a product.
    inner: u32,
    // Index into the draws; rows after which draws repeat.
    draw: u32,
    repeat_rows: u32,
    // Heads of the tensors in the order of the kernel's header.
    source_head: u32,
    other_head: u32,
    weight_head: u32,
    bias_head: u32,
    old_head: u32,
    target_head: u32,
    // A second target.
    branch_head: u32,
    // Word offset of the first record of a dispatch, words per network.
    record: u32,
    record_stride: u32,
    // Words between the records of the two tensors, or histogram slots, of one dispatch.
    other_record: u32,
    // Histogram slot of the dispatch (weight_grad: of dLoss/dW, the next one is of dLoss/db).
    histogram: u32,
    // Sums of |w| per column, [layer, network, path_stride]: the layer whose weights the paths run through.
    path_layer: u32,
    path_stride: u32,
    // Written into every record: proves that this batch wrote it.
    stamp: u32,
    // Rows of the readout's weights, where a kernel chooses between two weight matrices.
    readout_rows: u32,
    readout_row_pad: u32,
    // Which of two sets of row exponents each tensor uses, a bit each (common/row_scale.wgsl).
    slots: u32,
    // A dispatch over a range of layers, `layer` the first. Tensors of its layers lie one after the other, [layer, networks of
    // a layer, ..], and so do their heads, draws and records. 0 networks: no range.
    stacked: u32,
    last_layer: u32,
    // Logical columns of the range's input; word offsets in the stack (W stands first).
    source_columns: u32,
    biases: u32,
    preacts: u32,
    acts: u32,
}

// Scale of one tensor of one network, [head, network]. A tensor is stored as x' with x = x' * 2^exponent.
struct Head {
    exponent: i32,
    // Bits of the largest finite |x'|.
    max_bits: atomic<u32>,
    // For gradients: 2^30 + 1 + the largest exponent of a row, where it must be known before the rows are written (0: not collected).
    row_top: atomic<u32>,
    // For arguments of an activation whose value vanishes exponentially: 0x7f800000 - bits of phi's smallest decay (0: none).
    tail_bits: atomic<u32>,
    // For the same: 1 where an element of huge arguments lies on a side on which phi grows.
    grown: atomic<u32>,
    // 1 once some dispatch has written the tensor.
    written: u32,
}

// What the kernels know of one network, [network].
struct Network {
    seed_low: u32,
    seed_high: u32,
    depth: u32,
    activation: u32,
    param: f32,
    at_zero: f32,
    slope_below: f32,
    slope_above: f32,
    far_slope_below: f32,
    far_slope_above: f32,
    far_intercept_below: f32,
    far_intercept_above: f32,
    // 0.01 sup |phi'|.
    saturation: f32,
    knee_below: f32,
    knee_above: f32,
    flat_below: f32,
    flat_above: f32,
    // The factor a of a residual branch: branch * 2^branch_exponent, 1 <= |branch| < 2.
    branch: f32,
    branch_exponent: i32,
    // The norm's eps in the same form.
    eps: f32,
    eps_exponent: i32,
    // 1 where cosines run over the pairs (2k, 2k + 1) only.
    pairs: u32,
    unused_a: u32,
    unused_b: u32,
}

// How one tensor of one network is drawn, [draw, network].
struct Draw {
    law: u32,
    // Multiplies the integer draw, or is the value itself.
    unit: f32,
    exponent: i32,
    // Second word of the counter.
    layer: u32,
    // Third word of the counter.
    tensor: u32,
}
