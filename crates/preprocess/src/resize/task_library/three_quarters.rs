//! The special filter for planes that shrink to three quarters.

use crate::crop::Samples;
use crate::memory::Size;

use super::bilinear::average;

/// Columns that the original's vector code does at a time; it rounds differently from the rest.
const VECTOR_COLUMNS: usize = 24;

/// Shrinks a plane to three quarters of its width and height.
pub(super) fn scale<const S: usize>(source: Samples<'_>, target: Size, output: &mut [u8]) {
    let vector_columns = target.width - target.width % VECTOR_COLUMNS;
    for (index, output) in output.chunks_exact_mut(target.width).enumerate() {
        let first = index / 3 * 4;
        let (near, far, is_middle) = match index % 3 {
            0 => (first, first + 1, false),
            1 => (first + 1, first + 2, true),
            _ => (first + 3, first + 2, false),
        };
        let (near, far) = (source.row(near, 1), source.row(far, 1));
        let (vector, rest) = output.split_at_mut(vector_columns);

        // Rows first, each step rounded to 8 bits.
        let vertical = |column: usize| {
            let (near, far) = (near[column * S], far[column * S]);
            let middle = average(near, far);
            u16::from(if is_middle { middle } else { average(near, middle) })
        };
        for (block, output) in vector.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *output = horizontal([0, 1, 2, 3].map(|column| vertical(block * 4 + column)));
        }

        // Columns first.
        let columns = |row: &[u8], block: usize| {
            horizontal([0, 1, 2, 3].map(|column| u16::from(row[(block * 4 + column) * S])))
        };
        for (block, output) in rest.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let block = vector_columns / 3 + block;
            let (near, far) = (columns(near, block), columns(far, block));
            for (output, (near, far)) in output.iter_mut().zip(near.into_iter().zip(far)) {
                let (near, far) = (u16::from(near), u16::from(far));
                *output =
                    if is_middle { (near + far + 1) >> 1 } else { (3 * near + far + 2) >> 2 } as u8;
            }
        }
    }
}

/// Three columns out of four.
fn horizontal([a, b, c, d]: [u16; 4]) -> [u8; 3] {
    [(3 * a + b + 2) >> 2, (b + c + 1) >> 1, (c + 3 * d + 2) >> 2].map(|value| value as u8)
}
