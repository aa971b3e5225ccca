//! The product with fused multiply-additions, eight columns a vector with AVX2 and sixteen with
//! AVX-512.

/// The module of one instruction set: everything but the width of a vector is the same.
macro_rules! level {
    (
        $module:ident, $doc:literal, $feature:literal, $Token:ident, $lanes:literal,
        $Line:ident, $max_vectors:literal, [$($rows:literal x $vectors:literal),*],
        $load:ident, $store:ident, $store_part:ident, $zero:ident, $splat:ident, $fmadd:ident, $min:ident, $max:ident
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use std::arch::x86_64::*;

            use crate::kernels::panels::{Rows, deal_panels};
            use crate::simd::x86_64::{$Line, $Token, $load, $store, $store_part};

            /// Columns of one vector.
            const LANES: usize = $lanes;

            /// Vectors of the widest panel.
            const MAX_VECTORS: usize = $max_vectors;

            /// Rows that go through all panels together.
            const ROW_BLOCK: usize = 96;

            /// Weights in panels of several vectors of columns.
            #[derive(Clone, Debug)]
            pub(in crate::kernels::matrix_f32) struct Weights {
                panels: Vec<Panel>,
                depth: usize,
                columns: usize,
            }

            /// The vectors of one panel, row of weights by row.
            #[derive(Clone, Debug)]
            struct Panel {
                first_column: usize,
                vectors: usize,
                lines: Vec<$Line>,
            }

            impl Weights {
                pub(in crate::kernels::matrix_f32) fn new(transposed: &[f32], depth: usize, columns: usize) -> Self {
                    let vectors = columns.div_ceil(LANES);
                    let mut panels = Vec::new();
        for (first, width) in deal_panels(vectors, MAX_VECTORS) {
                        let mut lines = vec![$Line::ZERO; depth * width];
                        for column in first * LANES..((first + width) * LANES).min(columns) {
                            let (vector, lane) = (column / LANES - first, column % LANES);
                            for (row, &weight) in transposed[column * depth..][..depth].iter().enumerate() {
                                lines[row * width + vector].0[lane] = weight;
                            }
                        }
                        panels.push(Panel { first_column: first * LANES, vectors: width, lines });
                    }
                    Self { panels, depth, columns }
                }

                pub(in crate::kernels::matrix_f32) fn multiply(
                    &self,
                    _token: $Token,
                    rows: Rows<'_, f32>,
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
            #[target_feature(enable = $feature)]
            fn multiply(weights: &Weights, rows: Rows<'_, f32>, end: &End<'_>, output: &mut [f32]) {
                for first in (0..rows.count).step_by(ROW_BLOCK) {
                    let block = Rows {
                        values: &rows.values[first * rows.stride..],
                        count: ROW_BLOCK.min(rows.count - first),
                        ..rows
                    };
                    let output = &mut output[first * weights.columns..];
                    for panel in &weights.panels {
                        match panel.vectors {
                            $($vectors => multiply_panel::<$rows, $vectors>(weights, panel, block, end, output),)*
                            _ => {}
                        }
                    }
                }
            }

            #[target_feature(enable = $feature)]
            fn multiply_panel<const ROWS: usize, const VECTORS: usize>(
                weights: &Weights,
                panel: &Panel,
                rows: Rows<'_, f32>,
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

            #[target_feature(enable = $feature)]
            #[inline]
            fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
                weights: &Weights,
                panel: &Panel,
                rows: Rows<'_, f32>,
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
                let bias = &end.bias[panel.first_column..].as_chunks::<LANES>().0[..VECTORS];
                let mut first_sums = [$zero(); VECTORS];
                for (sum, bias) in first_sums.iter_mut().zip(bias) {
                    *sum = $load(bias);
                }
                let mut sums = [first_sums; ROWS];
                for step in 0..depth {
                    let mut factors = [$zero(); VECTORS];
                    for vector in 0..VECTORS {
                        factors[vector] = $load(&lines[step][vector].0);
                    }
                    for row in 0..ROWS {
                        let value = $splat(values[row][step]);
                        for vector in 0..VECTORS {
                            sums[row][vector] = $fmadd(value, factors[vector], sums[row][vector]);
                        }
                    }
                }
                let (least, largest) = ($splat(end.range.0), $splat(end.range.1));
                for row in 0..ROWS {
                    for vector in 0..VECTORS {
                        let result = $min($max(sums[row][vector], least), largest);
                        let column = panel.first_column + vector * LANES;
                        let target = &mut output[(first + row) * weights.columns + column..];
                        let width = LANES.min(weights.columns - column);
                        match target.first_chunk_mut::<LANES>() {
                            Some(target) if width == LANES => $store(target, result),
                            _ => $store_part(&mut target[..width], result),
                        }
                    }
                }
            }
        }
    };
}

level!(
    avx2, "Eight columns a vector.", "avx2,fma", Avx2, 8,
    HalfFloatLine, 2, [12 x 1, 6 x 2],
    load_f32x8, store_f32x8, store_f32x8_part, _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps,
    _mm256_min_ps, _mm256_max_ps
);
level!(
    avx512, "Sixteen columns a vector.", "avx512f", Avx512Vnni, 16,
    FloatLine, 4, [12 x 1, 12 x 2, 8 x 3, 6 x 4],
    load_f32x16, store_f32x16, store_f32x16_part, _mm512_setzero_ps, _mm512_set1_ps, _mm512_fmadd_ps,
    _mm512_min_ps, _mm512_max_ps
);
