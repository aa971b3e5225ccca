//! Products of 16-bit numbers: rows are widened, and one instruction multiplies and adds a pair in
//! each lane.

use std::arch::x86_64::*;

use super::{End, LANES, MAX_VECTORS, Tile, finish, first_sums};
use crate::kernels::panels::{Rows, deal_panels};
use crate::simd::x86_64::{PairLine, load_pairs, load_u8x16, store_u8x32};

/// Rows of the largest tile.
const ROWS: usize = 6;

/// Bytes of widened rows that go through all panels together: they stay in the second-level cache.
const BLOCK: usize = 128 * 1024;

/// Weights as 16-bit numbers in panels of vectors of columns, two rows to a lane.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<Panel>,
    depth: usize,
    columns: usize,
}

/// The vectors of one panel, for each step of two rows in turn.
#[derive(Clone, Debug)]
struct Panel {
    first_column: usize,
    vectors: usize,
    lines: Vec<PairLine>,
}

impl Weights {
    pub(super) fn new(transposed: &[i16], depth: usize) -> Self {
        let columns = transposed.len() / depth.max(1);
        let vectors = columns.div_ceil(LANES);
        let mut panels = Vec::new();
        for (first, width) in deal_panels(vectors, MAX_VECTORS) {
            let mut lines = vec![PairLine::ZERO; depth.div_ceil(2) * width];
            for column in first * LANES..((first + width) * LANES).min(columns) {
                let (vector, lane) = (column / LANES - first, column % LANES);
                let (pairs, rest) = transposed[column * depth..][..depth].as_chunks::<2>();
                let mut targets = lines[vector..].iter_mut().step_by(width);
                for (pair, line) in pairs.iter().zip(&mut targets) {
                    line.0.as_chunks_mut::<2>().0[lane] = *pair;
                }
                if let Some((&weight, line)) = rest.first().zip(targets.next()) {
                    line.0[lane * 2] = weight;
                }
            }
            panels.push(Panel { first_column: first * LANES, vectors: width, lines });
        }
        Self { panels, depth, columns }
    }

    /// Bytes of a widened row.
    fn row_bytes(&self) -> usize {
        self.depth.next_multiple_of(16) * 2
    }

    /// Rows that are widened together.
    fn block(&self) -> usize {
        (BLOCK / self.row_bytes().max(1) / ROWS).max(1) * ROWS
    }

    pub(super) fn scratch_bytes(&self, rows: usize) -> usize {
        self.block().min(rows) * self.row_bytes()
    }
}

/// Multiplies block by block of rows, panel by panel, in tiles of as many rows as registers allow.
#[target_feature(enable = "avx2,fma")]
pub(super) fn multiply(
    weights: &Weights,
    rows: Rows<'_, u8>,
    end: &mut End<'_>,
    scratch: &mut [u8],
) {
    let block = weights.block();
    for first in (0..rows.count).step_by(block) {
        let count = block.min(rows.count - first);
        let widened = &mut scratch[..count * weights.row_bytes()];
        for (row, widened) in widened.chunks_exact_mut(weights.row_bytes()).enumerate() {
            widen(&rows.values[(first + row) * rows.stride..], weights.depth, widened);
        }
        for panel in &weights.panels {
            match panel.vectors {
                1 => multiply_panel::<1>(weights, panel, widened, first, end),
                _ => multiply_panel::<2>(weights, panel, widened, first, end),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn multiply_panel<const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    widened: &[u8],
    first: usize,
    end: &mut End<'_>,
) {
    let count = widened.len() / weights.row_bytes();
    let mut row = 0;
    while row < count {
        // The last tile may begin early enough to be whole; it computes some rows again.
        let start = |rows: usize| row.min(count - rows);
        row += match count - row {
            6.. => multiply_tile::<6, VECTORS>(weights, panel, widened, row, first, end),
            5 if count >= 6 => {
                multiply_tile::<6, VECTORS>(weights, panel, widened, start(6), first, end)
            }
            4.. => multiply_tile::<4, VECTORS>(weights, panel, widened, row, first, end),
            3 if count >= 4 => {
                multiply_tile::<4, VECTORS>(weights, panel, widened, start(4), first, end)
            }
            2.. => multiply_tile::<2, VECTORS>(weights, panel, widened, row, first, end),
            _ => multiply_tile::<1, VECTORS>(weights, panel, widened, row, first, end),
        };
    }
}

/// Multiplies a tile of rows of the block that begins at row `first`, and returns their number.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
    weights: &Weights,
    panel: &Panel,
    widened: &[u8],
    row: usize,
    first: usize,
    end: &mut End<'_>,
) -> usize {
    let steps = weights.depth.div_ceil(2);
    let mut values: [&[[u8; 4]]; ROWS] = [&[]; ROWS];
    for (offset, values) in values.iter_mut().enumerate() {
        let row = &widened[(row + offset) * weights.row_bytes()..];
        *values = &row.as_chunks::<4>().0[..steps];
    }
    let lines = &panel.lines.as_chunks::<VECTORS>().0[..steps];
    let mut sums = [first_sums::<VECTORS>(end, panel.first_column); ROWS];
    for step in 0..steps {
        let mut factors = [_mm256_setzero_si256(); VECTORS];
        for vector in 0..VECTORS {
            factors[vector] = load_pairs(&lines[step][vector]);
        }
        for row in 0..ROWS {
            let value = _mm256_set1_epi32(i32::from_le_bytes(values[row][step]));
            for vector in 0..VECTORS {
                let products = _mm256_madd_epi16(value, factors[vector]);
                sums[row][vector] = _mm256_add_epi32(sums[row][vector], products);
            }
        }
    }
    let tile = Tile { row: first + row, column: panel.first_column, columns: weights.columns };
    finish(sums, tile, end);
    ROWS
}

/// Widens `depth` bytes to 16-bit numbers, whole vectors of them. Bytes behind the depth meet
/// weights of zero.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn widen(bytes: &[u8], depth: usize, target: &mut [u8]) {
    let (targets, _) = target.as_chunks_mut::<32>();
    let (vectors, rest) = bytes[..bytes.len().min(targets.len() * 16)].as_chunks::<16>();
    for (target, bytes) in targets.iter_mut().zip(vectors) {
        store_u8x32(target, _mm256_cvtepu8_epi16(load_u8x16(bytes)));
    }
    // The last row of all may end within a vector.
    if let (Some(target), true) = (targets.get_mut(vectors.len()), vectors.len() * 16 < depth) {
        let mut bytes = [0; 16];
        bytes[..rest.len()].copy_from_slice(rest);
        store_u8x32(target, _mm256_cvtepu8_epi16(load_u8x16(&bytes)));
    }
}
