// Evaluates the activation table on a list of arguments: the check of `doctor` and of the tests.
// Bindings: arguments: [rows]; results: [rows, 3] = phi, factor and decay of phi'. Params: draw = activation number,
// other_head = bits of the parameter. One lane owns one argument. Grid: (ceil(rows / 64), 1, 1).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> arguments: array<f32>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(64)
fn activation_table(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= params.rows) {
        return;
    }
    let p = bitcast<f32>(params.other_head);
    let u = arguments[id.x];
    let grad = activation_grad(params.draw, u, p);
    results[3u * id.x] = activation_value(params.draw, u, p);
    results[3u * id.x + 1u] = grad.x;
    results[3u * id.x + 2u] = grad.y;
}
