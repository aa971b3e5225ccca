//! The product with fused multiply-additions, eight columns a vector with AVX2 and sixteen with
//! AVX-512.

/// The module of one instruction set: everything but the width of a vector is the same.
macro_rules! level {
    (
        $module:ident, $doc:literal, $feature:literal, $Token:ident, $Vector:ident, $lanes:literal,
        $Line:ident, $depth:literal, $loaded:literal, $max_vectors:literal, [$($rows:literal x $vectors:literal),*],
        $load:ident, $load_part:ident, $store:ident, $store_part:ident, $zero:ident, $splat:ident, $fmadd:ident, $fmadd_from:ident, $min:ident, $max:ident
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use std::arch::x86_64::*;
            use std::ops::Range;

                        use crate::kernels::panels::{Windows, deal_panels};
            use crate::simd::x86_64::{
                $Line, $Token, $fmadd_from, $load, $load_part, $store, $store_part,
            };

            /// Columns of one vector.
            const LANES: usize = $lanes;

            /// Vectors of the widest panel.
            const MAX_VECTORS: usize = $max_vectors;

            /// Vectors of a row of weights that are loaded for all rows of a tile; the others stay
            /// in memory, as there is no register left for them.
            const LOADED: usize = $loaded;

            /// Rows that go through all panels together.
            const ROW_BLOCK: usize = 96;

            /// Rows of weights that a row meets in one go: those of the widest panel fill half of
            /// the first-level cache.
            const DEPTH: usize = $depth;

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
                    rows: Windows<'_, f32>,
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

            /// The rows, the depth and the place of one product of a panel.
            struct Task<'a> {
                rows: Windows<'a, f32>,
                /// The runs of each row, and the part of them that is multiplied.
                offsets: &'a [usize],
                part: Range<usize>,
                /// The weights of this part, and where their first column is.
                lines: &'a [$Line],
                first_column: usize,
                columns: usize,
                /// Whether sums begin with the bias, or go on from the results so far.
                begins: bool,
                /// Whether sums end here.
                ends: bool,
            }

            /// Multiplies block by block of rows, panel by panel, in pieces of the depth whose
            /// weights stay in the first-level cache.
            #[target_feature(enable = $feature)]
            fn multiply(weights: &Weights, rows: Windows<'_, f32>, end: &End<'_>, output: &mut [f32]) {
                for first in (0..rows.count).step_by(ROW_BLOCK) {
                    let block = first..rows.count.min(first + ROW_BLOCK);
                    for panel in &weights.panels {
                        let mut line = 0;
                        for (offsets, part) in rows.pieces(DEPTH) {
                            let lines = offsets.len() * part.len();
                            let task = Task {
                                rows,
                                offsets,
                                part,
                                lines: &panel.lines[line * panel.vectors..][..lines * panel.vectors],
                                first_column: panel.first_column,
                                columns: weights.columns,
                                begins: line == 0,
                                ends: line + lines == weights.depth,
                            };
                            line += lines;
                            match panel.vectors {
                                $($vectors => {
                                    multiply_panel::<$rows, $vectors>(&task, block.clone(), end, output);
                                })*
                                _ => {}
                            }
                        }
                    }
                }
            }

            /// Multiplies in tiles of as many rows as registers allow, then of as many as are left.
            #[target_feature(enable = $feature)]
            fn multiply_panel<const ROWS: usize, const VECTORS: usize>(
                task: &Task<'_>,
                rows: Range<usize>,
                end: &End<'_>,
                output: &mut [f32],
            ) {
                let mut row = rows.start;
                while row < rows.end {
                    row += match rows.end - row {
                        left if left >= ROWS => multiply_tile::<ROWS, VECTORS>(task, row, end, output),
                        4.. => multiply_tile::<4, VECTORS>(task, row, end, output),
                        2.. => multiply_tile::<2, VECTORS>(task, row, end, output),
                        _ => multiply_tile::<1, VECTORS>(task, row, end, output),
                    };
                }
            }

            /// Returns the number of rows.
            #[target_feature(enable = $feature)]
            #[inline]
            fn multiply_tile<const ROWS: usize, const VECTORS: usize>(
                task: &Task<'_>,
                first: usize,
                end: &End<'_>,
                output: &mut [f32],
            ) -> usize {
                let starts: [usize; ROWS] = task.rows.starts(first);
                let mut sums = [[$zero(); VECTORS]; ROWS];
                if task.begins {
                    let bias = &end.bias[task.first_column..].as_chunks::<LANES>().0[..VECTORS];
                    for sums in &mut sums {
                        for (sum, bias) in sums.iter_mut().zip(bias) {
                            *sum = $load(bias);
                        }
                    }
                } else {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        for (vector, sum) in sums.iter_mut().enumerate() {
                            let column = task.first_column + vector * LANES;
                            let so_far = &output[(first + row) * task.columns + column..];
                            let width = LANES.min(task.columns - column);
                            *sum = match so_far.first_chunk() {
                                Some(so_far) if width == LANES => $load(so_far),
                                _ => $load_part(&so_far[..width]),
                            };
                        }
                    }
                }
                let sums = accumulate::<ROWS, VECTORS>(task, starts, sums);
                let (least, largest) = ($splat(end.range.0), $splat(end.range.1));
                for row in 0..ROWS {
                    for vector in 0..VECTORS {
                        let sum = sums[row][vector];
                        let result = if task.ends { $min($max(sum, least), largest) } else { sum };
                        let column = task.first_column + vector * LANES;
                        let target = &mut output[(first + row) * task.columns + column..];
                        let width = LANES.min(task.columns - column);
                        match target.first_chunk_mut::<LANES>() {
                            Some(target) if width == LANES => $store(target, result),
                            _ => $store_part(&mut target[..width], result),
                        }
                    }
                }
                ROWS
            }

            /// Adds the products of a piece of the depth to the sums, in order.
            ///
            /// A function of its own, in which every index of a sum is a constant: sums that are
            /// indexed by a variable anywhere are kept in memory, and stored at every step.
            #[target_feature(enable = $feature)]
            #[inline]
            fn accumulate<const ROWS: usize, const VECTORS: usize>(
                task: &Task<'_>,
                starts: [usize; ROWS],
                mut sums: [[$Vector; VECTORS]; ROWS],
            ) -> [[$Vector; VECTORS]; ROWS] {
                let depth = task.part.len();
                let runs = task.lines.as_chunks::<VECTORS>().0.chunks_exact(depth);
                for (&offset, lines) in task.offsets.iter().zip(runs) {
                    let mut values: [&[f32]; ROWS] = [&[]; ROWS];
                    for (values, start) in values.iter_mut().zip(starts) {
                        *values = &task.rows.values[start + offset + task.part.start..][..depth];
                    }
                    for step in 0..depth {
                        let mut factors = [$zero(); VECTORS];
                        for vector in 0..VECTORS.min(LOADED) {
                            factors[vector] = $load(&lines[step][vector].0);
                        }
                        for row in 0..ROWS {
                            let value = $splat(values[row][step]);
                            for vector in 0..VECTORS {
                                let sum = sums[row][vector];
                                sums[row][vector] = if vector < LOADED {
                                    $fmadd(value, factors[vector], sum)
                                } else {
                                    $fmadd_from(value, &lines[step][vector].0, sum)
                                };
                            }
                        }
                    }
                }
                sums
            }
        }
    };
}

level!(
    avx2, "Eight columns a vector.", "avx2,fma", Avx2, __m256, 8,
    HalfFloatLine, 192, 2, 3, [8 x 1, 6 x 2, 4 x 3],
    load_f32x8, load_f32x8_part, store_f32x8, store_f32x8_part, _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps, multiply_add_from_f32x8,
    _mm256_min_ps, _mm256_max_ps
);
level!(
    avx512, "Sixteen columns a vector.", "avx512f", Avx512Vnni, __m512, 16,
    FloatLine, 96, 4, 4, [12 x 1, 12 x 2, 8 x 3, 6 x 4],
    load_f32x16, load_f32x16_part, store_f32x16, store_f32x16_part, _mm512_setzero_ps, _mm512_set1_ps, _mm512_fmadd_ps, multiply_add_from_f32x16,
    _mm512_min_ps, _mm512_max_ps
);
