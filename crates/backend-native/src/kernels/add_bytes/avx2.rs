//! Sums with AVX2: eight at a time.

use std::arch::x86_64::*;

use super::AddBytes;
use crate::simd::x86_64::{Avx2, load_u8x8, store_u8x8};

/// Adds tensors of one length.
pub(super) fn add(_token: Avx2, sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    // SAFETY: the token exists only on processors that have the function's features.
    unsafe { add_vectors(sum, a, b, output) }
}

#[target_feature(enable = "avx2")]
fn add_vectors(sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    let (least, largest, zero_point) = sum.range.parts();
    // The bounds of a range are whole numbers.
    let (least, largest) = (_mm256_set1_epi32(least as i32), _mm256_set1_epi32(largest as i32));
    let zero_point = _mm256_set1_epi32(zero_point);
    let bias = _mm256_set1_epi32(sum.bias);
    let (a_multiplier, b_multiplier) =
        (_mm256_set1_epi32(sum.a_multiplier), _mm256_set1_epi32(sum.b_multiplier));
    let shift = _mm_cvtsi32_si128(sum.shift.cast_signed());
    let (a_vectors, a_rest) = a.as_chunks::<8>();
    let (b_vectors, b_rest) = b.as_chunks::<8>();
    let (results, rest) = output.as_chunks_mut::<8>();
    for ((result, a), b) in results.iter_mut().zip(a_vectors).zip(b_vectors) {
        let a = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(load_u8x8(a)), a_multiplier);
        let b = _mm256_mullo_epi32(_mm256_cvtepu8_epi32(load_u8x8(b)), b_multiplier);
        let shifted = _mm256_sra_epi32(_mm256_add_epi32(_mm256_add_epi32(bias, a), b), shift);
        let clamped = _mm256_min_epi32(_mm256_max_epi32(shifted, least), largest);
        let sums = _mm256_add_epi32(clamped, zero_point);
        let halves =
            _mm_packs_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        store_u8x8(result, _mm_packus_epi16(halves, halves));
    }
    sum.add_scalar(a_rest, b_rest, rest);
}
