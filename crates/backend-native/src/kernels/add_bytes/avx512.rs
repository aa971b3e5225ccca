//! Sums with AVX-512: sixteen at a time.

use std::arch::x86_64::*;

use super::AddBytes;
use crate::simd::x86_64::{Avx512Vnni, load_u8x16, store_u8x16};

/// Adds tensors of one length.
pub(super) fn add(_token: Avx512Vnni, sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    // SAFETY: the token exists only on processors that have the function's features.
    unsafe { add_vectors(sum, a, b, output) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_vectors(sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    let (least, largest, zero_point) = sum.range.parts();
    // The bounds of a range are whole numbers.
    let (least, largest) = (_mm512_set1_epi32(least as i32), _mm512_set1_epi32(largest as i32));
    let zero_point = _mm512_set1_epi32(zero_point);
    let bias = _mm512_set1_epi32(sum.bias);
    let (a_multiplier, b_multiplier) =
        (_mm512_set1_epi32(sum.a_multiplier), _mm512_set1_epi32(sum.b_multiplier));
    let shift = _mm_cvtsi32_si128(sum.shift.cast_signed());
    let (a_vectors, a_rest) = a.as_chunks::<16>();
    let (b_vectors, b_rest) = b.as_chunks::<16>();
    let (results, rest) = output.as_chunks_mut::<16>();
    for ((result, a), b) in results.iter_mut().zip(a_vectors).zip(b_vectors) {
        let a = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(load_u8x16(a)), a_multiplier);
        let b = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(load_u8x16(b)), b_multiplier);
        let shifted = _mm512_sra_epi32(_mm512_add_epi32(_mm512_add_epi32(bias, a), b), shift);
        let clamped = _mm512_min_epi32(_mm512_max_epi32(shifted, least), largest);
        store_u8x16(result, _mm512_cvtepi32_epi8(_mm512_add_epi32(clamped, zero_point)));
    }
    sum.add_scalar(a_rest, b_rest, rest);
}
