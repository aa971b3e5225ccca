//! Proofs of x86-64 features, and loads and stores that check their bounds by type.
//!
//! Arithmetic intrinsics are safe inside functions that enable their features; only access
//! through pointers is not, and it is confined to this file.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::simd::Computation;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

macro_rules! vectorize {
    ($Token:ident, $feature:literal) => {
        impl $Token {
            /// Computes it where the compiler may use these instructions.
            pub(crate) fn vectorize<C: Computation>(self, computation: C) -> C::Results {
                #[target_feature(enable = $feature)]
                fn compute<C: Computation>(computation: C) -> C::Results {
                    computation.compute()
                }
                // SAFETY: the token exists only on processors that have the function's features.
                unsafe { compute(computation) }
            }
        }
    };
}

vectorize!(Avx2, "avx2,fma");
vectorize!(Avx512Vnni, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl");

/// Proof that the processor has AVX-512 F, BW, DQ, VL, VBMI and VNNI, and AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512Vnni {
    /// The proof of AVX2 and FMA.
    pub(crate) avx2: Avx2,
}

impl Avx512Vnni {
    pub(crate) fn new() -> Option<Self> {
        let avx2 = Avx2::new()?;
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni"))
        .then_some(Self { avx2 })
    }
}

/// Sixty-four bytes on a cache line of their own.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; 64]);
}

/// Sixteen floats on a cache line of their own.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct FloatLine(pub(crate) [f32; 16]);

impl FloatLine {
    pub(crate) const ZERO: Self = Self([0.0; 16]);
}

/// Eight floats, aligned to their size.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct HalfFloatLine(pub(crate) [f32; 8]);

impl HalfFloatLine {
    pub(crate) const ZERO: Self = Self([0.0; 8]);
}

/// Sixteen 16-bit numbers, aligned to their size.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct PairLine(pub(crate) [i16; 16]);

impl PairLine {
    pub(crate) const ZERO: Self = Self([0; 16]);
}

macro_rules! accesses {
    ($($(#[$doc:meta])* $feature:literal fn $name:ident($source:ty) -> $vector:ty = $intrinsic:ident;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            #[target_feature(enable = $feature)]
            pub(crate) fn $name(source: $source) -> $vector {
                // SAFETY: the reference is valid for as many bytes as the vector has, and the
                // intrinsic asks for no alignment.
                unsafe { $intrinsic(std::ptr::from_ref(source).cast()) }
            }
        )*
    };
}

accesses! {
    /// Loads a line.
    "avx512f" fn load_line(&Line) -> __m512i = _mm512_loadu_si512;
    /// Loads sixty-four bytes.
    "avx512f" fn load_u8x64(&[u8; 64]) -> __m512i = _mm512_loadu_si512;
    /// Loads sixteen floats.
    "avx512f" fn load_f32x16(&[f32; 16]) -> __m512 = _mm512_loadu_ps;
    /// Loads sixteen whole numbers.
    "avx512f" fn load_i32x16(&[i32; 16]) -> __m512i = _mm512_loadu_si512;
    /// Loads eight floats.
    "avx" fn load_f32x8(&[f32; 8]) -> __m256 = _mm256_loadu_ps;
    /// Loads eight whole numbers.
    "avx" fn load_i32x8(&[i32; 8]) -> __m256i = _mm256_loadu_si256;
    /// Loads a line of pairs.
    "avx" fn load_pairs(&PairLine) -> __m256i = _mm256_loadu_si256;
    /// Loads eight bytes into the low half.
    "sse2" fn load_u8x8(&[u8; 8]) -> __m128i = _mm_loadl_epi64;
    /// Loads thirty-two bytes.
    "avx" fn load_u8x32(&[u8; 32]) -> __m256i = _mm256_loadu_si256;
    /// Loads sixteen bytes.
    "sse2" fn load_u8x16(&[u8; 16]) -> __m128i = _mm_loadu_si128;
}

/// Stores sixteen bytes.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_u8x16(target: &mut [u8; 16], vector: __m128i) {
    // SAFETY: the reference is valid for sixteen bytes; no alignment is asked for.
    unsafe { _mm_storeu_si128(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores the low eight bytes.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_u8x8(target: &mut [u8; 8], vector: __m128i) {
    // SAFETY: the reference is valid for eight bytes; no alignment is asked for.
    unsafe { _mm_storel_epi64(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores thirty-two bytes.
#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn store_u8x32(target: &mut [u8; 32], vector: __m256i) {
    // SAFETY: the reference is valid for thirty-two bytes; no alignment is asked for.
    unsafe { _mm256_storeu_si256(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores eight floats.
#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn store_f32x8(target: &mut [f32; 8], vector: __m256) {
    // SAFETY: the reference is valid for eight floats; no alignment is asked for.
    unsafe { _mm256_storeu_ps(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores a line.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_line(target: &mut [u8; 64], vector: __m512i) {
    // SAFETY: the reference is valid for sixty-four bytes; no alignment is asked for.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores sixteen floats.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_f32x16(target: &mut [f32; 16], vector: __m512) {
    // SAFETY: the reference is valid for sixteen floats; no alignment is asked for.
    unsafe { _mm512_storeu_ps(std::ptr::from_mut(target).cast(), vector) }
}

/// Loads the first floats of a slice, at most sixteen; the other lanes are zero.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_f32x16_part(source: &[f32]) -> __m512 {
    let mask = ((1u32 << source.len().min(16)) - 1) as u16;
    // SAFETY: the mask covers no more lanes than the slice has elements, and lanes outside the
    // mask are not accessed.
    unsafe { _mm512_maskz_loadu_ps(mask, source.as_ptr()) }
}

/// Stores as many of sixteen floats as the slice takes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_f32x16_part(target: &mut [f32], vector: __m512) {
    let mask = ((1u32 << target.len().min(16)) - 1) as u16;
    // SAFETY: as for the load.
    unsafe { _mm512_mask_storeu_ps(target.as_mut_ptr(), mask, vector) }
}

/// Loads the first bytes of a slice, at most thirty-two; the others are zero.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
pub(crate) fn load_u8x32_part(source: &[u8]) -> __m256i {
    let mask = ((1u64 << source.len().min(32)) - 1) as u32;
    // SAFETY: as for the floats.
    unsafe { _mm256_maskz_loadu_epi8(mask, source.as_ptr().cast()) }
}

/// Stores as many of thirty-two bytes as the slice takes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
pub(crate) fn store_u8x32_part(target: &mut [u8], vector: __m256i) {
    let mask = ((1u64 << target.len().min(32)) - 1) as u32;
    // SAFETY: as for the floats.
    unsafe { _mm256_mask_storeu_epi8(target.as_mut_ptr().cast(), mask, vector) }
}

/// Loads the first bytes of a slice, at most sixty-four; the others are zero.
#[inline]
#[target_feature(enable = "avx512bw")]
pub(crate) fn load_u8x64_part(source: &[u8]) -> __m512i {
    let mask = u64::MAX.checked_shr(64 - source.len().min(64) as u32).unwrap_or(0);
    // SAFETY: as for the floats.
    unsafe { _mm512_maskz_loadu_epi8(mask, source.as_ptr().cast()) }
}

/// Stores sixteen whole numbers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_i32x16(target: &mut [i32; 16], vector: __m512i) {
    // SAFETY: the reference is valid for sixteen numbers; no alignment is asked for.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(target).cast(), vector) }
}

/// Stores as many of sixteen bytes as the slice takes.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl")]
pub(crate) fn store_u8x16_part(target: &mut [u8], vector: __m128i) {
    let mask = ((1u32 << target.len().min(16)) - 1) as u16;
    // SAFETY: as for the floats.
    unsafe { _mm_mask_storeu_epi8(target.as_mut_ptr().cast(), mask, vector) }
}

/// `a * b + c`, rounded once, with `b` read by the same instruction, so that it takes no register:
/// a compiler loads what several multiplications read once and for all, and runs out of registers.
#[inline]
#[target_feature(enable = "avx,fma")]
pub(crate) fn multiply_add_from_f32x8(a: __m256, b: &[f32; 8], mut c: __m256) -> __m256 {
    // SAFETY: the instruction reads the eight floats of the reference, asks for no alignment and
    // writes one register; the function's features include it.
    unsafe {
        asm!(
            "vfmadd231ps {c}, {a}, ymmword ptr [{b}]",
            c = inout(ymm_reg) c,
            a = in(ymm_reg) a,
            b = in(reg) b.as_ptr(),
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    c
}

/// `a * b + c`, rounded once.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn multiply_add_from_f32x16(a: __m512, b: &[f32; 16], c: __m512) -> __m512 {
    _mm512_fmadd_ps(a, load_f32x16(b), c)
}

/// The lanes of eight below `count`.
#[inline]
#[target_feature(enable = "avx2")]
fn lanes_below(count: usize) -> __m256i {
    let count = _mm256_set1_epi32(count.min(8) as i32);
    _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// Loads the first floats of a slice, at most eight; the other lanes are zero.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_f32x8_part(source: &[f32]) -> __m256 {
    // SAFETY: the mask covers no more lanes than the slice has elements, and lanes outside the
    // mask are not accessed.
    unsafe { _mm256_maskload_ps(source.as_ptr(), lanes_below(source.len())) }
}

/// Stores as many of eight floats as the slice takes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store_f32x8_part(target: &mut [f32], vector: __m256) {
    // SAFETY: as for the load.
    unsafe { _mm256_maskstore_ps(target.as_mut_ptr(), lanes_below(target.len()), vector) }
}
