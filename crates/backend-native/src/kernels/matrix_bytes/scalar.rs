//! The portable product, oracle of the others.

use crate::kernels::panels::Rows;

/// Columns of weights, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    transposed: Vec<i16>,
    depth: usize,
}

/// Rows that share one pass over a column.
const ROWS: usize = 4;

impl Weights {
    pub(super) fn new(transposed: &[i16], depth: usize) -> Self {
        Self { transposed: transposed.to_vec(), depth }
    }

    /// Hands each sum to `store(row, column, sum)`.
    pub(super) fn multiply(&self, rows: Rows<'_, u8>, mut store: impl FnMut(usize, usize, i32)) {
        for first in (0..rows.count).step_by(ROWS) {
            let count = ROWS.min(rows.count - first);
            let [a, b, c, d]: [&[u8]; ROWS] =
                std::array::from_fn(|row| rows.row(first + row.min(count - 1), self.depth));
            for (column, weights) in self.transposed.chunks_exact(self.depth.max(1)).enumerate() {
                let mut sums = [0i32; ROWS];
                for (index, &weight) in weights.iter().enumerate() {
                    let weight = i32::from(weight);
                    sums[0] = sums[0].wrapping_add(i32::from(i16::from(a[index])) * weight);
                    sums[1] = sums[1].wrapping_add(i32::from(i16::from(b[index])) * weight);
                    sums[2] = sums[2].wrapping_add(i32::from(i16::from(c[index])) * weight);
                    sums[3] = sums[3].wrapping_add(i32::from(i16::from(d[index])) * weight);
                }
                for (row, sum) in sums.into_iter().enumerate().take(count) {
                    store(first + row, column, sum);
                }
            }
        }
    }
}
