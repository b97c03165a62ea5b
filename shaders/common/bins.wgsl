// Histograms of |x'| by its leading bits: four bins an octave over all of f32's range, so that a kernel can count what it
// writes without knowing the largest element.

const BINS: u32 = 1024u;
// A slot: the bins, then the exponent e of what was counted, x = x' * 2^e.
const SLOT_WORDS: u32 = 1025u;

fn bin_of(x: f32) -> u32 {
    return abs_bits(x) >> 21u;
}
