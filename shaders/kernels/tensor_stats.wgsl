// Moments, sums of unit vectors and, for delta, moments of the bias gradient of one or two tensors [networks, row_pad,
// column_pad]. Bindings: heads; networks; first, second: the tensors (workgroup y chooses); directions: [y, network,
// row_pad] from `sample_directions`; records; histogram. Heads: source = first, other = second. With FLAG_ROWS both have
// exponents of rows, and are flattened.
// Record, two a strip: the first has moments and 11 = sum over columns of (sum of unit vectors)^2, 12 = gap sum,
// 13 = sum of the pairs' cosines, 14 = of the pairs' squared differences, 15 = samples + 65536 * pairs; the second has the
// moments of the column sums (times 2^-12). One workgroup owns a strip. Grid: (strips, tensors, networks).

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> heads: array<Head>;
@group(0) @binding(2) var<storage, read_write> networks: array<Network>;
@group(0) @binding(3) var<storage, read_write> first: array<f32>;
@group(0) @binding(4) var<storage, read_write> second: array<f32>;
@group(0) @binding(5) var<storage, read_write> directions: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> records: array<u32>;
@group(0) @binding(7) var<storage, read_write> histogram: array<atomic<u32>>;

// A column's sum over at most 4096 numbers below 2 stays below 2 after this power of two.
const SUM_SHIFT: i32 = 12;

var<workgroup> bins: array<atomic<u32>, BINS>;
var<workgroup> largest_sum: atomic<u32>;

fn element(which: u32, index: u32) -> f32 {
    if (which == 0u) {
        return first[index];
    }
    return second[index];
}

// What flattens a row and brings the tensor's largest element into [1, 2).
fn factor_of(which: u32, row: u32, top_exponent: i32, shift: i32) -> f32 {
    let exponent = row_exponent(element(which, row));
    return select(pow2(exponent - top_exponent + shift), 1.0, exponent == NO_ROW || top_exponent == NO_ROW);
}

// x times the reciprocal of its sample's norm; 0 for a sample that is zero or not finite.
fn unit(x: f32, direction: vec2<f32>) -> f32 {
    return select(0.0, (x * direction.x) * direction.y, direction.y > 0.0);
}

@compute @workgroup_size(256)
fn tensor_stats(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let network = params.first + group.z;
    let which = group.y;
    let column = group.x * LANES + thread % LANES;
    let slice = thread / LANES;
    let inside = column < params.columns;
    let base = network * params.row_pad * params.column_pad + column;
    let sample = (which * params.networks + network) * params.row_pad;
    let scale = scale_of(select(params.other_head, params.source_head, which == 0u), network);
    let with_rows = (params.flags & FLAG_ROWS) != 0u;
    let top_exponent = rows_top(select(params.other_head, params.source_head, which == 0u), network);
    let rows = rows_of(select(SLOT_OTHER, SLOT_SOURCE, which == 0u), network, params.row_pad, params.column_pad);
    let cosines = (params.flags & FLAG_COSINES) != 0u;
    let counted = (params.flags & FLAG_HISTOGRAM) != 0u;
    let of_columns = (params.flags & FLAG_COLUMN_MOMENTS) != 0u && which == 0u;
    let pairs = (params.rows + 1u) / 2u;
    if (thread == 0u) {
        atomicStore(&largest_sum, 0u);
    }
    if (counted) {
        for (var i = thread; i < BINS; i += STRIP_THREADS) {
            atomicStore(&bins[i], 0u);
        }
    }
    clear_largest(thread);

    // Elements, non-finite, zeros, sum; the column's sum of unit vectors; samples and pairs that have a direction.
    var counts = vec4<f32>(0.0);
    var units = vec4<f32>(0.0);
    var bits = 0u;
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            var valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let x = element(which, base + row * params.column_pad);
                var factor = pow2(scale.shift);
                if (with_rows) {
                    factor = factor_of(which, rows + row, top_exponent, scale.shift);
                }
                counts.x += 1.0;
                if (is_finite(x)) {
                    counts.z += select(0.0, 1.0, x == 0.0);
                    counts.w += x * factor;
                    bits = max(bits, abs_bits(x * factor));
                } else {
                    counts.y += 1.0;
                }
                if (cosines) {
                    let direction = directions[sample + row];
                    units.x += unit(x, direction);
                    if (direction.y > 0.0) {
                        units.y += 1.0;
                        valid += 1u;
                    }
                }
            }
            units.z += select(0.0, 1.0, valid == 2u);
        }
    }
    let column_units = sum_column(thread, vec4<f32>(units.x, units.y, units.z, counts.w));
    let total = sum_strip(thread, counts);
    let top = largest_of(bits);
    let mean = total.w / max(total.x - total.y, 1.0);
    let samples = column_units.y;
    let mean_unit = column_units.x / max(samples, 1.0);

    // Powers of the deviations; deviations of the unit vectors; the pairs' products.
    var powers = vec4<f32>(0.0);
    var spread = vec4<f32>(0.0);
    if (inside) {
        for (var p = slice; p < pairs; p += SLICES) {
            var previous = 0.0;
            var valid = 0u;
            for (var row = 2u * p; row < min(2u * p + 2u, params.rows); row += 1u) {
                let raw = element(which, base + row * params.column_pad);
                if (is_finite(raw)) {
                    var factor = pow2(scale.shift);
                    if (with_rows) {
                        factor = factor_of(which, rows + row, top_exponent, scale.shift);
                    }
                    let x = raw * factor;
                    powers += powers_of(x - mean);
                    if (counted) {
                        atomicAdd(&bins[bin_of(x)], 1u);
                    }
                }
                if (cosines) {
                    let direction = directions[sample + row];
                    if (direction.y > 0.0) {
                        let u = unit(raw, direction);
                        spread.x += u - mean_unit;
                        spread.y += (u - mean_unit) * (u - mean_unit);
                        valid += 1u;
                        if (valid == 2u) {
                            spread.z += u * previous;
                            spread.w += (u - previous) * (u - previous);
                        }
                        previous = u;
                    }
                }
            }
        }
    }
    let sums = sum_strip(thread, powers);
    let around = sum_column(thread, spread);
    let gap = around.y - around.x * around.x / max(samples, 1.0);
    let strip = sum_lanes(thread, vec4<f32>(column_units.x * column_units.x, gap, around.z, around.w));
    let at = params.record + which * params.other_record + network * params.record_stride + group.x * 2u * RECORD_WORDS;
    if (thread == 0u) {
        write_moments(at, total, mean, sums, top, scale.exponent);
        records[at + 11u] = bitcast<u32>(strip.x);
        records[at + 12u] = bitcast<u32>(strip.y);
        records[at + 13u] = bitcast<u32>(strip.z);
        records[at + 14u] = bitcast<u32>(strip.w);
        records[at + 15u] = u32(column_units.y) + 65536u * u32(column_units.z);
    }
    if (counted) {
        // The barriers of the sums stand between the counts and this.
        let slot = (params.histogram + which) * params.networks + network;
        for (var i = thread; i < BINS; i += STRIP_THREADS) {
            let count = atomicLoad(&bins[i]);
            if (count > 0u) {
                atomicAdd(&histogram[slot * BINS + i], count);
            }
        }
    }
    if (of_columns) {
        let mine = inside && thread < LANES;
        let sum = column_units.w * pow2(-SUM_SHIFT);
        var one = vec4<f32>(0.0);
        if (mine) {
            one = vec4<f32>(1.0, 0.0, select(0.0, 1.0, sum == 0.0), sum);
            atomicMax(&largest_sum, finite_bits(sum));
            if (counted) {
                atomicAdd(&histogram[((params.histogram + 2u) * params.networks + network) * BINS + bin_of(sum)], 1u);
            }
        }
        let all = sum_lanes(thread, one);
        let centre = all.w / max(all.x, 1.0);
        let deviations = sum_lanes(thread, select(vec4<f32>(0.0), powers_of(sum - centre), mine));
        if (thread == 0u) {
            let exponent = scale.exponent + SUM_SHIFT;
            write_moments(at + RECORD_WORDS, all, centre, deviations, atomicLoad(&largest_sum), exponent);
        }
    }
}
