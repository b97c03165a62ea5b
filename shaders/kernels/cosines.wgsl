// Differences between the samples' unit vectors, for their cosines, of one or two tensors [networks, row_pad, column_pad], by
// the reciprocal norms of whole rows from `sample_directions`. Bindings: first, second: the tensors (workgroup y chooses);
// directions: [y, network, row_pad]; records. A record a strip (common/unit_vectors.wgsl). One workgroup owns a strip. Grid:
// (strips, tensors, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> first: array<f32>;
@group(0) @binding(2) var<storage, read_write> second: array<f32>;
@group(0) @binding(3) var<storage, read_write> directions: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;

fn element(which: u32, index: u32) -> f32 {
    if (which == 0u) {
        return first[index];
    }
    return second[index];
}

@compute @workgroup_size(256)
fn cosines(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let which = group.y;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let sample = (which * params.networks + network) * params.row_pad;
    let pairs = (params.rows + 1u) / 2u;

    var shift = 0.0;
    for (var row = 0u; inside && row < params.rows; row += 1u) {
        let direction = directions[sample + row];
        if (direction.y > 0.0) {
            shift = (element(which, base + row * params.column_pad) * direction.x) * direction.y;
            break;
        }
    }
    var units = Units();
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            units.valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let direction = directions[sample + row];
                if (direction.y > 0.0) {
                    let unit = (element(which, base + row * params.column_pad) * direction.x) * direction.y;
                    units = see_unit(units, unit, shift);
                }
            }
        }
    }
    let at = params.record + which * params.other_record + network * params.record_stride + group.x * 8u;
    record_cosines(thread, at, units, params.stamp);
}
