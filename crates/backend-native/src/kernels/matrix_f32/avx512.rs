//! The product with AVX-512: sixteen fused multiply-additions an instruction.

use std::arch::x86_64::*;

use super::FloatRows;
use crate::simd::x86_64::{Avx512Vnni, FloatLine, load_f32x16, store_f32x16};

/// Columns of one vector.
const LANES: usize = 16;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 4;

/// Rows that go through all panels together.
const ROW_BLOCK: usize = 96;

/// Weights in panels of up to four vectors of columns.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    depth: usize,
    columns: usize,
}

/// The vectors of one panel, row of weights by row.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<FloatLine>,
}

impl Weights {
    pub(super) fn new(transposed: &[f32], depth: usize, columns: usize) -> Self {
        let vectors = columns.div_ceil(LANES);
        let count = vectors.div_ceil(MAX_VECTORS);
        let mut panels = Vec::with_capacity(count);
        let mut first = 0;
        for index in 0..count {
            // Spread the vectors evenly: a narrow panel keeps fewer sums in flight.
            let width = (vectors - first).div_ceil(count - index);
            let mut lines = vec![FloatLine::ZERO; depth * width];
            for column in first * LANES..((first + width) * LANES).min(columns) {
                let (vector, lane) = (column / LANES - first, column % LANES);
                for (row, &weight) in transposed[column * depth..][..depth].iter().enumerate() {
                    lines[row * width + vector].0[lane] = weight;
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors: width, lines });
            first += width;
        }
        Self { panels, depth, columns }
    }

    pub(super) fn multiply(
        &self,
        _token: Avx512Vnni,
        rows: FloatRows<'_>,
        bias: &[f32],
        range: (f32, f32),
        output: &mut [f32],
    ) {
        let end = End { bias, range };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { multiply(self, rows, &end, output) }
    }
}

/// What ends each sum.
struct End<'a> {
    bias: &'a [f32],
    range: (f32, f32),
}

/// Multiplies block by block of rows, panel by panel, in tiles of as many rows as registers allow.
#[target_feature(enable = "avx512f")]
fn multiply(weights: &Weights, rows: FloatRows<'_>, end: &End<'_>, output: &mut [f32]) {
    for first in (0..rows.count).step_by(ROW_BLOCK) {
        let block = FloatRows {
            values: &rows.values[first * rows.stride..],
            count: ROW_BLOCK.min(rows.count - first),
            ..rows
        };
        let output = &mut output[first * weights.columns..];
        for panel in &weights.panels {
            match panel.vectors {
                1 => multiply_panel::<12, 1>(weights, panel, block, end, output),
                2 => multiply_panel::<12, 2>(weights, panel, block, end, output),
                3 => multiply_panel::<8, 3>(weights, panel, block, end, output),
                _ => multiply_panel::<6, 4>(weights, panel, block, end, output),
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
fn multiply_panel<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: FloatRows<'_>,
    end: &End<'_>,
    output: &mut [f32],
) {
    if rows.count < ROWS {
        for row in 0..rows.count {
            multiply_tile::<1, VECTORS>(weights, panel, rows, row, end, output);
        }
        return;
    }
    let mut first = 0;
    while first < rows.count {
        // The last tile begins early enough to be whole; it computes some rows again.
        let start = first.min(rows.count - ROWS);
        multiply_tile::<ROWS, VECTORS>(weights, panel, rows, start, end, output);
        first += ROWS;
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: FloatRows<'_>,
    first: usize,
    end: &End<'_>,
    output: &mut [f32],
) {
    let depth = weights.depth;
    let mut values: [&[f32]; ROWS] = [&[]; ROWS];
    for (row, values) in values.iter_mut().enumerate() {
        *values = rows.row(first + row, depth);
    }
    let lines = &panel.lines.as_chunks::<VECTORS>().0[..depth];
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
    for step in 0..depth {
        let mut factors = [_mm512_setzero_ps(); VECTORS];
        for vector in 0..VECTORS {
            factors[vector] = load_f32x16(&lines[step][vector].0);
        }
        for row in 0..ROWS {
            let value = _mm512_set1_ps(values[row][step]);
            for vector in 0..VECTORS {
                sums[row][vector] = _mm512_fmadd_ps(value, factors[vector], sums[row][vector]);
            }
        }
    }
    let bias = &end.bias[panel.first_column..].as_chunks::<LANES>().0[..VECTORS];
    let (least, largest) = (_mm512_set1_ps(end.range.0), _mm512_set1_ps(end.range.1));
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            let sum = _mm512_add_ps(sums[row][vector], load_f32x16(&bias[vector]));
            let result = _mm512_min_ps(_mm512_max_ps(sum, least), largest);
            let column = panel.first_column + vector * LANES;
            let target = &mut output[(first + row) * weights.columns + column..];
            let width = LANES.min(weights.columns - column);
            match target.first_chunk_mut::<LANES>() {
                Some(target) if width == LANES => store_f32x16(target, result),
                _ => {
                    let mut whole = [0.0; LANES];
                    store_f32x16(&mut whole, result);
                    target[..width].copy_from_slice(&whole[..width]);
                }
            }
        }
    }
}
