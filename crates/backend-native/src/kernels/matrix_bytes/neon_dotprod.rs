//! The product with NEON's dot products: four signed products a lane and instruction.
//!
//! Bytes less 128 are signed; what that leaves out of a column's sum is known when weights are
//! packed, and sums start from it. Weights of columns that do not fit signed bytes are packed less
//! an offset, and the sum of the row's bytes makes up for it:
//!
//! ```text
//! sum of x * w = sum of (x - 128) * (w - offset) + 128 * sum of (w - offset) + offset * sum of x
//! ```

use std::arch::aarch64::*;

use super::neon::{End, LANES, Place, Products, Vector};
use crate::simd::aarch64::{NeonDotprod, dot_product, load_i8x16, load_i32x4, load_u8x16};

/// The weights of some neighbouring vectors of columns.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// For each four rows of weights, for each vector: four columns' weights, and four others'.
    lines: Vec<[[i8; 16]; 2]>,
    /// For each vector, what sums start from.
    start: Vec<[[i32; 4]; 2]>,
    /// For each vector, what was taken from each weight; empty if nothing.
    offsets: Vec<[[i32; 4]; 2]>,
}

/// The offset with which the weights of a column fit signed bytes, or `None` if there is none.
fn offset(column: &[i16]) -> Option<i32> {
    let least = i32::from(column.iter().copied().min().unwrap_or(0));
    let largest = i32::from(column.iter().copied().max().unwrap_or(0));
    if least >= -128 && largest <= 127 {
        return Some(0);
    }
    (largest - least <= 255).then_some(least + 128)
}

/// Whether every column's weights, less an offset, fit signed bytes.
pub(super) fn takes(transposed: &[i16], depth: usize) -> bool {
    transposed.chunks_exact(depth.max(1)).all(|column| offset(column).is_some())
}

impl Products for NeonDotprod {
    type Panel = Panel;

    fn pack(transposed: &[i16], depth: usize, first: usize, vectors: usize) -> Panel {
        let mut panel = Panel {
            lines: vec![[[0; 16]; 2]; depth.div_ceil(4) * vectors],
            start: vec![[[0; 4]; 2]; vectors],
            offsets: vec![[[0; 4]; 2]; vectors],
        };
        let columns = transposed.chunks_exact(depth.max(1)).skip(first).take(vectors * LANES);
        for (column, weights) in columns.enumerate() {
            let (vector, half, lane) = (column / LANES, column % LANES / 4, column % 4);
            let offset = offset(weights).unwrap_or(0);
            panel.offsets[vector][half][lane] = offset;
            for (row, &weight) in weights.iter().enumerate() {
                let weight = i32::from(weight) - offset;
                let line = &mut panel.lines[row / 4 * vectors + vector];
                // The offset makes every weight of the column a signed byte.
                line[half][lane * 4 + row % 4] = weight as i8;
                let start = &mut panel.start[vector][half][lane];
                *start = start.wrapping_add(128 * weight);
            }
        }
        if panel.offsets.as_flattened().as_flattened().iter().all(|&offset| offset == 0) {
            panel.offsets.clear();
        }
        panel
    }

    fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
        self,
        panel: &Panel,
        rows: [&[u8]; ROWS],
        place: Place,
        end: &E,
        output: &mut [E::Result],
    ) {
        // SAFETY: the proof exists only on processors that have the function's features.
        unsafe { multiply_tile::<E, ROWS, VECTORS>(panel, rows, place, end, output) }
    }
}

/// Bytes of one load.
const BYTES: usize = 16;

/// Steps of four bytes that one load takes.
const STEPS: usize = BYTES / 4;

#[target_feature(enable = "neon,dotprod")]
fn multiply_tile<E: End, const ROWS: usize, const VECTORS: usize>(
    panel: &Panel,
    rows: [&[u8]; ROWS],
    place: Place,
    end: &E,
    output: &mut [E::Result],
) {
    let mut start = [[vdupq_n_s32(0); 2]; VECTORS];
    for (start, constants) in start.iter_mut().zip(&panel.start) {
        *start = [load_i32x4(&constants[0]), load_i32x4(&constants[1])];
    }
    let mut sums = accumulate::<ROWS, VECTORS>(panel, rows, [start; ROWS]);
    if let Some(offsets) = panel.offsets.first_chunk::<VECTORS>() {
        let mut row_sums = [0; ROWS];
        for (sum, row) in row_sums.iter_mut().zip(rows) {
            *sum = sum_bytes(row);
        }
        // Counted loops, which the compiler unrolls, leave the sums in registers.
        for row in 0..ROWS {
            for vector in 0..VECTORS {
                for half in 0..2 {
                    let (sum, offsets) = (sums[row][vector][half], &offsets[vector][half]);
                    sums[row][vector][half] = vmlaq_n_s32(sum, load_i32x4(offsets), row_sums[row]);
                }
            }
        }
    }
    end.finish(place, &sums, output);
}

/// The sum of a row's bytes.
fn sum_bytes(row: &[u8]) -> i32 {
    row.iter().fold(0, |sum, &byte| sum.wrapping_add(i32::from(byte)))
}

/// Adds the products of rows and a panel to sums.
///
/// A function of its own, in which every index of a sum is a constant: sums that are indexed by a
/// variable anywhere are kept in memory, and stored at every step. Closures would be compiled
/// without the instructions of this function, and called.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn accumulate<const ROWS: usize, const VECTORS: usize>(
    panel: &Panel,
    rows: [&[u8]; ROWS],
    mut sums: [[Vector; VECTORS]; ROWS],
) -> [[Vector; VECTORS]; ROWS] {
    /// Adds the products of one lane of each row's values with four rows of weights.
    macro_rules! add_products {
        ($lane:literal, $line:expr, $values:ident) => {
            for vector in 0..VECTORS {
                let weights = &$line[vector];
                let (low, high) = (load_i8x16(&weights[0]), load_i8x16(&weights[1]));
                for row in 0..ROWS {
                    let (sum, values) = (sums[row][vector], $values[row]);
                    sums[row][vector] = [
                        dot_product::<$lane>(sum[0], low, values),
                        dot_product::<$lane>(sum[1], high, values),
                    ];
                }
            }
        };
    }
    let lines = panel.lines.as_chunks::<VECTORS>().0;
    // The last load of a row may be shorter than its steps.
    let (blocks, rest) = lines.split_at(rows[0].len() / BYTES * STEPS);
    let blocks = blocks.as_chunks::<STEPS>().0;
    let mut chunks: [&[[u8; BYTES]]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks::<BYTES>().0[..blocks.len()];
    }
    let flip = vdupq_n_u8(128);
    for (index, block) in blocks.iter().enumerate() {
        let mut values = [vdupq_n_s8(0); ROWS];
        for row in 0..ROWS {
            values[row] = vreinterpretq_s8_u8(veorq_u8(load_u8x16(&chunks[row][index]), flip));
        }
        add_products!(0, block[0], values);
        add_products!(1, block[1], values);
        add_products!(2, block[2], values);
        add_products!(3, block[3], values);
    }
    for (index, line) in rest.iter().enumerate() {
        let mut values = [vdupq_n_s8(0); ROWS];
        for row in 0..ROWS {
            let end = &rows[row][blocks.len() * BYTES..];
            let mut bytes = [128; 4];
            for (byte, value) in bytes.iter_mut().zip(end.iter().skip(index * 4)) {
                *byte = *value;
            }
            let four = vreinterpretq_u8_u32(vdupq_n_u32(u32::from_le_bytes(bytes)));
            values[row] = vreinterpretq_s8_u8(veorq_u8(four, flip));
        }
        add_products!(0, line, values);
    }
    sums
}
