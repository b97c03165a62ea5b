//! Normal draws with AVX-512: the same bits as `normal_integers`, in three fifths of the time. Compilers neither keep
//! Philox's 64-bit products in place nor find the instruction that counts leading zeros.

use std::arch::x86_64::*;

use super::normal::{CELLS, Steps};
use super::philox::{MULTIPLIER, round_keys};

/// Draws of one call of [`words`]: 16 Philox blocks, as two chains of instructions that do not wait for each other.
const DRAWS: usize = 64;
/// Vectors of words in them.
const VECTORS: usize = DRAWS / 16;

/// Whether the processor has what [`fill_normal`] needs.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512cd")
}

/// Fills as much of `out` as is a multiple of 64 with normal draws times `unit`, and returns how much that is. `counter` is
/// that of the first draw.
#[target_feature(enable = "avx512f,avx512cd")]
pub fn fill_normal(out: &mut [f32], counter: [u32; 4], key: [u32; 2], unit: f32, steps: &Steps) -> usize {
    let keys = round_keys(key).map(|key| key.map(u64::from));
    let unit = _mm512_set1_ps(unit);
    let groups = out.as_chunks_mut::<DRAWS>().0;
    let filled = groups.len() * DRAWS;
    for (group, out) in groups.iter_mut().enumerate() {
        let block = counter[0].wrapping_add((group * DRAWS / 4) as u32);
        let words = words([block, counter[1], counter[2], counter[3]], &keys);
        for (words, out) in words.into_iter().zip(out.as_chunks_mut::<16>().0) {
            let values = normals(words, unit, steps);
            // SAFETY: `out` has room for 16 values.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) };
        }
    }
    filled
}

/// The words of 16 consecutive blocks, in the order of their elements.
#[inline]
#[target_feature(enable = "avx512f")]
fn words(counter: [u32; 4], keys: &[[u64; 2]; 10]) -> [__m512i; VECTORS] {
    const CHAINS: usize = VECTORS / 2;
    let wide = |v: u32| _mm512_set1_epi64(i64::from(v));
    let multiplier = MULTIPLIER.map(wide);
    let lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    let low = wide(u32::MAX);
    // The state lies in the low halves of 64-bit lanes. What gathers in the high halves is cut off by the multiplications
    // and at the end.
    let mut c0 = [low; CHAINS];
    let (mut c1, mut c2, mut c3) = ([wide(counter[1]); CHAINS], [wide(counter[2]); CHAINS], [wide(counter[3]); CHAINS]);
    for (k, c0) in (0..).zip(&mut c0) {
        *c0 = _mm512_and_si512(_mm512_add_epi64(lane, _mm512_set1_epi64(i64::from(counter[0]) + 8 * k)), low);
    }
    for key in keys {
        let [k0, k1] = key.map(|k| _mm512_set1_epi64(k as i64));
        for k in 0..CHAINS {
            let (p0, p1) = (_mm512_mul_epu32(multiplier[0], c0[k]), _mm512_mul_epu32(multiplier[1], c2[k]));
            // 0x96: exclusive or of three.
            c0[k] = _mm512_ternarylogic_epi64::<0x96>(_mm512_srli_epi64::<32>(p1), c1[k], k0);
            c2[k] = _mm512_ternarylogic_epi64::<0x96>(_mm512_srli_epi64::<32>(p0), c3[k], k1);
            (c1[k], c3[k]) = (p1, p0);
        }
    }
    let mut words = [low; VECTORS];
    let first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    let second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    for k in 0..CHAINS {
        // Words 0 and 1, and words 2 and 3, of every block.
        let a = _mm512_mask_blend_epi32(0xaaaa, c0[k], _mm512_slli_epi64::<32>(c1[k]));
        let b = _mm512_mask_blend_epi32(0xaaaa, c2[k], _mm512_slli_epi64::<32>(c3[k]));
        words[2 * k] = _mm512_permutex2var_epi64(a, first, b);
        words[2 * k + 1] = _mm512_permutex2var_epi64(a, second, b);
    }
    words
}

/// `normal_integer` of 16 words, times `unit`.
#[inline]
#[target_feature(enable = "avx512f,avx512cd")]
fn normals(words: __m512i, unit: __m512, steps: &Steps) -> __m512 {
    let number = |v: i32| _mm512_set1_epi32(v);
    let t = _mm512_max_epu32(_mm512_and_si512(words, number(i32::MAX)), number(1));
    let zeros = _mm512_lzcnt_epi32(t);
    // A shift by 32 leaves nothing, as octave 0 wants it.
    let aligned = _mm512_sllv_epi32(t, _mm512_add_epi32(zeros, number(1)));
    let octave = _mm512_sub_epi32(number(31), zeros);
    let cell = _mm512_add_epi32(
        _mm512_slli_epi32::<{ CELLS.trailing_zeros() }>(octave),
        _mm512_srli_epi32::<{ 32 - CELLS.trailing_zeros() }>(aligned),
    );
    let frac = _mm512_and_si512(_mm512_srli_epi32::<8>(aligned), number(0xffff));
    let mut cells = [0u32; 16];
    // SAFETY: `cells` has room for 16 values.
    unsafe { _mm512_storeu_si512(cells.as_mut_ptr().cast(), cell) };
    // Single loads are faster than the instruction that gathers.
    let step = |i: usize| steps[cells[i] as usize % steps.len()] as i64;
    let eight = |i: usize| {
        _mm512_set_epi64(
            step(i + 7),
            step(i + 6),
            step(i + 5),
            step(i + 4),
            step(i + 3),
            step(i + 2),
            step(i + 1),
            step(i),
        )
    };
    let (a, b) = (eight(0), eight(8));
    let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    let node = _mm512_permutex2var_epi32(a, even, b);
    let distance = _mm512_permutex2var_epi32(a, _mm512_add_epi32(even, number(1)), b);
    let magnitude = _mm512_sub_epi32(node, _mm512_srli_epi32::<16>(_mm512_mullo_epi32(distance, frac)));
    let value = _mm512_mul_ps(_mm512_cvtepi32_ps(magnitude), unit);
    // 0x78: the sign bit of the word changes that of the value.
    _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0x78>(_mm512_castps_si512(value), words, number(i32::MIN)))
}

#[cfg(test)]
mod tests {
    use super::super::normal::{NORMAL_SCALE_LOG2, STEPS, TABLE, normal_integer};
    use super::super::philox::philox4x32;
    use super::*;

    fn skipped() {
        println!("SKIPPED: this processor has no AVX-512");
    }

    #[test]
    fn draws_are_those_of_single_words() {
        if !available() {
            return skipped();
        }
        let unit = 0.3 * 2f32.powi(-NORMAL_SCALE_LOG2);
        for (counter, key) in [([0, 3, 0, 0], [7, 9]), ([u32::MAX - 20, 1024, 4, 1], [u32::MAX, 0x1f_ffff])] {
            let mut out = vec![f32::NAN; 2 * DRAWS + 60];
            // SAFETY: the processor has the instructions.
            let filled = unsafe { fill_normal(&mut out, counter, key, unit, &STEPS) };
            assert_eq!(filled, 2 * DRAWS);
            for (i, got) in out[..filled].iter().enumerate() {
                let block = counter[0].wrapping_add(i as u32 / 4);
                let word = philox4x32([block, counter[1], counter[2], counter[3]], key)[i % 4];
                assert_eq!(got.to_bits(), (normal_integer(word, &TABLE) as f32 * unit).to_bits(), "element {i}");
            }
            assert!(out[filled..].iter().all(|v| v.is_nan()));
        }
    }

    #[test]
    fn every_octave_and_both_signs_are_those_of_single_words() {
        if !available() {
            return skipped();
        }
        let free = |i: u32| i.wrapping_mul(2_654_435_761) >> (i % 32);
        let words: Vec<u32> =
            (0..4096).map(free).chain([0, 1, 0x8000_0000, 0x8000_0001, u32::MAX, 0x7fff_ffff]).collect();
        for words in words.as_chunks::<16>().0.iter().chain(words.last_chunk::<16>()) {
            let mut got = [f32::NAN; 16];
            // SAFETY: the processor has the instructions, and both arrays hold 16 values.
            unsafe {
                let loaded = _mm512_loadu_si512(words.as_ptr().cast());
                _mm512_storeu_ps(got.as_mut_ptr(), normals(loaded, _mm512_set1_ps(1.0), &STEPS));
            }
            assert_eq!(got, words.map(|word| normal_integer(word, &TABLE) as f32), "{words:x?}");
        }
    }
}
