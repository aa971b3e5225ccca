//! The convolution with AVX-512 VNNI: four neighbouring columns of sixteen channels a vector.
//!
//! A row of input is laid out so that each 32-bit lane holds one channel of four neighbouring
//! columns, starting at multiples of four. A window of up to five columns touches two such
//! vectors at most, whatever its place in them; for each place there are weights shifted to
//! match, with zeros beside them. One instruction then adds up to four taps to sixteen sums.
//!
//! Sixty-four channels go together where there are as many: interleaving their bytes within
//! quarters of a vector deals them to four vectors, and packing results undoes it.

use std::arch::x86_64::*;

use super::{DepthwiseConstants, DepthwiseGeometry};
use crate::kernels::requantize::OutputRange;
use crate::simd::x86_64::{
    Avx512Vnni, Line, load_f32x16, load_i32x16, load_line, load_u8x16, load_u8x16_part, load_u8x64,
    store_line, store_u8x16, store_u8x16_part,
};

/// Channels of one vector.
const LANES: usize = 16;

/// Columns of one vector.
const PLACES: usize = 4;

/// Blocks of channels that one pass over the rows takes: a cache line of them.
const BLOCKS: usize = 4;

/// Channels of as many blocks.
const QUAD: usize = BLOCKS * LANES;

/// Results that one step computes at once, for each channel of a block.
const RESULTS: usize = 8;

/// The widest window that touches two vectors at most.
const MAX_WINDOW: usize = 5;

/// The most rows of a window.
const MAX_ROWS: usize = 8;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1
        && geometry.rows.window <= MAX_ROWS
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
    /// Four blocks for each sixty-four channels, dealt as interleaving deals them.
    quads: Vec<[Block; BLOCKS]>,
    /// The blocks of the channels that are left over, in their order.
    rest: Vec<Block>,
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
        let whole = channels - channels % QUAD;
        let new = |channel_of: &dyn Fn(usize) -> Option<usize>| {
            Block::new(geometry, zero_point, constants, channel_of)
        };
        let quads = (0..whole)
            .step_by(QUAD)
            .map(|first| {
                [0, 1, 2, 3].map(|block| {
                    new(&|lane| Some(first + LANES * (lane / 4) + 4 * block + lane % 4))
                })
            })
            .collect();
        let rest = (whole..channels)
            .step_by(LANES)
            .map(|first| new(&|lane| Some(first + lane).filter(|&channel| channel < channels)))
            .collect();
        Self { quads, rest, output: constants.output }
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
        channel_of: &dyn Fn(usize) -> Option<usize>,
    ) -> Self {
        let (channels, window) = (geometry.input_channels, geometry.columns.window);
        let lanes: Vec<(usize, usize)> =
            (0..LANES).filter_map(|lane| Some((lane, channel_of(lane)?))).collect();
        let weight = |row: usize, column: usize, channel: usize| {
            constants.weights[(row * window + column) * channels + channel]
        };
        let all = || {
            let lanes = &lanes;
            (0..geometry.rows.window).flat_map(move |row| {
                (0..window).flat_map(move |column| lanes.iter().map(move |&at| (row, column, at)))
            })
        };
        let passes = all()
            .map(|(row, column, (_, channel))| parts(weight(row, column, channel)))
            .map(|parts| parts.iter().take_while(|&&part| part != 0).count())
            .fold(1, usize::max);
        let starts = PLACES / geometry.columns.stride;
        let mut lines = vec![[Line::ZERO; 2]; passes * geometry.rows.window * starts];
        let mut bias = [0; LANES];
        let mut scales = [0.0; LANES];
        for &(lane, channel) in &lanes {
            bias[lane] = constants.bias[channel];
            scales[lane] = constants.scales[channel];
        }
        for (row, column, (lane, channel)) in all() {
            let weight = weight(row, column, channel);
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
        Self { lines, passes, bias, scales }
    }
}

/// What the passes over one image share.
struct Task<'a> {
    geometry: &'a DepthwiseGeometry,
    output: &'a OutputRange,
    zero_point: u8,
    image: &'a [u8],
    /// Vectors of a laid-out row of one block.
    lines: usize,
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
    let (rows, outside) = scratch[..(span(geometry) * BLOCKS + 1) * lines]
        .split_at_mut(span(geometry) * BLOCKS * lines);
    outside.fill([zero_point; 64]);
    let task = Task { geometry, output: &weights.output, zero_point, image, lines };
    for (index, quad) in weights.quads.iter().enumerate() {
        match geometry.columns.stride {
            1 => convolve_quad::<1, 4, 2>(&task, quad, index * QUAD, rows, outside, result),
            _ => convolve_quad::<2, 2, 4>(&task, quad, index * QUAD, rows, outside, result),
        }
    }
    let first = weights.quads.len() * QUAD;
    for (index, block) in weights.rest.iter().enumerate() {
        let channel = first + index * LANES;
        match geometry.columns.stride {
            1 => convolve_block::<1, 4, 2>(&task, block, channel, rows, outside, result),
            _ => convolve_block::<2, 2, 4>(&task, block, channel, rows, outside, result),
        }
    }
}

/// The input rows that the windows of output row `row` reach beyond those of earlier rows.
fn fresh_rows(geometry: &DepthwiseGeometry, row: usize, next: usize) -> std::ops::Range<usize> {
    let span = span(geometry);
    let end = (row * geometry.rows.stride + span)
        .saturating_sub(geometry.rows.padding)
        .min(geometry.rows.input);
    next.max(end.saturating_sub(span))..end
}

/// The laid-out rows of `depth` vectors under the windows of output row `row`.
#[inline]
fn rows_under<'r>(
    task: &Task<'_>,
    row: usize,
    depth: usize,
    rows: &'r [[u8; 64]],
) -> [Option<&'r [[u8; 64]]>; MAX_ROWS] {
    let geometry = task.geometry;
    let mut under = [None; MAX_ROWS];
    for (tap, under) in under.iter_mut().enumerate().take(geometry.rows.window) {
        *under = geometry.rows.source(row, tap).map(|y| {
            let at = (y % span(geometry)) * depth;
            &rows[at..at + depth]
        });
    }
    under
}

/// Convolves sixty-four channels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_quad<const STRIDE: usize, const STARTS: usize, const VECTORS: usize>(
    task: &Task<'_>,
    quad: &[Block; BLOCKS],
    channel: usize,
    rows: &mut [[u8; 64]],
    outside: &[[u8; 64]],
    result: &mut [u8],
) {
    let Task { geometry, lines, .. } = *task;
    let (channels, columns) = (geometry.input_channels, geometry.columns.output);
    let (_, largest, zero_point) = task.output.parts();
    let largest = _mm512_set1_ps(largest);
    // Both are bytes.
    let zero_point = _mm512_set1_epi16(zero_point as i16);
    let least = _mm512_set1_epi8(task.output.least_byte().cast_signed());
    let mut next = 0;
    for row in 0..geometry.rows.output {
        let fresh = fresh_rows(geometry, row, next);
        next = next.max(fresh.end);
        for y in fresh {
            let at = (y % span(geometry)) * BLOCKS * lines;
            lay_out_quad(task, y, channel, &mut rows[at..at + BLOCKS * lines]);
        }
        let under = rows_under(task, row, BLOCKS * lines, rows);
        let target = &mut result[row * columns * channels..][..columns * channels];
        for (step, first) in (0..columns).step_by(RESULTS).enumerate() {
            let mut sums = [[_mm512_setzero_si512(); RESULTS]; BLOCKS];
            for (block, constants) in quad.iter().enumerate() {
                let mut taps: [&[[u8; 64]]; MAX_ROWS] = [outside; MAX_ROWS];
                for (tap, row) in taps.iter_mut().zip(under) {
                    if let Some(row) = row {
                        *tap = &row[block * lines..][..lines];
                    }
                }
                let taps = &taps[..geometry.rows.window];
                sums[block] =
                    sum_windows::<STRIDE, STARTS, VECTORS>(geometry, constants, taps, step);
            }
            for offset in 0..RESULTS.min(columns - first) {
                let mut results = [_mm512_setzero_si512(); BLOCKS];
                for block in 0..BLOCKS {
                    let sum = _mm512_cvtepi32_ps(sums[block][offset]);
                    let scaled = _mm512_mul_ps(sum, load_f32x16(&quad[block].scales));
                    results[block] = _mm512_cvtps_epi32(_mm512_min_ps(scaled, largest));
                }
                let low = _mm512_packs_epi32(results[0], results[1]);
                let high = _mm512_packs_epi32(results[2], results[3]);
                let bytes = _mm512_packus_epi16(
                    _mm512_adds_epi16(low, zero_point),
                    _mm512_adds_epi16(high, zero_point),
                );
                let at = &mut target[(first + offset) * channels + channel..];
                if let Some(at) = at.first_chunk_mut::<QUAD>() {
                    store_line(at, _mm512_max_epu8(bytes, least));
                }
            }
        }
    }
}

/// Lays out sixty-four channels of one input row: block by block, vector by vector.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out_quad(task: &Task<'_>, row: usize, channel: usize, target: &mut [[u8; 64]]) {
    let Task { geometry, lines, .. } = *task;
    let channels = geometry.input_channels;
    let columns = geometry.columns.input;
    let row = &task.image[row * columns * channels..][..columns * channels];
    let outside = _mm512_set1_epi8(task.zero_point.cast_signed());
    let (first, rest) = target.split_at_mut(lines);
    let (second, rest) = rest.split_at_mut(lines);
    let (third, fourth) = rest.split_at_mut(lines);
    let fourth = &mut fourth[..lines];
    for index in 0..lines {
        let mut pixels = [outside; PLACES];
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let column = (index * PLACES + place).wrapping_sub(geometry.columns.padding);
            if column < columns
                && let Some(bytes) = row[column * channels + channel..].first_chunk::<QUAD>()
            {
                *pixel = load_u8x64(bytes);
            }
        }
        let [a, b, c, d] = pixels;
        let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        store_line(&mut first[index], _mm512_unpacklo_epi16(ab_low, cd_low));
        store_line(&mut second[index], _mm512_unpackhi_epi16(ab_low, cd_low));
        store_line(&mut third[index], _mm512_unpacklo_epi16(ab_high, cd_high));
        store_line(&mut fourth[index], _mm512_unpackhi_epi16(ab_high, cd_high));
    }
}

/// The sums of [`RESULTS`] windows of sixteen channels, bias included. `STARTS` is the number of
/// windows that begin in one vector, `VECTORS` the number of vectors that the windows begin in.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn sum_windows<const STRIDE: usize, const STARTS: usize, const VECTORS: usize>(
    geometry: &DepthwiseGeometry,
    block: &Block,
    rows: &[&[[u8; 64]]],
    step: usize,
) -> [__m512i; RESULTS] {
    let window = geometry.columns.window;
    let mut sums = [load_i32x16(&block.bias); RESULTS];
    for pass in 0..block.passes {
        for (tap, row) in rows.iter().enumerate() {
            let lines = &row[step * VECTORS..][..VECTORS + 1];
            let weights = &block.lines[(pass * rows.len() + tap) * STARTS..][..STARTS];
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
    sums
}

/// Convolves sixteen channels, or as many as are left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_block<const STRIDE: usize, const STARTS: usize, const VECTORS: usize>(
    task: &Task<'_>,
    block: &Block,
    channel: usize,
    rows: &mut [[u8; 64]],
    outside: &[[u8; 64]],
    result: &mut [u8],
) {
    let Task { geometry, lines, .. } = *task;
    let (channels, columns) = (geometry.input_channels, geometry.columns.output);
    let width = LANES.min(channels - channel);
    let (least, largest, zero_point) = task.output.parts();
    let (least, largest) = (_mm512_set1_ps(least), _mm512_set1_ps(largest));
    let zero_point = _mm512_set1_epi32(zero_point);
    let scales = load_f32x16(&block.scales);
    let mut next = 0;
    for row in 0..geometry.rows.output {
        let fresh = fresh_rows(geometry, row, next);
        next = next.max(fresh.end);
        for y in fresh {
            let at = (y % span(geometry)) * lines;
            lay_out(task, y, channel, &mut rows[at..at + lines]);
        }
        let under = rows_under(task, row, lines, rows);
        let mut taps: [&[[u8; 64]]; MAX_ROWS] = [outside; MAX_ROWS];
        for (tap, row) in taps.iter_mut().zip(under) {
            if let Some(row) = row {
                *tap = row;
            }
        }
        let taps = &taps[..geometry.rows.window];
        let target = &mut result[row * columns * channels..][..columns * channels];
        for (step, first) in (0..columns).step_by(RESULTS).enumerate() {
            let sums = sum_windows::<STRIDE, STARTS, VECTORS>(geometry, block, taps, step);
            for (offset, sum) in sums.into_iter().enumerate().take(columns - first) {
                let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scales);
                let clamped = _mm512_min_ps(_mm512_max_ps(scaled, least), largest);
                let result = _mm512_add_epi32(_mm512_cvtps_epi32(clamped), zero_point);
                let narrow = _mm512_cvtepi32_epi8(result);
                let at = &mut target[(first + offset) * channels + channel..];
                match at.first_chunk_mut::<LANES>() {
                    Some(bytes) if width == LANES => store_u8x16(bytes, narrow),
                    _ => store_u8x16_part(&mut at[..width], narrow),
                }
            }
        }
    }
}

/// Lays out sixteen channels of one input row, or as many as are left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out(task: &Task<'_>, row: usize, channel: usize, target: &mut [[u8; 64]]) {
    let geometry = task.geometry;
    let channels = geometry.input_channels;
    let columns = geometry.columns.input;
    let width = LANES.min(channels - channel);
    let row = &task.image[row * columns * channels..][..columns * channels];
    let outside = _mm_set1_epi8(task.zero_point.cast_signed());
    // Byte 4 * lane + place comes from byte 16 * place + lane.
    let order = _mm512_set_epi8(
        63, 47, 31, 15, 62, 46, 30, 14, 61, 45, 29, 13, 60, 44, 28, 12, 59, 43, 27, 11, 58, 42, 26,
        10, 57, 41, 25, 9, 56, 40, 24, 8, 55, 39, 23, 7, 54, 38, 22, 6, 53, 37, 21, 5, 52, 36, 20,
        4, 51, 35, 19, 3, 50, 34, 18, 2, 49, 33, 17, 1, 48, 32, 16, 0,
    );
    for (index, line) in target.iter_mut().enumerate() {
        let mut pixels = [outside; PLACES];
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let column = (index * PLACES + place).wrapping_sub(geometry.columns.padding);
            if column < columns {
                let from = &row[column * channels + channel..];
                match from.first_chunk::<LANES>() {
                    Some(bytes) if width == LANES => *pixel = load_u8x16(bytes),
                    _ => *pixel = load_u8x16_part(&from[..width]),
                }
            }
        }
        let [a, b, c, d] = pixels;
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
        let pixels = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        store_line(line, _mm512_permutexvar_epi8(order, pixels));
    }
}
