//! Sums with NEON: eight at a time.

use std::arch::aarch64::*;

use super::AddBytes;
use crate::simd::aarch64::{Neon, load_u8x8, store_u8x8};

/// Adds tensors of one length.
pub(super) fn add(_token: Neon, sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    // SAFETY: the token exists only on processors that have the function's features.
    unsafe { add_vectors(sum, a, b, output) }
}

#[target_feature(enable = "neon")]
fn add_vectors(sum: &AddBytes, a: &[u8], b: &[u8], output: &mut [u8]) {
    let (least, largest, zero_point) = sum.range.parts();
    // The bounds of a range are whole numbers.
    let (least, largest) = (vdupq_n_s32(least as i32), vdupq_n_s32(largest as i32));
    let zero_point = vdupq_n_s32(zero_point);
    let bias = vdupq_n_s32(sum.bias);
    // A shift by a negative number goes to the right.
    let shift = vdupq_n_s32(-sum.shift.cast_signed());
    let (a_vectors, a_rest) = a.as_chunks::<8>();
    let (b_vectors, b_rest) = b.as_chunks::<8>();
    let (results, rest) = output.as_chunks_mut::<8>();
    for ((result, a), b) in results.iter_mut().zip(a_vectors).zip(b_vectors) {
        let (a, b) = (vmovl_u8(load_u8x8(a)), vmovl_u8(load_u8x8(b)));
        let add = |a: uint16x4_t, b: uint16x4_t| {
            let (a, b) = (vreinterpretq_s32_u32(vmovl_u16(a)), vreinterpretq_s32_u32(vmovl_u16(b)));
            let added = vmlaq_n_s32(vmlaq_n_s32(bias, a, sum.a_multiplier), b, sum.b_multiplier);
            let clamped = vminq_s32(vmaxq_s32(vshlq_s32(added, shift), least), largest);
            vqmovn_s32(vaddq_s32(clamped, zero_point))
        };
        let low = add(vget_low_u16(a), vget_low_u16(b));
        let high = add(vget_high_u16(a), vget_high_u16(b));
        store_u8x8(result, vqmovun_s16(vcombine_s16(low, high)));
    }
    sum.add_scalar(a_rest, b_rest, rest);
}
