//! The product with NEON's fused multiply-additions, four columns a vector.

use std::arch::aarch64::*;

use crate::kernels::panels::{Windows, deal_panels};
use crate::simd::aarch64::{Neon, load_f32x4, store_f32x4, store_f32x4_part};

/// Columns of one vector, and rows of weights that one load of a row's values meets.
const LANES: usize = 4;

/// Vectors of the widest panel.
const MAX_VECTORS: usize = 4;

/// Rows that go through all panels together.
const ROW_BLOCK: usize = 48;

/// Weights in panels of up to four vectors of columns.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    columns: usize,
}

/// The vectors of one panel, row of weights by row.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<[f32; LANES]>,
}

/// What ends each sum.
struct End<'a> {
    bias: &'a [f32],
    range: (f32, f32),
}

impl Weights {
    pub(super) fn new(transposed: &[f32], depth: usize, columns: usize) -> Self {
        let mut panels = Vec::new();
        for (first, vectors) in deal_panels(columns.div_ceil(LANES), MAX_VECTORS) {
            let mut lines = vec![[0.0; LANES]; depth * vectors];
            for column in first * LANES..((first + vectors) * LANES).min(columns) {
                let (vector, lane) = (column / LANES - first, column % LANES);
                for (row, &weight) in transposed[column * depth..][..depth].iter().enumerate() {
                    lines[row * vectors + vector][lane] = weight;
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors, lines });
        }
        Self { panels, columns }
    }

    pub(super) fn multiply(
        &self,
        _token: Neon,
        rows: Windows<'_, f32>,
        bias: &[f32],
        range: (f32, f32),
        output: &mut [f32],
    ) {
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { multiply(self, rows, &End { bias, range }, output) }
    }
}

/// Multiplies block by block of rows, panel by panel, in tiles of as many rows as registers allow.
#[target_feature(enable = "neon")]
fn multiply(weights: &Weights, rows: Windows<'_, f32>, end: &End<'_>, output: &mut [f32]) {
    for first in (0..rows.count).step_by(ROW_BLOCK) {
        let block = first..rows.count.min(first + ROW_BLOCK);
        for panel in &weights.panels {
            let block = block.clone();
            match panel.vectors {
                1 => multiply_panel::<1>(weights, panel, rows, block, end, output),
                2 => multiply_panel::<2>(weights, panel, rows, block, end, output),
                3 => multiply_panel::<3>(weights, panel, rows, block, end, output),
                _ => multiply_panel::<4>(weights, panel, rows, block, end, output),
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn multiply_panel<const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: Windows<'_, f32>,
    block: std::ops::Range<usize>,
    end: &End<'_>,
    output: &mut [f32],
) {
    let mut row = block.start;
    while row < block.end {
        row += match block.end - row {
            4.. => multiply_tile::<4, VECTORS>(weights, panel, rows, row, end, output),
            2.. => multiply_tile::<2, VECTORS>(weights, panel, rows, row, end, output),
            _ => multiply_tile::<1, VECTORS>(weights, panel, rows, row, end, output),
        };
    }
}

/// Returns the number of rows.
#[target_feature(enable = "neon")]
fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    rows: Windows<'_, f32>,
    first: usize,
    end: &End<'_>,
    output: &mut [f32],
) -> usize {
    let starts: [usize; ROWS] = rows.starts(first);
    let bias = &end.bias[panel.first_column..].as_chunks::<LANES>().0[..VECTORS];
    let mut start = [vdupq_n_f32(0.0); VECTORS];
    for (start, bias) in start.iter_mut().zip(bias) {
        *start = load_f32x4(bias);
    }
    let sums = accumulate::<ROWS, VECTORS>(panel, rows, starts, [start; ROWS]);
    let (least, largest) = (vdupq_n_f32(end.range.0), vdupq_n_f32(end.range.1));
    for (row, sums) in sums.iter().enumerate() {
        for (vector, &sum) in sums.iter().enumerate() {
            let result = vminnmq_f32(vmaxnmq_f32(sum, least), largest);
            let column = panel.first_column + vector * LANES;
            let target = &mut output[(first + row) * weights.columns + column..];
            let width = LANES.min(weights.columns - column);
            match target.first_chunk_mut() {
                Some(target) if width == LANES => store_f32x4(target, result),
                _ => store_f32x4_part(&mut target[..width], result),
            }
        }
    }
    ROWS
}

/// Adds the products of rows and a panel to sums.
///
/// A function of its own, in which every index of a sum is a constant: sums that are indexed by a
/// variable anywhere are kept in memory, and stored at every step.
#[inline]
#[target_feature(enable = "neon")]
fn accumulate<const ROWS: usize, const VECTORS: usize>(
    panel: &Panel,
    rows: Windows<'_, f32>,
    starts: [usize; ROWS],
    mut sums: [[float32x4_t; VECTORS]; ROWS],
) -> [[float32x4_t; VECTORS]; ROWS] {
    /// Adds the products of one lane of each row's values with one row of weights.
    macro_rules! add_products {
        ($lane:literal, $line:expr, $values:ident) => {
            for vector in 0..VECTORS {
                let weights = load_f32x4(&$line[vector]);
                for row in 0..ROWS {
                    let sum = sums[row][vector];
                    sums[row][vector] = vfmaq_laneq_f32::<$lane>(sum, weights, $values[row]);
                }
            }
        };
    }
    let runs = panel.lines.as_chunks::<VECTORS>().0.chunks(rows.run.max(1));
    for (&offset, lines) in rows.offsets.iter().zip(runs) {
        let (blocks, rest) = lines.as_chunks::<LANES>();
        let mut chunks: [&[[f32; LANES]]; ROWS] = [&[]; ROWS];
        let mut ends: [&[f32]; ROWS] = [&[]; ROWS];
        for row in 0..ROWS {
            let run = &rows.values[starts[row] + offset..][..lines.len()];
            chunks[row] = &run.as_chunks::<LANES>().0[..blocks.len()];
            ends[row] = &run[blocks.len() * LANES..][..rest.len()];
        }
        for (index, block) in blocks.iter().enumerate() {
            let mut values = [vdupq_n_f32(0.0); ROWS];
            for row in 0..ROWS {
                values[row] = load_f32x4(&chunks[row][index]);
            }
            add_products!(0, block[0], values);
            add_products!(1, block[1], values);
            add_products!(2, block[2], values);
            add_products!(3, block[3], values);
        }
        for (index, line) in rest.iter().enumerate() {
            let mut values = [vdupq_n_f32(0.0); ROWS];
            for row in 0..ROWS {
                values[row] = vdupq_n_f32(ends[row][index]);
            }
            add_products!(0, line, values);
        }
    }
    sums
}
