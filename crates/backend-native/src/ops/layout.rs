//! `RESHAPE`, `SQUEEZE` and `EXPAND_DIMS`: the same elements in the same order under another
//! shape.

use image_embedder_backend::BackendError;

use crate::ops::{Lowered, Operands};

/// The new shape comes from the second input, or else from the output's own shape.
///
/// A shape of another number of elements is a [`BackendError::ShapeMismatch`]: it may fit another
/// size of the model's input.
pub(crate) fn lower_reshape(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    let count = input.element_count();
    let wanted: Vec<i64> = match operands.optional_input(1).and_then(|tensor| tensor.integers()) {
        Some(sizes) => sizes.to_vec(),
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
        _ if wanted.iter().all(|&size| size >= -1) && open <= 1 => {
            let sizes: Vec<String> = wanted
                .iter()
                .map(|&size| if size == -1 { "?".to_owned() } else { size.to_string() })
                .collect();
            Err(BackendError::ShapeMismatch {
                tensor: operands.output()?.name.clone(),
                expected: sizes.join("x"),
                found: input.shape.clone(),
            })
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
