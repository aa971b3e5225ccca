//! The convolution with AVX-512 VNNI: quads of input rows, sixteen channels a vector.
//!
//! The bytes of four neighbouring rows under a window are interleaved once, so that each 32-bit
//! lane holds one channel of a column of four; one instruction then adds four taps to sixteen sums.
//! Quads serve as many output rows as have their windows within them: windows that begin further
//! down have weights shifted by as many rows, with zeros beside them.
//!
//! Sixty-four channels go together where there are as many: interleaving their bytes within
//! quarters of a vector deals them to four vectors, and packing results undoes it.

use std::arch::x86_64::*;

use super::{DepthwiseConstants, DepthwiseGeometry};
use crate::kernels::requantize::OutputRange;
use crate::ops::window::Axis;
use crate::simd::x86_64::{
    Avx512Vnni, Line, load_f32x16, load_i32x16, load_line, load_u8x16, load_u8x16_part, load_u8x64,
    store_line, store_u8x16, store_u8x16_part,
};

/// Channels of one vector.
const LANES: usize = 16;

/// Rows of a quad.
const PLACES: usize = 4;

/// Blocks of channels that go together: a cache line of them.
const BLOCKS: usize = 4;

/// Channels of as many blocks.
const WIDE: usize = BLOCKS * LANES;

/// The most quads under a window.
const MAX_QUADS: usize = 4;

/// Neighbouring results that are computed at once: enough to hide how long an addition takes, and a
/// divisor of the sizes that images of 224 pixels shrink to.
const RESULTS: usize = 7;

/// Results of rows shorter than that.
const FEW_RESULTS: usize = 4;

/// Whether the kernel has this geometry.
pub(super) fn takes(geometry: &DepthwiseGeometry) -> bool {
    geometry.multiplier == 1 && geometry.rows.window <= MAX_QUADS * PLACES
}

/// How windows lie on quads of input rows.
#[derive(Clone, Copy, Debug)]
struct Quads {
    /// Quads under a group of windows.
    count: usize,
    /// Output rows whose windows lie within the same quads.
    group: usize,
    /// Quads from one group to the next, if quads of neighbouring groups are the same.
    step: Option<usize>,
}

impl Quads {
    fn new(rows: &Axis) -> Self {
        let count = rows.window.div_ceil(PLACES);
        if rows.dilation != 1 {
            return Self { count, group: 1, step: None };
        }
        let group = (count * PLACES - rows.window) / rows.stride + 1;
        let advance = group * rows.stride;
        Self { count, group, step: (advance % PLACES == 0).then_some(advance / PLACES) }
    }

    /// Where quad `quad` of group `group` is kept: a quad of the next group too takes the place of
    /// one that is no longer needed.
    fn slot(&self, group: usize, quad: usize) -> usize {
        self.step.map_or(quad, |step| (group * step + quad) % self.count)
    }

    /// The quads of group `group` that no group before it has.
    fn fresh(&self, group: usize) -> std::ops::Range<usize> {
        match self.step {
            Some(step) if group > 0 => self.count.saturating_sub(step)..self.count,
            _ => 0..self.count,
        }
    }

    /// The input row in place `place` of a quad, if it is inside the input.
    fn source(&self, rows: &Axis, group: usize, quad: usize, place: usize) -> Option<usize> {
        let row = group * self.group * rows.stride + (quad * PLACES + place) * rows.dilation;
        row.checked_sub(rows.padding).filter(|&row| row < rows.input)
    }
}

/// Columns of a laid-out quad: what all windows read.
fn laid_out_columns(columns: &Axis) -> usize {
    (columns.output - 1) * columns.stride + columns.span()
}

/// Bytes of the laid-out quads under a window.
pub(super) fn scratch_bytes(geometry: &DepthwiseGeometry) -> usize {
    let columns = laid_out_columns(&geometry.columns);
    BLOCKS * Quads::new(&geometry.rows).count * columns * size_of::<Line>()
}

/// Weights in blocks of sixteen channels.
#[derive(Debug)]
pub(super) struct Weights {
    /// Four blocks for each sixty-four channels, dealt as interleaving deals them.
    wide: Vec<[Block; BLOCKS]>,
    /// The blocks of the channels that are left over, in their order.
    rest: Vec<Block>,
    output: OutputRange,
}

/// The constants of sixteen channels.
#[derive(Debug)]
struct Block {
    /// For each output row of a group, what its windows add up.
    taps: Vec<Taps>,
    bias: [i32; LANES],
    scales: [f32; LANES],
}

/// Rows of taps, four at a time: the weights of each column of four, and the quad that they meet.
/// There are several for the same quad if a weight less its zero point takes more than a byte.
#[derive(Debug, Default)]
struct Taps {
    quads: Vec<usize>,
    /// As many for each quad as a window has columns.
    lines: Vec<Line>,
}

impl Weights {
    pub(super) fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let channels = geometry.input_channels;
        let whole = channels - channels % WIDE;
        let new = |channel_of: &dyn Fn(usize) -> Option<usize>| {
            Block::new(geometry, zero_point, constants, channel_of)
        };
        let wide = (0..whole)
            .step_by(WIDE)
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
        Self { wide, rest, output: constants.output }
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
        let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
        let quads = Quads::new(&rows);
        let mut block = Self { taps: Vec::new(), bias: [0; LANES], scales: [0.0; LANES] };
        // For each part of weights, tap by tap.
        let mut lanes = vec![[[0i8; LANES]; 3]; rows.window * columns.window];
        for lane in 0..LANES {
            let Some(channel) = channel_of(lane) else { continue };
            block.bias[lane] = constants.bias[channel];
            block.scales[lane] = constants.scales[channel];
            for (tap, lanes) in lanes.iter_mut().enumerate() {
                let weight = constants.weights[tap * channels + channel];
                let excess = i32::from(weight) * i32::from(zero_point);
                block.bias[lane] = block.bias[lane].wrapping_sub(excess);
                for (lanes, part) in lanes.iter_mut().zip(parts(weight)) {
                    lanes[lane] = part;
                }
            }
        }
        for row in 0..quads.group {
            let mut taps = Taps::default();
            for (part, quad) in (0..3).flat_map(|part| (0..quads.count).map(move |q| (part, q))) {
                let mut lines = vec![Line::ZERO; columns.window];
                for place in 0..PLACES {
                    let tap_row = (quad * PLACES + place).checked_sub(row * rows.stride);
                    let Some(tap_row) = tap_row.filter(|&row| row < rows.window) else { continue };
                    let lanes = &lanes[tap_row * columns.window..];
                    for (line, lanes) in lines.iter_mut().zip(lanes) {
                        for (bytes, weight) in line.0.chunks_exact_mut(PLACES).zip(lanes[part]) {
                            bytes[place] = weight.cast_unsigned();
                        }
                    }
                }
                if lines.iter().any(|line| line.0 != Line::ZERO.0) {
                    taps.quads.push(quad);
                    taps.lines.extend(lines);
                }
            }
            block.taps.push(taps);
        }
        block
    }
}

/// What the passes over one image share.
struct Task<'a> {
    geometry: &'a DepthwiseGeometry,
    output: &'a OutputRange,
    image: &'a [u8],
    quads: Quads,
    /// Columns of a laid-out quad.
    columns: usize,
    zero_point: u8,
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
    let (quads, output) = (Quads::new(&geometry.rows), &weights.output);
    let columns = laid_out_columns(&geometry.columns);
    let task = Task { geometry, output, image, quads, columns, zero_point };
    let (scratch, _) = scratch.as_chunks_mut::<64>();
    let laid_out = &mut scratch[..BLOCKS * quads.count * columns];
    // What lies beside the input stays as it is for all channels and rows.
    laid_out.fill([zero_point; 64]);
    for (index, blocks) in weights.wide.iter().enumerate() {
        match geometry.columns.stride {
            1 => convolve_wide::<1>(&task, blocks, index * WIDE, laid_out, result),
            2 => convolve_wide::<2>(&task, blocks, index * WIDE, laid_out, result),
            _ => convolve_wide::<0>(&task, blocks, index * WIDE, laid_out, result),
        }
    }
    let first = weights.wide.len() * WIDE;
    for (index, block) in weights.rest.iter().enumerate() {
        let channel = first + index * LANES;
        match geometry.columns.stride {
            1 => convolve_block::<1>(&task, block, channel, laid_out, result),
            2 => convolve_block::<2>(&task, block, channel, laid_out, result),
            _ => convolve_block::<0>(&task, block, channel, laid_out, result),
        }
    }
}

impl<'a> Task<'a> {
    /// The input rows of a quad from a channel on.
    #[inline]
    fn rows(&self, group: usize, quad: usize, channel: usize) -> [Option<&'a [u8]>; PLACES] {
        let len = self.geometry.columns.input * self.geometry.input_channels;
        std::array::from_fn(|place| {
            let row = self.quads.source(&self.geometry.rows, group, quad, place)?;
            Some(&self.image[row * len..][..len][channel..])
        })
    }

    /// The first laid-out column of each quad of a group.
    #[inline]
    fn starts(&self, group: usize) -> [usize; MAX_QUADS] {
        std::array::from_fn(|quad| self.quads.slot(group, quad) * self.columns)
    }

    /// The laid-out columns that are inside the input.
    #[inline]
    fn inside(&self) -> std::ops::Range<usize> {
        let columns = self.geometry.columns;
        columns.padding.min(self.columns)..self.columns.min(columns.padding + columns.input)
    }
}

/// Calls `$tile` with the number of results, the first of them and where its window begins, until
/// a row of results is complete. The last of them begin early enough to be as many as the others;
/// some are computed again.
macro_rules! for_each_tile {
    ($task:ident, $stride:ident, |$count:ident, $first:ident, $column:ident| $tile:expr) => {
        let columns = $task.geometry.columns;
        let mut next = 0;
        while next < columns.output {
            if $stride != 0 && columns.output >= RESULTS {
                const $count: usize = RESULTS;
                let $first = next.min(columns.output - RESULTS);
                let $column = $first * $stride;
                $tile;
                next += RESULTS;
            } else if $stride != 0 && columns.output >= FEW_RESULTS {
                const $count: usize = FEW_RESULTS;
                let $first = next.min(columns.output - FEW_RESULTS);
                let $column = $first * $stride;
                $tile;
                next += FEW_RESULTS;
            } else {
                const $count: usize = 1;
                let $first = next;
                let $column = $first * columns.stride;
                $tile;
                next += 1;
            }
        }
    };
}

/// Convolves sixty-four channels. `STRIDE` is that of columns, or 0 for any.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_wide<const STRIDE: usize>(
    task: &Task<'_>,
    blocks: &[Block; BLOCKS],
    channel: usize,
    laid_out: &mut [[u8; 64]],
    result: &mut [u8],
) {
    let Task { geometry, quads, .. } = *task;
    let block_len = quads.count * task.columns;
    let row_len = geometry.columns.output * geometry.input_channels;
    for (row, target) in result.chunks_exact_mut(row_len).enumerate() {
        let (group, phase) = (row / quads.group, row % quads.group);
        if phase == 0 {
            for quad in quads.fresh(group) {
                let at = quads.slot(group, quad) * task.columns;
                lay_out_wide(task, task.rows(group, quad, channel), &mut laid_out[at..]);
            }
        }
        let starts = task.starts(group);
        let target = &mut target[channel..];
        let (a, rest) = laid_out.split_at(block_len);
        let (b, rest) = rest.split_at(block_len);
        let (c, d) = rest.split_at(block_len);
        let [a, b, c, d] = [(a, &blocks[0]), (b, &blocks[1]), (c, &blocks[2]), (d, &blocks[3])];
        let starts = &starts;
        let under = [
            Under { pixels: a.0, starts, block: a.1, taps: &a.1.taps[phase] },
            Under { pixels: b.0, starts, block: b.1, taps: &b.1.taps[phase] },
            Under { pixels: c.0, starts, block: c.1, taps: &c.1.taps[phase] },
            Under { pixels: d.0, starts, block: d.1, taps: &d.1.taps[phase] },
        ];
        for_each_tile!(task, STRIDE, |COUNT, first, column| {
            convolve_wide_tile::<COUNT, STRIDE>(
                task,
                &under,
                column,
                &mut target[first * geometry.input_channels..],
            )
        });
    }
}

/// What the results of one output row and one block of channels share.
struct Under<'a> {
    /// The laid-out quads of the block, and the first column of each.
    pixels: &'a [[u8; 64]],
    starts: &'a [usize; MAX_QUADS],
    block: &'a Block,
    taps: &'a Taps,
}

/// Computes `COUNT` neighbouring results of sixty-four channels, whose windows begin at `column`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn convolve_wide_tile<const COUNT: usize, const STRIDE: usize>(
    task: &Task<'_>,
    [a, b, c, d]: &[Under<'_>; BLOCKS],
    column: usize,
    target: &mut [u8],
) {
    let (_, largest, zero_point) = task.output.parts();
    let largest = _mm512_set1_ps(largest);
    // Both are bytes.
    let zero_point = _mm512_set1_epi16(zero_point as i16);
    let least = _mm512_set1_epi8(task.output.least_byte().cast_signed());
    let window = (task.geometry.columns, column);
    let low = pack_words::<COUNT, STRIDE>(a, b, window, largest);
    let high = pack_words::<COUNT, STRIDE>(c, d, window, largest);
    for offset in 0..COUNT {
        let bytes = _mm512_packus_epi16(
            _mm512_adds_epi16(low[offset], zero_point),
            _mm512_adds_epi16(high[offset], zero_point),
        );
        let at = &mut target[offset * task.geometry.input_channels..];
        if let Some(at) = at.first_chunk_mut::<WIDE>() {
            store_line(at, _mm512_max_epu8(bytes, least));
        }
    }
}

/// The results of two blocks before their zero point, as words, with no more than the largest.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn pack_words<const COUNT: usize, const STRIDE: usize>(
    a: &Under<'_>,
    b: &Under<'_>,
    (columns, column): (Axis, usize),
    largest: __m512,
) -> [__m512i; COUNT] {
    let a_sums = sum_windows::<COUNT, STRIDE>(a, columns, column);
    let b_sums = sum_windows::<COUNT, STRIDE>(b, columns, column);
    let (a_scales, b_scales) = (load_f32x16(&a.block.scales), load_f32x16(&b.block.scales));
    let mut words = [_mm512_setzero_si512(); COUNT];
    for offset in 0..COUNT {
        let a = _mm512_mul_ps(_mm512_cvtepi32_ps(a_sums[offset]), a_scales);
        let b = _mm512_mul_ps(_mm512_cvtepi32_ps(b_sums[offset]), b_scales);
        words[offset] = _mm512_packs_epi32(
            _mm512_cvtps_epi32(_mm512_min_ps(a, largest)),
            _mm512_cvtps_epi32(_mm512_min_ps(b, largest)),
        );
    }
    words
}

/// The sums of `COUNT` neighbouring windows of sixteen channels, bias included.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn sum_windows<const COUNT: usize, const STRIDE: usize>(
    under: &Under<'_>,
    columns: Axis,
    column: usize,
) -> [__m512i; COUNT] {
    let mut sums = [load_i32x16(&under.block.bias); COUNT];
    let lines = under.taps.lines.chunks_exact(columns.window.max(1));
    for (&quad, lines) in under.taps.quads.iter().zip(lines) {
        let values = under.pixels[under.starts[quad] + column..].windows((COUNT - 1) * STRIDE + 1);
        for (line, values) in lines.iter().zip(values.step_by(columns.dilation)) {
            let weights = load_line(line);
            for offset in 0..COUNT {
                let value = load_u8x64(&values[offset * STRIDE]);
                sums[offset] = _mm512_dpbusd_epi32(sums[offset], value, weights);
            }
        }
    }
    sums
}

/// Lays out sixty-four channels of four rows: block by block, column by column.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out_wide(task: &Task<'_>, rows: [Option<&[u8]>; PLACES], target: &mut [[u8; 64]]) {
    let block_len = task.quads.count * task.columns;
    let outside = _mm512_set1_epi8(task.zero_point.cast_signed());
    let inside = task.inside();
    let (first, rest) = target.split_at_mut(block_len);
    let (second, rest) = rest.split_at_mut(block_len);
    let (third, fourth) = rest.split_at_mut(block_len);
    let (first, second) = (&mut first[inside.clone()], &mut second[inside.clone()]);
    let (third, fourth) = (&mut third[inside.clone()], &mut fourth[inside.clone()]);
    let mut at = 0;
    for index in 0..inside.len() {
        let mut pixels = [outside; PLACES];
        for (pixel, row) in pixels.iter_mut().zip(rows) {
            if let Some(row) = row
                && let Some(bytes) = row[at..].first_chunk()
            {
                *pixel = load_u8x64(bytes);
            }
        }
        at += task.geometry.input_channels;
        let [a, b, c, d] = pixels;
        let (ab_low, ab_high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        store_line(&mut first[index], _mm512_unpacklo_epi16(ab_low, cd_low));
        store_line(&mut second[index], _mm512_unpackhi_epi16(ab_low, cd_low));
        store_line(&mut third[index], _mm512_unpacklo_epi16(ab_high, cd_high));
        store_line(&mut fourth[index], _mm512_unpackhi_epi16(ab_high, cd_high));
    }
}

/// Convolves sixteen channels, or as many as are left. `STRIDE` is that of columns, or 0 for any.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_block<const STRIDE: usize>(
    task: &Task<'_>,
    block: &Block,
    channel: usize,
    laid_out: &mut [[u8; 64]],
    result: &mut [u8],
) {
    let Task { geometry, quads, .. } = *task;
    let channels = geometry.input_channels;
    let width = LANES.min(channels - channel);
    let row_len = geometry.columns.output * channels;
    for (row, target) in result.chunks_exact_mut(row_len).enumerate() {
        let (group, phase) = (row / quads.group, row % quads.group);
        if phase == 0 {
            for quad in quads.fresh(group) {
                let at = quads.slot(group, quad) * task.columns;
                lay_out(task, task.rows(group, quad, channel), width, &mut laid_out[at..]);
            }
        }
        let under = Under {
            pixels: laid_out,
            starts: &task.starts(group),
            block,
            taps: &block.taps[phase],
        };
        let target = &mut target[channel..];
        for_each_tile!(task, STRIDE, |COUNT, first, column| {
            convolve_tile::<COUNT, STRIDE>(
                task,
                &under,
                column,
                width,
                &mut target[first * channels..],
            )
        });
    }
}

/// Computes `COUNT` neighbouring results of `width` channels, whose windows begin at `column`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn convolve_tile<const COUNT: usize, const STRIDE: usize>(
    task: &Task<'_>,
    under: &Under<'_>,
    column: usize,
    width: usize,
    target: &mut [u8],
) {
    let (least, largest, zero_point) = task.output.parts();
    let (least, largest) = (_mm512_set1_ps(least), _mm512_set1_ps(largest));
    let zero_point = _mm512_set1_epi32(zero_point);
    let scales = load_f32x16(&under.block.scales);
    let sums = sum_windows::<COUNT, STRIDE>(under, task.geometry.columns, column);
    for offset in 0..COUNT {
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[offset]), scales);
        let clamped = _mm512_min_ps(_mm512_max_ps(scaled, least), largest);
        let result = _mm512_add_epi32(_mm512_cvtps_epi32(clamped), zero_point);
        let narrow = _mm512_cvtepi32_epi8(result);
        let at = &mut target[offset * task.geometry.input_channels..];
        match at.first_chunk_mut::<LANES>() {
            Some(bytes) if width == LANES => store_u8x16(bytes, narrow),
            _ => store_u8x16_part(&mut at[..width], narrow),
        }
    }
}

/// Lays out sixteen channels of four rows, or as many as are left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out(task: &Task<'_>, rows: [Option<&[u8]>; PLACES], width: usize, target: &mut [[u8; 64]]) {
    let outside = _mm_set1_epi8(task.zero_point.cast_signed());
    // Byte 4 * lane + place comes from byte 16 * place + lane.
    let order = _mm512_set_epi8(
        63, 47, 31, 15, 62, 46, 30, 14, 61, 45, 29, 13, 60, 44, 28, 12, 59, 43, 27, 11, 58, 42, 26,
        10, 57, 41, 25, 9, 56, 40, 24, 8, 55, 39, 23, 7, 54, 38, 22, 6, 53, 37, 21, 5, 52, 36, 20,
        4, 51, 35, 19, 3, 50, 34, 18, 2, 49, 33, 17, 1, 48, 32, 16, 0,
    );
    let mut at = 0;
    for line in &mut target[task.inside()] {
        let mut pixels = [outside; PLACES];
        for (pixel, row) in pixels.iter_mut().zip(rows) {
            let Some(row) = row else { continue };
            let from = &row[at..];
            match from.first_chunk::<LANES>() {
                Some(bytes) if width == LANES => *pixel = load_u8x16(bytes),
                _ => *pixel = load_u8x16_part(&from[..width]),
            }
        }
        at += task.geometry.input_channels;
        let [a, b, c, d] = pixels;
        let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b);
        let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d);
        let pixels = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
        store_line(line, _mm512_permutexvar_epi8(order, pixels));
    }
}
