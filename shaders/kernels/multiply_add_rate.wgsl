// The adapter's rate of multiplying and adding, in the form that the products have: every lane carries eight vec4s through
// `rows` steps that nothing can skip. Bindings: results: a vec4 a lane. Grid: (groups, 1, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> results: array<vec4<f32>>;

@compute @workgroup_size(256)
fn multiply_add_rate(@builtin(global_invocation_id) id: vec3<u32>) {
    // Below 1 (`columns` is 1, which the compiler does not know), so that numbers converge and never overflow.
    let factor = vec4<f32>(0.5, 0.25, 0.75, 0.125) * f32(params.columns);
    let step = vec4<f32>(f32(id.x % 64u + 1u));
    var c0 = step;
    var c1 = step + 1.0;
    var c2 = step + 2.0;
    var c3 = step + 3.0;
    var c4 = step + 4.0;
    var c5 = step + 5.0;
    var c6 = step + 6.0;
    var c7 = step + 7.0;
    for (var i = 0u; i < params.rows; i += 1u) {
        c0 = c0 * factor + step;
        c1 = c1 * factor + step;
        c2 = c2 * factor + step;
        c3 = c3 * factor + step;
        c4 = c4 * factor + step;
        c5 = c5 * factor + step;
        c6 = c6 * factor + step;
        c7 = c7 * factor + step;
    }
    results[id.x] = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
}
