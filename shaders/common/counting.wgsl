// Counts what a workgroup has just written, in its own memory first. Needs bins, `histogram` ([slot, network, SLOT_WORDS]) and
// THREADS. `clear_bins`, a barrier, `count`, a barrier, `add_bins`.

// BINS where the pipeline counts; the others need no memory for it.
override BIN_SPACE: u32 = 1u;

var<workgroup> bins: array<atomic<u32>, BIN_SPACE>;
// Zeros, of which there may be many, are counted lane by lane.
var<private> zeros: u32;

fn counts() -> bool {
    return BIN_SPACE > 1u;
}

fn clear_bins(thread: u32) {
    if (counts()) {
        zeros = 0u;
        for (var i = thread; i < BINS; i += THREADS) {
            atomicStore(&bins[i], 0u);
        }
    }
}

fn count(x: f32) {
    if (counts() && x == 0.0) {
        zeros += 1u;
    } else if (counts() && is_finite(x)) {
        atomicAdd(&bins[bin_of(x)], 1u);
    }
}

// Takes back what an earlier dispatch has counted. Bins wrap around, and so does the sum in the slot.
fn uncount(x: f32) {
    if (counts() && x == 0.0) {
        zeros -= 1u;
    } else if (counts() && is_finite(x)) {
        atomicSub(&bins[bin_of(x)], 1u);
    }
}

fn add_bins(thread: u32, network: u32, slot: u32, exponent: i32) {
    if (counts()) {
        let base = (slot * params.networks + network) * SLOT_WORDS;
        if (zeros != 0u) {
            atomicAdd(&histogram[base], zeros);
        }
        for (var i = thread; i < BINS; i += THREADS) {
            let here = atomicLoad(&bins[i]);
            if (here != 0u) {
                atomicAdd(&histogram[base + i], here);
            }
        }
        // The same from every workgroup.
        if (thread == 0u) {
            atomicStore(&histogram[base + BINS], bitcast<u32>(exponent));
        }
    }
}
