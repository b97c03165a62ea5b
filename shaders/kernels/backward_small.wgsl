// The backward pass of layers `last_layer` down to `layer` of a plain network of at most LANES units, with everything that is
// recorded of phi', delta, dLoss/dW, dLoss/db and dLoss/dh. Bindings: heads; networks; stack: [W | b | z | h] of the range's
// layers (see Params); source: h below the range; grad: dLoss/dh of each network's last layer in the range, overwritten down
// to that below it; delta: scratch; columns: sums of |w| per column from `draw_weights`; records. Heads: source; weight, old =
// z, target = h, bias = delta: of the range's first layer, branch = dLoss/dh below it; the others follow. Record a layer and
// network: phi', moments of delta, of dLoss/dW (word 14 = <W, dW>), of dLoss/db with FLAG_MOMENTS, of dLoss/dh below; cosines
// of delta with FLAG_COSINES (8 words); the spread of 32 samples' norms (8 words) for all of them. FLAG_PATHS: paths run into
// a readout. One workgroup owns a network. Grid: (1, 1, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> stack: array<f32>;
@group(0) @binding(4) var<storage, read_write> source: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> columns: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> records: array<u32>;

// Words of a record before the spread.
const SPREAD_WORD: u32 = 88u;
// Vectors of four rows of dLoss/dW that a lane owns.
override OWNED: u32 = 1u;

var<workgroup> most_decay: atomic<u32>;
var<workgroup> row_top: atomic<i32>;
var<workgroup> directions: array<vec2<f32>, 32>;
// Of the layer: the sum of delta over the samples of the lane's column.
var<private> column_sum: f32;

fn element(which: u32, index: u32) -> f32 {
    return delta[index];
}

// The tensors whose moments are recorded, in this order: delta, dLoss/dW (in the matrix), dLoss/db, dLoss/dh below.
const DELTA: u32 = 0u;
const WEIGHT_GRAD: u32 = 1u;
const BIAS_GRAD: u32 = 2u;
const ACT_GRAD: u32 = 3u;

// Of the lane's tensors, the factors and exponents that `measured` flattens by.
var<private> bias_factor: f32;
var<private> tops_of: array<i32, 4>;

fn measured(which: u32, network: u32, row: u32, column: u32) -> f32 {
    let at = (network * params.row_pad + row) * params.column_pad + column;
    switch which {
        case DELTA: { return delta[at] * row_factor(row_exponent(delta[row_words(network) + row]), tops_of[DELTA]); }
        case WEIGHT_GRAD: { return matrix[row * LANES + column]; }
        case BIAS_GRAD: { return column_sum * bias_factor; }
        default: { return grad[at] * row_factor(row_exponent(grad[row_words(network) + row]), tops_of[ACT_GRAD]); }
    }
}

// Where a network's rows of dLoss/dh or delta have their exponents; both have one shape, and the first slot.
fn row_words(network: u32) -> u32 {
    return rows_of(SLOT_SOURCE, network, params.row_pad, params.column_pad);
}

// Chooses the exponents of delta's rows before it is written, as `row_powers` does; their largest is left in `row_top`.
fn choose_rows(thread: u32, network: u32, z_base: u32, u: Scale) {
    let kind = networks[network].activation;
    let p = networks[network].param;
    let limit = decay_floor(networks[network].depth);
    let words = row_words(network);
    let size = params.row_pad * params.column_pad;
    let lane = thread % 8u;
    for (var first = 0u; first < params.rows; first += 32u) {
        let row = first + thread / 8u;
        var top = NO_ROW;
        if (row < params.rows) {
            for (var c = lane; c < params.columns; c += 8u) {
                let at = row * params.column_pad + c;
                top = max(top, power_through(finite_bits(grad[network * size + at]), stack[z_base + at], u, kind, p, limit));
            }
        }
        tops[thread] = bitcast<u32>(top);
        workgroupBarrier(); // every lane's largest power is stored
        if (lane == 0u && row < params.rows) {
            for (var i = 1u; i < 8u; i += 1u) {
                top = max(top, bitcast<i32>(tops[thread + i]));
            }
            let exponent = select(row_plus(row_exponent(grad[words + row]), top), NO_ROW, top == NO_ROW);
            delta[words + row] = row_word(exponent);
            atomicMax(&row_top, exponent);
        }
        workgroupBarrier(); // the powers are read
    }
}

// delta of a layer, with the record of phi'; returns delta's scale.
fn through_activation(thread: u32, network: u32, layer: u32, k: u32, at: u32) -> Scale {
    let column = thread % LANES;
    let slice = thread / LANES;
    let pad = params.column_pad;
    let size = params.row_pad * pad;
    let inside = column < params.columns;
    let base = network * size + column;
    let z_base = stack_place(params.preacts, k, network, size);
    let words = row_words(network);
    let u = scale_of(params.old_head + k, network);
    let kind = networks[network].activation;
    let p = networks[network].param;
    let bounds = phi_bounds(network);
    if (thread == 0u) {
        atomicStore(&most_decay, 0u);
        atomicStore(&row_top, NO_ROW);
        for (var i = 0u; i < 4u; i += 1u) {
            atomicStore(&raised[i], 0u);
        }
    }
    workgroupBarrier(); // they are cleared
    choose_rows(thread, network, z_base, u);
    if (slope_may_vanish(u, kind)) {
        let limit = decay_floor(networks[network].depth);
        var least = 0u;
        for (var row = slice; inside && row < params.rows; row += SLICES) {
            least = max(least, slope_decay(stack[z_base + row * pad + column], u, kind, p, limit));
        }
        atomicMax(&most_decay, least);
    }
    storageBarrier(); // the exponents of the rows are stored
    workgroupBarrier(); // the smallest decay and the largest exponent are known
    let decay = power_of_decay(atomicLoad(&most_decay));
    let top_exponent = atomicLoad(&row_top);
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var of_phi = PhiSeen();
    for (var row = slice; column < pad && row < params.row_pad; row += SLICES) {
        var v = 0.0;
        if (inside && row < params.rows) {
            let slope = slope_at(stack[z_base + row * pad + column], u, kind, p, decay);
            let exponent = row_exponent(delta[words + row]);
            v = through_phi(grad[base + row * pad], slope, decay, row_exponent(grad[words + row]), exponent);
            let flat = v * row_factor(exponent, top_exponent);
            bits = max(bits, finite_bits(flat));
            lane_seen += seen(v, flat);
            of_phi = see_phi(of_phi, slope, bounds, decay);
        }
        delta[base + row * pad] = v;
    }
    seen_of[DELTA] = lane_seen;
    tops_of[DELTA] = top_exponent;
    let d = publish(thread, DELTA, params.bias_head + k, network, bits, top_exponent);
    let paths = layer < networks[network].depth || (params.flags & FLAG_PATHS) != 0u;
    record_phi(thread, network, at, column, inside, of_phi, decay, layer + 1u, paths, params.stamp);
    return d;
}

// Statistics of dLoss/db, as far as a lane of the first slice knows them.
fn bias_grad(thread: u32, network: u32, d: Scale) {
    let column = thread % LANES;
    let inside = column < params.columns;
    var sum = 0.0;
    for (var row = thread / LANES; inside && row < params.rows; row += SLICES) {
        sum += measured(DELTA, network, row, column);
    }
    column_sum = sum_column(thread, vec4<f32>(sum, 0.0, 0.0, 0.0)).x;
    bias_factor = pow2(d.shift) * pow2(-SUM_SHIFT);
    seen_of[BIAS_GRAD] = vec4<f32>(0.0);
    if (inside && thread < LANES) {
        let x = column_sum * bias_factor;
        seen_of[BIAS_GRAD] = seen(x, x);
        atomicMax(&raised[BIAS_GRAD], finite_bits(x));
    }
}

// The spread of the norms of delta's rows, and with FLAG_COSINES the cosines between them.
fn similarity(thread: u32, network: u32, at: u32) {
    let column = thread % LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad;
    let words = row_words(network);
    let top_exponent = atomicLoad(&row_top);
    var shift = 0.0;
    var found = false;
    var units = Units();
    for (var first = 0u; first < params.rows; first += 32u) {
        let row = first + thread / 8u;
        let norm = row_norm(thread, 0u, base + row * params.column_pad, params.columns, row < params.rows);
        var exponent = 0;
        if (thread % 8u == 0u) {
            directions[thread / 8u] = direction_of(norm);
            if (norm.valid) {
                // Relative to the largest exponent: the spread does not see what is common to all.
                exponent = row_exponent(delta[words + row]) - top_exponent;
            }
        }
        record_spread(thread, at + SPREAD_WORD + (first / 32u) * 8u, norm, exponent, params.stamp);
        let count = min(32u, params.rows - first);
        let wanted = inside && (params.flags & FLAG_COSINES) != 0u;
        for (var i = 0u; wanted && !found && i < count; i += 1u) {
            if (directions[i].y > 0.0) {
                shift = (delta[base + (first + i) * params.column_pad + column] * directions[i].x) * directions[i].y;
                found = true;
            }
        }
        for (var pair = thread / LANES; wanted && 2u * pair < count; pair += SLICES) {
            units.valid = 0u;
            for (var i = 2u * pair; i < min(2u * pair + 2u, count); i += 1u) {
                if (directions[i].y > 0.0) {
                    let x = delta[base + (first + i) * params.column_pad + column];
                    units = see_unit(units, (x * directions[i].x) * directions[i].y, shift);
                }
            }
        }
        workgroupBarrier(); // the directions are read
    }
    if ((params.flags & FLAG_COSINES) != 0u) {
        record_cosines(thread, at + 5u * RECORD_WORDS, units, params.stamp);
    }
}

// dLoss/dW = delta^T h, left in the matrix, and <W, dLoss/dW>, which is returned. The block holds rows of delta, flattened, the
// matrix rows of h; a lane owns its column of 4 * OWNED neighbouring rows of dLoss/dW.
fn weight_grad(thread: u32, network: u32, k: u32, d: Scale, h_scale: Scale, w: Scale) -> f32 {
    let column = thread % LANES;
    let slice = thread / LANES;
    let pad = params.column_pad;
    let size = params.row_pad * pad;
    let top_exponent = atomicLoad(&row_top);
    let words = row_words(network);
    let first_quad = slice * OWNED;
    let source_columns = select(params.columns, params.source_columns, k == 0u);
    let owns = column < source_columns && first_quad < LANES / 4u;
    let h_base = stack_place(params.acts, max(k, 1u) - 1u, network, size);
    // Rows that the matrix and the block both have room for.
    let rows = min(LANES, 4u * BLOCK / LANES);
    var sums = array<vec4<f32>, 4>();
    var g0 = vec4<f32>(0.0);
    var g1 = vec4<f32>(0.0);
    var g2 = vec4<f32>(0.0);
    var g3 = vec4<f32>(0.0);
    for (var first = 0u; first < params.rows; first += rows) {
        let count = min(rows, params.rows - first);
        workgroupBarrier(); // block and matrix are read
        for (var i = thread; i < count * LANES; i += THREADS) {
            let row = first + i / LANES;
            let j = i % LANES;
            var h = 0.0;
            if (j < pad) {
                if (k == 0u) {
                    h = source[network * size + row * pad + j];
                } else {
                    h = stack[h_base + row * pad + j];
                }
            }
            matrix[i] = h;
        }
        for (var i = thread; i < count * (LANES / 4u); i += THREADS) {
            let row = first + i / (LANES / 4u);
            let j = 4u * (i % (LANES / 4u));
            var v = vec4<f32>(0.0);
            if (j < pad) {
                let from_base = network * size + row * pad + j;
                v = vec4<f32>(delta[from_base], delta[from_base + 1u], delta[from_base + 2u], delta[from_base + 3u]);
                v *= row_factor(row_exponent(delta[words + row]), top_exponent);
            }
            block[i] = v;
        }
        workgroupBarrier(); // block and matrix are stored
        if (owns) {
            for (var r = 0u; r < count; r += 1u) {
                let h = matrix[r * LANES + column];
                let q = r * (LANES / 4u) + first_quad;
                g0 += block[q] * h;
                if (OWNED > 1u) {
                    g1 += block[q + 1u] * h;
                    g2 += block[q + 2u] * h;
                    g3 += block[q + 3u] * h;
                }
            }
        }
    }
    let w_base = stack_place(0u, k, network, pad * pad) + column;
    sums[0] = g0;
    sums[1] = g1;
    sums[2] = g2;
    sums[3] = g3;
    workgroupBarrier(); // the matrix is read
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    var dot_weight = 0.0;
    for (var i = 0u; i < 4u * OWNED; i += 1u) {
        let row = 4u * first_quad + i;
        if (owns && row < params.columns) {
            let x = ((sums[i / 4u][i % 4u] * pow2(d.shift)) * pow2(h_scale.shift)) * pow2(-SUM_SHIFT);
            matrix[row * LANES + column] = x;
            lane_seen += seen(x, x);
            bits = max(bits, finite_bits(x));
            dot_weight += select(0.0, (stack[w_base + row * pad] * pow2(w.shift)) * x, is_finite(x));
        }
    }
    seen_of[WEIGHT_GRAD] = lane_seen;
    atomicMax(&raised[WEIGHT_GRAD], bits);
    return sum_lanes(thread, vec4<f32>(dot_weight, 0.0, 0.0, 0.0)).x;
}

// dLoss/dh below a layer = W^T delta, in place of dLoss/dh above it.
fn through_weights(thread: u32, network: u32, k: u32, d: Scale, w: Scale) {
    let column = thread % LANES;
    let slice = thread / LANES;
    let pad = params.column_pad;
    let size = params.row_pad * pad;
    let quads = pad / 4u;
    let added = w.exponent - d.shift;
    let top_exponent = select(row_plus(atomicLoad(&row_top), added), NO_ROW, d.zero || w.zero);
    let words = row_words(network);
    let base = network * size;
    let logical = select(params.columns, params.source_columns, k == 0u);
    let weights = stack_place(0u, k, network, pad * pad);
    for (var i = thread; i < pad * pad; i += THREADS) {
        matrix[(i / pad) * LANES + i % pad] = stack[weights + i];
    }
    let rows = 8u * SLICES;
    var bits = 0u;
    var lane_seen = vec4<f32>(0.0);
    for (var first = 0u; first < params.row_pad; first += rows) {
        workgroupBarrier(); // the block is read
        for (var i = thread; i < rows * quads; i += THREADS) {
            let inside = first + i / quads < params.rows;
            let from_base = base + select(0u, first * pad + 4u * i, inside);
            let v = vec4<f32>(delta[from_base], delta[from_base + 1u], delta[from_base + 2u], delta[from_base + 3u]);
            block[i] = select(vec4<f32>(0.0), v, inside);
        }
        workgroupBarrier(); // the block and the matrix are stored
        let product = multiply_block(slice, column, quads);
        for (var r = 0u; r < 8u; r += 1u) {
            let row = first + r * SLICES + slice;
            if (row < params.row_pad && column < pad) {
                let inside = row < params.rows && column < logical;
                var exponent = NO_ROW;
                if (row < params.rows && top_exponent != NO_ROW) {
                    exponent = row_plus(row_exponent(delta[words + row]), added);
                }
                let v = select(0.0, (row_of_eight(product, r) * pow2(d.shift)) * pow2(w.shift), inside);
                grad[base + row * pad + column] = v;
                if (column == 0u) {
                    grad[words + row] = row_word(exponent);
                }
                if (inside) {
                    let flat = v * row_factor(exponent, top_exponent);
                    bits = max(bits, finite_bits(flat));
                    lane_seen += seen(v, flat);
                }
            }
        }
    }
    seen_of[ACT_GRAD] = lane_seen;
    tops_of[ACT_GRAD] = top_exponent;
    publish(thread, ACT_GRAD, params.branch_head + k, network, bits, top_exponent);
}

fn layer_back(thread: u32, network: u32, k: u32) {
    let at = params.record + (k * params.stacked + network) * params.record_stride;
    let source_columns = select(params.columns, params.source_columns, k == 0u);
    let h = scale_of(select(params.target_head + k - 1u, params.source_head, k == 0u), network);
    let w = scale_of(params.weight_head + k, network);
    let d = through_activation(thread, network, params.layer + k, k, at);
    through_weights(thread, network, k, d, w);
    similarity(thread, network, at);
    if ((params.flags & FLAG_MOMENTS) != 0u) {
        bias_grad(thread, network, d);
    }
    let dots = weight_grad(thread, network, k, d, h, w);
    tops_of[WEIGHT_GRAD] = d.exponent + h.exponent + SUM_SHIFT;
    tops_of[BIAS_GRAD] = d.exponent + SUM_SHIFT;
    for (var which = 0u; which < 4u; which += 1u) {
        if (which != BIAS_GRAD || (params.flags & FLAG_MOMENTS) != 0u) {
            let to = at + (which + 1u) * RECORD_WORDS;
            let by_column = which == WEIGHT_GRAD || which == ACT_GRAD;
            let columns_here = select(params.columns, source_columns, by_column);
            let rows = select(select(params.rows, params.columns, which == WEIGHT_GRAD), 1u, which == BIAS_GRAD);
            let shift = measure(thread, network, to, which, rows, columns_here, tops_of[which]);
            if (thread == 0u && which == WEIGHT_GRAD) {
                records[to + 11u] = bitcast<u32>(w.exponent);
                records[to + 14u] = bitcast<u32>(dots * pow2(shift));
            }
        }
    }
}

@compute @workgroup_size(256)
fn backward_small(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    if (thread == 0u) {
        let last = min(params.last_layer, networks[network].depth);
        let ready = last >= params.layer && is_written(params.branch_head + last + 1u - params.layer, network);
        ends = select(0u, last + 1u - params.layer, ready);
    }
    let layers = workgroupUniformLoad(&ends);
    for (var left = layers; left > 0u; left -= 1u) {
        layer_back(thread, network, left - 1u);
    }
}
