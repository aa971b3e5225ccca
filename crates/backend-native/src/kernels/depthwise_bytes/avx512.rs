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

use super::{DepthwiseConstants, DepthwiseGeometry, FloatEnd};
use crate::kernels::requantize::OutputRange;
use crate::ops::window::Axis;
use crate::simd::x86_64::{
    Avx512Vnni, Line, load_f32x16, load_i32x16, load_line, load_u8x32, load_u8x32_part, load_u8x64,
    store_f32x16, store_f32x16_part, store_line, store_u8x32, store_u8x32_part,
};

/// Channels of one vector.
const LANES: usize = 16;

/// Rows of a quad.
const PLACES: usize = 4;

/// Blocks of channels that go together: a cache line of them.
const BLOCKS: usize = 4;

/// Channels of as many blocks.
const WIDE: usize = BLOCKS * LANES;

/// Channels that go together where there are fewer.
const NARROW: usize = 2 * LANES;

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
        Self { count, group, step: advance.is_multiple_of(PLACES).then_some(advance / PLACES) }
    }

    /// Where quad `quad` of group `group` is kept: a quad of the next group too takes the place of
    /// one that is no longer needed.
    fn slot(&self, group: usize, quad: usize) -> usize {
        self.step.map_or(quad, |step| (group * step + quad) % self.count)
    }

    /// The quads under output row `row` that no row before it has.
    fn fresh(&self, row: usize) -> std::ops::Range<usize> {
        match self.step {
            _ if !row.is_multiple_of(self.group) => 0..0,
            Some(step) if row > 0 => self.count.saturating_sub(step)..self.count,
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
    /// Four blocks for each sixty-four channels, dealt as interleaving deals them; none if results
    /// are floats, which packing does not put in order again.
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
    /// The sum of all weights of a channel.
    weight_sums: [i32; LANES],
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
    /// Packs the constants for results that are bytes.
    pub(super) fn to_bytes(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        let channels = geometry.input_channels;
        Self::new(geometry, zero_point, constants, channels - channels % WIDE)
    }

    /// Packs the weights for results that are floats.
    pub(super) fn to_floats(
        geometry: &DepthwiseGeometry,
        constants: DepthwiseConstants<'_>,
    ) -> Self {
        Self::new(geometry, 0, constants, 0)
    }

    /// Packs the first `whole` channels by sixty-four and the others by sixteen.
    fn new(
        geometry: &DepthwiseGeometry,
        zero_point: u8,
        constants: DepthwiseConstants<'_>,
        whole: usize,
    ) -> Self {
        let channels = geometry.input_channels;
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
            let end = &mut End::Bytes { result };
            // SAFETY: the token exists only on processors that have the function's features.
            unsafe { convolve(self, geometry, zero_point, image, end, scratch) }
        }
    }

    /// Convolves one image of the given scale and zero point, for weights that were packed for
    /// floats.
    pub(super) fn run_to_floats(
        &self,
        _token: Avx512Vnni,
        geometry: &DepthwiseGeometry,
        (scale, zero_point): (f32, u8),
        image: &[u8],
        (end, result): (&FloatEnd, &mut [f32]),
        scratch: &mut [u8],
    ) {
        let end = &mut End::Floats { end, scale, result };
        // SAFETY: the token exists only on processors that have the function's features.
        unsafe { convolve(self, geometry, zero_point, image, end, scratch) }
    }
}

/// What becomes of sums, and where it goes.
enum End<'a> {
    Bytes { result: &'a mut [u8] },
    Floats { end: &'a FloatEnd, scale: f32, result: &'a mut [f32] },
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
        let mut block = Self {
            taps: Vec::new(),
            bias: [0; LANES],
            weight_sums: [0; LANES],
            scales: [0.0; LANES],
        };
        // For each part of weights, tap by tap.
        let mut lanes = vec![[[0i8; LANES]; 3]; rows.window * columns.window];
        for lane in 0..LANES {
            let Some(channel) = channel_of(lane) else { continue };
            block.bias[lane] = constants.bias[channel];
            block.scales[lane] = constants.scales[channel];
            for (tap, lanes) in lanes.iter_mut().enumerate() {
                let weight = constants.weights[tap * channels + channel];
                block.weight_sums[lane] += i32::from(weight);
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
    end: &mut End<'_>,
    scratch: &mut [u8],
) {
    let (quads, output) = (Quads::new(&geometry.rows), &weights.output);
    let columns = laid_out_columns(&geometry.columns);
    let task = Task { geometry, output, image, quads, columns, zero_point };
    let (scratch, _) = scratch.as_chunks_mut::<64>();
    let laid_out = &mut scratch[..BLOCKS * quads.count * columns];
    // What lies beside the input stays as it is for all channels and rows.
    let inside = task.inside();
    for row in laid_out.chunks_exact_mut(columns) {
        row[..inside.start].fill([zero_point; 64]);
        row[inside.end..].fill([zero_point; 64]);
    }
    // Dilated columns are not neighbours.
    let window = if geometry.columns.dilation == 1 { geometry.columns.window } else { 0 };
    match (geometry.columns.stride, window) {
        (1, 3) => convolve_channels::<1, 3>(&task, weights, laid_out, end),
        (1, 5) => convolve_channels::<1, 5>(&task, weights, laid_out, end),
        (2, 3) => convolve_channels::<2, 3>(&task, weights, laid_out, end),
        (2, 5) => convolve_channels::<2, 5>(&task, weights, laid_out, end),
        (1, _) => convolve_channels::<1, 0>(&task, weights, laid_out, end),
        (2, _) => convolve_channels::<2, 0>(&task, weights, laid_out, end),
        _ => convolve_channels::<0, 0>(&task, weights, laid_out, end),
    }
}

/// Convolves all channels. `STRIDE` is that of columns, `WINDOW` how many neighbouring columns a
/// window has; 0 stands for any.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_channels<const STRIDE: usize, const WINDOW: usize>(
    task: &Task<'_>,
    weights: &Weights,
    laid_out: &mut [[u8; 64]],
    end: &mut End<'_>,
) {
    if let End::Bytes { result } = end {
        for (index, blocks) in weights.wide.iter().enumerate() {
            convolve_wide::<STRIDE, WINDOW>(task, blocks, index * WIDE, laid_out, result);
        }
    }
    let first = weights.wide.len() * WIDE;
    for (index, blocks) in weights.rest.chunks(NARROW / LANES).enumerate() {
        let channel = first + index * NARROW;
        convolve_narrow::<STRIDE, WINDOW>(task, blocks, channel, laid_out, end);
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

/// Convolves sixty-four channels.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_wide<const STRIDE: usize, const WINDOW: usize>(
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
        for quad in quads.fresh(row) {
            let at = quads.slot(group, quad) * task.columns;
            lay_out_wide(task, task.rows(group, quad, channel), &mut laid_out[at..]);
        }
        let starts = &task.starts(group);
        let target = &mut target[channel..];
        let (a, rest) = laid_out.split_at(block_len);
        let (b, rest) = rest.split_at(block_len);
        let (c, d) = rest.split_at(block_len);
        let [first, second, third, fourth] = blocks;
        let under = [
            under(a, starts, first, phase, load_i32x16(&first.bias)),
            under(b, starts, second, phase, load_i32x16(&second.bias)),
            under(c, starts, third, phase, load_i32x16(&third.bias)),
            under(d, starts, fourth, phase, load_i32x16(&fourth.bias)),
        ];
        for_each_tile!(task, STRIDE, |COUNT, first, column| {
            convolve_wide_tile::<COUNT, STRIDE, WINDOW>(
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
    /// What sums begin with.
    bias: __m512i,
}

/// What the results share of an output row that is number `phase` of its group.
#[target_feature(enable = "avx512f")]
#[inline]
fn under<'a>(
    pixels: &'a [[u8; 64]],
    starts: &'a [usize; MAX_QUADS],
    block: &'a Block,
    phase: usize,
    bias: __m512i,
) -> Under<'a> {
    Under { pixels, starts, block, taps: &block.taps[phase], bias }
}

/// Computes `COUNT` neighbouring results of sixty-four channels, whose windows begin at `column`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn convolve_wide_tile<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
    task: &Task<'_>,
    [a, b, c, d]: &[Under<'_>; BLOCKS],
    column: usize,
    target: &mut [u8],
) {
    let (_, _, zero_point) = task.output.parts();
    // A zero point of bytes is a byte.
    let zero_point = _mm512_set1_epi16(zero_point as i16);
    let (least, largest) = task.output.bytes();
    let clamps = (least, largest) != (0, 255);
    let (least, largest) =
        (_mm512_set1_epi8(least.cast_signed()), _mm512_set1_epi8(largest.cast_signed()));
    let window = (task.geometry.columns, column);
    let low = pack_words::<COUNT, STRIDE, WINDOW>(a, b, window);
    let high = pack_words::<COUNT, STRIDE, WINDOW>(c, d, window);
    for offset in 0..COUNT {
        let mut bytes = _mm512_packus_epi16(
            _mm512_adds_epi16(low[offset], zero_point),
            _mm512_adds_epi16(high[offset], zero_point),
        );
        if clamps {
            bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, least), largest);
        }
        let at = &mut target[offset * task.geometry.input_channels..];
        if let Some(at) = at.first_chunk_mut::<WIDE>() {
            store_line(at, bytes);
        }
    }
}

/// The results of two blocks before their zero point, as words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn pack_words<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
    a: &Under<'_>,
    b: &Under<'_>,
    (columns, column): (Axis, usize),
) -> [__m512i; COUNT] {
    let a_sums = sum_windows::<COUNT, STRIDE, WINDOW>(a, columns, column);
    let b_sums = sum_windows::<COUNT, STRIDE, WINDOW>(b, columns, column);
    let (a_scales, b_scales) = (load_f32x16(&a.block.scales), load_f32x16(&b.block.scales));
    let mut words = [_mm512_setzero_si512(); COUNT];
    for offset in 0..COUNT {
        let a = _mm512_mul_ps(_mm512_cvtepi32_ps(a_sums[offset]), a_scales);
        let b = _mm512_mul_ps(_mm512_cvtepi32_ps(b_sums[offset]), b_scales);
        words[offset] = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
    }
    words
}

/// The sums of `COUNT` neighbouring windows of sixteen channels, bias included.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn sum_windows<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
    under: &Under<'_>,
    columns: Axis,
    column: usize,
) -> [__m512i; COUNT] {
    let mut sums = [under.bias; COUNT];
    if WINDOW == 0 {
        let lines = under.taps.lines.chunks_exact(columns.window.max(1));
        for (&quad, lines) in under.taps.quads.iter().zip(lines) {
            let values = &under.pixels[under.starts[quad] + column..];
            let windows = values.windows((COUNT - 1) * STRIDE + 1).step_by(columns.dilation);
            for (line, values) in lines.iter().zip(windows) {
                let weights = load_line(line);
                for offset in 0..COUNT {
                    let value = load_u8x64(&values[offset * STRIDE]);
                    sums[offset] = _mm512_dpbusd_epi32(sums[offset], value, weights);
                }
            }
        }
        return sums;
    }
    // What several results have in common is loaded once.
    let (lines, _) = under.taps.lines.as_chunks::<WINDOW>();
    for (&quad, lines) in under.taps.quads.iter().zip(lines) {
        let values = &under.pixels[under.starts[quad] + column..];
        let values = &values[..(COUNT - 1) * STRIDE + WINDOW];
        for tap in 0..WINDOW {
            let weights = load_line(&lines[tap]);
            for offset in 0..COUNT {
                let value = load_u8x64(&values[offset * STRIDE + tap]);
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

/// Convolves sixteen or thirty-two channels, or as many as are left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
fn convolve_narrow<const STRIDE: usize, const WINDOW: usize>(
    task: &Task<'_>,
    blocks: &[Block],
    channel: usize,
    laid_out: &mut [[u8; 64]],
    end: &mut End<'_>,
) {
    let Task { geometry, quads, .. } = *task;
    let channels = geometry.input_channels;
    let width = NARROW.min(channels - channel);
    let block_len = quads.count * task.columns;
    let [first, rest @ ..] = blocks else { return };
    for row in 0..geometry.rows.output {
        let (group, phase) = (row / quads.group, row % quads.group);
        for quad in quads.fresh(row) {
            let at = quads.slot(group, quad) * task.columns;
            lay_out_narrow(task, task.rows(group, quad, channel), width, &mut laid_out[at..]);
        }
        let starts = &task.starts(group);
        let at = row * geometry.columns.output * channels + channel;
        let (pixels, others) = laid_out.split_at(block_len);
        let (others, _) = others.split_at(block_len);
        let first = under(pixels, starts, first, phase, bias_of(task, first, end));
        let second = match rest {
            [second] => Some(under(others, starts, second, phase, bias_of(task, second, end))),
            _ => None,
        };
        match (&mut *end, &second) {
            (End::Bytes { result }, Some(second)) => {
                for_each_tile!(task, STRIDE, |COUNT, place, column| {
                    let window = (geometry.columns, column);
                    let words = pack_words::<COUNT, STRIDE, WINDOW>(&first, second, window);
                    store_narrow(task, words, width, &mut result[at + place * channels..])
                });
            }
            (End::Bytes { result }, None) => {
                for_each_tile!(task, STRIDE, |COUNT, place, column| {
                    let window = (geometry.columns, column);
                    let words = words_of_one::<COUNT, STRIDE, WINDOW>(&first, window);
                    store_narrow(task, words, width, &mut result[at + place * channels..])
                });
            }
            (End::Floats { end, scale, result }, second) => {
                let blocks = [Some(&first), second.as_ref()].into_iter().flatten();
                for (index, under) in blocks.enumerate() {
                    let channel = channel + index * LANES;
                    let at = at + index * LANES;
                    for_each_tile!(task, STRIDE, |COUNT, place, column| {
                        let target = &mut result[at + place * channels..];
                        let sums =
                            sum_windows::<COUNT, STRIDE, WINDOW>(under, geometry.columns, column);
                        store_floats(sums, (end, *scale), (channel, channels), target)
                    });
                }
            }
        }
    }
}

/// What the sums of a block begin with.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn bias_of(task: &Task<'_>, block: &Block, end: &End<'_>) -> __m512i {
    match end {
        End::Bytes { .. } => load_i32x16(&block.bias),
        End::Floats { .. } => {
            let less = _mm512_set1_epi32(-i32::from(task.zero_point));
            _mm512_mullo_epi32(less, load_i32x16(&block.weight_sums))
        }
    }
}

/// Scales the sums of neighbouring results to floats and stores them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn store_floats<const COUNT: usize>(
    sums: [__m512i; COUNT],
    (end, scale): (&FloatEnd, f32),
    (channel, channels): (usize, usize),
    target: &mut [f32],
) {
    let width = LANES.min(channels - channel);
    let (Some(scales), Some(bias)) =
        (end.scales[channel..].first_chunk(), end.bias[channel..].first_chunk())
    else {
        return;
    };
    let factor = _mm512_mul_ps(_mm512_set1_ps(scale), load_f32x16(scales));
    let bias = load_f32x16(bias);
    let (least, largest) = (_mm512_set1_ps(end.range.0), _mm512_set1_ps(end.range.1));
    for offset in 0..COUNT {
        let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[offset]), factor);
        let value = _mm512_min_ps(_mm512_max_ps(_mm512_add_ps(value, bias), least), largest);
        let at = &mut target[offset * channels..];
        match at.first_chunk_mut() {
            Some(at) if width == LANES => store_f32x16(at, value),
            _ => store_f32x16_part(&mut at[..width], value),
        }
    }
}

/// The results of one block before their zero point, as words.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn words_of_one<const COUNT: usize, const STRIDE: usize, const WINDOW: usize>(
    under: &Under<'_>,
    (columns, column): (Axis, usize),
) -> [__m512i; COUNT] {
    let sums = sum_windows::<COUNT, STRIDE, WINDOW>(under, columns, column);
    let scales = load_f32x16(&under.block.scales);
    let mut words = [_mm512_setzero_si512(); COUNT];
    for offset in 0..COUNT {
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[offset]), scales);
        let whole = _mm512_cvtps_epi32(scaled);
        words[offset] = _mm512_packs_epi32(whole, whole);
    }
    words
}

/// Puts neighbouring results on their zero point and stores `width` channels of each.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn store_narrow<const COUNT: usize>(
    task: &Task<'_>,
    words: [__m512i; COUNT],
    width: usize,
    target: &mut [u8],
) {
    let (_, _, zero_point) = task.output.parts();
    // A zero point of bytes is a byte.
    let zero_point = _mm512_set1_epi16(zero_point as i16);
    let (least, largest) = task.output.bytes();
    let clamps = (least, largest) != (0, 255);
    let (least, largest) =
        (_mm256_set1_epi8(least.cast_signed()), _mm256_set1_epi8(largest.cast_signed()));
    // Packing deals four channels at a time: the first and the second block take turns.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for offset in 0..COUNT {
        let words = _mm512_adds_epi16(words[offset], zero_point);
        let bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, words));
        let mut bytes = _mm512_castsi512_si256(bytes);
        if clamps {
            bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, least), largest);
        }
        let at = &mut target[offset * task.geometry.input_channels..];
        match at.first_chunk_mut::<NARROW>() {
            Some(at) if width == NARROW => store_u8x32(at, bytes),
            _ => store_u8x32_part(&mut at[..width], bytes),
        }
    }
}

/// Lays out thirty-two channels of four rows, or as many as are left.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni")]
#[inline]
fn lay_out_narrow(
    task: &Task<'_>,
    rows: [Option<&[u8]>; PLACES],
    width: usize,
    target: &mut [[u8; 64]],
) {
    let block_len = task.quads.count * task.columns;
    let outside = _mm256_set1_epi8(task.zero_point.cast_signed());
    let inside = task.inside();
    let (first, second) = target.split_at_mut(block_len);
    let (first, second) = (&mut first[inside.clone()], &mut second[inside.clone()]);
    // Byte 4 * lane + place of the first block comes from byte 32 * place + lane, that of the second
    // from sixteen bytes behind.
    let first_lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let order = _mm512_add_epi8(
        _mm512_mullo_epi32(first_lanes, _mm512_set1_epi32(0x0101_0101)),
        _mm512_set1_epi32(0x6040_2000),
    );
    let second_order = _mm512_add_epi8(order, _mm512_set1_epi8(LANES as i8));
    let mut at = 0;
    for index in 0..inside.len() {
        let mut pixels = [outside; PLACES];
        for (pixel, row) in pixels.iter_mut().zip(rows) {
            let Some(row) = row else { continue };
            let from = &row[at..];
            match from.first_chunk::<NARROW>() {
                Some(bytes) if width == NARROW => *pixel = load_u8x32(bytes),
                _ => *pixel = load_u8x32_part(&from[..width]),
            }
        }
        at += task.geometry.input_channels;
        let [a, b, c, d] = pixels;
        let low = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
        let high = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(c), d);
        store_line(&mut first[index], _mm512_permutex2var_epi8(low, order, high));
        if width > LANES {
            let second = &mut second[index];
            store_line(second, _mm512_permutex2var_epi8(low, second_order, high));
        }
    }
}
