//! The convolution with NEON's fused multiply-additions: eight channels of up to four neighbouring
//! results at a time.

use std::arch::aarch64::*;
use std::ops::Range;

use super::DepthwiseFloats;
use crate::kernels::depthwise_bytes::DepthwiseGeometry;
use crate::ops::window::Axis;
use crate::simd::aarch64::{Neon, load_f32x4, load_f32x4_part, store_f32x4, store_f32x4_part};

/// Channels of a block.
const LANES: usize = 8;

/// The channels of a block.
type Vector = [float32x4_t; 2];

/// The most taps of a window, and the most rows of one.
const MAX_TAPS: usize = 64;
const MAX_ROWS: usize = 8;

/// Input elements of a band of rows, which all blocks of channels go over in turn: it stays in the
/// second-level cache.
const BAND: usize = 32 * 1024;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1
        && geometry.rows.window <= MAX_ROWS
        && geometry.rows.window * geometry.columns.window <= MAX_TAPS
}

/// Convolves one image.
pub(super) fn run(
    _token: Neon,
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
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve_block(task, geometry, image, band.clone(), channel, result) }
        }
    }
}

/// What the results of one output row share.
struct Row<'a> {
    /// The input rows under the windows, and the number of the first one's tap.
    lines: &'a [&'a [f32]],
    first_tap: usize,
    weights: &'a [Vector; MAX_TAPS],
    bias: Vector,
    range: (float32x4_t, float32x4_t),
    columns: Axis,
    channels: usize,
    channel: usize,
    /// The channels of this block.
    width: usize,
}

/// Convolves the channels of one block, or as many as are left, of a band of rows.
#[target_feature(enable = "neon")]
fn convolve_block(
    task: &DepthwiseFloats,
    geometry: &DepthwiseGeometry,
    image: &[f32],
    band: Range<usize>,
    channel: usize,
    result: &mut [f32],
) {
    let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
    let width = LANES.min(channels - channel);
    let mut weights = [[vdupq_n_f32(0.0); 2]; MAX_TAPS];
    for (tap, weight) in weights.iter_mut().enumerate().take(rows.window * columns.window) {
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
            range: (vdupq_n_f32(task.range.0), vdupq_n_f32(task.range.1)),
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
                4.. => convolve_columns::<4>(&row_of, column, target),
                _ => convolve_columns::<1>(&row_of, column, target),
            };
        }
    }
}

/// Computes `RESULTS` neighbouring results, whose windows lie inside the input if they are more
/// than one, and returns their number.
#[target_feature(enable = "neon")]
#[inline]
fn convolve_columns<const RESULTS: usize>(
    row: &Row<'_>,
    column: usize,
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
            let [low, high] = row.weights[tap];
            let line = &line[at..];
            for (offset, sum) in sums.iter_mut().enumerate() {
                let values = load(&line[offset * step..], width);
                *sum = [vfmaq_f32(sum[0], values[0], low), vfmaq_f32(sum[1], values[1], high)];
            }
        }
    }
    let (least, largest) = row.range;
    for (offset, sum) in sums.into_iter().enumerate() {
        let [low, high] = sum.map(|half| vminnmq_f32(vmaxnmq_f32(half, least), largest));
        let target = &mut target[(column + offset) * channels + channel..];
        match target.first_chunk_mut::<LANES>() {
            Some(target) if width == LANES => {
                let (halves, _) = target.as_chunks_mut::<4>();
                store_f32x4(&mut halves[0], low);
                store_f32x4(&mut halves[1], high);
            }
            _ => {
                let (first, second) = target[..width].split_at_mut(width.min(4));
                store_f32x4_part(first, low);
                store_f32x4_part(second, high);
            }
        }
    }
    RESULTS
}

/// Loads a block, or at the end of the memory the `width` that are left. What lies behind the width
/// is never stored.
#[target_feature(enable = "neon")]
#[inline]
fn load(from: &[f32], width: usize) -> Vector {
    match from.first_chunk::<LANES>() {
        Some(lanes) => {
            let (halves, _) = lanes.as_chunks::<4>();
            [load_f32x4(&halves[0]), load_f32x4(&halves[1])]
        }
        None => {
            let (first, second) = from[..width].split_at(width.min(4));
            [load_f32x4_part(first), load_f32x4_part(second)]
        }
    }
}
