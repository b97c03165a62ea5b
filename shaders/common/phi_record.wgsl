// The record of phi' and of the path factors out of a strip's units. Needs networks, `columns`, records, strip, slope.
// Words: stamp, sum phi', sum phi'^2, the strip's D (phi' stored = phi' * 2^D), path sums |f|, f^2, largest f, exponent of
// the strip's weights, elements, saturated, active, units, dead units, 1 where there are paths.

// Where phi' counts as saturated, and where a unit is flat.
struct PhiBounds {
    saturation: f32,
    knee: vec2<f32>,
    flat_set: vec2<f32>,
}

fn phi_bounds(network: u32) -> PhiBounds {
    return PhiBounds(
        networks[network].saturation,
        vec2<f32>(networks[network].knee_below, networks[network].knee_above),
        vec2<f32>(networks[network].flat_below, networks[network].flat_above),
    );
}

// What a lane has seen of phi'.
struct PhiSeen {
    // Sums of phi', |phi'|, phi'^2; elements that are not flat.
    sums: vec4<f32>,
    // Elements, saturated, active.
    counts: vec4<f32>,
    highest: f32,
}

fn see_phi(before: PhiSeen, s: Slope, bounds: PhiBounds, decay: i32) -> PhiSeen {
    var now = before;
    now.counts.x += 1.0;
    if (is_finite(s.value)) {
        now.sums += vec4<f32>(s.value, abs(s.value), s.value * s.value, 0.0);
        now.highest = max(now.highest, abs(s.value));
        let beyond = s.x <= bounds.knee.x || s.x >= bounds.knee.y;
        now.counts.y += select(0.0, 1.0, beyond && abs(s.value) * pow2(-decay) < bounds.saturation);
        now.counts.z += select(0.0, 1.0, s.x > 0.0);
    }
    let flat_here = is_finite(s.x) && (s.x <= bounds.flat_set.x || s.x >= bounds.flat_set.y);
    now.sums.w += select(1.0, 0.0, flat_here);
    return now;
}

// `inside`: the lane's column exists; `next_layer`: whose weights the paths run through.
fn record_phi(
    thread: u32, network: u32, at: u32, column: u32, inside: bool, seen: PhiSeen, decay: i32, next_layer: u32, paths: bool,
    stamp: u32,
) {
    let column_sums = sum_column(thread, seen.sums);
    let column_top = max_column(thread, seen.highest);
    var share = vec4<f32>(0.0);
    var units = vec4<f32>(0.0);
    // The weights' sums come in strips of 32 columns with an exponent each.
    var weight_exponent = -ROW_LIMIT;
    let of_layer = (next_layer * params.networks + network) * params.path_stride;
    for (var i = column - thread % LANES; paths && i < min(column - thread % LANES + LANES, params.columns); i += 32u) {
        weight_exponent = max(weight_exponent, i32(columns[of_layer + i].w));
    }
    if (inside && thread < LANES) {
        units = vec4<f32>(1.0, select(0.0, 1.0, column_sums.w == 0.0), 0.0, 0.0);
        if (paths) {
            let of_weights = columns[of_layer + column];
            let down = pow2(i32(of_weights.w) - weight_exponent);
            share = vec4<f32>(of_weights.x * column_sums.y, of_weights.y * column_sums.z, of_weights.z * column_top, 0.0);
            share *= vec4<f32>(down, down * down, down, 0.0);
        }
    }
    // A loop, so that a compiler meets the barriers once. `share` and `units` are 0 beyond the first slice.
    var totals = array<vec4<f32>, 3>(
        vec4<f32>(seen.sums.x, seen.sums.z, seen.counts.y, seen.counts.z),
        vec4<f32>(share.x, share.y, units.x, units.y),
        seen.counts,
    );
    for (var i = 0u; i < 3u; i += 1u) {
        totals[i] = sum_lanes(thread, totals[i]);
    }
    let total = totals[0];
    let path = totals[1];
    partial[thread].x = select(0.0, share.z, thread < LANES);
    workgroupBarrier(); // the columns' largest factors are stored
    if (thread == 0u) {
        var path_top = 0.0;
        for (var lane = 0u; lane < LANES; lane += 1u) {
            path_top = max(path_top, partial[lane].x);
        }
        records[at] = stamp;
        records[at + 1u] = bitcast<u32>(total.x);
        records[at + 2u] = bitcast<u32>(total.y);
        records[at + 3u] = bitcast<u32>(decay);
        records[at + 4u] = bitcast<u32>(path.x);
        records[at + 5u] = bitcast<u32>(path.y);
        records[at + 6u] = bitcast<u32>(path_top);
        records[at + 7u] = bitcast<u32>(weight_exponent);
        records[at + 8u] = u32(totals[2].x);
        records[at + 9u] = u32(total.z);
        records[at + 10u] = u32(total.w);
        records[at + 11u] = u32(path.z);
        records[at + 12u] = u32(path.w);
        records[at + 13u] = select(0u, 1u, paths);
    }
    workgroupBarrier(); // `partial` is read
}
