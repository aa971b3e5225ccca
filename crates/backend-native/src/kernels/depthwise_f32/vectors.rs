//! The convolution with fused multiply-additions: the channels of one vector, of several
//! neighbouring results at a time.

/// The module of one instruction set: everything but the width of a vector is the same.
macro_rules! level {
    (
        $module:ident, $doc:literal, $feature:literal, $Token:ty, $Vector:ty, $lanes:literal,
        $load:path, $store:path, $store_part:path, $splat:path, $multiply_add:path, $min:path,
        $max:path
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use crate::kernels::depthwise_bytes::DepthwiseGeometry;
            use crate::kernels::depthwise_f32::blocks::{BLOCK, Block, Blocks, Rows};

            /// Channels of one vector.
            const LANES: usize = $lanes;

            /// Vectors of a block.
            const VECTORS: usize = BLOCK / LANES;

            /// Results whose sums are in flight together: enough to hide how long an addition
            /// takes, and a divisor of the sizes that images of 224 pixels shrink to.
            const RESULTS: usize = 7;

            /// Results of rows shorter than that.
            const FEW_RESULTS: usize = 4;

            /// Convolves one image.
            pub(in crate::kernels::depthwise_f32) fn run(
                _token: $Token,
                blocks: &Blocks,
                geometry: &DepthwiseGeometry,
                image: &[f32],
                result: &mut [f32],
                range: (f32, f32),
                scratch: &mut [f32],
            ) {
                for group in blocks.groups() {
                    let rows = Rows::new(geometry, image, group, scratch);
                    // SAFETY: the token exists only on processors that have the function's
                    // features.
                    unsafe { convolve_group(geometry, group, rows, range, result) }
                }
            }

            /// What the results of one output row and one vector of channels share.
            struct Row<'a> {
                /// Pixels as vectors, and the first of each row of taps.
                pixels: &'a [[f32; LANES]],
                starts: &'a [usize],
                /// The bias and the weights as vectors, from the vector's own on.
                constants: &'a [[f32; LANES]],
                range: ($Vector, $Vector),
                /// Columns of taps, and pixels from one to the next.
                taps: usize,
                dilation: usize,
                /// Elements from one result to the next.
                channels: usize,
                /// The channels of the vector.
                width: usize,
            }

            /// Convolves the channels of a group of blocks.
            #[target_feature(enable = $feature)]
            fn convolve_group(
                geometry: &DepthwiseGeometry,
                group: &[Block],
                mut rows: Rows<'_>,
                range: (f32, f32),
                result: &mut [f32],
            ) {
                let DepthwiseGeometry { columns, input_channels: channels, .. } = *geometry;
                let row_len = columns.output * channels;
                let window =
                    if columns.window == geometry.rows.window { columns.window } else { 0 };
                for (row, target) in result.chunks_exact_mut(row_len).enumerate() {
                    rows.move_to(row);
                    let starts = rows.starts(row);
                    for (index, block) in group.iter().enumerate() {
                        let (pixels, _) = rows.of_block(index).as_chunks::<LANES>();
                        let (constants, _) = block.constants.as_chunks::<LANES>();
                        for vector in 0..block.width.div_ceil(LANES) {
                            let row = Row {
                                pixels: &pixels[vector..],
                                starts: &starts[..geometry.rows.window],
                                constants: &constants[vector..],
                                range: ($splat(range.0), $splat(range.1)),
                                taps: columns.window,
                                dilation: columns.dilation,
                                channels,
                                width: LANES.min(block.width - vector * LANES),
                            };
                            let target = &mut target[block.first + vector * LANES..];
                            match (columns.stride, window) {
                                (1, 3) => convolve_row::<1, 3>(&row, columns.output, target),
                                (1, 5) => convolve_row::<1, 5>(&row, columns.output, target),
                                (2, 3) => convolve_row::<2, 3>(&row, columns.output, target),
                                (2, 5) => convolve_row::<2, 5>(&row, columns.output, target),
                                (1, _) => convolve_row::<1, 0>(&row, columns.output, target),
                                (2, _) => convolve_row::<2, 0>(&row, columns.output, target),
                                (stride, _) => {
                                    for column in 0..columns.output {
                                        let place = (column * stride, column);
                                        convolve_results::<1, 1, 0>(&row, place, target);
                                    }
                                }
                            }
                        }
                    }
                }
            }

            /// Computes a row of `count` results of windows of `WINDOW` rows and neighbouring
            /// columns, or of any if that is 0. The last of them begin early enough to be as many
            /// as the others; some are computed again.
            #[target_feature(enable = $feature)]
            fn convolve_row<const STRIDE: usize, const WINDOW: usize>(
                row: &Row<'_>,
                count: usize,
                target: &mut [f32],
            ) {
                let mut first = 0;
                while first < count {
                    if count >= RESULTS {
                        let start = first.min(count - RESULTS);
                        let place = (start * STRIDE, start);
                        convolve_results::<RESULTS, STRIDE, WINDOW>(row, place, target);
                        first += RESULTS;
                    } else if count >= FEW_RESULTS {
                        let start = first.min(count - FEW_RESULTS);
                        let place = (start * STRIDE, start);
                        convolve_results::<FEW_RESULTS, STRIDE, WINDOW>(row, place, target);
                        first += FEW_RESULTS;
                    } else {
                        let place = (first * STRIDE, first);
                        convolve_results::<1, STRIDE, WINDOW>(row, place, target);
                        first += 1;
                    }
                }
            }

            /// Computes `COUNT` neighbouring results from `column` on, whose windows begin at
            /// `pixel`.
            #[target_feature(enable = $feature)]
            #[inline]
            fn convolve_results<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
                row: &Row<'_>,
                (pixel, column): (usize, usize),
                target: &mut [f32],
            ) {
                let sums = if WINDOW == 0 {
                    sum_windows::<COUNT, STRIDE>(row, pixel)
                } else {
                    sum_square_windows::<COUNT, STRIDE, WINDOW>(row, pixel)
                };
                let (least, largest) = row.range;
                for (offset, &sum) in sums.iter().enumerate() {
                    let value = $min($max(sum, least), largest);
                    let target = &mut target[(column + offset) * row.channels..];
                    match target.first_chunk_mut::<LANES>() {
                        Some(target) if row.width == LANES => $store(target, value),
                        _ => $store_part(&mut target[..row.width], value),
                    }
                }
            }

            /// The sums of `COUNT` neighbouring windows from `pixel` on, bias included.
            #[target_feature(enable = $feature)]
            #[inline]
            fn sum_windows<const COUNT: usize, const STRIDE: usize>(
                row: &Row<'_>,
                pixel: usize,
            ) -> [$Vector; COUNT] {
                let mut sums = [$load(&row.constants[0]); COUNT];
                let mut constant = VECTORS;
                for tap in 0..row.taps {
                    let pixel = pixel + tap * row.dilation;
                    for start in row.starts {
                        let weight = $load(&row.constants[constant]);
                        constant += VECTORS;
                        let values = &row.pixels[(start + pixel) * VECTORS..]
                            [..(COUNT - 1) * STRIDE * VECTORS + 1];
                        for (offset, sum) in sums.iter_mut().enumerate() {
                            let value = $load(&values[offset * STRIDE * VECTORS]);
                            *sum = $multiply_add(value, weight, *sum);
                        }
                    }
                }
                sums
            }

            /// The same for windows of `WINDOW` rows and columns, with few checks.
            #[target_feature(enable = $feature)]
            #[inline]
            fn sum_square_windows<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
                row: &Row<'_>,
                pixel: usize,
            ) -> [$Vector; COUNT] {
                let span = (WINDOW - 1) * row.dilation;
                let mut rows: [&[[f32; LANES]]; WINDOW] = [&[]; WINDOW];
                for (values, start) in rows.iter_mut().zip(row.starts) {
                    *values = &row.pixels[(start + pixel) * VECTORS..]
                        [..((COUNT - 1) * STRIDE + span) * VECTORS + 1];
                }
                let constants = &row.constants[..WINDOW * WINDOW * VECTORS + 1];
                let mut sums = [$load(&constants[0]); COUNT];
                if WINDOW == 3 && row.dilation == 1 {
                    // Unrolled, so that what several results have in common is loaded once; larger
                    // windows have more of it than there are registers.
                    let mut near: [&[[f32; LANES]]; WINDOW] = [&[]; WINDOW];
                    for (near, values) in near.iter_mut().zip(rows) {
                        *near = &values[..((COUNT - 1) * STRIDE + WINDOW - 1) * VECTORS + 1];
                    }
                    for tap in 0..WINDOW {
                        for line in 0..WINDOW {
                            let weight = $load(&constants[(1 + tap * WINDOW + line) * VECTORS]);
                            for offset in 0..COUNT {
                                let value = $load(&near[line][(offset * STRIDE + tap) * VECTORS]);
                                sums[offset] = $multiply_add(value, weight, sums[offset]);
                            }
                        }
                    }
                    return sums;
                }
                for tap in 0..row.taps {
                    for line in 0..WINDOW {
                        let weight = $load(&constants[(1 + tap * WINDOW + line) * VECTORS]);
                        let values = &rows[line][tap * row.dilation * VECTORS..]
                            [..(COUNT - 1) * STRIDE * VECTORS + 1];
                        for offset in 0..COUNT {
                            let value = $load(&values[offset * STRIDE * VECTORS]);
                            sums[offset] = $multiply_add(value, weight, sums[offset]);
                        }
                    }
                }
                sums
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
level!(
    avx2,
    "Eight channels a vector.",
    "avx2,fma",
    crate::simd::x86_64::Avx2,
    std::arch::x86_64::__m256,
    8,
    crate::simd::x86_64::load_f32x8,
    crate::simd::x86_64::store_f32x8,
    crate::simd::x86_64::store_f32x8_part,
    std::arch::x86_64::_mm256_set1_ps,
    std::arch::x86_64::_mm256_fmadd_ps,
    std::arch::x86_64::_mm256_min_ps,
    std::arch::x86_64::_mm256_max_ps
);
#[cfg(target_arch = "x86_64")]
level!(
    avx512,
    "Sixteen channels a vector.",
    "avx512f",
    crate::simd::x86_64::Avx512Vnni,
    std::arch::x86_64::__m512,
    16,
    crate::simd::x86_64::load_f32x16,
    crate::simd::x86_64::store_f32x16,
    crate::simd::x86_64::store_f32x16_part,
    std::arch::x86_64::_mm512_set1_ps,
    std::arch::x86_64::_mm512_fmadd_ps,
    std::arch::x86_64::_mm512_min_ps,
    std::arch::x86_64::_mm512_max_ps
);
#[cfg(target_arch = "aarch64")]
level!(
    neon,
    "Four channels a vector.",
    "neon",
    crate::simd::aarch64::Neon,
    std::arch::aarch64::float32x4_t,
    4,
    crate::simd::aarch64::load_f32x4,
    crate::simd::aarch64::store_f32x4,
    crate::simd::aarch64::store_f32x4_part,
    std::arch::aarch64::vdupq_n_f32,
    crate::simd::aarch64::multiply_add_f32x4,
    std::arch::aarch64::vminnmq_f32,
    std::arch::aarch64::vmaxnmq_f32
);
