//! The convolution with fused multiply-additions: the channels of one vector, eight with AVX2 and
//! sixteen with AVX-512, of four neighbouring results at a time.

/// The module of one instruction set: everything but the width of a vector is the same.
macro_rules! level {
    (
        $module:ident, $doc:literal, $feature:literal, $Token:ident, $Vector:ident, $lanes:literal,
        $load:ident, $store:ident, $splat:ident, $fmadd:ident, $min:ident, $max:ident
    ) => {
        #[doc = $doc]
        pub(super) mod $module {
            use std::arch::x86_64::*;

            use crate::kernels::depthwise_bytes::DepthwiseGeometry;
            use crate::kernels::depthwise_f32::DepthwiseFloats;
            use crate::simd::x86_64::{$Token, $load, $store};

            /// Channels of one vector.
            const LANES: usize = $lanes;

            /// Results that one step computes at once.
            const RESULTS: usize = 4;

            /// Whether the kernel has this geometry.
            pub(in crate::kernels::depthwise_f32) fn takes(geometry: &DepthwiseGeometry) -> bool {
                geometry.multiplier == 1
            }

            /// Convolves all images of the batch.
            pub(in crate::kernels::depthwise_f32) fn run(
                _token: $Token,
                task: &DepthwiseFloats,
                input: &[f32],
                output: &mut [f32],
            ) {
                let images = input.chunks_exact(task.geometry.image_elements().max(1));
                let results = output.chunks_exact_mut(task.geometry.result_elements().max(1));
                for (image, result) in images.zip(results) {
                    for channel in (0..task.geometry.input_channels).step_by(LANES) {
                        // SAFETY: the token exists only on processors that have the function's features.
                        unsafe { convolve_block(task, image, channel, result) }
                    }
                }
            }

            /// Convolves the channels of one vector, or as many as are left.
            #[target_feature(enable = $feature)]
            fn convolve_block(
                task: &DepthwiseFloats,
                image: &[f32],
                channel: usize,
                result: &mut [f32],
            ) {
                let DepthwiseGeometry { rows, columns, input_channels: channels, .. } =
                    task.geometry;
                let width = LANES.min(channels - channel);
                let (least, largest) = ($splat(task.range.0), $splat(task.range.1));
                let bias = load(&task.bias[channel..], width);
                for row in 0..rows.output {
                    let mut column = 0;
                    while column < columns.output {
                        let mut sums = [bias; RESULTS];
                        // Steps whose windows all lie inside the input go together.
                        let whole = column + RESULTS <= columns.output
                            && columns.inside(column).len() == columns.window
                            && columns.inside(column + RESULTS - 1).len() == columns.window;
                        let count = if whole { RESULTS } else { 1 };
                        // XNNPACK's order of taps, column by column, so that sums round alike.
                        for column_tap in columns.inside(column) {
                            let Some(x) = columns.source(column, column_tap) else { continue };
                            for row_tap in rows.inside(row) {
                                let Some(y) = rows.source(row, row_tap) else { continue };
                                let line = &image[y * columns.input * channels..]
                                    [..columns.input * channels];
                                let tap =
                                    (row_tap * columns.window + column_tap) * channels + channel;
                                let weight = load(&task.weights[tap..], width);
                                if whole {
                                    for (offset, sum) in sums.iter_mut().enumerate() {
                                        let at = (x + offset * columns.stride) * channels + channel;
                                        *sum = $fmadd(load(&line[at..], width), weight, *sum);
                                    }
                                } else {
                                    let at = x * channels + channel;
                                    sums[0] = $fmadd(load(&line[at..], width), weight, sums[0]);
                                }
                            }
                        }
                        for (offset, &sum) in sums.iter().enumerate().take(count) {
                            let value = $min($max(sum, least), largest);
                            let at = (row * columns.output + column + offset) * channels + channel;
                            let target = &mut result[at..];
                            match target.first_chunk_mut::<LANES>() {
                                Some(target) if width == LANES => $store(target, value),
                                _ => {
                                    let mut lanes = [0.0; LANES];
                                    $store(&mut lanes, value);
                                    target[..width].copy_from_slice(&lanes[..width]);
                                }
                            }
                        }
                        column += count;
                    }
                }
            }

            /// Loads a vector, or at the end of the memory the `width` that are left. What lies behind
            /// the width is never stored.
            #[target_feature(enable = $feature)]
            #[inline]
            fn load(from: &[f32], width: usize) -> $Vector {
                match from.first_chunk::<LANES>() {
                    Some(lanes) => $load(lanes),
                    None => {
                        let mut lanes = [0.0; LANES];
                        lanes[..width].copy_from_slice(&from[..width]);
                        $load(&lanes)
                    }
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
    store_f32x8,
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
    store_f32x16,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_min_ps,
    _mm512_max_ps
);
