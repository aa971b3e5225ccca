//! Evaluation of shape arithmetic: small whole-number tensors that are known when a plan is made.

use image_embedder_backend::BackendError;

use crate::graph::{Data, Node, Tensor, invalid, unsupported};
use crate::operator::{Masks, Operator};
use crate::ops::{Lowered, Operands};

/// The shape and values of a whole-number operator whose inputs are all known, or `None` if the
/// operator works on something else.
pub(crate) fn fold(
    operator: Operator,
    operands: &Operands<'_>,
) -> Result<Option<Lowered>, BackendError> {
    if operator == Operator::Shape {
        let shape = &operands.input(0)?.shape;
        let values = shape.iter().map(|&size| size as i64).collect();
        return integers(operands.node, operands.output()?, vec![shape.len()], values).map(Some);
    }
    let mut inputs = Vec::new();
    for index in 0..operands.node.inputs.len() {
        let tensor = operands.input(index)?;
        match tensor.integers() {
            Some(values) => inputs.push((tensor, values)),
            None => return Ok(None),
        }
    }
    let node = operands.node;
    let (shape, values) = match (operator, &inputs[..]) {
        (Operator::Add(_), [a, b]) => elementwise(node, a, b, |a, b| Some(a.wrapping_add(b)))?,
        (Operator::Sub(_), [a, b]) => elementwise(node, a, b, |a, b| Some(a.wrapping_sub(b)))?,
        (Operator::FloorMod, [a, b]) => elementwise(node, a, b, floor_mod)?,
        (Operator::Pack { axis }, parts) => pack(node, axis, parts)?,
        (Operator::StridedSlice(masks), [input, begin, end, strides]) => {
            strided_slice(node, masks, input, &begin.1, &end.1, &strides.1)?
        }
        (Operator::Squeeze, [(_, values)]) => (
            if values.len() == 1 {
                vec![]
            } else {
                vec![values.len()]
            },
            values.clone(),
        ),
        _ => return Ok(None),
    };
    integers(node, operands.output()?, shape, values).map(Some)
}

type Known<'a> = (&'a Tensor, Vec<i64>);

fn integers(
    node: &Node,
    output: &Tensor,
    shape: Vec<usize>,
    values: Vec<i64>,
) -> Result<Lowered, BackendError> {
    use crate::graph::Element;
    let data = match output.element {
        Element::Int64 => Data::Int64(values.into()),
        Element::Int32 => Data::Int32(
            values
                .into_iter()
                .map(|value| {
                    i32::try_from(value).map_err(|_| {
                        invalid(format!(
                            "{}: expected a 32-bit result, found {value}",
                            node.name
                        ))
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
        _ => return Err(unsupported(&node.name, "whole numbers into another type")),
    };
    Ok(Lowered::constant(shape, data))
}

fn floor_mod(a: i64, b: i64) -> Option<i64> {
    let remainder = a.checked_rem(b)?;
    Some(if remainder != 0 && (remainder < 0) != (b < 0) {
        remainder + b
    } else {
        remainder
    })
}

/// Of equal shapes, or with a single value on one side.
fn elementwise(
    node: &Node,
    a: &Known<'_>,
    b: &Known<'_>,
    combine: impl Fn(i64, i64) -> Option<i64>,
) -> Result<(Vec<usize>, Vec<i64>), BackendError> {
    let count = a.1.len().max(b.1.len());
    let fits = |len| len == count || len == 1;
    if !fits(a.1.len()) || !fits(b.1.len()) {
        return Err(unsupported(&node.name, "broadcasting of whole numbers"));
    }
    let pick = |values: &[i64], index: usize| values[if values.len() == 1 { 0 } else { index }];
    let values = (0..count)
        .map(|index| combine(pick(&a.1, index), pick(&b.1, index)))
        .collect::<Option<_>>()
        .ok_or_else(|| invalid(format!("{}: division by zero", node.name)))?;
    let shape = if a.1.len() == count {
        &a.0.shape
    } else {
        &b.0.shape
    };
    Ok((shape.clone(), values))
}

/// Scalars, or vectors along a new first dimension.
fn pack(
    node: &Node,
    axis: i32,
    parts: &[Known<'_>],
) -> Result<(Vec<usize>, Vec<i64>), BackendError> {
    let Some((first, _)) = parts.first() else {
        return Err(invalid(format!(
            "{}: expected inputs, found none",
            node.name
        )));
    };
    if axis != 0 || parts.iter().any(|(tensor, _)| tensor.shape != first.shape) {
        return Err(unsupported(
            &node.name,
            format!("axis {axis} of whole numbers"),
        ));
    }
    let mut shape = vec![parts.len()];
    shape.extend(&first.shape);
    Ok((
        shape,
        parts
            .iter()
            .flat_map(|(_, values)| values.iter().copied())
            .collect(),
    ))
}

/// Picks elements along every dimension.
fn strided_slice(
    node: &Node,
    masks: Masks,
    (tensor, values): &Known<'_>,
    begin: &[i64],
    end: &[i64],
    strides: &[i64],
) -> Result<(Vec<usize>, Vec<i64>), BackendError> {
    let rank = tensor.shape.len();
    if [begin.len(), end.len(), strides.len()] != [rank; 3] || strides.iter().any(|&step| step < 1)
    {
        return Err(unsupported(
            &node.name,
            "of whole numbers by negative strides or in part",
        ));
    }
    let mut shape = Vec::new();
    let mut picked: Vec<usize> = vec![0];
    for (dimension, &size) in tensor.shape.iter().enumerate() {
        let is_set = |mask: i32| mask & (1 << dimension) != 0;
        let place = |index: i64| {
            let from_end = if index < 0 { size as i64 } else { 0 };
            index.saturating_add(from_end).clamp(0, size as i64) as usize
        };
        let start = if is_set(masks.begin) {
            0
        } else {
            place(begin[dimension])
        };
        let stop = if is_set(masks.shrink_axis) {
            start + 1
        } else if is_set(masks.end) {
            size
        } else {
            place(end[dimension])
        };
        if stop > size {
            return Err(invalid(format!(
                "{}: expected an index below {size}, found {}",
                node.name, begin[dimension]
            )));
        }
        let indices: Vec<usize> = (start..stop).step_by(strides[dimension] as usize).collect();
        picked = picked
            .iter()
            .flat_map(|&outer| indices.iter().map(move |&index| outer * size + index))
            .collect();
        if !is_set(masks.shrink_axis) {
            shape.push(indices.len());
        }
    }
    Ok((
        shape,
        picked.into_iter().map(|index| values[index]).collect(),
    ))
}
