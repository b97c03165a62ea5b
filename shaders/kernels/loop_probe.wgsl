// Counts to `rows` in one invocation: some software drivers silently stop after 65,535 iterations, and the engine must
// know. Bindings: results: [3] = stamp, count, mix. Grid: (1, 1, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;

@compute @workgroup_size(1)
fn loop_probe() {
    var count = 0u;
    var mix = params.stamp;
    for (var i = 0u; i < params.rows; i += 1u) {
        // The sum depends on every iteration in a way that a compiler does not fold.
        mix = mix * 1664525u + 1013904223u;
        count += 1u + (mix >> 31u) - (mix >> 31u);
    }
    results[0] = params.stamp;
    results[1] = count;
    results[2] = mix;
}
