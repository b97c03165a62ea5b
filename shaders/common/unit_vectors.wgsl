// Differences between the samples' unit vectors, for their cosines, by column. Needs strip and `records`.

// Of unit vectors less the first sample's, which keeps their differences exact where all are nearly parallel.
struct Units {
    // Sum and sum of squares over samples that have a direction; their pairs' squared differences; samples.
    seen: vec4<f32>,
    pairs: f32,
    // Within a pair: how many of its samples have a direction, and the last one's element.
    valid: u32,
    previous: f32,
}

// The next sample of a pair; `valid` starts at 0 with each.
fn see_unit(before: Units, unit: f32, shift: f32) -> Units {
    var units = before;
    let u = unit - shift;
    units.seen += vec4<f32>(u, u * u, 0.0, 1.0);
    units.valid += 1u;
    if (units.valid == 2u) {
        units.seen.z += (unit - units.previous) * (unit - units.previous);
        units.pairs += 1.0;
    }
    units.previous = unit;
    return units;
}

// Record: stamp, sum over samples and the strip's columns of |u - mean|^2, of the pairs' squared differences, samples, pairs.
fn record_cosines(thread: u32, at: u32, units: Units, stamp: u32) {
    let column_seen = sum_column(thread, units.seen);
    let samples = column_seen.w;
    // |u - mean|^2 is the same with the shift and without.
    let gap = column_seen.y - column_seen.x * column_seen.x / max(samples, 1.0);
    let strip = sum_columns(thread, vec4<f32>(gap, column_seen.z, 0.0, 0.0));
    let of_pairs = sum_column(thread, vec4<f32>(units.pairs, 0.0, 0.0, 0.0));
    if (thread == 0u) {
        records[at] = stamp;
        records[at + 1u] = bitcast<u32>(strip.x);
        records[at + 2u] = bitcast<u32>(strip.y);
        records[at + 3u] = u32(samples);
        records[at + 4u] = u32(of_pairs.x);
    }
}
