//! The convolution with AVX-512: sixteen channels of four neighbouring results at a time.

use std::arch::x86_64::*;

use super::DepthwiseFloats;
use crate::kernels::depthwise_bytes::DepthwiseGeometry;
use crate::simd::x86_64::{Avx512Vnni, load_f32x16, store_f32x16};

/// Channels of one vector.
const LANES: usize = 16;

/// Results that one step computes at once.
const RESULTS: usize = 4;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1
}

/// Convolves all images of the batch.
pub(super) fn run(_token: Avx512Vnni, task: &DepthwiseFloats, input: &[f32], output: &mut [f32]) {
    let images = input.chunks_exact(task.geometry.image_elements().max(1));
    let results = output.chunks_exact_mut(task.geometry.result_elements().max(1));
    for (image, result) in images.zip(results) {
        for channel in (0..task.geometry.input_channels).step_by(LANES) {
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve_block(task, image, channel, result) }
        }
    }
}

/// Convolves sixteen channels, or as many as are left.
#[target_feature(enable = "avx512f")]
fn convolve_block(task: &DepthwiseFloats, image: &[f32], channel: usize, result: &mut [f32]) {
    let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = task.geometry;
    let width = LANES.min(channels - channel);
    let (least, largest) = (_mm512_set1_ps(task.range.0), _mm512_set1_ps(task.range.1));
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
            for row_tap in rows.inside(row) {
                let Some(y) = rows.source(row, row_tap) else { continue };
                let line = &image[y * columns.input * channels..][..columns.input * channels];
                for column_tap in columns.inside(column) {
                    let Some(x) = columns.source(column, column_tap) else { continue };
                    let tap = (row_tap * columns.window + column_tap) * channels + channel;
                    let weight = load(&task.weights[tap..], width);
                    if whole {
                        for (offset, sum) in sums.iter_mut().enumerate() {
                            let at = (x + offset * columns.stride) * channels + channel;
                            *sum = _mm512_fmadd_ps(load(&line[at..], width), weight, *sum);
                        }
                    } else {
                        let at = x * channels + channel;
                        sums[0] = _mm512_fmadd_ps(load(&line[at..], width), weight, sums[0]);
                    }
                }
            }
            for (offset, &sum) in sums.iter().enumerate().take(count) {
                let value = _mm512_min_ps(_mm512_max_ps(sum, least), largest);
                let at = (row * columns.output + column + offset) * channels + channel;
                let target = &mut result[at..];
                match target.first_chunk_mut::<LANES>() {
                    Some(target) if width == LANES => store_f32x16(target, value),
                    _ => {
                        let mut lanes = [0.0; LANES];
                        store_f32x16(&mut lanes, value);
                        target[..width].copy_from_slice(&lanes[..width]);
                    }
                }
            }
            column += count;
        }
    }
}

/// Loads sixteen floats, or at the end of the memory the `width` that are left. What lies behind
/// the width is never stored.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(from: &[f32], width: usize) -> __m512 {
    match from.first_chunk::<LANES>() {
        Some(lanes) => load_f32x16(lanes),
        None => {
            let mut lanes = [0.0; LANES];
            lanes[..width].copy_from_slice(&from[..width]);
            load_f32x16(&lanes)
        }
    }
}
