//! The product with AVX2, exact for any bytes, in one of two ways that the weights decide: by
//! [groups](groups) of byte products that 16-bit sums hold, or by pairs of [words](words).

mod groups;
mod words;

use std::arch::x86_64::*;

use super::{ToBytes, ToFloats};
use crate::kernels::panels::Rows;
use crate::simd::x86_64::{
    Avx2, load_f32x8, load_i32x8, store_f32x8, store_f32x8_part, store_u8x8, store_u8x16,
};

/// Columns of one vector.
const LANES: usize = 8;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 2;

/// Weights as they suit the instructions best.
#[derive(Clone, Debug)]
pub(super) struct Weights(Packed);

#[derive(Clone, Debug)]
enum Packed {
    Groups(groups::Weights),
    Words(words::Weights),
}

impl Weights {
    pub(super) fn new(transposed: &[i16], depth: usize) -> Self {
        Self(match groups::Weights::new(transposed, depth) {
            Some(weights) => Packed::Groups(weights),
            None => Packed::Words(words::Weights::new(transposed, depth)),
        })
    }

    /// Bytes of working memory for that many rows.
    pub(super) fn scratch_bytes(&self, rows: usize) -> usize {
        match &self.0 {
            Packed::Groups(_) => 0,
            Packed::Words(weights) => weights.scratch_bytes(rows),
        }
    }

    pub(super) fn multiply_to_bytes(
        &self,
        token: Avx2,
        rows: Rows<'_, u8>,
        end: &ToBytes,
        output: &mut [u8],
        scratch: &mut [u8],
    ) {
        self.multiply(token, rows, End::Bytes { end, output }, scratch);
    }

    pub(super) fn multiply_to_floats(
        &self,
        token: Avx2,
        rows: Rows<'_, u8>,
        (scale, zero_point): (f32, i32),
        end: &ToFloats,
        output: &mut [f32],
        scratch: &mut [u8],
    ) {
        self.multiply(token, rows, End::Floats { end, scale, zero_point, output }, scratch);
    }

    fn multiply(&self, _token: Avx2, rows: Rows<'_, u8>, mut end: End<'_>, scratch: &mut [u8]) {
        // SAFETY: the token exists only on processors that have the functions' features.
        unsafe {
            match &self.0 {
                Packed::Groups(weights) => groups::multiply(weights, rows, &mut end),
                Packed::Words(weights) => words::multiply(weights, rows, &mut end, scratch),
            }
        }
    }
}

/// What becomes of sums, and where it goes.
enum End<'a> {
    Bytes { end: &'a ToBytes, output: &'a mut [u8] },
    Floats { end: &'a ToFloats, scale: f32, zero_point: i32, output: &'a mut [f32] },
}

/// Where a tile lies in the result.
#[derive(Clone, Copy)]
struct Tile {
    row: usize,
    column: usize,
    /// Columns of the whole result.
    columns: usize,
}

/// What the sums of a panel's columns begin with.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn first_sums<const VECTORS: usize>(end: &End<'_>, column: usize) -> [__m256i; VECTORS] {
    let mut sums = [_mm256_setzero_si256(); VECTORS];
    match end {
        End::Bytes { end, .. } => {
            let bias = &end.bias[column..].as_chunks::<LANES>().0[..VECTORS];
            for (sum, bias) in sums.iter_mut().zip(bias) {
                *sum = load_i32x8(bias);
            }
        }
        End::Floats { end, zero_point, .. } => {
            let zero_point = _mm256_set1_epi32(zero_point.wrapping_neg());
            let column_sums = &end.column_sums[column..].as_chunks::<LANES>().0[..VECTORS];
            for (sum, column_sum) in sums.iter_mut().zip(column_sums) {
                *sum = _mm256_mullo_epi32(zero_point, load_i32x8(column_sum));
            }
        }
    }
    sums
}

/// Turns the sums of a tile into results.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn finish<const ROWS: usize, const VECTORS: usize>(
    sums: [[__m256i; VECTORS]; ROWS],
    tile: Tile,
    end: &mut End<'_>,
) {
    match end {
        End::Bytes { end, output } => finish_bytes(sums, tile, end, output),
        End::Floats { end, scale, output, .. } => finish_floats(sums, tile, end, *scale, output),
    }
}

/// Requantises sums, two rows at a time.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn finish_bytes<const ROWS: usize, const VECTORS: usize>(
    sums: [[__m256i; VECTORS]; ROWS],
    Tile { row: first, column, columns }: Tile,
    end: &ToBytes,
    output: &mut [u8],
) {
    let scales = &end.scales[column..].as_chunks::<LANES>().0[..VECTORS];
    let (_, largest, zero_point) = end.output.parts();
    let largest = _mm256_set1_ps(largest);
    // Both are bytes.
    let zero_point = _mm256_set1_epi16(zero_point as i16);
    let least = _mm256_set1_epi8(end.output.bytes().0.cast_signed());
    let width = (VECTORS * LANES).min(columns - column);
    // Packing works within halves of a vector: gather what belongs together.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let mut words = [_mm256_setzero_si256(); ROWS];
    for row in 0..ROWS {
        let mut results = [_mm256_setzero_si256(); VECTORS];
        for vector in 0..VECTORS {
            let scaled =
                _mm256_mul_ps(_mm256_cvtepi32_ps(sums[row][vector]), load_f32x8(&scales[vector]));
            results[vector] = _mm256_cvtps_epi32(_mm256_min_ps(scaled, largest));
        }
        let packed = _mm256_packs_epi32(results[0], results[VECTORS - 1]);
        words[row] = _mm256_adds_epi16(packed, zero_point);
    }
    for row in (0..ROWS).step_by(2) {
        let next = (row + 1).min(ROWS - 1);
        let packed = _mm256_packus_epi16(words[row], words[next]);
        let bytes = _mm256_permutevar8x32_epi32(_mm256_max_epu8(packed, least), order);
        let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
        for (place, half) in (row..=next).zip(halves) {
            let target = &mut output[(first + place) * columns + column..];
            if VECTORS == 2
                && width == 2 * LANES
                && let Some(target) = target.first_chunk_mut()
            {
                store_u8x16(target, half);
            } else if VECTORS == 1 {
                // The eight results come twice.
                match target.first_chunk_mut() {
                    Some(target) if width == LANES => store_u8x8(target, half),
                    _ => store_part(&mut target[..width], half),
                }
            } else {
                store_part(&mut target[..width], half);
            }
        }
    }
}

/// Stores as many of sixteen bytes as the target takes.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn store_part(target: &mut [u8], bytes: __m128i) {
    let mut whole = [0; 16];
    store_u8x16(&mut whole, bytes);
    target.copy_from_slice(&whole[..target.len()]);
}

/// Scales sums to floats.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn finish_floats<const ROWS: usize, const VECTORS: usize>(
    sums: [[__m256i; VECTORS]; ROWS],
    Tile { row: first, column, columns }: Tile,
    end: &ToFloats,
    scale: f32,
    output: &mut [f32],
) {
    let (least, largest) = (_mm256_set1_ps(end.range.0), _mm256_set1_ps(end.range.1));
    let scale = _mm256_set1_ps(scale);
    let scales = &end.scales[column..].as_chunks::<LANES>().0[..VECTORS];
    let bias = &end.bias[column..].as_chunks::<LANES>().0[..VECTORS];
    for vector in 0..VECTORS {
        let column = column + vector * LANES;
        let width = LANES.min(columns - column);
        let factor = _mm256_mul_ps(scale, load_f32x8(&scales[vector]));
        let bias = load_f32x8(&bias[vector]);
        for row in 0..ROWS {
            let sum = _mm256_cvtepi32_ps(sums[row][vector]);
            let value = _mm256_add_ps(_mm256_mul_ps(sum, factor), bias);
            let value = _mm256_min_ps(_mm256_max_ps(value, least), largest);
            let target = &mut output[(first + row) * columns + column..];
            match target.first_chunk_mut() {
                Some(target) if width == LANES => store_f32x8(target, value),
                _ => store_f32x8_part(&mut target[..width], value),
            }
        }
    }
}
