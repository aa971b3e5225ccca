//! Products of float matrices, with the right-hand side packed once.

/// Columns of a panel.
pub(crate) const PANEL: usize = 8;

/// Rows that one pass over a panel computes.
pub(crate) const ROWS: usize = 4;

/// A matrix of `depth` rows and `columns` columns, packed in panels of [`PANEL`] columns.
#[derive(Clone, Debug)]
pub(crate) struct PackedMatrix {
    panels: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl PackedMatrix {
    /// Packs a matrix given as `columns` rows of `depth` elements (one row per column).
    pub(crate) fn from_transposed(transposed: &[f32], depth: usize, columns: usize) -> Self {
        let mut panels = vec![0.0; columns.div_ceil(PANEL) * depth * PANEL];
        for (column, values) in transposed
            .chunks_exact(depth.max(1))
            .enumerate()
            .take(columns)
        {
            let (panel, lane) = (column / PANEL, column % PANEL);
            for (row, &value) in values.iter().enumerate() {
                panels[(panel * depth + row) * PANEL + lane] = value;
            }
        }
        Self {
            panels,
            depth,
            columns,
        }
    }

    /// Multiplies up to [`ROWS`] rows with the matrix and hands each row's results for each panel
    /// to `store(row, first column, values)`.
    ///
    /// Every sum runs over the depth in order, starting from zero.
    pub(crate) fn multiply(&self, rows: &[&[f32]], mut store: impl FnMut(usize, usize, &[f32])) {
        let Some(&last) = rows.last() else { return };
        let rows_or_last: [&[f32]; ROWS] =
            std::array::from_fn(|row| *rows.get(row).unwrap_or(&last))
                .map(|row: &[f32]| &row[..self.depth]);
        let [a, b, c, d] = rows_or_last;
        for (panel, weights) in self
            .panels
            .chunks_exact((self.depth * PANEL).max(1))
            .enumerate()
        {
            let mut sums = [[0.0f32; PANEL]; ROWS];
            for (index, weights) in weights.as_chunks::<PANEL>().0.iter().enumerate() {
                let factors = [a[index], b[index], c[index], d[index]];
                for (sums, factor) in sums.iter_mut().zip(factors) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += factor * weight;
                    }
                }
            }
            let first = panel * PANEL;
            let width = PANEL.min(self.columns - first);
            for (row, sums) in sums.iter().enumerate().take(rows.len()) {
                store(row, first, &sums[..width]);
            }
        }
    }
}
