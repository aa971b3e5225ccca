//! The convolution with AVX2: pairs of input rows, sixteen channels at a time.
//!
//! The bytes of two neighbouring rows under a window are widened and interleaved once; one
//! instruction then multiplies and adds a pair in each lane, exactly for any bytes. Pairs begin at
//! every other row: windows that begin at the rows between have weights shifted by one row, with
//! zeros beside them. Interleaving within halves of a vector deals sixteen channels to two vectors,
//! and packing results undoes it.

use std::arch::x86_64::*;
use std::ops::Range;

use super::{DepthwiseConstants, DepthwiseGeometry, FloatEnd};
use crate::kernels::requantize::OutputRange;
use crate::ops::window::Axis;
use crate::simd::x86_64::{
    Avx2, PairLine, load_f32x8, load_i32x8, load_pairs, load_u8x16, load_u8x32, store_f32x8,
    store_f32x8_part, store_u8x16, store_u8x32,
};

/// Channels of one block.
const LANES: usize = 16;

/// Input bytes of a band of rows, which all blocks of channels go over in turn: it stays in the
/// second-level cache.
const BAND: usize = 96 * 1024;

/// How windows lie on pairs of input rows.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    /// Pairs under a window.
    count: usize,
    /// Places of a window's first row in a pair: two if pairs serve windows of several rows.
    phases: usize,
    /// Whether the pairs of neighbouring windows overlap, so that some are laid out already.
    are_shared: bool,
}

impl Pairs {
    fn new(rows: &Axis) -> Self {
        match (rows.dilation, rows.stride) {
            (1, 1) => Self { count: (rows.window + 1).div_ceil(2), phases: 2, are_shared: true },
            (1, 2) => Self { count: rows.window.div_ceil(2), phases: 1, are_shared: true },
            _ => Self { count: rows.window.div_ceil(2), phases: 1, are_shared: false },
        }
    }

    /// The pair that the windows of output row `row` begin in, and their place in it.
    fn first(&self, row: usize) -> (usize, usize) {
        match (self.are_shared, self.phases) {
            (true, 2) => (row / 2, row % 2),
            (true, _) => (row, 0),
            // Pairs of each row of windows stand alone.
            _ => (row * self.count, 0),
        }
    }

    /// The input rows of a pair, where they are inside the input.
    fn rows(&self, pair: usize, rows: &Axis) -> [Option<usize>; 2] {
        [0, 1].map(|place| {
            let row = if self.are_shared {
                pair * 2 + place
            } else {
                let tap = pair % self.count * 2 + place;
                pair / self.count * rows.stride + tap * rows.dilation
            };
            row.checked_sub(rows.padding).filter(|&row| row < rows.input)
        })
    }
}

/// Neighbouring results that are computed at once.
fn results_at_once(columns: &Axis) -> usize {
    let waste = |results| columns.output.next_multiple_of(results);
    if waste(4) < waste(7) { 4 } else { 7 }
}

/// Columns of a laid-out pair of rows: what all windows read.
fn laid_out_columns(columns: &Axis) -> usize {
    let windows = columns.output.next_multiple_of(results_at_once(columns));
    (windows.max(1) - 1) * columns.stride + (columns.window - 1) * columns.dilation + 1
}

/// Bytes of the laid-out pairs under a window.
pub(super) fn scratch_bytes(geometry: &DepthwiseGeometry) -> usize {
    Pairs::new(&geometry.rows).count * 2 * laid_out_columns(&geometry.columns) * 32
}

/// Weights in blocks of sixteen channels.
#[derive(Debug)]
pub(super) struct Weights {
    blocks: Vec<Block>,
    output: OutputRange,
}

/// The constants of sixteen channels, in two halves as interleaving deals them.
#[derive(Debug)]
struct Block {
    /// For each phase, for each pair of rows, for each column of the window.
    lines: [Vec<PairLine>; 2],
    bias: [[i32; 8]; 2],
    /// The sum of all weights of a channel.
    weight_sums: [[i32; 8]; 2],
    scales: [[f32; 8]; 2],
}

impl Weights {
    pub(super) fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let channels = geometry.input_channels;
        let (rows, columns) = (geometry.rows.window, geometry.columns.window);
        let pairs = Pairs::new(&geometry.rows);
        let blocks = (0..channels)
            .step_by(LANES)
            .map(|first| {
                let lines = vec![PairLine::ZERO; pairs.phases * pairs.count * columns];
                let mut block = Block {
                    lines: [lines.clone(), lines],
                    bias: [[0; 8]; 2],
                    weight_sums: [[0; 8]; 2],
                    scales: [[0.0; 8]; 2],
                };
                for lane in 0..LANES.min(channels - first) {
                    // Channels 0 to 3 and 8 to 11 make the first half.
                    let (half, place) = (lane / 4 % 2, lane / 8 * 4 + lane % 4);
                    let channel = first + lane;
                    let mut sum = 0i32;
                    for tap in 0..rows * columns {
                        let weight = constants.weights[tap * channels + channel];
                        sum += i32::from(weight);
                        for phase in 0..pairs.phases {
                            let row = phase + tap / columns;
                            let line = (phase * pairs.count + row / 2) * columns + tap % columns;
                            block.lines[half][line].0[place * 2 + row % 2] = weight;
                        }
                    }
                    let excess = sum.wrapping_mul(i32::from(zero_point));
                    block.bias[half][place] = constants.bias[channel].wrapping_sub(excess);
                    block.weight_sums[half][place] = sum;
                    block.scales[half][place] = constants.scales[channel];
                }
                block
            })
            .collect();
        Self { blocks, output: constants.output }
    }

    pub(super) fn run(
        &self,
        _token: Avx2,
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut [u8],
    ) {
        let images = input.chunks_exact(geometry.image_elements().max(1));
        let results = output.chunks_exact_mut(geometry.result_elements().max(1));
        for (image, result) in images.zip(results) {
            let mut end = End::Bytes { output: &self.output, result };
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve(self, geometry, zero_point, image, &mut end, scratch) }
        }
    }

    /// Convolves one image of the given scale and zero point, for weights that were packed with a
    /// zero point and bias of zero.
    pub(super) fn run_to_floats(
        &self,
        _token: Avx2,
        geometry: &DepthwiseGeometry,
        (scale, zero_point): (f32, u8),
        image: &[u8],
        (end, result): (&FloatEnd, &mut [f32]),
        scratch: &mut [u8],
    ) {
        let mut end = End::Floats { end, scale, result };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { convolve(self, geometry, zero_point, image, &mut end, scratch) }
    }
}

/// What becomes of sums, and where it goes.
enum End<'a> {
    Bytes { output: &'a OutputRange, result: &'a mut [u8] },
    Floats { end: &'a FloatEnd, scale: f32, result: &'a mut [f32] },
}

/// What the passes over one image share.
struct Task<'a> {
    geometry: &'a DepthwiseGeometry,
    pairs: Pairs,
    zero_point: u8,
    image: &'a [u8],
    /// Columns of a laid-out pair of rows.
    laid_out: usize,
}

/// Convolves one image.
#[target_feature(enable = "avx2,fma")]
fn convolve(
    weights: &Weights,
    geometry: &DepthwiseGeometry,
    zero_point: u8,
    image: &[u8],
    end: &mut End<'_>,
    scratch: &mut [u8],
) {
    let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
    let task = Task {
        geometry,
        pairs: Pairs::new(&rows),
        zero_point,
        image,
        laid_out: laid_out_columns(&columns),
    };
    let (scratch, _) = scratch.as_chunks_mut::<32>();
    let laid_out = &mut scratch[..task.pairs.count * 2 * task.laid_out];
    let band = (BAND / (columns.input * channels).max(1) / rows.stride).max(1);
    let band = band.next_multiple_of(task.pairs.phases);
    for first in (0..rows.output).step_by(band) {
        let band = first..(first + band).min(rows.output);
        for (index, block) in weights.blocks.iter().enumerate() {
            let channel = index * LANES;
            match (columns.stride, results_at_once(&columns)) {
                (1, 7) => {
                    convolve_block::<1, 7>(&task, block, channel, band.clone(), laid_out, end)
                }
                (1, _) => {
                    convolve_block::<1, 4>(&task, block, channel, band.clone(), laid_out, end)
                }
                (2, 7) => {
                    convolve_block::<2, 7>(&task, block, channel, band.clone(), laid_out, end)
                }
                (2, _) => {
                    convolve_block::<2, 4>(&task, block, channel, band.clone(), laid_out, end)
                }
                (_, 7) => {
                    convolve_block::<0, 7>(&task, block, channel, band.clone(), laid_out, end)
                }
                _ => convolve_block::<0, 4>(&task, block, channel, band.clone(), laid_out, end),
            }
        }
    }
}

/// Convolves sixteen channels, or as many as are left, of a band of output rows. `STRIDE` is that
/// of columns, or 0 for any; `RESULTS` the number of neighbouring results computed at once.
#[target_feature(enable = "avx2,fma")]
fn convolve_block<const STRIDE: usize, const RESULTS: usize>(
    task: &Task<'_>,
    block: &Block,
    channel: usize,
    band: Range<usize>,
    laid_out: &mut [[u8; 32]],
    end: &mut End<'_>,
) {
    let Task { geometry, pairs, .. } = *task;
    let columns = geometry.columns;
    let mut bias = [load_i32x8(&block.bias[0]), load_i32x8(&block.bias[1])];
    if let End::Floats { .. } = end {
        let zero_point = _mm256_set1_epi32(i32::from(task.zero_point));
        for (bias, sums) in bias.iter_mut().zip(&block.weight_sums) {
            let excess = _mm256_mullo_epi32(zero_point, load_i32x8(sums));
            *bias = _mm256_sub_epi32(*bias, excess);
        }
    }
    let taps = pairs.count * columns.window;
    let mut next = 0;
    for row in band {
        let (first_pair, phase) = pairs.first(row);
        for pair in next.max(first_pair)..first_pair + pairs.count {
            let at = pair % pairs.count * 2 * task.laid_out;
            lay_out(task, pair, channel, &mut laid_out[at..][..2 * task.laid_out]);
        }
        next = first_pair + pairs.count;
        let slot = first_pair % pairs.count;
        for first in (0..columns.output).step_by(RESULTS) {
            let mut sums = [[_mm256_setzero_si256(); RESULTS]; 2];
            for half in 0..2 {
                let weights = &block.lines[half][phase * taps..][..taps];
                let place = (slot, half, first);
                sums[half] =
                    sum_windows::<STRIDE, RESULTS>(task, weights, bias[half], laid_out, place);
            }
            let count = RESULTS.min(columns.output - first);
            let pixel = row * columns.output + first;
            match end {
                End::Bytes { output, result } => {
                    finish_bytes(sums, block, output, geometry, (pixel, count, channel), result);
                }
                End::Floats { end, scale, result } => {
                    finish_floats(sums, *scale, end, geometry, (pixel, count, channel), result);
                }
            }
        }
    }
}

/// Requantises the sums of `count` results from a pixel and channel on.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn finish_bytes<const RESULTS: usize>(
    [low, high]: [[__m256i; RESULTS]; 2],
    block: &Block,
    output: &OutputRange,
    geometry: &DepthwiseGeometry,
    (pixel, count, channel): (usize, usize, usize),
    result: &mut [u8],
) {
    let channels = geometry.input_channels;
    let width = LANES.min(channels - channel);
    let (_, largest, zero_point) = output.parts();
    let largest = _mm256_set1_ps(largest);
    // Both are bytes.
    let zero_point = _mm256_set1_epi16(zero_point as i16);
    let least = _mm_set1_epi8(output.bytes().0.cast_signed());
    let scales = [load_f32x8(&block.scales[0]), load_f32x8(&block.scales[1])];
    let mut halves = [low, high];
    for (sums, scales) in halves.iter_mut().zip(scales) {
        for sum in sums {
            let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(*sum), scales);
            *sum = _mm256_cvtps_epi32(_mm256_min_ps(scaled, largest));
        }
    }
    for offset in 0..count {
        let words = _mm256_packs_epi32(halves[0][offset], halves[1][offset]);
        let words = _mm256_adds_epi16(words, zero_point);
        let bytes =
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
        let bytes = _mm_max_epu8(bytes, least);
        let target = &mut result[(pixel + offset) * channels + channel..];
        match target.first_chunk_mut::<LANES>() {
            Some(target) if width == LANES => store_u8x16(target, bytes),
            _ => {
                let mut whole = [0; LANES];
                store_u8x16(&mut whole, bytes);
                target[..width].copy_from_slice(&whole[..width]);
            }
        }
    }
}

/// Scales the sums of `count` results from a pixel and channel on to floats.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn finish_floats<const RESULTS: usize>(
    [low, high]: [[__m256i; RESULTS]; 2],
    scale: f32,
    end: &FloatEnd,
    geometry: &DepthwiseGeometry,
    (pixel, count, channel): (usize, usize, usize),
    result: &mut [f32],
) {
    let channels = geometry.input_channels;
    let (least, largest) = (_mm256_set1_ps(end.range.0), _mm256_set1_ps(end.range.1));
    let scale = _mm256_set1_ps(scale);
    for offset in 0..count {
        // The halves are dealt four channels at a time.
        let sums = [
            _mm256_permute2x128_si256::<0x20>(low[offset], high[offset]),
            _mm256_permute2x128_si256::<0x31>(low[offset], high[offset]),
        ];
        for (part, sum) in sums.into_iter().enumerate() {
            let first = channel + part * 8;
            let width = channels.saturating_sub(first).min(8);
            let (Some(scales), Some(bias)) =
                (end.scales[first..].first_chunk(), end.bias[first..].first_chunk())
            else {
                return;
            };
            let factor = _mm256_mul_ps(scale, load_f32x8(scales));
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), factor);
            let value = _mm256_add_ps(value, load_f32x8(bias));
            let value = _mm256_min_ps(_mm256_max_ps(value, least), largest);
            if width == 0 {
                continue;
            }
            let target = &mut result[(pixel + offset) * channels + first..];
            match target.first_chunk_mut() {
                Some(target) if width == 8 => store_f32x8(target, value),
                _ => store_f32x8_part(&mut target[..width], value),
            }
        }
    }
}

/// The sums of the windows of `RESULTS` neighbouring results in one half of the channels, bias
/// included; `place` is the first pair's slot, the half and the first result.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn sum_windows<const STRIDE: usize, const RESULTS: usize>(
    task: &Task<'_>,
    weights: &[PairLine],
    bias: __m256i,
    laid_out: &[[u8; 32]],
    (mut slot, half, first): (usize, usize, usize),
) -> [__m256i; RESULTS] {
    let columns = task.geometry.columns;
    let stride = if STRIDE == 0 { columns.stride } else { STRIDE };
    let mut sums = [bias; RESULTS];
    for weights in weights.chunks_exact(columns.window) {
        let line = &laid_out[(slot * 2 + half) * task.laid_out..][..task.laid_out];
        let mut column = first * stride;
        for weight in weights {
            let weight = load_pairs(weight);
            let values = &line[column..][..(RESULTS - 1) * stride + 1];
            for offset in 0..RESULTS {
                let products = _mm256_madd_epi16(load_u8x32(&values[offset * stride]), weight);
                sums[offset] = _mm256_add_epi32(sums[offset], products);
            }
            column += columns.dilation;
        }
        slot = if slot + 1 == task.pairs.count { 0 } else { slot + 1 };
    }
    sums
}

/// Lays out sixteen channels of a pair of input rows, or as many as are left: the first half of
/// all columns, then the second.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn lay_out(task: &Task<'_>, pair: usize, channel: usize, target: &mut [[u8; 32]]) {
    let geometry = task.geometry;
    let (columns, channels) = (geometry.columns, geometry.input_channels);
    let width = LANES.min(channels - channel);
    let row_len = columns.input * channels;
    let rows = task.pairs.rows(pair, &geometry.rows);
    let rows = rows.map(|row| row.map(|row| &task.image[row * row_len + channel..]));
    let outside = _mm256_set1_epi16(i16::from(task.zero_point));
    let (low, high) = target.split_at_mut(task.laid_out);
    let high = &mut high[..low.len()];
    let inside = columns.padding.min(low.len())..(columns.padding + columns.input).min(low.len());
    for border in [0..inside.start, inside.end..low.len()] {
        for (low, high) in low[border.clone()].iter_mut().zip(&mut high[border]) {
            store_u8x32(low, outside);
            store_u8x32(high, outside);
        }
    }
    let targets = low[inside.clone()].iter_mut().zip(&mut high[inside]);
    for (column, (low, high)) in targets.enumerate() {
        let at = column * channels;
        let first = rows[0].map_or(outside, |row| widen(&row[at..], width));
        let second = rows[1].map_or(outside, |row| widen(&row[at..], width));
        store_u8x32(low, _mm256_unpacklo_epi16(first, second));
        store_u8x32(high, _mm256_unpackhi_epi16(first, second));
    }
}

/// Widens sixteen bytes, or at the end of the memory the `width` that are left. What lies behind
/// the width is never stored.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn widen(from: &[u8], width: usize) -> __m256i {
    match from.first_chunk::<LANES>() {
        Some(bytes) => _mm256_cvtepu8_epi16(load_u8x16(bytes)),
        None => {
            let mut bytes = [0; LANES];
            bytes[..width].copy_from_slice(&from[..width]);
            _mm256_cvtepu8_epi16(load_u8x16(&bytes))
        }
    }
}
