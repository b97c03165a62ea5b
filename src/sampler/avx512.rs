//! Normal draws with AVX-512: the same bits as `normal_integers`. Compilers neither keep Philox's 64-bit products in place
//! nor find the instruction that counts leading zeros, and they gather where single loads are faster.

use std::arch::x86_64::*;

use super::normal::{CELLS, Steps};
use super::philox::{MULTIPLIER, round_keys};

/// Draws of one chain of instructions: 8 Philox blocks. Several chains do not wait for each other.
const CHAIN: usize = 32;

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
    let (groups, rest) = out.as_chunks_mut::<{ 4 * CHAIN }>();
    let mut first = 0;
    let counter_at = |draw: usize| [counter[0].wrapping_add((draw / 4) as u32), counter[1], counter[2], counter[3]];
    for out in groups {
        fill::<4>(out, counter_at(first), &keys, unit, steps);
        first += out.len();
    }
    for out in rest.as_chunks_mut::<{ 2 * CHAIN }>().0 {
        fill::<2>(out, counter_at(first), &keys, unit, steps);
        first += out.len();
    }
    first
}

/// The draws of `CHAINS` chains.
#[inline]
#[target_feature(enable = "avx512f,avx512cd")]
fn fill<const CHAINS: usize>(out: &mut [f32], counter: [u32; 4], keys: &[[u64; 2]; 10], unit: __m512, steps: &Steps) {
    let words = words::<CHAINS>(counter, keys);
    let (mut fractions, mut cells, mut found) = (words, [[[0; 16]; 2]; CHAINS], [[[0; 16]; 2]; CHAINS]);
    for ((words, fractions), cells) in words.iter().zip(&mut fractions).zip(&mut cells) {
        for ((words, fraction), cells) in words.iter().zip(fractions).zip(cells) {
            let (cell, frac) = places(*words);
            *fraction = frac;
            // SAFETY: `cells` has room for 16 values.
            unsafe { _mm512_storeu_si512(cells.as_mut_ptr().cast(), cell) };
        }
    }
    look_up(cells.as_flattened().as_flattened(), found.as_flattened_mut().as_flattened_mut(), steps);
    let vectors = words.iter().flatten().zip(fractions.iter().flatten()).zip(found.iter().flatten());
    for (((words, fraction), found), out) in vectors.zip(out.as_chunks_mut::<16>().0) {
        let found: *const u64 = found.as_ptr();
        // SAFETY: there are 16 values.
        let (a, b) = unsafe { (_mm512_loadu_si512(found.cast()), _mm512_loadu_si512(found.add(8).cast())) };
        let values = normals(*words, *fraction, a, b, unit);
        // SAFETY: `out` has room for 16 values.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) };
    }
}

/// The steps of cells. Single loads and stores are faster than the instruction that gathers, which the compiler would take
/// otherwise, and leave free the ports that vectors need.
#[inline(always)]
fn look_up(cells: &[u32], found: &mut [u64], steps: &Steps) {
    for (cell, found) in cells.iter().zip(found) {
        // SAFETY: a reference is read.
        *found = unsafe { std::ptr::read_volatile(&steps[*cell as usize % steps.len()]) };
    }
}

/// The words of `8 CHAINS` consecutive blocks, in the order of their elements.
#[inline]
#[target_feature(enable = "avx512f")]
fn words<const CHAINS: usize>(counter: [u32; 4], keys: &[[u64; 2]; 10]) -> [[__m512i; 2]; CHAINS] {
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
    let mut words = [[low; 2]; CHAINS];
    let first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    let second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    for k in 0..CHAINS {
        // Words 0 and 1, and words 2 and 3, of every block.
        let a = _mm512_mask_blend_epi32(0xaaaa, c0[k], _mm512_slli_epi64::<32>(c1[k]));
        let b = _mm512_mask_blend_epi32(0xaaaa, c2[k], _mm512_slli_epi64::<32>(c3[k]));
        words[k] = [_mm512_permutex2var_epi64(a, first, b), _mm512_permutex2var_epi64(a, second, b)];
    }
    words
}

/// The cells of 16 words, and the places inside them.
#[inline]
#[target_feature(enable = "avx512f,avx512cd")]
fn places(words: __m512i) -> (__m512i, __m512i) {
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
    (cell, _mm512_and_si512(_mm512_srli_epi32::<8>(aligned), number(0xffff)))
}

/// `normal_integer` of 16 words, times `unit`, by the steps `a` and `b` of the first and the last eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn normals(words: __m512i, frac: __m512i, a: __m512i, b: __m512i, unit: __m512) -> __m512 {
    let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    let node = _mm512_permutex2var_epi32(a, even, b);
    let distance = _mm512_permutex2var_epi32(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
    let magnitude = _mm512_sub_epi32(node, _mm512_srli_epi32::<16>(_mm512_mullo_epi32(distance, frac)));
    let value = _mm512_mul_ps(_mm512_cvtepi32_ps(magnitude), unit);
    // 0x78: the sign bit of the word changes that of the value.
    let sign = _mm512_set1_epi32(i32::MIN);
    _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<0x78>(_mm512_castps_si512(value), words, sign))
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
            // Two groups of four chains, one of two, and a rest.
            let whole = (4 + 4 + 2) * CHAIN;
            let mut out = vec![f32::NAN; whole + 60];
            // SAFETY: the processor has the instructions.
            let filled = unsafe { fill_normal(&mut out, counter, key, unit, &STEPS) };
            assert_eq!(filled, whole);
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
                let (cell, fraction) = places(loaded);
                let mut cells = [0; 16];
                _mm512_storeu_si512(cells.as_mut_ptr().cast(), cell);
                let mut found = [0; 16];
                look_up(&cells, &mut found, &STEPS);
                let half = |i: usize| _mm512_loadu_si512(found[i..i + 8].as_ptr().cast());
                _mm512_storeu_ps(got.as_mut_ptr(), normals(loaded, fraction, half(0), half(8), _mm512_set1_ps(1.0)));
            }
            assert_eq!(got, words.map(|word| normal_integer(word, &TABLE) as f32), "{words:x?}");
        }
    }
}
