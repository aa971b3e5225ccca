//! The convolution with AVX-512 VNNI: four neighbouring columns of sixteen channels a vector.
//!
//! A row of input is laid out so that each 32-bit lane holds one channel of four neighbouring
//! columns, starting at multiples of four. A window of up to five columns touches two such
//! vectors at most, whatever its place in them; for each place there are weights shifted to
//! match, with zeros beside them. One instruction then adds up to four taps to sixteen sums.

use std::arch::x86_64::*;

use super::{DepthwiseConstants, DepthwiseGeometry};
use crate::kernels::requantize::OutputRange;
use crate::simd::x86_64::{
    Avx512Vnni, Line, load_f32x16, load_i32x16, load_line, load_u8x16, load_u8x64, store_line,
    store_u8x16,
};

/// Channels of one vector.
const LANES: usize = 16;

/// Columns of one vector.
const PLACES: usize = 4;

/// Blocks of channels that one pass over the rows takes: a cache line of them.
const BLOCKS: usize = 4;

/// Results that one step computes at once, for each channel of a block.
const RESULTS: usize = 8;

/// The widest window that touches two vectors at most.
const MAX_WINDOW: usize = 5;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1
        && geometry.columns.window <= MAX_WINDOW
        && geometry.columns.dilation == 1
        && matches!(geometry.columns.stride, 1 | 2)
}

/// Input rows between the first and the last under a window, both included.
fn span(geometry: &DepthwiseGeometry) -> usize {
    (geometry.rows.window - 1) * geometry.rows.dilation + 1
}

/// Vectors of a laid-out row: what all steps read.
fn row_lines(geometry: &DepthwiseGeometry) -> usize {
    let lines_per_step = RESULTS * geometry.columns.stride / PLACES;
    geometry.columns.output.div_ceil(RESULTS) * lines_per_step + 1
}

/// Bytes of the laid-out rows under a window, one more row of zero points included.
pub(super) fn scratch_bytes(geometry: &DepthwiseGeometry) -> usize {
    (span(geometry) * BLOCKS + 1) * row_lines(geometry) * size_of::<Line>()
}

/// Weights in blocks of sixteen channels.
#[derive(Debug)]
pub(super) struct Weights {
    blocks: Vec<Block>,
    output: OutputRange,
}

/// The constants of sixteen channels.
#[derive(Debug)]
struct Block {
    /// For each row of the window, for each place of a window's first column: the weights in the
    /// first vector, and those in the second.
    lines: Vec<[Line; 2]>,
    /// How often the rows of the window are gone over: more than once if a weight less its zero
    /// point takes more than a byte.
    passes: usize,
    bias: [i32; LANES],
    scales: [f32; LANES],
}

impl Weights {
    pub(super) fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let channels = geometry.input_channels;
        let blocks = (0..channels)
            .step_by(LANES)
            .map(|first| Block::new(geometry, zero_point, constants, first))
            .collect();
        Self {
            blocks,
            output: constants.output,
        }
    }

    pub(super) fn run(
        &self,
        _token: Avx512Vnni,
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut [u8],
    ) {
        let images = input.chunks_exact(geometry.image_elements().max(1));
        let results = output.chunks_exact_mut(geometry.result_elements().max(1));
        for (image, result) in images.zip(results) {
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve(self, geometry, zero_point, image, result, scratch) }
        }
    }
}

/// A weight less its zero point, at most 255 either way, as a sum of signed bytes.
fn parts(weight: i16) -> [i8; 3] {
    let mut rest = weight;
    [(); 3].map(|()| {
        // The clamp makes the narrowing exact.
        let part = rest.clamp(-128, 127) as i8;
        rest -= i16::from(part);
        part
    })
}

impl Block {
    fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
        first: usize,
    ) -> Self {
        let (channels, window) = (geometry.input_channels, geometry.columns.window);
        let width = LANES.min(channels - first);
        let weight = |row: usize, column: usize, lane: usize| {
            constants.weights[(row * window + column) * channels + first + lane]
        };
        let all = || {
            (0..geometry.rows.window).flat_map(move |row| {
                (0..window).flat_map(move |column| (0..width).map(move |lane| (row, column, lane)))
            })
        };
        let passes = all()
            .map(|(row, column, lane)| parts(weight(row, column, lane)))
            .map(|parts| parts.iter().take_while(|&&part| part != 0).count())
            .fold(1, usize::max);
        let starts = PLACES / geometry.columns.stride;
        let mut lines = vec![[Line::ZERO; 2]; passes * geometry.rows.window * starts];
        let mut bias = [0; LANES];
        let mut scales = [0.0; LANES];
        bias[..width].copy_from_slice(&constants.bias[first..first + width]);
        scales[..width].copy_from_slice(&constants.scales[first..first + width]);
        for (row, column, lane) in all() {
            let weight = weight(row, column, lane);
            bias[lane] = bias[lane].wrapping_sub(i32::from(weight) * i32::from(zero_point));
            for (pass, part) in parts(weight).into_iter().enumerate().take(passes) {
                for start in 0..starts {
                    let place = start * geometry.columns.stride + column;
                    let line = &mut lines[(pass * geometry.rows.window + row) * starts + start]
                        [place / PLACES];
                    line.0[lane * PLACES + place % PLACES] = part.cast_unsigned();
                }
            }
        }
        Self {
            lines,
            passes,
            bias,
            scales,
        }
    }
}

/// Convolves one image.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve(
    weights: &Weights,
    geometry: &DepthwiseGeometry,
    zero_point: u8,
    image: &[u8],
    result: &mut [u8],
    scratch: &mut [u8],
) {
    let lines = row_lines(geometry);
    let (scratch, _) = scratch.as_chunks_mut::<64>();
    let span = span(geometry);
    let (rows, outside) =
        scratch[..(span * BLOCKS + 1) * lines].split_at_mut(span * BLOCKS * lines);
    outside.fill([zero_point; 64]);
    for (index, blocks) in weights.blocks.chunks(BLOCKS).enumerate() {
        let first_channel = index * BLOCKS * LANES;
        // Rows below this one are laid out, each at its number modulo the span.
        let mut next = 0;
        for row in 0..geometry.rows.output {
            let end = (row * geometry.rows.stride + span)
                .saturating_sub(geometry.rows.padding)
                .min(geometry.rows.input);
            next = next.max(end.saturating_sub(span));
            while next < end {
                let at = (next % span) * BLOCKS * lines;
                for (block, target) in rows[at..at + blocks.len() * lines]
                    .chunks_exact_mut(lines)
                    .enumerate()
                {
                    let channel = first_channel + block * LANES;
                    lay_out(geometry, zero_point, image, next, channel, target);
                }
                next += 1;
            }
            for (block, weights_of_block) in blocks.iter().enumerate() {
                let channel = first_channel + block * LANES;
                let row_of = |tap: usize| match geometry.rows.source(row, tap) {
                    Some(y) => &rows[((y % span) * BLOCKS + block) * lines..][..lines],
                    None => &outside[..lines],
                };
                let from = row * geometry.columns.output * geometry.input_channels;
                let target = &mut result[from..];
                let task = Task {
                    geometry,
                    output: &weights.output,
                    block: weights_of_block,
                    channel,
                };
                match geometry.columns.stride {
                    1 => convolve_row::<1, 4, 2>(&task, row_of, target),
                    _ => convolve_row::<2, 2, 4>(&task, row_of, target),
                }
            }
        }
    }
}

/// Lays out sixteen channels of one input row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out(
    geometry: &DepthwiseGeometry,
    zero_point: u8,
    image: &[u8],
    row: usize,
    channel: usize,
    target: &mut [[u8; 64]],
) {
    let channels = geometry.input_channels;
    let width = LANES.min(channels - channel);
    let row =
        &image[row * geometry.columns.input * channels..][..geometry.columns.input * channels];
    let outside = _mm_set1_epi8(zero_point.cast_signed());
    let pixel = |place: usize| {
        let Some(column) = place
            .checked_sub(geometry.columns.padding)
            .filter(|&column| column < geometry.columns.input)
        else {
            return outside;
        };
        let from = &row[column * channels + channel..];
        match from.first_chunk::<LANES>() {
            Some(bytes) if width == LANES => load_u8x16(bytes),
            _ => {
                let mut bytes = [0; LANES];
                bytes[..width].copy_from_slice(&from[..width]);
                load_u8x16(&bytes)
            }
        }
    };
    // Byte 4 * lane + place comes from byte 16 * place + lane.
    let order = _mm512_set_epi8(
        63, 47, 31, 15, 62, 46, 30, 14, 61, 45, 29, 13, 60, 44, 28, 12, 59, 43, 27, 11, 58, 42, 26,
        10, 57, 41, 25, 9, 56, 40, 24, 8, 55, 39, 23, 7, 54, 38, 22, 6, 53, 37, 21, 5, 52, 36, 20,
        4, 51, 35, 19, 3, 50, 34, 18, 2, 49, 33, 17, 1, 48, 32, 16, 0,
    );
    for (index, line) in target.iter_mut().enumerate() {
        let first = index * PLACES;
        let (a, b, c, d) = (pixel(first), pixel(first + 1), pixel(first + 2), pixel(first + 3));
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
        let pixels = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        store_line(line, _mm512_permutexvar_epi8(order, pixels));
    }
}

/// What one pass over a row works with.
struct Task<'a> {
    geometry: &'a DepthwiseGeometry,
    output: &'a OutputRange,
    block: &'a Block,
    channel: usize,
}

/// Computes one row of results of sixteen channels. `STARTS` is the number of windows that begin
/// in one vector, `VECTORS` the number of vectors that [`RESULTS`] windows begin in.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn convolve_row<'r, const STRIDE: usize, const STARTS: usize, const VECTORS: usize>(
    task: &Task<'_>,
    row_of: impl Fn(usize) -> &'r [[u8; 64]],
    target: &mut [u8],
) {
    let Task {
        geometry,
        block,
        channel,
        ..
    } = *task;
    let (channels, columns) = (geometry.input_channels, geometry.columns.output);
    let window = geometry.columns.window;
    let width = LANES.min(channels - channel);
    let (least, largest, zero_point) = task.output.parts();
    let (least, largest) = (_mm512_set1_ps(least), _mm512_set1_ps(largest));
    let zero_point = _mm512_set1_epi32(zero_point);
    let (bias, scales) = (load_i32x16(&block.bias), load_f32x16(&block.scales));
    let taps = geometry.rows.window;
    for (step, first) in (0..columns).step_by(RESULTS).enumerate() {
        let mut sums = [bias; RESULTS];
        for pass in 0..block.passes {
            for tap in 0..taps {
                let lines = &row_of(tap)[step * VECTORS..][..VECTORS + 1];
                let weights = &block.lines[(pass * taps + tap) * STARTS..][..STARTS];
                for start in 0..STARTS {
                    let near = load_line(&weights[start][0]);
                    for vector in 0..VECTORS {
                        let sum = &mut sums[vector * STARTS + start];
                        *sum = _mm512_dpbusd_epi32(*sum, load_u8x64(&lines[vector]), near);
                    }
                    if start * STRIDE + window > PLACES {
                        let far = load_line(&weights[start][1]);
                        for vector in 0..VECTORS {
                            let sum = &mut sums[vector * STARTS + start];
                            *sum = _mm512_dpbusd_epi32(*sum, load_u8x64(&lines[vector + 1]), far);
                        }
                    }
                }
            }
        }
        for (offset, sum) in sums.into_iter().enumerate().take(columns - first) {
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scales);
            let clamped = _mm512_min_ps(_mm512_max_ps(scaled, least), largest);
            let result = _mm512_add_epi32(_mm512_cvtps_epi32(clamped), zero_point);
            let narrow = _mm512_cvtepi32_epi8(result);
            let at = &mut target[(first + offset) * channels + channel..];
            match at.first_chunk_mut::<LANES>() {
                Some(bytes) if width == LANES => store_u8x16(bytes, narrow),
                _ => {
                    let mut bytes = [0; LANES];
                    store_u8x16(&mut bytes, narrow);
                    at[..width].copy_from_slice(&bytes[..width]);
                }
            }
        }
    }
}
