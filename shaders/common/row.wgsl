// Rows: a workgroup of 256 lanes owns 32 rows, eight neighbouring lanes each.

const THREADS: u32 = 256u;

var<workgroup> row_parts: array<vec2<f32>, 256>;
var<workgroup> largest: atomic<u32>;

// Sum over the eight lanes of a row, in their order; the same value in each.
fn sum_row(thread: u32, v: vec2<f32>) -> vec2<f32> {
    row_parts[thread] = v;
    workgroupBarrier(); // all parts are stored
    let start = thread - thread % 8u;
    var total = row_parts[start];
    for (var i = 1u; i < 8u; i += 1u) {
        total += row_parts[start + i];
    }
    workgroupBarrier(); // the parts are read before they are used again
    return total;
}

// Smallest of the first and largest of the second over the eight lanes of a row.
fn bounds_row(thread: u32, v: vec2<f32>) -> vec2<f32> {
    row_parts[thread] = v;
    workgroupBarrier(); // all parts are stored
    let start = thread - thread % 8u;
    var bounds = v;
    for (var i = 0u; i < 8u; i += 1u) {
        bounds = vec2<f32>(min(bounds.x, row_parts[start + i].x), max(bounds.y, row_parts[start + i].y));
    }
    workgroupBarrier(); // the parts are read before they are used again
    return bounds;
}

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
