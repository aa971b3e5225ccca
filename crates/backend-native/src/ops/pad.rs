//! `PAD`, `PADV2` and `MIRROR_PAD`: elements around a tensor.

use image_embedder_backend::BackendError;

use crate::graph::{Data, checked_element_count};
use crate::ops::selection::{lower_selection, strides};
use crate::ops::{Kernel, Lowered, Operands};
use crate::slots::{Elements, Inputs, Output, Scratch};

/// How many elements come before and after each dimension.
fn margins(operands: &Operands<'_>) -> Result<Vec<[usize; 2]>, BackendError> {
    let (shape, margins) = (&operands.input(0)?.shape, operands.integers(1)?);
    let pairs: Option<Vec<[usize; 2]>> = margins
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[before, after]| Some([usize::try_from(before).ok()?, usize::try_from(after).ok()?]))
        .collect();
    pairs.filter(|pairs| pairs.len() == shape.len() && margins.len() == 2 * shape.len()).ok_or_else(
        || {
            operands.invalid(format!(
                "expected two margins of at least 0 for each dimension of {shape:?}, found \
                 {margins:?}"
            ))
        },
    )
}

fn padded(operands: &Operands<'_>, margins: &[[usize; 2]]) -> Result<Vec<usize>, BackendError> {
    let shape: Option<Vec<usize>> = operands
        .input(0)?
        .shape
        .iter()
        .zip(margins)
        .map(|(&size, &[before, after])| size.checked_add(before)?.checked_add(after))
        .collect();
    let shape = shape
        .ok_or_else(|| operands.invalid(format!("expected small margins, found {margins:?}")))?;
    checked_element_count(&operands.node.name, &shape)?;
    Ok(shape)
}

/// With the third input, or else with zero.
pub(crate) fn lower(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    operands.check_moves(input)?;
    let margins = margins(operands)?;
    let shape = padded(operands, &margins)?;
    let source = operands.input_index(0)?;
    if margins.iter().all(|margin| *margin == [0, 0]) {
        return Ok(Lowered::alias(shape, source));
    }
    let mut pad = Pad { dimensions: Vec::new(), float32: 0.0, byte: 0, integer: 0 };
    match operands.optional_input(2) {
        None => {
            if input.element.is_byte() {
                pad.byte = match &input.quantization {
                    // A zero point is a byte.
                    Some(_) => input.per_tensor()?.1 as u8,
                    // The value 0 as it is held.
                    None => (-input.element.byte_offset()) as u8,
                };
            }
        }
        Some(value) if value.element == input.element => match value.data.as_ref() {
            Some(Data::Float32(values)) if values.len() == 1 => pad.float32 = values[0],
            Some(Data::Integers(values)) if values.len() == 1 => pad.integer = values[0],
            Some(Data::Bytes(values))
                if values.len() == 1 && value.quantization == input.quantization =>
            {
                pad.byte = values[0];
            }
            _ => return Err(operands.unsupported("a value that is not one like constant")),
        },
        Some(_) => return Err(operands.unsupported_elements()),
    }
    // Trailing dimensions without margins join the one before them.
    for (&size, &[before, after]) in input.shape.iter().zip(&margins).rev() {
        let whole = before + size + after;
        match pad.dimensions.last_mut() {
            Some(last) if last.is_whole() => {
                let run = last.whole;
                *last = Margin { before: before * run, size: size * run, whole: whole * run };
            }
            _ => pad.dimensions.push(Margin { before, size, whole }),
        }
    }
    pad.dimensions.reverse();
    Ok(Lowered::step(shape, pad, vec![source]))
}

/// One dimension of a padded tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Margin {
    before: usize,
    size: usize,
    whole: usize,
}

impl Margin {
    fn is_whole(&self) -> bool {
        self.size == self.whole
    }
}

/// A tensor with constant elements around it.
#[derive(Debug)]
struct Pad {
    dimensions: Vec<Margin>,
    float32: f32,
    /// As it is held.
    byte: u8,
    integer: i64,
}

/// Copies the input to its place and fills the rest.
fn pad<T: Copy>(dimensions: &[Margin], input: &[T], output: &mut [T], value: T) {
    let Some((&Margin { before, size, whole }, inner)) = dimensions.split_first() else {
        output.copy_from_slice(input);
        return;
    };
    let chunk = output.len().checked_div(whole).unwrap_or(0);
    let (front, rest) = output.split_at_mut(before * chunk);
    let (middle, back) = rest.split_at_mut(size * chunk);
    front.fill(value);
    back.fill(value);
    if inner.is_empty() {
        middle.copy_from_slice(input);
    } else if !input.is_empty() {
        let rows = middle.chunks_exact_mut(chunk).zip(input.chunks_exact(input.len() / size));
        for (output, input) in rows {
            pad(inner, input, output, value);
        }
    } else {
        middle.fill(value);
    }
}

impl Kernel for Pad {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output.elements {
            Elements::Float32(output) => {
                pad(&self.dimensions, inputs.float32(0)?, output, self.float32);
            }
            Elements::Bytes(output) => pad(&self.dimensions, inputs.bytes(0)?, output, self.byte),
            Elements::Integers(output) => {
                pad(&self.dimensions, inputs.integers(0)?, output, self.integer);
            }
        }
        Ok(())
    }
}

/// With the elements themselves, mirrored at the edge; `symmetric` repeats the edge's own.
pub(crate) fn lower_mirror(
    operands: &Operands<'_>,
    symmetric: bool,
) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let margins = margins(operands)?;
    let result = padded(operands, &margins)?;
    let edge = usize::from(!symmetric);
    let strides = strides(shape);
    let mut offsets = Vec::with_capacity(shape.len());
    for ((&size, &[before, after]), stride) in shape.iter().zip(&margins).zip(strides) {
        if before.max(after) > size.saturating_sub(edge) {
            return Err(operands.invalid(format!(
                "expected margins within {} elements, found {before} and {after}",
                size.saturating_sub(edge)
            )));
        }
        let front = (0..before).map(|index| before - 1 - index + edge);
        let back = (0..after).map(|index| size - 1 - edge - index);
        let indices = front.chain(0..size).chain(back);
        offsets.push(indices.map(|index| index * stride).collect());
    }
    lower_selection(operands, 0, result, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_every_dimension() {
        let dimensions =
            [Margin { before: 1, size: 2, whole: 3 }, Margin { before: 0, size: 2, whole: 4 }];
        let mut output = [7; 12];
        pad(&dimensions, &[1, 2, 3, 4], &mut output, 0);
        assert_eq!(output, [0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0]);
    }
}
