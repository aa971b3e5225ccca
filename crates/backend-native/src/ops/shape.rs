//! What is known from shapes alone: `SHAPE`, `RANK`, `RANGE`, `FILL` and `ZEROS_LIKE`.

use image_embedder_backend::BackendError;

use crate::graph::{Data, Holder, checked_element_count};
use crate::ops::{Lowered, Operands};

pub(crate) fn lower_shape(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let sizes = shape.iter().map(|&size| size as i64).collect();
    integers(operands, vec![shape.len()], sizes)
}

pub(crate) fn lower_rank(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let rank = operands.input(0)?.shape.len();
    integers(operands, Vec::new(), vec![rank as i64])
}

/// Whole numbers from the first input up to the second, exclusive, in steps of the third.
pub(crate) fn lower_range(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let one = |index| match operands.integers(index)?[..] {
        [value] => Ok(value),
        ref values => Err(operands.invalid(format!("expected one number, found {values:?}"))),
    };
    let (start, limit, step) = (one(0)?, one(1)?, one(2)?);
    let distance = limit.checked_sub(start).filter(|_| step != 0);
    let count = distance.and_then(|distance| {
        let whole = distance.checked_div(step)?;
        let rest = i64::from(distance % step != 0);
        usize::try_from(whole + rest).ok()
    });
    let Some(count) = count else {
        return Err(operands.invalid(format!(
            "expected steps that lead from {start} to {limit}, found steps of {step}"
        )));
    };
    checked_element_count(&operands.node.name, &[count])?;
    let values = std::iter::successors(Some(start), |value| value.checked_add(step));
    integers(operands, vec![count], values.take(count).collect())
}

fn integers(
    operands: &Operands<'_>,
    shape: Vec<usize>,
    values: Vec<i64>,
) -> Result<Lowered, BackendError> {
    if !operands.output()?.element.is_integer() {
        return Err(operands.unsupported_elements());
    }
    Ok(Lowered::constant(shape, Data::Integers(values.into())))
}

/// The constant second input in the shape that the first says.
pub(crate) fn lower_fill(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let sizes = operands.integers(0)?;
    let shape: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let shape = shape.ok_or_else(|| {
        operands.invalid(format!("expected sizes of at least 0, found {sizes:?}"))
    })?;
    let count = checked_element_count(&operands.node.name, &shape)?;
    let value = operands.input(1)?;
    operands.check_moves(value)?;
    let data = match &value.data {
        Some(Data::Float32(values)) if values.len() == 1 => {
            Data::Float32(vec![values[0]; count].into())
        }
        Some(Data::Bytes(values)) if values.len() == 1 => {
            Data::Bytes(vec![values[0]; count].into())
        }
        Some(Data::Integers(values)) if values.len() == 1 => {
            Data::Integers(vec![values[0]; count].into())
        }
        _ => return Err(operands.unsupported("a value that is not one constant")),
    };
    Ok(Lowered::constant(shape, data))
}

pub(crate) fn lower_zeros_like(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    operands.check_moves(input)?;
    let count = input.element_count();
    let data = match input.element.holder() {
        Some(Holder::Float32) => Data::Float32(vec![0.0; count].into()),
        Some(Holder::Integers) => Data::Integers(vec![0; count].into()),
        _ => return Err(operands.unsupported_elements()),
    };
    Ok(Lowered::constant(input.shape.clone(), data))
}
