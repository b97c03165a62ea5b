// Sums over all lanes of a workgroup, THREADS of them (a power of two), in a fixed order.

var<workgroup> lane_parts: array<vec4<f32>, THREADS>;

// The same value in each lane.
fn sum_lanes(thread: u32, v: vec4<f32>) -> vec4<f32> {
    lane_parts[thread] = v;
    workgroupBarrier(); // all parts are stored
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        if (thread < step) {
            lane_parts[thread] += lane_parts[thread + step];
        }
        workgroupBarrier(); // this round's sums are stored
    }
    let total = lane_parts[0];
    workgroupBarrier(); // the total is read before the parts are used again
    return total;
}
