//! The product with AVX-512 for eight columns: two neighbouring rows share a vector.
//!
//! Half of a vector would go for nothing otherwise. Where the runs of two rows lie within sixteen
//! values, one load brings both, and one permutation each step of both.

use std::arch::x86_64::*;

use crate::kernels::panels::Windows;
use crate::simd::x86_64::{
    Avx512Vnni, FloatLine, load_f32x16, load_f32x16_part, store_f32x16, store_f32x16_part,
};

/// Columns, and lanes of one of the rows.
const COLUMNS: usize = 8;

/// Values of one load.
const VALUES: usize = 16;

/// Pairs of rows whose sums are in flight together.
const PAIRS: usize = 8;

/// Weights of eight columns, row by row, each of them twice.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    lines: Vec<FloatLine>,
}

impl Weights {
    /// Packs weights, column by column, if there are eight columns.
    pub(super) fn new(transposed: &[f32], depth: usize, columns: usize) -> Option<Self> {
        if columns != COLUMNS {
            return None;
        }
        let mut lines = vec![FloatLine::ZERO; depth];
        for (column, weights) in transposed.chunks_exact(depth.max(1)).enumerate().take(COLUMNS) {
            for (line, &weight) in lines.iter_mut().zip(weights) {
                line.0[column] = weight;
                line.0[COLUMNS + column] = weight;
            }
        }
        Some(Self { lines })
    }

    /// Whether the runs of neighbouring rows lie within one load.
    pub(super) fn take(rows: &Windows<'_, f32>) -> bool {
        rows.run > 0 && rows.columns > 0 && rows.stride + rows.run <= VALUES
    }

    pub(super) fn multiply(
        &self,
        _token: Avx512Vnni,
        rows: Windows<'_, f32>,
        bias: &[f32],
        range: (f32, f32),
        output: &mut [f32],
    ) {
        let mut twice = [0.0; VALUES];
        for half in twice.chunks_exact_mut(COLUMNS) {
            half.copy_from_slice(&bias[..COLUMNS]);
        }
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { multiply(self, rows, &twice, range, output) }
    }
}

/// Multiplies line by line, in as many pairs of rows at a time as there are.
#[target_feature(enable = "avx512f")]
fn multiply(
    weights: &Weights,
    rows: Windows<'_, f32>,
    bias: &[f32; VALUES],
    range: (f32, f32),
    output: &mut [f32],
) {
    for (line, results) in output.chunks_mut(rows.columns * COLUMNS).enumerate() {
        let start = line * rows.line;
        let mut parts = results.chunks_exact_mut(PAIRS * VALUES);
        let mut at = start;
        for results in &mut parts {
            multiply_pairs::<PAIRS>(weights, &rows, at, bias, range, results);
            at += PAIRS * 2 * rows.stride;
        }
        for results in parts.into_remainder().chunks_mut(VALUES) {
            multiply_pairs::<1>(weights, &rows, at, bias, range, results);
            at += 2 * rows.stride;
        }
    }
}

/// Computes `COUNT` pairs of rows from the one that starts at `start` on, the last of which may be
/// a single row.
#[target_feature(enable = "avx512f")]
#[inline]
fn multiply_pairs<const COUNT: usize>(
    weights: &Weights,
    rows: &Windows<'_, f32>,
    start: usize,
    bias: &[f32; VALUES],
    range: (f32, f32),
    results: &mut [f32],
) {
    let is_single = results.len() < COUNT * VALUES;
    let len = if is_single { rows.run } else { rows.stride + rows.run };
    // The lanes of the second row are a stride ahead.
    let ahead = _mm512_mask_set1_epi32(_mm512_setzero_si512(), 0xff00, rows.stride as i32);
    let mut sums = [load_f32x16(bias); COUNT];
    for (&offset, lines) in rows.offsets.iter().zip(weights.lines.chunks_exact(rows.run)) {
        let mut values = [_mm512_setzero_ps(); COUNT];
        for (pair, values) in values.iter_mut().enumerate() {
            let from = start + offset + pair * 2 * rows.stride;
            *values = load_f32x16_part(&rows.values[from..][..len]);
        }
        for (step, line) in lines.iter().enumerate() {
            let places = _mm512_add_epi32(ahead, _mm512_set1_epi32(step as i32));
            let weights = load_f32x16(&line.0);
            for pair in 0..COUNT {
                let value = _mm512_permutexvar_ps(places, values[pair]);
                sums[pair] = _mm512_fmadd_ps(value, weights, sums[pair]);
            }
        }
    }
    let (least, largest) = (_mm512_set1_ps(range.0), _mm512_set1_ps(range.1));
    for pair in 0..COUNT {
        let result = _mm512_min_ps(_mm512_max_ps(sums[pair], least), largest);
        let target = &mut results[pair * VALUES..];
        match target.first_chunk_mut() {
            Some(target) => store_f32x16(target, result),
            None => store_f32x16_part(target, result),
        }
    }
}
