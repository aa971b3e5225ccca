//! Operators that lay elements out anew: `RESHAPE`, `TRANSPOSE`, `CONCATENATION`, `PAD` and their
//! kin.

use std::sync::Arc;

use image_embedder_backend::{BackendError, DType};
use tract_core::internal::{Tensor, tensor1};
use tract_core::ops::array::{MultiBroadcastTo, Pad, PadMode, TypedConcat};
use tract_core::ops::cast::cast;
use tract_core::ops::change_axes::{AxisOp, perm_to_ops};
use tract_core::prelude::OutletId;

use super::selection::take;
use super::unary::by_table;
use crate::failure::tract_error;
use crate::graph_builder::{Operand, Operation, held_type};
use crate::model_file::{Kind, checked_volume};
use crate::steps::{Activation, Steps};

/// The new shape comes from the second input, or else from the output's own shape.
///
/// A shape of another number of elements is a [`BackendError::ShapeMismatch`]: it may fit another
/// size of the model's input.
pub(super) fn translate_reshape(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    operation.check_moves(&input, 0)?;
    let count = input.volume();
    let wanted: Vec<i64> = match operation.optional_input(1)? {
        Some(_) => operation.integers(1)?,
        None => output.shape.iter().map(|&size| size as i64).collect(),
    };
    let known = wanted
        .iter()
        .filter(|&&size| size != -1)
        .try_fold(1usize, |product, &size| product.checked_mul(usize::try_from(size).ok()?));
    let open = wanted.iter().filter(|&&size| size == -1).count();
    let shape = known.filter(|_| open <= 1).map(|known| {
        let rest = count.checked_div(known).unwrap_or(0);
        wanted.iter().map(|&size| usize::try_from(size).unwrap_or(rest)).collect::<Vec<usize>>()
    });
    match shape {
        Some(shape) if shape.iter().product::<usize>() == count => {
            operation.reshape(input.outlet, &shape)
        }
        _ => {
            Err(operation
                .invalid(format!("expected a shape of {count} elements, found {wanted:?}")))
        }
    }
}

/// Drops dimensions of size one: the given ones, or all.
pub(super) fn translate_squeeze(
    operation: &mut Operation<'_, '_>,
    dims: &[i32],
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let rank = input.shape.len();
    let mut is_dropped = vec![false; rank];
    for &dim in dims {
        is_dropped[operation.axis(dim.into(), rank)?] = true;
    }
    let shape: Vec<usize> = (0..rank)
        .filter(|&dim| if dims.is_empty() { input.shape[dim] != 1 } else { !is_dropped[dim] })
        .map(|dim| input.shape[dim])
        .collect();
    operation.reshape(input.outlet, &shape)
}

/// A dimension of one element where the second input says.
pub(super) fn translate_expand_dims(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let mut shape = input.shape;
    let axis = match operation.integers(1)?[..] {
        [axis] => operation.axis(axis, shape.len() + 1)?,
        ref axes => return Err(operation.invalid(format!("expected one axis, found {axes:?}"))),
    };
    shape.insert(axis, 1);
    operation.reshape(input.outlet, &shape)
}

/// The second input in the shape that the first says.
pub(super) fn translate_fill(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let shape = operation.sizes(0)?;
    let value = operation.input(1)?;
    operation.check_moves(&value, 0)?;
    if value.volume() != 1 {
        return Err(operation
            .invalid(format!("expected one value to fill with, found shape {:?}", value.shape)));
    }
    checked_volume("of FILL", &shape)?;
    let one = operation.reshape(value.outlet, &vec![1; shape.len()])?;
    operation.wire(MultiBroadcastTo::new(shape.into()), &[one])
}

/// The sizes of the input, which are known.
pub(super) fn translate_shape(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let sizes: Vec<i64> = operation.input(0)?.shape.into_iter().map(|size| size as i64).collect();
    integers(operation, &[sizes.len()], sizes)
}

/// The number of dimensions.
pub(super) fn translate_rank(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let rank = operation.input(0)?.shape.len() as i64;
    integers(operation, &[], vec![rank])
}

/// Whole numbers from the first input up to the second, exclusive, in steps of the third.
pub(super) fn translate_range(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let mut numbers = [0; 3];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = match operation.integers(index)?[..] {
            [value] => value,
            ref values => {
                return Err(operation.invalid(format!("expected one number, found {values:?}")));
            }
        };
    }
    let [start, limit, step] = numbers;
    let distance = limit.checked_sub(start).filter(|_| step != 0);
    let count = distance.and_then(|distance| {
        let rest = i64::from(distance % step != 0);
        usize::try_from(distance.checked_div(step)? + rest).ok()
    });
    let Some(count) = count else {
        return Err(operation.invalid(format!(
            "expected steps that lead from {start} to {limit}, found steps of {step}"
        )));
    };
    checked_volume("of RANGE", &[count])?;
    let values = std::iter::successors(Some(start), |value| value.checked_add(step));
    integers(operation, &[count], values.take(count).collect())
}

/// Whole numbers of the output's type that are known.
fn integers(
    operation: &mut Operation<'_, '_>,
    shape: &[usize],
    values: Vec<i64>,
) -> Result<OutletId, BackendError> {
    let output = operation.output(0)?;
    let Some(held) = held_type(output).filter(|_| output.kind() == Some(Kind::Whole)) else {
        return Err(operation.unsupported_elements());
    };
    let wide = operation.add_constant(tensor1(&values))?;
    let narrow = operation.wire(cast(held), &[wide])?;
    operation.reshape(narrow, shape)
}

/// Zeros in the shape of the input.
pub(super) fn translate_zeros_like(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let held = held_type(input.tensor)
        .filter(|_| matches!(input.kind, Kind::Float | Kind::Whole))
        .ok_or_else(|| operation.unsupported_elements())?;
    let zeros = Tensor::zero_dt(held, &input.shape)
        .map_err(|error| tract_error("making a constant", &error))?;
    operation.add_constant(zeros)
}

/// Repeated to the shape in the second input.
pub(super) fn translate_broadcast_to(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let shape = operation.sizes(1)?;
    let missing = shape.len().checked_sub(input.shape.len());
    let fits = missing.is_some_and(|missing| {
        shape[missing..].iter().zip(&input.shape).all(|(&size, &own)| own == size || own == 1)
    });
    let (Some(missing), true) = (missing, fits) else {
        return Err(operation.invalid(format!(
            "expected a shape that {:?} can be repeated to, found {shape:?}",
            input.shape
        )));
    };
    checked_volume("of BROADCAST_TO", &shape)?;
    let ranked = [&vec![1; missing][..], &input.shape].concat();
    let ranked = operation.reshape(input.outlet, &ranked)?;
    operation.wire(MultiBroadcastTo::new(shape.into()), &[ranked])
}

/// The second input says which input dimension each output dimension is.
pub(super) fn translate_transpose(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let rank = input.shape.len();
    let permutation = operation.integers(1)?;
    let axes: Vec<usize> =
        permutation.iter().map(|&axis| operation.axis(axis, rank)).collect::<Result<_, _>>()?;
    if axes.len() != rank || !(0..rank).all(|axis| axes.contains(&axis)) {
        return Err(operation.invalid(format!(
            "expected a permutation of {rank} dimensions, found {permutation:?}"
        )));
    }
    transpose(operation, input.outlet, &axes)
}

fn transpose(
    operation: &mut Operation<'_, '_>,
    input: OutletId,
    axes: &[usize],
) -> Result<OutletId, BackendError> {
    let mut outlet = input;
    for op in perm_to_ops(axes) {
        outlet = operation.wire(op, &[outlet])?;
    }
    Ok(outlet)
}

fn block_size(operation: &Operation<'_, '_>, block: i32) -> Result<usize, BackendError> {
    usize::try_from(block)
        .ok()
        .filter(|&block| block > 0 && block <= 1 << 15)
        .ok_or_else(|| operation.invalid(format!("expected a block above 0, found {block}")))
}

/// ```text
/// output[b][y * block + i][x * block + j][c] = input[b][y][x][(i * block + j) * channels + c]
/// ```
pub(super) fn translate_depth_to_space(
    operation: &mut Operation<'_, '_>,
    block: i32,
) -> Result<OutletId, BackendError> {
    let [batch, height, width, depth] = operation.image(0)?;
    let block = block_size(operation, block)?;
    if depth % (block * block) != 0 {
        return Err(operation
            .invalid(format!("expected channels in multiples of {block} squared, found {depth}")));
    }
    let channels = depth / (block * block);
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let split = operation.reshape(input.outlet, &[batch, height, width, block, block, channels])?;
    let turned = transpose(operation, split, &[0, 1, 3, 2, 4, 5])?;
    operation.reshape(turned, &[batch, height * block, width * block, channels])
}

/// ```text
/// output[b][y][x][(i * block + j) * channels + c] = input[b][y * block + i][x * block + j][c]
/// ```
pub(super) fn translate_space_to_depth(
    operation: &mut Operation<'_, '_>,
    block: i32,
) -> Result<OutletId, BackendError> {
    let [batch, height, width, channels] = operation.image(0)?;
    let block = block_size(operation, block)?;
    if height % block != 0 || width % block != 0 {
        return Err(operation.invalid(format!(
            "expected {height} x {width} to be a multiple of the block {block}"
        )));
    }
    let (rows, columns) = (height / block, width / block);
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let split = operation.reshape(input.outlet, &[batch, rows, block, columns, block, channels])?;
    let turned = transpose(operation, split, &[0, 1, 3, 2, 4, 5])?;
    // The blocks fit into the image, so the product stays below its number of elements.
    operation.reshape(turned, &[batch, rows, columns, block * block * channels])
}

/// Reads a block shape (two sizes above zero) and two pairs of margins.
fn block_and_margins(
    operation: &mut Operation<'_, '_>,
) -> Result<([usize; 2], [usize; 4]), BackendError> {
    let (block, margins) = (operation.sizes(1)?, operation.sizes(2)?);
    match (&block[..], <[usize; 4]>::try_from(&margins[..])) {
        (&[height, width], Ok(margins)) if height > 0 && width > 0 => {
            Ok(([height, width], margins))
        }
        _ => Err(operation.unsupported(format!("block {block:?} with margins {margins:?}"))),
    }
}

/// ```text
/// large[b][y * block_h + i - top][x * block_w + j - left] = small[(i * block_w + j) * batch + b][y][x]
/// ```
pub(super) fn translate_space_to_batch(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let [batch, _, _, channels] = operation.image(0)?;
    let (block, [top, bottom, left, right]) = block_and_margins(operation)?;
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let margins = [(0, 0), (top, bottom), (left, right), (0, 0)];
    let padded = pad(operation, &input, &margins, Arc::new(Tensor::from(0f32)))?;
    let shape = operation.shape(padded)?;
    let (height, width) = (shape[1], shape[2]);
    if height % block[0] != 0 || width % block[1] != 0 {
        return Err(operation.invalid(format!(
            "expected {height} x {width} to be a multiple of the block {block:?}"
        )));
    }
    let small = [height / block[0], width / block[1]];
    let split = [batch, small[0], block[0], small[1], block[1], channels];
    let split = operation.reshape(padded, &split)?;
    let turned = transpose(operation, split, &[2, 4, 0, 1, 3, 5])?;
    // The blocks fit into the image, so the product stays below its number of elements.
    operation.reshape(turned, &[block[0] * block[1] * batch, small[0], small[1], channels])
}

/// The inverse of [`translate_space_to_batch`], with crops instead of margins.
pub(super) fn translate_batch_to_space(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let [batches, height, width, channels] = operation.image(0)?;
    let (block, [top, bottom, left, right]) = block_and_margins(operation)?;
    let blocks = block[0].checked_mul(block[1]).filter(|&blocks| batches % blocks == 0);
    let kept = |size: usize, block: usize, before: usize, after: usize| {
        let end = size.checked_mul(block)?.checked_sub(after)?;
        (before <= end).then(|| (before..end).collect::<Vec<usize>>())
    };
    let rows = kept(height, block[0], top, bottom);
    let columns = kept(width, block[1], left, right);
    let (Some(blocks), Some(rows), Some(columns)) = (blocks, rows, columns) else {
        return Err(operation.invalid(format!(
            "expected a batch in multiples of the block {block:?} and crops within it, found a \
             batch of {batches} and crops {:?}",
            [top, bottom, left, right]
        )));
    };
    let batch = batches / blocks;
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let split = [block[0], block[1], batch, height, width, channels];
    let split = operation.reshape(input.outlet, &split)?;
    let turned = transpose(operation, split, &[2, 3, 0, 4, 1, 5])?;
    let large = [batch, height * block[0], width * block[1], channels];
    let large = operation.reshape(turned, &large)?;
    let cropped = take(operation, large, 1, &rows)?;
    take(operation, cropped, 2, &columns)
}

/// Inputs side by side along a dimension that they have.
pub(super) fn translate_concatenation(
    operation: &mut Operation<'_, '_>,
    axis: i32,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    if activation != Activation::None {
        return Err(operation.unsupported("a fused activation"));
    }
    let first = operation.input(0)?.shape;
    let axis = operation.axis(axis.into(), first.len())?;
    let output = operation.output(0)?;
    let mut parts = Vec::new();
    for index in 0..operation.input_count() {
        let part = operation.input(index)?;
        let fits = part.shape.len() == first.len()
            && (0..first.len()).all(|other| other == axis || part.shape[other] == first[other]);
        if !fits {
            return Err(operation.invalid(format!(
                "expected shapes alike but along axis {axis}, found {first:?} and {:?}",
                part.shape
            )));
        }
        let is_requantized = part.kind == Kind::Bytes
            && part.tensor.dtype == Some(DType::UInt8)
            && output.dtype == part.tensor.dtype
            && output.quantization != part.tensor.quantization;
        parts.push(if is_requantized {
            let entries = requantization(part.tensor.steps()?, output.steps()?);
            operation.wire(by_table(part.tensor.steps()?, entries), &[part.outlet])?
        } else {
            operation.check_moves(&part, 0)?;
            part.outlet
        });
    }
    operation.wire(TypedConcat::new(axis), &parts)
}

/// The output's steps for each byte of an input that is quantised otherwise.
///
/// ```text
/// scale = input_scale / output_scale
/// result = round(value * scale - input_zero * scale) + output_zero
/// ```
///
/// Source of the formula: TensorFlow Lite, `ConcatenationWithScaling`, which is for unsigned bytes
/// only.
fn requantization(input: Steps, output: Steps) -> Vec<f32> {
    let factor = input.scale * (1.0 / output.scale);
    let bias = -input.zero_point as f32 * factor;
    let range = output.whole();
    (0..256).map(|byte| range.clamp((byte as f32 * factor + bias).round() as i32)).collect()
}

/// Inputs of one shape side by side along a new dimension.
pub(super) fn translate_pack(
    operation: &mut Operation<'_, '_>,
    axis: i32,
) -> Result<OutletId, BackendError> {
    let first = operation.input(0)?.shape;
    let axis = operation.axis(axis.into(), first.len() + 1)?;
    let mut parts = Vec::new();
    for index in 0..operation.input_count() {
        let part = operation.input(index)?;
        if part.shape != first {
            return Err(operation.invalid(format!(
                "expected inputs of one shape, found {first:?} and {:?}",
                part.shape
            )));
        }
        operation.check_moves(&part, 0)?;
        parts.push(operation.wire(AxisOp::Add(axis), &[part.outlet])?);
    }
    operation.wire(TypedConcat::new(axis), &parts)
}

/// How many elements come before and after each dimension.
pub(super) fn margins(
    operation: &mut Operation<'_, '_>,
) -> Result<Vec<(usize, usize)>, BackendError> {
    let (shape, margins) = (operation.input(0)?.shape, operation.sizes(1)?);
    if margins.len() != 2 * shape.len() {
        return Err(operation.invalid(format!(
            "expected two margins for each dimension of {shape:?}, found {margins:?}"
        )));
    }
    Ok(margins.as_chunks::<2>().0.iter().map(|&[before, after]| (before, after)).collect())
}

/// With the third input around the first, or else with zero.
pub(super) fn translate_pad(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let margins = margins(operation)?;
    let value = match operation.optional_input(2)? {
        None => {
            let held = held_type(input.tensor).ok_or_else(|| operation.unsupported_elements())?;
            let zero = Tensor::zero_scalar_dt(held);
            Arc::new(zero.map_err(|error| tract_error("making a constant", &error))?)
        }
        Some(value)
            if value.tensor.dtype == input.tensor.dtype
                && value.tensor.quantization == input.tensor.quantization
                && value.volume() == 1 =>
        {
            let Some(tensor) = operation.constant(2)? else {
                return Err(operation.unsupported("a value that is not constant"));
            };
            let scalar = (*tensor).clone().into_shape(&[]);
            Arc::new(scalar.map_err(|error| tract_error("making a constant", &error))?)
        }
        Some(_) => return Err(operation.unsupported("a value that is not one like the input's")),
    };
    pad(operation, &input, &margins, value)
}

/// A tensor with a value around it.
fn pad(
    operation: &mut Operation<'_, '_>,
    input: &Operand<'_>,
    margins: &[(usize, usize)],
    value: Arc<Tensor>,
) -> Result<OutletId, BackendError> {
    let padded: Option<Vec<usize>> = input
        .shape
        .iter()
        .zip(margins)
        .map(|(size, (before, after))| size.checked_add(*before)?.checked_add(*after))
        .collect();
    let padded = padded
        .ok_or_else(|| operation.invalid(format!("expected small margins, found {margins:?}")))?;
    checked_volume("of PAD", &padded)?;
    if padded == input.shape {
        return Ok(input.outlet);
    }
    operation.wire(Pad::new(margins.to_vec(), PadMode::Constant(value)), &[input.outlet])
}
