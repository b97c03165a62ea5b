//! Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

pub(super) const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The keys of the ten rounds.
#[cfg(target_arch = "x86_64")]
pub(super) fn round_keys(key: [u32; 2]) -> [[u32; 2]; 10] {
    std::array::from_fn(|round| std::array::from_fn(|i| key[i].wrapping_add(WEYL[i].wrapping_mul(round as u32))))
}

/// Ten rounds of Philox4x32.
#[inline(always)]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIER[0]) * u64::from(c0);
        let p1 = u64::from(MULTIPLIER[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// [`philox4x32`] for `N` consecutive blocks `counter[0] ..`: entries `2 i` and `2 i + 1` hold words 0, 1 and 2, 3 of block
/// i, low half first. The state lives in the low halves of 64-bit lanes, so that the compiler multiplies whole vectors
/// without shuffling; what gathers in the high halves is cut off by the multiplications and at the end.
#[inline(always)]
pub fn philox4x32_blocks<const N: usize>(counter: [u32; 4], key: [u32; 2]) -> [[u64; 2]; N] {
    const LOW: u64 = 0xffff_ffff;
    let wide = |v: u32| [u64::from(v); N];
    let mut c0: [u64; N] = std::array::from_fn(|i| u64::from(counter[0].wrapping_add(i as u32)));
    let (mut c1, mut c2, mut c3) = (wide(counter[1]), wide(counter[2]), wide(counter[3]));
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for i in 0..N {
            let p0 = u64::from(MULTIPLIER[0]) * (c0[i] & LOW);
            let p1 = u64::from(MULTIPLIER[1]) * (c2[i] & LOW);
            c0[i] = (p1 >> 32) ^ c1[i] ^ u64::from(k0);
            c1[i] = p1;
            c2[i] = (p0 >> 32) ^ c3[i] ^ u64::from(k1);
            c3[i] = p0;
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    std::array::from_fn(|i| [c0[i] & LOW | c1[i] << 32, c2[i] & LOW | c3[i] << 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_single_calls() {
        let counter = [u32::MAX - 2, 7, 1, 0];
        let blocks = philox4x32_blocks::<8>(counter, [5, 9]);
        for i in 0..8 {
            let one = philox4x32([counter[0].wrapping_add(i), 7, 1, 0], [5, 9]);
            let [a, b] = blocks[i as usize];
            assert_eq!(one, [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]);
        }
    }

    #[test]
    fn the_known_answers_of_random123() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, want) in cases {
            assert_eq!(philox4x32(counter, key), want);
        }
    }
}
