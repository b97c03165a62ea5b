// Records: 16 words a tile, written once and merged on the host in float64. Needs `records`, `heads` and `params`.
// Words of a record of moments: 0 stamp, 1 count, 2 non-finite, 3 zeros, 4 reference m (the tile's mean, rounded),
// 5..8 sums of (x - m)^k for k = 1..4 over the finite elements, 9 bits of the largest |x|, 10 exponent, 11.. as the
// kernel says.

const RECORD_WORDS: u32 = 16u;

fn powers_of(d: f32) -> vec4<f32> {
    let square = d * d;
    return vec4<f32>(d, square, square * d, square * square);
}

fn is_written(head: u32, network: u32) -> bool {
    return head == NONE || heads[head * params.networks + network].written == 1u;
}

// The stamp, but 0 where a tensor that the dispatch reads was never written: whatever stood there is not of this batch.
fn stamp_of_sources(network: u32) -> u32 {
    let written = is_written(params.source_head, network) && is_written(params.other_head, network);
    return select(0u, params.stamp, written);
}

// The same, where another dispatch had to collect exponents of the target's rows.
fn stamp_of_rows(network: u32) -> u32 {
    let collected = atomicLoad(&heads[params.target_head * params.networks + network].row_top) != 0u;
    return select(0u, stamp_of_sources(network), collected);
}

// `counts`: elements, non-finite, zeros.
fn write_moments(network: u32, at: u32, counts: vec4<f32>, mean: f32, powers: vec4<f32>, largest: u32, exponent: i32) {
    records[at] = stamp_of_sources(network);
    records[at + 1u] = u32(counts.x);
    records[at + 2u] = u32(counts.y);
    records[at + 3u] = u32(counts.z);
    records[at + 4u] = bitcast<u32>(mean);
    records[at + 5u] = bitcast<u32>(powers.x);
    records[at + 6u] = bitcast<u32>(powers.y);
    records[at + 7u] = bitcast<u32>(powers.z);
    records[at + 8u] = bitcast<u32>(powers.w);
    records[at + 9u] = largest;
    records[at + 10u] = bitcast<u32>(exponent);
}
