//! Normal draws from 32 random bits by integer arithmetic: sign, a 31-bit tail, one segment per leading zero of the
//! tail, 256 cells a segment, linear interpolation inside a cell. The table is computed once from the inverse normal
//! distribution with a portable libm, so its integers are the same everywhere; a test fixes its hash.

use std::sync::LazyLock;

/// Normal draws are `i * 2^-NORMAL_SCALE_LOG2`; the largest is 6.34 * 2^21 < 2^24.
pub const NORMAL_SCALE_LOG2: i32 = 21;
/// Cells per octave of the tail probability.
pub const CELLS: usize = 256;
/// Octaves of the 31-bit tail.
pub const OCTAVES: usize = 31;

/// Length of the table: `OCTAVES * CELLS + 1` entries are in use.
const PADDED: usize = 8192;
/// The table of node values.
pub type Table = [i32; PADDED];

/// Node values x * 2^21 at the borders of the cells, by increasing tail integer t (so decreasing x): entry
/// `octave * 256 + cell` belongs to t = 2^octave (1 + cell/256), octave = floor(log2 t), and the upper tail of the normal
/// distribution beyond x is (t + 1/2) / 2^32. One entry more closes the last cell (x = 0).
pub static TABLE: LazyLock<Box<Table>> = LazyLock::new(|| {
    // Each quantile starts from the one before.
    let mut x = None;
    let mut nodes: Vec<i32> = (0..OCTAVES * CELLS)
        .map(|i| {
            let t = ((1u64 << (i / CELLS)) as f64) * (1.0 + (i % CELLS) as f64 / CELLS as f64);
            let quantile = upper_quantile((t + 0.5) / 4_294_967_296.0, x);
            x = Some(quantile);
            libm::rint(quantile * f64::from(1 << NORMAL_SCALE_LOG2)) as i32
        })
        .collect();
    // x = 0 closes the last cell; zeros fill up to a power of two, so that a masked index needs no bounds check.
    nodes.resize(PADDED, 0);
    nodes.into_boxed_slice().try_into().expect("resized to PADDED")
});

/// [`TABLE`] with each node beside its distance to the next one, so that a draw loads once.
pub type Steps = [u64; PADDED];

/// The node in the low half, the distance in the high half.
pub static STEPS: LazyLock<Box<Steps>> = LazyLock::new(|| {
    let step = |i: usize| u64::from((TABLE[i] - TABLE[(i + 1) % PADDED]) as u32) << 32 | TABLE[i] as u64;
    // The last entry is never drawn: its neighbour would be the first node.
    let steps: Vec<u64> = (0..PADDED).map(|i| if i + 1 < PADDED { step(i) } else { 0 }).collect();
    steps.into_boxed_slice().try_into().expect("PADDED entries")
});

/// x with P(X > x) = p for 0 < p <= 1/2, by Newton's method on the logarithm of the tail, from a first guess if there is
/// one.
fn upper_quantile(p: f64, guess: Option<f64>) -> f64 {
    let mut x = guess.unwrap_or_else(|| libm::sqrt((-2.0 * libm::log(2.0 * p)).max(0.0)) * 0.9);
    for _ in 0..40 {
        let tail = 0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
        let density = libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * std::f64::consts::PI);
        let step = tail / density * libm::log(tail / p);
        x += step;
        if step.abs() < 1e-15 {
            break;
        }
    }
    x.max(0.0)
}

/// The magnitude for a 31-bit tail integer.
#[inline(always)]
fn magnitude(tail: u32, table: &Table) -> i32 {
    let t = tail | u32::from(tail == 0);
    let zeros = t.leading_zeros();
    let octave = 31 - zeros;
    // The bits below the leading one, left-aligned: 8 choose the cell, the next 16 the place inside it.
    let aligned = (t << zeros) << 1;
    let cell = (octave * CELLS as u32 + (aligned >> 24)) as usize;
    let frac = (aligned >> 8) & 0xffff;
    let (a, b) = (table[cell & (PADDED - 1)], table[(cell + 1) & (PADDED - 1)]);
    a - (((a - b) as u32 * frac) >> 16) as i32
}

/// [`normal_integer`] of `N` words with [`STEPS`], laid out so that the compiler can use vector instructions.
#[inline(always)]
pub fn normal_integers<const N: usize>(words: &[u32; N], steps: &Steps) -> [i32; N] {
    let mut cell = [0u32; N];
    let mut frac = [0u32; N];
    for i in 0..N {
        let t = words[i] & 0x7fff_ffff;
        let t = if t == 0 { 1 } else { t };
        // The position of the leading one, from the exponent of a float: with the bit below it cleared, rounding cannot
        // carry into the next power of two.
        let octave = (((t & !(t >> 1)) as i32 as f32).to_bits() >> 23) - 127;
        // The leading one leaves by the second shift; octave 0 has nothing below it.
        let aligned = (t << (31 - octave)) << 1;
        cell[i] = octave * CELLS as u32 + (aligned >> 24);
        frac[i] = (aligned >> 8) & 0xffff;
    }
    let step: [u64; N] = std::array::from_fn(|i| steps[cell[i] as usize & (PADDED - 1)]);
    let mut out = [0i32; N];
    for i in 0..N {
        let (node, distance) = (step[i] as u32 as i32, (step[i] >> 32) as u32);
        let m = node - (distance.wrapping_mul(frac[i]) >> 16) as i32;
        let sign = (words[i] as i32) >> 31;
        out[i] = (m ^ sign) - sign;
    }
    out
}

/// A normal integer from one random word; the draw is `i * 2^-21`. `table` is [`TABLE`].
#[inline(always)]
pub fn normal_integer(word: u32, table: &Table) -> i32 {
    let m = magnitude(word & 0x7fff_ffff, table);
    if word >> 31 == 1 { -m } else { m }
}

/// floor(P(X > 2) * 2^32): the smallest tail integer of a normal cut at +-2.
pub const TRUNCATED_TAIL: u32 = 97_711_072;

/// A normal integer cut at +-2 parent standard deviations: the tail is mapped onto [TRUNCATED_TAIL, 2^31).
#[inline(always)]
pub fn truncated_integer(word: u32, table: &Table) -> i32 {
    let range = u64::from((1u32 << 31) - TRUNCATED_TAIL);
    let tail = TRUNCATED_TAIL + ((u64::from((word & 0x7fff_ffff) << 1) * range) >> 32) as u32;
    let m = magnitude(tail, table);
    if word >> 31 == 1 { -m } else { m }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moment of order k of the drawn distribution, integrated exactly over the linear cells.
    fn moment(k: i32) -> f64 {
        let unit = f64::from(1 << NORMAL_SCALE_LOG2);
        let mut sum = 0.0;
        for octave in 0..OCTAVES {
            let mass = (1u64 << octave) as f64 / (1u64 << 31) as f64 / CELLS as f64;
            for cell in 0..CELLS {
                let (a, b) = (
                    f64::from(TABLE[octave * CELLS + cell]) / unit,
                    f64::from(TABLE[octave * CELLS + cell + 1]) / unit,
                );
                // Integral of x^k over a linear piece: sum of a^i b^(k-i) over i, divided by k + 1.
                let mean = (0..=k).map(|i| a.powi(i) * b.powi(k - i)).sum::<f64>() / f64::from(k + 1);
                sum += mass * mean;
            }
        }
        sum
    }

    #[test]
    fn variance_and_kurtosis_are_right_to_1e_5() {
        assert!((moment(2) - 1.0).abs() < 1e-5, "variance {}", moment(2));
        assert!((moment(4) - 3.0).abs() < 3e-5, "fourth moment {}", moment(4));
        assert!((moment(6) - 15.0).abs() < 15e-5, "sixth moment {}", moment(6));
    }

    #[test]
    fn tails_are_right_to_1e_5() {
        for x in [0.5_f64, 1.0, 2.0, 3.0, 4.0] {
            let want = 0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
            let goal = (x * f64::from(1 << NORMAL_SCALE_LOG2)) as i32;
            // Binary search for the largest tail integer that still gives a magnitude of at least x.
            let (mut low, mut high) = (0u32, 1 << 31);
            while high - low > 1 {
                let mid = low + (high - low) / 2;
                if magnitude(mid, &TABLE) >= goal { low = mid } else { high = mid }
            }
            let got = f64::from(low) / 4_294_967_296.0;
            assert!((got / want - 1.0).abs() < 1e-5, "P(X > {x}) = {got}, want {want}");
        }
    }

    #[test]
    fn integers_fit_f32_and_the_table_decreases() {
        assert!(TABLE[..=OCTAVES * CELLS].windows(2).all(|w| w[0] >= w[1]));
        assert!(TABLE[0] < 1 << 24, "{}", TABLE[0]);
        for word in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            assert!(normal_integer(word, &TABLE).abs() <= 1 << 24);
        }
        let largest = (0..=64u32).map(|k| truncated_integer(k, &TABLE)).max().unwrap();
        assert!(f64::from(largest) <= 2.0001 * f64::from(1 << NORMAL_SCALE_LOG2));
    }

    #[test]
    fn many_words_give_the_single_integers() {
        let edges =
            [0, 1, 2, 3, 255, 256, 257, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX, 0x4000_0000, 0x3fff_ffff];
        let words: [u32; 512] = std::array::from_fn(|i| {
            let free = (i as u32).wrapping_mul(2_654_435_761);
            edges.get(i).copied().unwrap_or(free >> (i % 32))
        });
        let integers = normal_integers(&words, &STEPS);
        for (word, integer) in words.iter().zip(integers) {
            assert_eq!(integer, normal_integer(*word, &TABLE), "{word:#x}");
        }
    }

    #[test]
    fn the_table_is_the_same_on_every_machine() {
        let bytes: Vec<u8> = TABLE[..=OCTAVES * CELLS].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "ad5cb858d98adc4e");
    }
}
