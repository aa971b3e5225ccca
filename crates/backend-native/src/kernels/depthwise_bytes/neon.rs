//! The convolution with NEON: eight channels of up to eight neighbouring results at a time.
//!
//! One instruction takes the zero point from bytes and widens them to 16 bits, so taps outside the
//! input, whose values are zero then, are left out.

use std::arch::aarch64::*;

use super::{DepthwiseConstants, DepthwiseGeometry, FloatEnd};
use crate::kernels::requantize::OutputRange;
use crate::ops::window::Axis;
use crate::simd::aarch64::{
    Neon, load_f32x4, load_i16x8, load_i32x4, load_u8x8, load_u8x8_part, store_f32x4,
    store_f32x4_part, store_u8x8, store_u8x8_part,
};

/// Channels of a block.
const LANES: usize = 8;

/// The most rows of a window.
const MAX_ROWS: usize = 8;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1 && geometry.rows.window <= MAX_ROWS
}

/// Weights in blocks of eight channels.
#[derive(Debug)]
pub(super) struct Weights {
    blocks: Vec<Block>,
    output: OutputRange,
}

/// The constants of eight channels.
#[derive(Debug)]
struct Block {
    /// Tap by tap.
    lines: Vec<[i16; LANES]>,
    bias: [[i32; 4]; 2],
    scales: [[f32; 4]; 2],
}

impl Weights {
    pub(super) fn new(geometry: &DepthwiseGeometry, constants: DepthwiseConstants<'_>) -> Self {
        let channels = geometry.input_channels;
        let taps = geometry.rows.window * geometry.columns.window;
        let blocks = (0..channels)
            .step_by(LANES)
            .map(|first| {
                let mut block = Block {
                    lines: vec![[0; LANES]; taps],
                    bias: [[0; 4]; 2],
                    scales: [[0.0; 4]; 2],
                };
                for lane in 0..LANES.min(channels - first) {
                    let channel = first + lane;
                    for (tap, line) in block.lines.iter_mut().enumerate() {
                        line[lane] = constants.weights[tap * channels + channel];
                    }
                    block.bias[lane / 4][lane % 4] = constants.bias[channel];
                    block.scales[lane / 4][lane % 4] = constants.scales[channel];
                }
                block
            })
            .collect();
        Self { blocks, output: constants.output }
    }

    pub(super) fn run(
        &self,
        _token: Neon,
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        input: &[u8],
        output: &mut [u8],
    ) {
        let images = input.chunks_exact(geometry.image_elements().max(1));
        let results = output.chunks_exact_mut(geometry.result_elements().max(1));
        for (image, result) in images.zip(results) {
            let mut end = End::Bytes { output: self.output, result };
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve(self, geometry, zero_point, image, &mut end) }
        }
    }

    /// Convolves one image with results of floats.
    pub(super) fn run_to_floats(
        &self,
        _token: Neon,
        geometry: &DepthwiseGeometry,
        (scale, zero_point): (f32, u8),
        image: &[u8],
        (end, result): (&FloatEnd, &mut [f32]),
    ) {
        let mut end = End::Floats { end, scale, result };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { convolve(self, geometry, zero_point, image, &mut end) }
    }
}

/// What becomes of sums, and where it goes.
enum End<'a> {
    Bytes { output: OutputRange, result: &'a mut [u8] },
    Floats { end: &'a FloatEnd, scale: f32, result: &'a mut [f32] },
}

/// What the results of one output row share.
struct Row<'a> {
    /// The input rows under the windows, and the number of the first one's tap.
    lines: &'a [&'a [u8]],
    first_tap: usize,
    block: &'a Block,
    zero_point: uint8x8_t,
    columns: Axis,
    channels: usize,
    channel: usize,
    /// The channels of this block.
    width: usize,
}

/// Convolves one image, row by row, so that all blocks of channels find the input rows in the
/// nearest cache.
#[target_feature(enable = "neon")]
fn convolve(
    weights: &Weights,
    geometry: &DepthwiseGeometry,
    zero_point: u8,
    image: &[u8],
    end: &mut End<'_>,
) {
    let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
    let whole = columns.whole();
    for row in 0..rows.output {
        let taps = rows.inside(row);
        let mut lines: [&[u8]; MAX_ROWS] = [&[]; MAX_ROWS];
        let mut count = 0;
        for y in taps.clone().filter_map(|tap| rows.source(row, tap)) {
            let from = y * columns.input * channels;
            lines[count] = &image[from..from + columns.input * channels];
            count += 1;
        }
        for (index, block) in weights.blocks.iter().enumerate() {
            let channel = index * LANES;
            let row_of = Row {
                lines: &lines[..count],
                first_tap: taps.start,
                block,
                zero_point: vdup_n_u8(zero_point),
                columns,
                channels,
                channel,
                width: LANES.min(channels - channel),
            };
            let mut column = 0;
            while column < columns.output {
                let left = if whole.contains(&column) { whole.end - column } else { 0 };
                let pixel = row * columns.output + column;
                column += match left {
                    8.. => convolve_columns::<8>(&row_of, column, pixel, end),
                    4.. => convolve_columns::<4>(&row_of, column, pixel, end),
                    _ => convolve_columns::<1>(&row_of, column, pixel, end),
                };
            }
        }
    }
}

/// Computes `RESULTS` neighbouring results from a column on, the first of which is a pixel of the
/// output, and returns their number. If they are more than one, their windows lie inside the input.
#[target_feature(enable = "neon")]
#[inline]
fn convolve_columns<const RESULTS: usize>(
    row: &Row<'_>,
    column: usize,
    pixel: usize,
    end: &mut End<'_>,
) -> usize {
    let Row { columns, channels, channel, width, .. } = *row;
    let step = columns.stride * channels;
    let bias = [load_i32x4(&row.block.bias[0]), load_i32x4(&row.block.bias[1])];
    let mut sums = [bias; RESULTS];
    let taps = columns.inside(column);
    let place = column * columns.stride + taps.start * columns.dilation;
    for (index, line) in row.lines.iter().enumerate() {
        let first_tap = (row.first_tap + index) * columns.window;
        let weights = &row.block.lines[first_tap + taps.start..first_tap + taps.end];
        for (tap, weights) in weights.iter().enumerate() {
            let weights = load_i16x8(weights);
            let at = place + tap * columns.dilation - columns.padding;
            let line = &line[at * channels + channel..];
            for (offset, sum) in sums.iter_mut().enumerate() {
                let bytes = load(&line[offset * step..], width);
                let values = vreinterpretq_s16_u16(vsubl_u8(bytes, row.zero_point));
                *sum = [
                    vmlal_s16(sum[0], vget_low_s16(values), vget_low_s16(weights)),
                    vmlal_high_s16(sum[1], values, weights),
                ];
            }
        }
    }
    match end {
        End::Bytes { output, result } => finish_bytes(row, sums, pixel, output, result),
        End::Floats { end, scale, result } => finish_floats(row, sums, pixel, end, *scale, result),
    }
    RESULTS
}

/// Requantises the sums of neighbouring pixels.
#[target_feature(enable = "neon")]
#[inline]
fn finish_bytes<const RESULTS: usize>(
    row: &Row<'_>,
    sums: [[int32x4_t; 2]; RESULTS],
    pixel: usize,
    output: &OutputRange,
    result: &mut [u8],
) {
    let Row { channels, channel, width, .. } = *row;
    let (least, largest, zero_point) = output.parts();
    let (least, largest) = (vdupq_n_f32(least), vdupq_n_f32(largest));
    let zero_point = vdupq_n_s32(zero_point);
    let scales = [load_f32x4(&row.block.scales[0]), load_f32x4(&row.block.scales[1])];
    for (offset, sum) in sums.iter().enumerate() {
        let end = |half: usize| {
            let scaled = vmulq_f32(vcvtq_f32_s32(sum[half]), scales[half]);
            let clamped = vminnmq_f32(vmaxnmq_f32(scaled, least), largest);
            vqmovn_s32(vaddq_s32(vcvtnq_s32_f32(clamped), zero_point))
        };
        let results = vqmovun_s16(vcombine_s16(end(0), end(1)));
        let target = &mut result[(pixel + offset) * channels + channel..];
        match target.first_chunk_mut::<LANES>() {
            Some(target) if width == LANES => store_u8x8(target, results),
            _ => store_u8x8_part(&mut target[..width], results),
        }
    }
}

/// Scales the sums of neighbouring pixels to floats.
#[target_feature(enable = "neon")]
#[inline]
fn finish_floats<const RESULTS: usize>(
    row: &Row<'_>,
    sums: [[int32x4_t; 2]; RESULTS],
    pixel: usize,
    end: &FloatEnd,
    scale: f32,
    result: &mut [f32],
) {
    let (least, largest) = (vdupq_n_f32(end.range.0), vdupq_n_f32(end.range.1));
    for half in 0..2 {
        let first = row.channel + half * 4;
        let width = row.channels.saturating_sub(first).min(4);
        let (Some(scales), Some(bias), 1..) =
            (end.scales[first..].first_chunk(), end.bias[first..].first_chunk(), width)
        else {
            continue;
        };
        let (factor, bias) = (vmulq_n_f32(load_f32x4(scales), scale), load_f32x4(bias));
        for (offset, sums) in sums.iter().enumerate() {
            // Two roundings, as in the portable code.
            let value = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sums[half]), factor), bias);
            let value = vminnmq_f32(vmaxnmq_f32(value, least), largest);
            let target = &mut result[(pixel + offset) * row.channels + first..];
            match target.first_chunk_mut() {
                Some(target) if width == 4 => store_f32x4(target, value),
                _ => store_f32x4_part(&mut target[..width], value),
            }
        }
    }
}

/// Loads a block, or at the end of the memory the `width` that are left. What lies behind the width
/// is never stored.
#[target_feature(enable = "neon")]
#[inline]
fn load(from: &[u8], width: usize) -> uint8x8_t {
    match from.first_chunk() {
        Some(lanes) => load_u8x8(lanes),
        None => load_u8x8_part(&from[..width]),
    }
}
