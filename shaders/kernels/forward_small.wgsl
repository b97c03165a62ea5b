// The forward pass of layers `layer` ..= `last_layer` of a plain network of at most LANES units, with all statistics of z and
// h. Bindings: heads; networks; stack: [W | b | z | h] of the range's layers, W and b drawn (see Params); source: h below the
// range [networks, row_pad, column_pad]; records. Heads: source; weight, bias, old = z, target = h: of the range's first
// layer, the others follow. Record a layer and network: moments of z, of h; with FLAG_COSINES the cosines of z, of h, 8 words
// each. One workgroup owns a network. Grid: (1, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> stack: array<f32>;
@group(0) @binding(4) var<storage, read_write> source: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<u32>;

var<workgroup> most_tail: atomic<u32>;
var<workgroup> any_grown: atomic<u32>;
// Where z and h of the layer stand in the stack.
var<private> bases: array<u32, 2>;
// Of 32 samples of z and of h.
var<workgroup> directions: array<array<vec2<f32>, 32>, 2>;

fn element(which: u32, index: u32) -> f32 {
    return stack[index];
}

// z or h of the layer.
fn measured(which: u32, network: u32, row: u32, column: u32) -> f32 {
    return stack[bases[which] + row * params.column_pad + column];
}

// Four neighbouring elements of h below layer `layer`.
fn below(k: u32, network: u32, index: u32) -> vec4<f32> {
    let size = params.row_pad * params.column_pad;
    if (k == 0u) {
        let at = network * size + index;
        return vec4<f32>(source[at], source[at + 1u], source[at + 2u], source[at + 3u]);
    }
    let at = stack_place(params.acts, k - 1u, network, size) + index;
    return vec4<f32>(stack[at], stack[at + 1u], stack[at + 2u], stack[at + 3u]);
}

// Writes z of a layer; returns the bits of this lane's largest element.
fn preacts(thread: u32, network: u32, k: u32, join: Affine) -> u32 {
    let column = thread % LANES;
    let slice = thread / LANES;
    let pad = params.column_pad;
    let quads = pad / 4u;
    // W transposed: lanes of neighbouring columns read neighbours.
    let weights = stack_place(0u, k, network, pad * pad);
    for (var i = thread; i < pad * pad; i += THREADS) {
        matrix[(i % pad) * LANES + i / pad] = stack[weights + i];
    }
    var bias = 0.0;
    if (params.bias_head != NONE && column < pad) {
        bias = stack[stack_place(params.biases, k, network, 8u * pad) + column];
    }
    let target_base = stack_place(params.preacts, k, network, params.row_pad * pad) + column;
    let rows = 8u * SLICES;
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    for (var first = 0u; first < params.row_pad; first += rows) {
        workgroupBarrier(); // the block is read
        for (var i = thread; i < rows * quads; i += THREADS) {
            let inside = first + i / quads < params.row_pad;
            block[i] = select(vec4<f32>(0.0), below(k, network, select(0u, first * pad + 4u * i, inside)), inside);
        }
        workgroupBarrier(); // the block and the matrix are stored
        let product = multiply_block(slice, column, quads);
        let z = Eight(affine(join, product.low, vec4<f32>(bias)), affine(join, product.high, vec4<f32>(bias)));
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first + r * SLICES + slice;
            if (row < params.row_pad && column < pad) {
                let inside = row < params.rows && column < params.columns;
                let v = select(0.0, row_of_eight(z, r), inside);
                stack[target_base + row * pad] = v;
                if (inside) {
                    bits = max(bits, finite_bits(v));
                    lane_seen += seen(v, v);
                }
            }
        }
    }
    seen_of[0] = lane_seen;
    return bits;
}

// Cosines between the samples of z and of h.
fn similarities(thread: u32, at: u32) {
    let column = thread % LANES;
    let inside = column < params.columns;
    var shift = vec2<f32>(0.0);
    var found = vec2<bool>(false);
    var units = array<Units, 2>();
    for (var first = 0u; first < params.rows; first += 32u) {
        let row = first + thread / 8u;
        for (var which = 0u; which < 2u; which += 1u) {
            let norm = row_norm(thread, which, bases[which] + row * params.column_pad, params.columns, row < params.rows);
            if (thread % 8u == 0u) {
                directions[which][thread / 8u] = direction_of(norm);
            }
        }
        workgroupBarrier(); // the directions are stored
        let count = min(32u, params.rows - first);
        for (var which = 0u; which < 2u; which += 1u) {
            let base = bases[which] + first * params.column_pad + column;
            for (var i = 0u; inside && !found[which] && i < count; i += 1u) {
                let direction = directions[which][i];
                if (direction.y > 0.0) {
                    shift[which] = (stack[base + i * params.column_pad] * direction.x) * direction.y;
                    found[which] = true;
                }
            }
            for (var p = thread / LANES; inside && 2u * p < count; p += SLICES) {
                units[which].valid = 0u;
                for (var i = 2u * p; i < min(2u * p + 2u, count); i += 1u) {
                    let direction = directions[which][i];
                    if (direction.y > 0.0) {
                        let unit = (stack[base + i * params.column_pad] * direction.x) * direction.y;
                        units[which] = see_unit(units[which], unit, shift[which]);
                    }
                }
            }
        }
        workgroupBarrier(); // the directions are read
    }
    for (var which = 0u; which < 2u; which += 1u) {
        record_cosines(thread, at + 8u * which, units[which], params.stamp);
    }
}

fn layer_forward(thread: u32, network: u32, k: u32) {
    let column = thread % LANES;
    let slice = thread / LANES;
    let pad = params.column_pad;
    let size = params.row_pad * pad;
    let inside = column < params.columns;
    let h_below = scale_of(select(params.target_head + k - 1u, params.source_head, k == 0u), network);
    let w = scale_of(params.weight_head + k, network);
    let b = scale_of(select(params.bias_head + k, NONE, params.bias_head == NONE), network);
    let join = affine_of(h_below, w, b);
    bases[0] = stack_place(params.preacts, k, network, size);
    bases[1] = stack_place(params.acts, k, network, size);
    if (thread == 0u) {
        atomicStore(&most_tail, 0u);
        atomicStore(&any_grown, 0u);
        atomicStore(&raised[0], 0u);
        atomicStore(&raised[1], 0u);
    }
    // The barriers of `preacts` stand between these and what raises them.
    let u = publish(thread, 0u, params.old_head + k, network, preacts(thread, network, k, join), join.exponent);
    let f = phi_of(network, u);
    var tail_bits = 0u;
    var grown = 0u;
    for (var row = slice; inside && row < params.rows; row += SLICES) {
        let raw = stack[bases[0] + row * pad + column];
        grown |= phi_grows(f, raw);
        if (f.decaying) {
            tail_bits = max(tail_bits, phi_decay(f, raw));
        }
    }
    atomicMax(&most_tail, tail_bits);
    atomicMax(&any_grown, grown);
    workgroupBarrier(); // the smallest decay, and whether anything grows, are known
    let tail = power_of_decay(atomicLoad(&most_tail));
    let flat = phi_all_flat(f, atomicLoad(&any_grown));
    var exponents = array<i32, 2>(join.exponent, select(select(phi_exponent(f), -tail, tail > 0), 0, flat));
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    for (var row = slice; column < pad && row < params.row_pad; row += SLICES) {
        var h = 0.0;
        if (inside && row < params.rows) {
            let raw = stack[bases[0] + row * pad + column];
            if (!flat && tail > 0) {
                h = phi_of_tail(f, raw, tail);
            } else {
                h = phi_at(f, raw, flat);
            }
            bits = max(bits, finite_bits(h));
            lane_seen += seen(h, h);
        }
        stack[bases[1] + row * pad + column] = h;
    }
    seen_of[1] = lane_seen;
    publish(thread, 1u, params.target_head + k, network, bits, exponents[1]);
    let at = params.record + (k * params.stacked + network) * params.record_stride;
    for (var which = 0u; which < 2u; which += 1u) {
        measure(thread, network, at + which * RECORD_WORDS, which, params.rows, params.columns, exponents[which]);
    }
    if ((params.flags & FLAG_COSINES) != 0u) {
        similarities(thread, at + 2u * RECORD_WORDS);
    }
}

@compute @workgroup_size(256)
fn forward_small(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    if (thread == 0u) {
        let ready = is_written(params.source_head, network) && is_written(params.weight_head, network);
        ends = select(0u, min(params.last_layer, networks[network].depth), ready);
    }
    let last = workgroupUniformLoad(&ends);
    for (var layer = params.layer; layer <= last; layer += 1u) {
        layer_forward(thread, network, layer - params.layer);
    }
}
