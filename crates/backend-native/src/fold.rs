//! Evaluation of what is known when a plan is made: shape arithmetic in small whole-number tensors,
//! and work on constants alone.

use image_embedder_backend::BackendError;

use crate::graph::{Data, Element, Node, Tensor, checked_element_count, invalid, unsupported};
use crate::operator::{Activation, Binary, Masks, Operator, Reduction};
use crate::ops::{Lowered, Operands, Work, strided_parts};
use crate::slots::{Elements, Inputs, Output, Place, Scratch, Slots};

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
        (Operator::Binary(function, Activation::None), [a, b]) => {
            elementwise(node, a, b, |a, b| combine(function, a, b))?
        }
        (Operator::FloorMod, [a, b]) => elementwise(node, a, b, floor_mod)?,
        (Operator::Pack { axis }, parts) => pack(node, axis, parts)?,
        (Operator::StridedSlice(masks), [input, begin, end, strides]) => {
            strided_slice(node, masks, input, &begin.1, &end.1, &strides.1)?
        }
        (Operator::Squeeze, [(_, values)]) => {
            (if values.len() == 1 { vec![] } else { vec![values.len()] }, values.clone())
        }
        (Operator::Cast, [(tensor, values)]) if is_whole(operands.output()?) => {
            (tensor.shape.clone(), values.clone())
        }
        (Operator::Concatenation { .. }, parts)
            if parts.iter().all(|(tensor, _)| tensor.shape.len() == 1) =>
        {
            let values: Vec<i64> = parts.iter().flat_map(|(_, values)| values.clone()).collect();
            (vec![values.len()], values)
        }
        (Operator::Gather { .. }, [(tensor, values), (places, indices)])
            if tensor.shape.len() == 1 =>
        {
            let picked = indices
                .iter()
                .map(|&index| usize::try_from(index).ok().and_then(|index| values.get(index)))
                .map(|value| value.copied())
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    operands.invalid(format!(
                        "expected indices below {}, found {indices:?}",
                        values.len()
                    ))
                })?;
            (places.shape.clone(), picked)
        }
        (Operator::Reduce { function: Reduction::Prod, keep_dims }, [(tensor, values), _])
            if tensor.shape.len() == 1 =>
        {
            let product = values
                .iter()
                .try_fold(1i64, |product, value| product.checked_mul(*value))
                .ok_or_else(|| operands.invalid("expected a product within 64 bits"))?;
            (if keep_dims { vec![1] } else { vec![] }, vec![product])
        }
        _ => return Ok(None),
    };
    integers(node, operands.output()?, shape, values).map(Some)
}

/// A function of whole numbers, if it has a result.
fn combine(function: Binary, a: i64, b: i64) -> Option<i64> {
    match function {
        Binary::Add => Some(a.wrapping_add(b)),
        Binary::Div => a.checked_div(b),
        Binary::FloorDiv => Some(a.checked_div(b)? - i64::from(a % b != 0 && (a < 0) != (b < 0))),
        Binary::Maximum => Some(a.max(b)),
        Binary::Minimum => Some(a.min(b)),
        Binary::Mul => Some(a.wrapping_mul(b)),
        Binary::Sub => Some(a.wrapping_sub(b)),
        Binary::Pow | Binary::SquaredDifference => None,
    }
}

/// Work on constants alone is done at once.
pub(crate) fn run_on_constants(
    lowered: Lowered,
    operands: &Operands<'_>,
) -> Result<Lowered, BackendError> {
    let Work::Step { kernel, operands: sources } = &lowered.work else {
        return Ok(lowered);
    };
    let places: Option<Vec<Place>> = sources
        .iter()
        .map(|&source| match &operands.tensors[source].data {
            Some(Data::Float32(values)) => Some(Place::ConstantFloat32(values.clone())),
            Some(Data::Bytes(values)) => Some(Place::ConstantBytes(values.clone())),
            _ => None,
        })
        .collect();
    let Some(places) = places else {
        return Ok(lowered);
    };
    let output = operands.output()?;
    let count = checked_element_count(&output.name, &lowered.shape)?;
    let inputs = Inputs { slots: &Slots::default(), places: &places };
    let mut scratch = Scratch::new(kernel.scratch());
    let data = if output.element.is_byte() {
        let mut values = vec![0; count];
        kernel.run(inputs, Output::whole(Elements::Bytes(&mut values)), &mut scratch)?;
        Data::Bytes(values.into())
    } else {
        let mut values = vec![0.0; count];
        kernel.run(inputs, Output::whole(Elements::Float32(&mut values)), &mut scratch)?;
        Data::Float32(values.into())
    };
    Ok(Lowered::constant(lowered.shape, data))
}

fn is_whole(tensor: &Tensor) -> bool {
    matches!(tensor.element, Element::Int32 | Element::Int64)
}

type Known<'a> = (&'a Tensor, Vec<i64>);

fn integers(
    node: &Node,
    output: &Tensor,
    shape: Vec<usize>,
    values: Vec<i64>,
) -> Result<Lowered, BackendError> {
    let data = match output.element {
        Element::Int64 => Data::Int64(values.into()),
        Element::Int32 => Data::Int32(
            values
                .into_iter()
                .map(|value| {
                    i32::try_from(value).map_err(|_| {
                        invalid(format!("{}: expected a 32-bit result, found {value}", node.name))
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
    Some(if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder })
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
    let shape = if a.1.len() == count { &a.0.shape } else { &b.0.shape };
    Ok((shape.clone(), values))
}

/// Scalars, or vectors along a new first dimension.
fn pack(
    node: &Node,
    axis: i32,
    parts: &[Known<'_>],
) -> Result<(Vec<usize>, Vec<i64>), BackendError> {
    let Some((first, _)) = parts.first() else {
        return Err(invalid(format!("{}: expected inputs, found none", node.name)));
    };
    if axis != 0 || parts.iter().any(|(tensor, _)| tensor.shape != first.shape) {
        return Err(unsupported(&node.name, format!("axis {axis} of whole numbers")));
    }
    let mut shape = vec![parts.len()];
    shape.extend(&first.shape);
    Ok((shape, parts.iter().flat_map(|(_, values)| values.iter().copied()).collect()))
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
    let parts = strided_parts(&tensor.shape, masks, begin, end, strides);
    let Some((parts, _)) = parts.filter(|_| masks.new_axis == 0) else {
        return Err(unsupported(
            &node.name,
            format!("{begin:?} to {end:?} by {strides:?} of whole numbers"),
        ));
    };
    let mut picked: Vec<usize> = vec![0];
    for (part, size) in parts.iter().zip(&tensor.shape) {
        picked = picked
            .iter()
            .flat_map(|&outer| part.indices.iter().map(move |&index| outer * size + index))
            .collect();
    }
    let kept = parts.iter().filter(|part| part.is_kept);
    Ok((
        kept.map(|part| part.indices.len()).collect(),
        picked.into_iter().map(|index| values[index]).collect(),
    ))
}
