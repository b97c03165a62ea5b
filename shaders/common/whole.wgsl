// A whole network in a workgroup: a strip that is all of a tensor, walked through a range of layers. W of a layer, and some
// rows of what it multiplies, stand in workgroup memory; tensors in storage, where a lane owns every SLICES-th row of its
// column. Sums run in a fixed order. Barriers are few and stand in loops: compilers for processors cut a kernel at each.

const THREADS: u32 = 256u;
// Columns, a power of two, and rows side by side.
override LANES: u32 = 32u;
override SLICES: u32 = THREADS / LANES;
// Floats: W, or rows of a tensor.
override MATRIX: u32 = LANES * LANES;
// Vectors of four: 8 * SLICES rows of a tensor.
const BLOCK: u32 = 512u;

var<workgroup> partial: array<vec4<f32>, THREADS>;
var<workgroup> matrix: array<f32, MATRIX>;
var<workgroup> block: array<vec4<f32>, BLOCK>;
// Bits of the largest element of each tensor that a layer writes.
var<workgroup> raised: array<atomic<u32>, 4>;
// The last layer of this workgroup.
var<workgroup> ends: u32;
// What this lane has seen of each of those tensors.
var<private> seen_of: array<vec4<f32>, 4>;

// Sum over all lanes; the same value in each of them.
fn sum_lanes(thread: u32, v: vec4<f32>) -> vec4<f32> {
    partial[thread] = v;
    workgroupBarrier(); // all parts are stored
    if (thread < 16u) {
        var sum = partial[thread];
        for (var i = thread + 16u; i < THREADS; i += 16u) {
            sum += partial[i];
        }
        partial[thread] = sum;
    }
    workgroupBarrier(); // the sums of sixteen are stored
    var total = partial[0];
    for (var i = 1u; i < 16u; i += 1u) {
        total += partial[i];
    }
    workgroupBarrier(); // they are read before `partial` is used again
    return total;
}

// Sum over the lanes of the first slice (one value a column); the same value in each lane of the workgroup.
fn sum_columns(thread: u32, v: vec4<f32>) -> vec4<f32> {
    return sum_lanes(thread, select(vec4<f32>(0.0), v, thread < LANES));
}

// Eight rows of a column.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn four_rows(q: u32, step: u32, w: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(block[q], w), dot(block[q + step], w), dot(block[q + 2u * step], w), dot(block[q + 3u * step], w));
}

// Rows slice + r * SLICES of the block, r = 0 .. 8, times a column of the matrix [inner, LANES]; `quads` = inner / 4.
fn multiply_block(slice: u32, column: u32, quads: u32) -> Eight {
    var low = vec4<f32>(0.0);
    var high = vec4<f32>(0.0);
    let step = SLICES * quads;
    for (var k = 0u; k < quads; k += 1u) {
        let at = 4u * k * LANES + column;
        let w = vec4<f32>(matrix[at], matrix[at + LANES], matrix[at + 2u * LANES], matrix[at + 3u * LANES]);
        let q = slice * quads + k;
        low += four_rows(q, step, w);
        high += four_rows(q + 4u * step, step, w);
    }
    return Eight(low, high);
}

fn row_of_eight(v: Eight, r: u32) -> f32 {
    return select(v.high[r & 3u], v.low[r & 3u], r < 4u);
}

// Where a layer's tensor of `size` words a network stands behind `offset`; k: the layer's place in the range.
fn stack_place(offset: u32, k: u32, network: u32, size: u32) -> u32 {
    return offset + (k * params.stacked + network) * size;
}

// Makes what all lanes have written of a tensor theirs, with its head, which this returns. `bits`: the largest of this lane.
fn publish(thread: u32, which: u32, head: u32, network: u32, bits: u32, exponent: i32) -> Scale {
    atomicMax(&raised[which], bits);
    workgroupBarrier(); // every lane has raised the largest element
    if (thread == 0u) {
        raise_max(head, network, atomicLoad(&raised[which]));
        write_head(head, network, exponent);
    }
    storageBarrier(); // the tensor and its head are written
    return scale_of(head, network);
}

// Records the moments of tensor `which`, of which `measured` knows the flattened elements, `seen_of` what was seen of them and
// `raised` the largest. Returns the shift of what is recorded.
fn measure(thread: u32, network: u32, at: u32, which: u32, rows: u32, columns: u32, exponent: i32) -> i32 {
    let column = thread % LANES;
    let c = centre_of(thread, seen_of[which], atomicLoad(&raised[which]));
    var powers = vec4<f32>(0.0);
    for (var row = thread / LANES; column < columns && row < rows; row += SLICES) {
        powers += deviation_powers(measured(which, network, row, column), c);
    }
    record_moments(thread, network, at, c, powers, exponent);
    return c.shift;
}
