//! The convolution with fused multiply-additions: the channels of one vector, eight with AVX2 and
//! sixteen with AVX-512, of up to eight neighbouring results at a time.

/// The module of one instruction set: everything but the width of a vector is the same.
macro_rules! level {
    (
        $module:ident, $doc:literal, $feature:literal, $Token:ident, $Vector:ident, $lanes:literal,
        $load:ident, $load_part:ident, $store:ident, $store_part:ident, $splat:ident, $fmadd:ident, $min:ident, $max:ident
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use std::arch::x86_64::*;

            use crate::kernels::depthwise_bytes::DepthwiseGeometry;
            use crate::kernels::depthwise_f32::DepthwiseFloats;
            use crate::ops::window::Axis;
            use crate::simd::x86_64::{$Token, $load, $load_part, $store, $store_part};

            /// Channels of one vector.
            const LANES: usize = $lanes;

            /// The most taps of a window, and the most rows of one.
            const MAX_TAPS: usize = 64;
            const MAX_ROWS: usize = 8;

            /// Input elements of a band of rows, which all blocks of channels go over in turn: it
            /// stays in the second-level cache.
            const BAND: usize = 32 * 1024;

            /// Whether the kernel has this geometry.
            pub(in crate::kernels::depthwise_f32) fn takes(geometry: &DepthwiseGeometry) -> bool {
                geometry.multiplier == 1
                    && geometry.rows.window <= MAX_ROWS
                    && geometry.rows.window * geometry.columns.window <= MAX_TAPS
            }

            /// Convolves one image.
            pub(in crate::kernels::depthwise_f32) fn run(
                _token: $Token,
                task: &DepthwiseFloats,
                geometry: &DepthwiseGeometry,
                image: &[f32],
                result: &mut [f32],
            ) {
                let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
                let input_rows = BAND / (columns.input * channels).max(1);
                let band = (input_rows / rows.stride).max(1);
                for first in (0..rows.output).step_by(band) {
                    let band = first..(first + band).min(rows.output);
                    for channel in (0..channels).step_by(LANES) {
                        // SAFETY: the token exists only on processors that have the function's
                        // features.
                        unsafe {
                            convolve_block(task, geometry, image, band.clone(), channel, result);
                        }
                    }
                }
            }

            /// What the results of one output row share.
            struct Row<'a> {
                /// The input rows under the windows, and the number of the first one's tap.
                lines: &'a [&'a [f32]],
                first_tap: usize,
                weights: &'a [$Vector; MAX_TAPS],
                bias: $Vector,
                columns: Axis,
                channels: usize,
                channel: usize,
                /// The channels of this block.
                width: usize,
            }

            /// Convolves the channels of one vector, or as many as are left, of a band of rows.
            #[target_feature(enable = $feature)]
            fn convolve_block(
                task: &DepthwiseFloats,
                geometry: &DepthwiseGeometry,
                image: &[f32],
                band: std::ops::Range<usize>,
                channel: usize,
                result: &mut [f32],
            ) {
                let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
                let width = LANES.min(channels - channel);
                let range = ($splat(task.range.0), $splat(task.range.1));
                let mut weights = [$splat(0.0); MAX_TAPS];
                for (tap, weight) in
                    weights.iter_mut().enumerate().take(rows.window * columns.window)
                {
                    *weight = load(&task.weights[tap * channels + channel..], width);
                }
                let whole = columns.whole();
                for row in band {
                    let taps = rows.inside(row);
                    let mut lines: [&[f32]; MAX_ROWS] = [&[]; MAX_ROWS];
                    let mut count = 0;
                    for y in taps.clone().filter_map(|tap| rows.source(row, tap)) {
                        let from = y * columns.input * channels;
                        lines[count] = &image[from..from + columns.input * channels];
                        count += 1;
                    }
                    let row_of = Row {
                        lines: &lines[..count],
                        first_tap: taps.start,
                        weights: &weights,
                        bias: load(&task.bias[channel..], width),
                        columns,
                        channels,
                        channel,
                        width,
                    };
                    let target = &mut result[row * columns.output * channels..];
                    let mut column = 0;
                    while column < columns.output {
                        let left = if whole.contains(&column) { whole.end - column } else { 0 };
                        column += match left {
                            8.. => convolve_columns::<8>(&row_of, column, range, target),
                            4.. => convolve_columns::<4>(&row_of, column, range, target),
                            _ => convolve_columns::<1>(&row_of, column, range, target),
                        };
                    }
                }
            }

            /// Computes `RESULTS` neighbouring results, whose windows lie inside the input if they
            /// are more than one, and returns their number.
            #[target_feature(enable = $feature)]
            #[inline]
            fn convolve_columns<const RESULTS: usize>(
                row: &Row<'_>,
                column: usize,
                (least, largest): ($Vector, $Vector),
                target: &mut [f32],
            ) -> usize {
                let Row { columns, channels, channel, width, .. } = *row;
                let step = columns.stride * channels;
                let mut sums = [row.bias; RESULTS];
                // XNNPACK's order of taps, column by column, so that sums round alike.
                for column_tap in columns.inside(column) {
                    let place = column * columns.stride + column_tap * columns.dilation;
                    let at = (place - columns.padding) * channels + channel;
                    for (index, line) in row.lines.iter().enumerate() {
                        let tap = (row.first_tap + index) * columns.window + column_tap;
                        let weight = row.weights[tap];
                        let line = &line[at..];
                        for (offset, sum) in sums.iter_mut().enumerate() {
                            *sum = $fmadd(load(&line[offset * step..], width), weight, *sum);
                        }
                    }
                }
                for (offset, &sum) in sums.iter().enumerate() {
                    let value = $min($max(sum, least), largest);
                    let target = &mut target[(column + offset) * channels + channel..];
                    match target.first_chunk_mut::<LANES>() {
                        Some(target) if width == LANES => $store(target, value),
                        _ => $store_part(&mut target[..width], value),
                    }
                }
                RESULTS
            }

            /// Loads a vector, or at the end of the memory the `width` that are left. What lies behind
            /// the width is never stored.
            #[target_feature(enable = $feature)]
            #[inline]
            fn load(from: &[f32], width: usize) -> $Vector {
                match from.first_chunk::<LANES>() {
                    Some(lanes) => $load(lanes),
                    None => $load_part(&from[..width]),
                }
            }
        }
    };
}

level!(
    avx2,
    "Eight channels a vector.",
    "avx2,fma",
    Avx2,
    __m256,
    8,
    load_f32x8,
    load_f32x8_part,
    store_f32x8,
    store_f32x8_part,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_min_ps,
    _mm256_max_ps
);
level!(
    avx512,
    "Sixteen channels a vector.",
    "avx512f",
    Avx512Vnni,
    __m512,
    16,
    load_f32x16,
    load_f32x16_part,
    store_f32x16,
    store_f32x16_part,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_min_ps,
    _mm512_max_ps
);
