//! Proofs of aarch64 features, and loads and stores that check their bounds by type.
//!
//! Arithmetic intrinsics are safe inside functions that enable their features; only access
//! through pointers and the dot product are not, and both are confined to this file.

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

/// Proof that the processor has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    pub(crate) fn new() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

/// Proof that the processor has NEON with dot products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NeonDotprod {
    /// The proof of the rest of NEON.
    pub(crate) neon: Neon,
}

impl NeonDotprod {
    pub(crate) fn new() -> Option<Self> {
        let neon = Neon::new()?;
        is_aarch64_feature_detected!("dotprod").then_some(Self { neon })
    }
}

macro_rules! accesses {
    ($($(#[$doc:meta])* fn $name:ident($source:ty) -> $vector:ty = $intrinsic:ident;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            #[target_feature(enable = "neon")]
            pub(crate) fn $name(source: $source) -> $vector {
                // SAFETY: the reference is valid for as many elements as the vector has, and the
                // intrinsic asks for no more alignment than theirs.
                unsafe { $intrinsic(source.as_ptr()) }
            }
        )*
    };
}

accesses! {
    /// Loads eight bytes.
    fn load_u8x8(&[u8; 8]) -> uint8x8_t = vld1_u8;
    /// Loads sixteen bytes.
    fn load_u8x16(&[u8; 16]) -> uint8x16_t = vld1q_u8;
    /// Loads sixteen signed bytes.
    fn load_i8x16(&[i8; 16]) -> int8x16_t = vld1q_s8;
    /// Loads eight 16-bit numbers.
    fn load_i16x8(&[i16; 8]) -> int16x8_t = vld1q_s16;
    /// Loads four whole numbers.
    fn load_i32x4(&[i32; 4]) -> int32x4_t = vld1q_s32;
    /// Loads four floats.
    fn load_f32x4(&[f32; 4]) -> float32x4_t = vld1q_f32;
}

/// Stores eight bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn store_u8x8(target: &mut [u8; 8], vector: uint8x8_t) {
    // SAFETY: the reference is valid for eight bytes.
    unsafe { vst1_u8(target.as_mut_ptr(), vector) }
}

/// Stores four floats.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn store_f32x4(target: &mut [f32; 4], vector: float32x4_t) {
    // SAFETY: the reference is valid for four floats.
    unsafe { vst1q_f32(target.as_mut_ptr(), vector) }
}

/// `a * b + c`, rounded once.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn multiply_add_f32x4(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    vfmaq_f32(c, a, b)
}

/// Loads the first bytes of a slice, at most eight; the others are zero.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn load_u8x8_part(source: &[u8]) -> uint8x8_t {
    let mut whole = [0; 8];
    let width = source.len().min(8);
    whole[..width].copy_from_slice(&source[..width]);
    load_u8x8(&whole)
}

/// Stores as many of eight bytes as the slice takes.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn store_u8x8_part(target: &mut [u8], vector: uint8x8_t) {
    let mut whole = [0; 8];
    store_u8x8(&mut whole, vector);
    let width = target.len().min(8);
    target[..width].copy_from_slice(&whole[..width]);
}

/// Stores as many of four floats as the slice takes.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn store_f32x4_part(target: &mut [f32], vector: float32x4_t) {
    let mut whole = [0.0; 4];
    store_f32x4(&mut whole, vector);
    let width = target.len().min(4);
    target[..width].copy_from_slice(&whole[..width]);
}

/// Adds to each sum the products of its four weights with the four values of lane `LANE`.
///
/// ```text
/// result[i] = sums[i] + sum of weights[4 i + k] * values[4 LANE + k] over k from 0 to 3
/// ```
///
/// The intrinsic for this instruction is not stable in every compiler that this crate supports.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn dot_product<const LANE: usize>(
    mut sums: int32x4_t,
    weights: int8x16_t,
    values: int8x16_t,
) -> int32x4_t {
    const { assert!(LANE < 4) };
    // SAFETY: the instruction reads and writes nothing but the three registers, and the function's
    // features include it.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}
