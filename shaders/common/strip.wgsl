// A strip: one workgroup of 256 lanes owns 32 neighbouring columns of one network's tensor, all rows. Lane = column,
// slice = every eighth row, so that sums over the rows of a column end inside the workgroup. Sums run in a fixed order.

const LANES: u32 = 32u;
const SLICES: u32 = 8u;
const THREADS: u32 = 256u;

var<workgroup> partial: array<vec4<f32>, THREADS>;
var<workgroup> largest: atomic<u32>;

// Smallest of the first and largest of the second over the slices of a column.
fn bounds_column(thread: u32, v: vec2<f32>) -> vec2<f32> {
    partial[thread] = vec4<f32>(v, 0.0, 0.0);
    workgroupBarrier(); // all parts are stored
    var bounds = v;
    for (var s = 0u; s < SLICES; s += 1u) {
        let part = partial[s * LANES + thread % LANES];
        bounds = vec2<f32>(min(bounds.x, part.x), max(bounds.y, part.y));
    }
    workgroupBarrier(); // the parts are read before `partial` is used again
    return bounds;
}

// Sum over all lanes; the same value in each of them.
fn sum_lanes(thread: u32, v: vec4<f32>) -> vec4<f32> {
    partial[thread] = v;
    workgroupBarrier(); // all parts are stored
    if (thread < LANES) {
        var column = partial[thread];
        for (var s = 1u; s < SLICES; s += 1u) {
            column += partial[s * LANES + thread];
        }
        partial[thread] = column;
    }
    workgroupBarrier(); // the sums of the columns are stored
    if (thread < 4u) {
        var eight = partial[thread];
        for (var lane = thread + 4u; lane < LANES; lane += 4u) {
            eight += partial[lane];
        }
        partial[thread] = eight;
    }
    workgroupBarrier(); // the sums of eight columns are stored
    if (thread == 0u) {
        partial[0] = (partial[0] + partial[1]) + (partial[2] + partial[3]);
    }
    workgroupBarrier(); // the total is stored
    let total = partial[0];
    workgroupBarrier(); // the total is read before `partial` is used again
    return total;
}

// Sum over the lanes of the first slice (one value a column); the same value in each lane of the workgroup.
fn sum_columns(thread: u32, v: vec4<f32>) -> vec4<f32> {
    return sum_lanes(thread, select(vec4<f32>(0.0), v, thread < LANES));
}

// The largest of all lanes' bits. Every lane must have passed a barrier since `clear_largest`.
fn clear_largest(thread: u32) {
    if (thread == 0u) {
        atomicStore(&largest, 0u);
    }
    workgroupBarrier(); // `largest` is 0
}

fn largest_of(bits: u32) -> u32 {
    atomicMax(&largest, bits);
    workgroupBarrier(); // every lane has raised `largest`
    return atomicLoad(&largest);
}
