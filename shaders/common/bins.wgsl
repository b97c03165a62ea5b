// Histograms of |x| by its leading bits.

// Four bins an octave for 2^-127 <= |x| < 2; bin 0 also takes zero.
const BINS: u32 = 512u;

fn bin_of(x: f32) -> u32 {
    return min(abs_bits(x) >> 21u, BINS - 1u);
}
