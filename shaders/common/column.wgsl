// Over the slices of a column, where lane `thread` is at column thread % LANES of slice thread / LANES: in a strip or in a
// whole network, whose files have `partial`, LANES and SLICES.

// Sum over the slices of a column; the same value in each of them.
fn sum_column(thread: u32, v: vec4<f32>) -> vec4<f32> {
    partial[thread] = v;
    workgroupBarrier(); // all parts are stored
    var total = vec4<f32>(0.0);
    for (var s = 0u; s < SLICES; s += 1u) {
        total += partial[s * LANES + thread % LANES];
    }
    workgroupBarrier(); // the parts are read before `partial` is used again
    return total;
}

// Largest over the slices of a column.
fn max_column(thread: u32, v: f32) -> f32 {
    partial[thread].x = v;
    workgroupBarrier(); // all parts are stored
    var top = partial[thread % LANES].x;
    for (var s = 1u; s < SLICES; s += 1u) {
        top = max(top, partial[s * LANES + thread % LANES].x);
    }
    workgroupBarrier(); // the parts are read before `partial` is used again
    return top;
}
