//! Channels in blocks of a cache line, and the input rows under a block's windows laid out anew.

use crate::aligned::AlignedVec;
use crate::kernels::depthwise_bytes::DepthwiseGeometry;
use crate::ops::window::Axis;

/// Channels of a block: a cache line of floats, whatever the length of a vector.
pub(super) const BLOCK: usize = 16;

/// The most rows of a window.
pub(super) const MAX_ROWS: usize = 16;

/// The most pixels that are laid out: a dilation can spread few taps over many.
const MAX_PIXELS: usize = 1 << 16;

/// Floats of the rows that are laid out for a group of blocks: a part of the second-level cache. The
/// more blocks, the longer the runs of input that are read in one go.
const GROUP_FLOATS: usize = 32 * 1024;

/// Weights and bias, block by block.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Blocks of a group.
    group: usize,
}

/// The constants of one block of channels.
#[derive(Debug)]
pub(super) struct Block {
    /// The first channel.
    pub(super) first: usize,
    /// How many of the channels exist.
    pub(super) width: usize,
    /// The bias, then the weights of tap after tap, column by column: [`BLOCK`] floats each, zero
    /// for channels that do not exist.
    pub(super) constants: AlignedVec<f32>,
}

impl Blocks {
    /// Whether there are blocks for this geometry.
    pub(super) fn take(geometry: &DepthwiseGeometry) -> bool {
        let pixels = geometry.rows.span().checked_mul(padded_columns(geometry.columns));
        geometry.multiplier == 1
            && geometry.rows.window <= MAX_ROWS
            && pixels.is_some_and(|pixels| pixels <= MAX_PIXELS)
    }

    /// Packs `weights`, tap by tap and row by row, and the bias.
    pub(super) fn new(geometry: &DepthwiseGeometry, weights: &[f32], bias: &[f32]) -> Self {
        let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *geometry;
        let taps = (0..columns.window)
            .flat_map(|column| (0..rows.window).map(move |row| row * columns.window + column));
        let block = |first: usize| {
            let width = BLOCK.min(channels - first);
            let mut constants = AlignedVec::new((1 + rows.window * columns.window) * BLOCK);
            let (lines, _) = constants.as_chunks_mut::<BLOCK>();
            let tap_weights = taps.clone().map(|tap| &weights[tap * channels..][..channels]);
            for (line, values) in lines.iter_mut().zip([bias].into_iter().chain(tap_weights)) {
                line[..width].copy_from_slice(&values[first..first + width]);
            }
            Block { first, width, constants }
        };
        let blocks: Vec<_> = (0..channels).step_by(BLOCK).map(block).collect();
        Self { group: group(geometry), blocks }
    }

    /// The groups of blocks that are convolved row by row together.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[Block]> {
        self.blocks.chunks(self.group)
    }

    /// Floats of working memory.
    pub(super) fn scratch_float32(geometry: &DepthwiseGeometry) -> usize {
        group(geometry) * block_floats(geometry)
    }
}

/// Blocks of a group.
fn group(geometry: &DepthwiseGeometry) -> usize {
    let blocks = geometry.input_channels.div_ceil(BLOCK);
    (GROUP_FLOATS / block_floats(geometry)).clamp(1, blocks)
}

/// Floats of the laid out rows of one block.
fn block_floats(geometry: &DepthwiseGeometry) -> usize {
    geometry.rows.span() * padded_columns(geometry.columns) * BLOCK
}

/// Pixels of a row with what pads it.
fn padded_columns(columns: Axis) -> usize {
    (columns.output - 1) * columns.stride + columns.span()
}

/// The input rows under the windows of an output row: the channels of a group of blocks, padded with
/// zeros, block by block and pixel by pixel. Each is laid out once, in the place of one that is no
/// longer needed.
pub(super) struct Rows<'a> {
    geometry: &'a DepthwiseGeometry,
    image: &'a [f32],
    channel: usize,
    pixels: &'a mut [f32],
    /// Pixels of a row.
    len: usize,
    /// How many rows have been laid out or passed over, those of the padding included.
    end: usize,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub(super) fn new(
        geometry: &'a DepthwiseGeometry,
        image: &'a [f32],
        group: &[Block],
        scratch: &'a mut [f32],
    ) -> Self {
        let len = padded_columns(geometry.columns);
        let pixels = &mut scratch[..group.len() * geometry.rows.span() * len * BLOCK];
        let channel = group.first().map_or(0, |block| block.first);
        Self { geometry, image, channel, pixels, len, end: 0 }
    }

    /// Lays out the rows under the windows of output row `row`, which follows the one before.
    #[inline(always)]
    pub(super) fn move_to(&mut self, row: usize) {
        let DepthwiseGeometry { rows, columns, input_channels: channels, .. } = *self.geometry;
        let first = row * rows.stride;
        let block_len = rows.span() * self.len * BLOCK;
        for place in self.end.max(first)..first + rows.span() {
            let from = place % rows.span() * self.len * BLOCK;
            let source = place.checked_sub(rows.padding).filter(|&y| y < rows.input);
            let Some(y) = source else {
                for pixels in self.pixels.chunks_exact_mut(block_len) {
                    pixels[from..][..self.len * BLOCK].fill(0.0);
                }
                continue;
            };
            let line = &self.image[y * columns.input * channels..][..columns.input * channels];
            let inside =
                columns.padding.min(self.len)..self.len.min(columns.padding + columns.input);
            let mut at = self.channel;
            for pixels in self.pixels.chunks_exact_mut(block_len) {
                let pixels = &mut pixels[from..][..self.len * BLOCK];
                pixels[..inside.start * BLOCK].fill(0.0);
                pixels[inside.end * BLOCK..].fill(0.0);
                let (pixels, _) = pixels[inside.start * BLOCK..inside.end * BLOCK].as_chunks_mut();
                for (to, from) in pixels.iter_mut().zip(line[at..].chunks(channels)) {
                    copy_block(from, to);
                }
                at += BLOCK;
            }
        }
        self.end = first + rows.span();
    }

    /// The pixels of block `block` of the group.
    #[inline(always)]
    pub(super) fn of_block(&self, block: usize) -> &[f32] {
        let len = self.geometry.rows.span() * self.len * BLOCK;
        &self.pixels[block * len..][..len]
    }

    /// The first pixel of each row of taps of output row `row`.
    #[inline(always)]
    pub(super) fn starts(&self, row: usize) -> [usize; MAX_ROWS] {
        let rows = self.geometry.rows;
        let mut starts = [0; MAX_ROWS];
        let mut place = row * rows.stride % rows.span();
        for start in &mut starts[..rows.window] {
            *start = place * self.len;
            place += rows.dilation;
            place -= if place < rows.span() { 0 } else { rows.span() };
        }
        starts
    }
}

/// Copies a block, or at the end of the memory what there is. What lies behind the channels of the
/// block meets weights of zero, and its sums are not stored.
#[inline(always)]
fn copy_block(from: &[f32], to: &mut [f32; BLOCK]) {
    match from.first_chunk() {
        Some(from) => *to = *from,
        None => to[..from.len()].copy_from_slice(from),
    }
}
