//! `RESHAPE`, `SQUEEZE` and `EXPAND_DIMS`: the same elements in the same order under another
//! shape; and `FILL`.

use image_embedder_backend::BackendError;

use crate::graph::{Data, checked_element_count};
use crate::ops::{Lowered, Operands};

/// The new shape comes from the second input, or else from the output's own shape.
pub(crate) fn lower_reshape(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    let count = input.element_count();
    let wanted: Vec<i64> = match operands.optional_input(1).and_then(|tensor| tensor.integers()) {
        Some(sizes) => sizes,
        None => operands.output()?.shape.iter().map(|&size| size as i64).collect(),
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
            Ok(Lowered::alias(shape, operands.input_index(0)?))
        }
        _ => {
            Err(operands.invalid(format!("expected a shape of {count} elements, found {wanted:?}")))
        }
    }
}

/// Dimensions of size one are dropped: those that the output's own rank leaves out.
pub(crate) fn lower_squeeze(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    let mut shape = operands.output()?.shape.clone();
    if shape.iter().product::<usize>() != input.element_count() {
        // A dynamic input has outgrown the shape in the model.
        shape = input.shape.iter().copied().filter(|&size| size != 1).collect();
    }
    Ok(Lowered::alias(shape, operands.input_index(0)?))
}

/// A dimension of one element where the second input says.
pub(crate) fn lower_expand_dims(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let mut shape = operands.input(0)?.shape.clone();
    let axis = match operands.integers(1)?[..] {
        [axis] => operands.axis(axis, shape.len() + 1)?,
        ref axes => return Err(operands.invalid(format!("expected one axis, found {axes:?}"))),
    };
    shape.insert(axis, 1);
    Ok(Lowered::alias(shape, operands.input_index(0)?))
}

/// The constant second input in the shape that the first says.
pub(crate) fn lower_fill(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let sizes = operands.integers(0)?;
    let shape: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| {
        operands.invalid(format!("expected sizes of at least 0, found {sizes:?}"))
    })?;
    let count = checked_element_count(&operands.node.name, &shape)?;
    let data = match &operands.input(1)?.data {
        Some(Data::Float32(values)) if values.len() == 1 => {
            Data::Float32(vec![values[0]; count].into())
        }
        Some(Data::Bytes(values)) if values.len() == 1 => {
            Data::Bytes(vec![values[0]; count].into())
        }
        Some(Data::Int32(values)) if values.len() == 1 => {
            Data::Int32(vec![values[0]; count].into())
        }
        Some(Data::Int64(values)) if values.len() == 1 => {
            Data::Int64(vec![values[0]; count].into())
        }
        _ => return Err(operands.unsupported("a value that is not one constant")),
    };
    Ok(Lowered::constant(shape, data))
}
