//! The portable product, oracle of the others.

use crate::kernels::panels::Windows;

/// Columns of a panel.
const PANEL: usize = 8;

/// Rows that one pass over a panel computes.
const ROWS: usize = 4;

/// Weights in panels of [`PANEL`] columns.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    panels: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Weights {
    pub(super) fn new(transposed: &[f32], depth: usize, columns: usize) -> Self {
        let mut panels = vec![0.0; columns.div_ceil(PANEL) * depth * PANEL];
        for (column, values) in transposed.chunks_exact(depth.max(1)).enumerate().take(columns) {
            let (panel, lane) = (column / PANEL, column % PANEL);
            for (row, &value) in values.iter().enumerate() {
                panels[(panel * depth + row) * PANEL + lane] = value;
            }
        }
        Self { panels, depth, columns }
    }

    /// Hands each row's sums for each panel to `store(row, first column, sums)`; `add` is the
    /// product of its first two operands plus the third.
    pub(super) fn multiply(
        &self,
        rows: Windows<'_, f32>,
        bias: &[f32],
        add: impl Fn(f32, f32, f32) -> f32,
        mut store: impl FnMut(usize, usize, &[f32]),
    ) {
        for first in (0..rows.count).step_by(ROWS) {
            let count = ROWS.min(rows.count - first);
            let mut starts: [usize; ROWS] = rows.starts(first);
            let last = starts[count - 1];
            starts[count..].fill(last);
            let panels = self.panels.chunks_exact((self.depth * PANEL).max(1));
            for (panel, weights) in panels.enumerate() {
                let mut first_sums = [0.0f32; PANEL];
                for (sum, bias) in first_sums.iter_mut().zip(&bias[panel * PANEL..]) {
                    *sum = *bias;
                }
                let mut sums = [first_sums; ROWS];
                let runs = weights.as_chunks::<PANEL>().0.chunks(rows.run.max(1));
                for (&offset, weights) in rows.offsets.iter().zip(runs) {
                    let [a, b, c, d] =
                        starts.map(|start| &rows.values[start + offset..][..weights.len()]);
                    for (index, weights) in weights.iter().enumerate() {
                        let factors = [a[index], b[index], c[index], d[index]];
                        for (sums, factor) in sums.iter_mut().zip(factors) {
                            for (sum, weight) in sums.iter_mut().zip(weights) {
                                *sum = add(factor, *weight, *sum);
                            }
                        }
                    }
                }
                let column = panel * PANEL;
                let width = PANEL.min(self.columns - column);
                for (row, sums) in sums.iter().enumerate().take(count) {
                    store(first + row, column, &sums[..width]);
                }
            }
        }
    }
}
