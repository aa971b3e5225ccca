//! `SPACE_TO_BATCH_ND` and `BATCH_TO_SPACE_ND` over height and width: blocks of pixels to and from
//! the batch, as dilated convolutions are written in older models.

use std::ops::Range;

use image_embedder_backend::BackendError;

use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32, both_integers};
use crate::slots::{Elements, Inputs, Output, Scratch};

/// Reads a block shape (two sizes above zero) and two pairs of margins.
fn block_and_margins(
    operands: &Operands<'_>,
) -> Result<([usize; 2], [[usize; 2]; 2]), BackendError> {
    let sizes = |values: Vec<i64>| -> Option<Vec<usize>> {
        values.into_iter().map(|value| usize::try_from(value).ok()).collect()
    };
    let (block, margins) = (operands.integers(1)?, operands.integers(2)?);
    match (sizes(block.clone()).as_deref(), sizes(margins.clone()).as_deref()) {
        (Some(&[height, width]), Some(&[top, bottom, left, right])) if height > 0 && width > 0 => {
            Ok(([height, width], [[top, bottom], [left, right]]))
        }
        _ => Err(operands.unsupported(format!("block {block:?} with margins {margins:?}"))),
    }
}

/// The bytes that stand for zero.
fn zero(operands: &Operands<'_>) -> Result<u8, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    if both_float32(input, output) || both_integers(input, output) {
        return Ok(0);
    }
    if both_bytes(input, output) && input.per_tensor()? == output.per_tensor()? {
        return Ok(input.per_tensor()?.1 as u8);
    }
    Err(operands.unsupported_elements())
}

pub(crate) fn lower_space_to_batch(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let (block, margins) = block_and_margins(operands)?;
    let padded = |size: usize, [before, after]: [usize; 2]| {
        size.checked_add(before).and_then(|sum| sum.checked_add(after))
    };
    let (Some(padded_height), Some(padded_width)) =
        (padded(height, margins[0]), padded(width, margins[1]))
    else {
        return Err(operands.invalid(format!("expected small margins, found {margins:?}")));
    };
    if padded_height % block[0] != 0 || padded_width % block[1] != 0 {
        return Err(operands.invalid(format!(
            "expected {padded_height} x {padded_width} to be a multiple of the block {block:?}"
        )));
    }
    let small = [padded_height / block[0], padded_width / block[1]];
    let batches = block[0]
        .checked_mul(block[1])
        .and_then(|blocks| blocks.checked_mul(batch))
        .ok_or_else(|| operands.invalid(format!("expected a small block, found {block:?}")))?;
    let kernel = Blocks {
        batch,
        large: [height, width],
        small,
        block,
        margin: [margins[0][0], margins[1][0]],
        channels,
        zero: zero(operands)?,
        to_batch: true,
    };
    let shape = vec![batches, small[0], small[1], channels];
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

pub(crate) fn lower_batch_to_space(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let [batches, height, width, channels] = operands.image(0)?;
    let (block, crops) = block_and_margins(operands)?;
    let blocks = block[0].checked_mul(block[1]).filter(|&blocks| batches % blocks == 0);
    let grown = |size: usize, index: usize| {
        size.checked_mul(block[index])?.checked_sub(crops[index][0])?.checked_sub(crops[index][1])
    };
    let (Some(blocks), Some(large_height), Some(large_width)) =
        (blocks, grown(height, 0), grown(width, 1))
    else {
        return Err(operands.invalid(format!(
            "expected a batch in multiples of the block {block:?} and crops within it, found a \
             batch of {batches} and crops {crops:?}"
        )));
    };
    let batch = batches / blocks;
    let kernel = Blocks {
        batch,
        large: [large_height, large_width],
        small: [height, width],
        block,
        margin: [crops[0][0], crops[1][0]],
        channels,
        zero: zero(operands)?,
        to_batch: false,
    };
    let shape = vec![batch, large_height, large_width, channels];
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

/// The correspondence of large images and batches of small ones.
///
/// ```text
/// large[b][y * block_h + i - top][x * block_w + j - left] = small[(i * block_w + j) * batch + b][y][x]
/// ```
#[derive(Debug)]
struct Blocks {
    batch: usize,
    large: [usize; 2],
    small: [usize; 2],
    block: [usize; 2],
    margin: [usize; 2],
    channels: usize,
    zero: u8,
    to_batch: bool,
}

impl Blocks {
    fn copy<T: Copy>(&self, input: &[T], output: &mut [T], zero: T) {
        let channels = self.channels;
        let step = self.block[1] * channels;
        for image in 0..self.batch {
            for i in 0..self.block[0] {
                for j in 0..self.block[1] {
                    let (rows, columns) = (self.inside(0, i), self.inside(1, j));
                    let small_image = (i * self.block[1] + j) * self.batch + image;
                    for y in 0..self.small[0] {
                        let small = (small_image * self.small[0] + y) * self.small[1];
                        let columns = if rows.contains(&y) { columns.clone() } else { 0..0 };
                        if self.to_batch {
                            // What the margins lead to.
                            let row = &mut output[small * channels..][..self.small[1] * channels];
                            row[..columns.start * channels].fill(zero);
                            row[columns.end * channels..].fill(zero);
                        }
                        if columns.is_empty() {
                            continue;
                        }
                        let row = image * self.large[0] + y * self.block[0] + i - self.margin[0];
                        let column = columns.start * self.block[1] + j - self.margin[1];
                        let large = row * self.large[1] + column;
                        let small = small + columns.start;
                        let (from, to) =
                            if self.to_batch { (large, small) } else { (small, large) };
                        let steps = if self.to_batch { (step, channels) } else { (channels, step) };
                        let (from, to) = (&input[from * channels..], &mut output[to * channels..]);
                        copy_pixels(from, to, steps, (columns.len(), channels));
                    }
                }
            }
        }
    }

    /// The places along an axis of the small images whose pixel `phase` of a block is inside the
    /// large ones.
    fn inside(&self, axis: usize, phase: usize) -> Range<usize> {
        let (block, margin) = (self.block[axis], self.margin[axis]);
        let first = margin.saturating_sub(phase).div_ceil(block);
        let end = (self.large[axis] + margin).saturating_sub(phase).div_ceil(block);
        let end = end.min(self.small[axis]);
        first.min(end)..end
    }
}

/// Copies a number of pixels of so many channels, from and to every so many elements.
fn copy_pixels<T: Copy>(
    input: &[T],
    output: &mut [T],
    (from_step, to_step): (usize, usize),
    (count, channels): (usize, usize),
) {
    if channels == 0 {
        return;
    }
    let pixels = output.chunks_mut(to_step).zip(input.chunks(from_step)).take(count);
    // Lengths that the compiler knows: copies of a few elements are not worth a call.
    match channels {
        1 => pixels.for_each(|(to, from)| copy::<_, 1>(to, from)),
        3 => pixels.for_each(|(to, from)| copy::<_, 3>(to, from)),
        4 => pixels.for_each(|(to, from)| copy::<_, 4>(to, from)),
        16 => pixels.for_each(|(to, from)| copy::<_, 16>(to, from)),
        32 => pixels.for_each(|(to, from)| copy::<_, 32>(to, from)),
        _ => {
            pixels.for_each(|(to, from)| to[..channels].copy_from_slice(&from[..channels]));
        }
    }
}

/// Copies the first elements.
#[inline(always)]
fn copy<T: Copy, const LEN: usize>(to: &mut [T], from: &[T]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<LEN>(), from.first_chunk::<LEN>()) {
        *to = *from;
    }
}

impl Kernel for Blocks {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output.elements {
            Elements::Float32(output) => self.copy(inputs.float32(0)?, output, 0.0),
            Elements::Bytes(output) => self.copy(inputs.bytes(0)?, output, self.zero),
            Elements::Integers(output) => self.copy(inputs.integers(0)?, output, 0),
        }
        Ok(())
    }
}
