//! The special filter for planes that shrink to three eighths.

use crate::crop::Samples;
use crate::memory::Size;

use super::bilinear::average;

/// Columns that the original's vector code does at a time; it rounds differently from the rest.
const VECTOR_COLUMNS: usize = 6;

/// Shrinks a plane to three eighths of its width and height: means of blocks of 3, 3 and 2
/// columns and rows.
pub(super) fn scale<const S: usize>(source: Samples<'_>, target: Size, output: &mut [u8]) {
    let vector_columns = target.width - target.width % VECTOR_COLUMNS;
    for (index, output) in output.chunks_exact_mut(target.width).enumerate() {
        let first = index / 3 * 8;
        let row = |row: usize| source.row(first + row, 1);
        match index % 3 {
            0 => means::<S, 3>([row(0), row(1), row(2)], 0, output),
            1 => means::<S, 3>([row(3), row(4), row(5)], 0, output),
            _ => {
                let (vector, rest) = output.split_at_mut(vector_columns);
                let rows = [row(6), row(7)];
                averaged_means::<S>(rows, vector);
                means::<S, 2>(rows, vector_columns / 3, rest);
            }
        }
    }
}

/// Means of blocks of `R` rows, from a group of eight columns on.
fn means<const S: usize, const R: usize>(rows: [&[u8]; R], first: usize, output: &mut [u8]) {
    // Factors in 16 bits, cut off: 65536 / 9 and so on.
    let (three, two) = (65536 / (3 * R as u32), 65536 / (2 * R as u32));
    for (group, output) in output.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let start = (first + group) * 8;
        let sum = |columns: std::ops::Range<usize>| -> u32 {
            let row_sum = |row: &&[u8]| -> u32 {
                columns.clone().map(|column| u32::from(row[(start + column) * S])).sum()
            };
            rows.iter().map(row_sum).sum()
        };
        *output = [sum(0..3) * three, sum(3..6) * three, sum(6..8) * two].map(|v| (v >> 16) as u8);
    }
}

/// Means of blocks of two rows, whose average is rounded to 8 bits first.
fn averaged_means<const S: usize>([upper, lower]: [&[u8]; 2], output: &mut [u8]) {
    for (group, output) in output.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let sum = |columns: std::ops::Range<usize>| -> u32 {
            columns
                .map(|column| (group * 8 + column) * S)
                .map(|offset| u32::from(average(upper[offset], lower[offset])))
                .sum()
        };
        *output =
            [sum(0..3) * 21845, sum(3..6) * 21845, sum(6..8) * 32768].map(|v| (v >> 16) as u8);
    }
}
