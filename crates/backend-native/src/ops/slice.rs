//! Parts of tensors: `SLICE`, `STRIDED_SLICE`, `SPLIT`, `SPLIT_V` and `UNPACK`; and whole ones more
//! than once or backwards: `TILE`, `BROADCAST_TO` and `REVERSE_V2`.

use image_embedder_backend::BackendError;

use crate::graph::checked_element_count;
use crate::operator::Masks;
use crate::ops::selection::{every, lower_selection, strides};
use crate::ops::{Lowered, Operands};

/// What a slice takes of one input dimension.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// The indices along the dimension, in order.
    pub(crate) indices: Vec<usize>,
    /// Whether the dimension stays in the result.
    pub(crate) is_kept: bool,
}

/// The shape and offsets of parts of every dimension; `new_axes` says before which dimensions how
/// many dimensions of one element come.
fn select(shape: &[usize], parts: &[Part], new_axes: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let strides = strides(shape);
    let mut result = Vec::new();
    let ones = |dimension: usize| std::iter::repeat_n(1, *new_axes.get(dimension).unwrap_or(&0));
    for (dimension, part) in parts.iter().enumerate() {
        result.extend(ones(dimension));
        if part.is_kept {
            result.push(part.indices.len());
        }
    }
    result.extend(ones(parts.len()));
    let offsets = parts
        .iter()
        .zip(strides)
        .map(|(part, stride)| part.indices.iter().map(|&index| index * stride).collect());
    (result, offsets.collect())
}

/// The parts of a strided slice, and how many new dimensions come before each dimension and after
/// the last.
///
/// `None` if the numbers do not fit the shape.
pub(crate) fn strided_parts(
    shape: &[usize],
    masks: Masks,
    begin: &[i64],
    end: &[i64],
    strides: &[i64],
) -> Option<(Vec<Part>, Vec<usize>)> {
    let rank = shape.len();
    let count = begin.len();
    // Masks have a bit for each entry.
    if end.len() != count || strides.len() != count || count > 31 {
        return None;
    }
    let is_set = |mask: i32, entry: usize| mask & (1 << entry) != 0;
    let whole = |size: usize| Part { indices: (0..size).collect(), is_kept: true };
    let ellipsis = (0..count).find(|&entry| is_set(masks.ellipsis, entry));
    let consumed = (0..count)
        .filter(|&entry| Some(entry) != ellipsis && !is_set(masks.new_axis, entry))
        .count();
    let spare = rank.checked_sub(consumed)?;
    let mut parts = Vec::with_capacity(rank);
    let mut new_axes = vec![0; rank + 1];
    for entry in 0..count {
        if Some(entry) == ellipsis {
            for _ in 0..spare {
                parts.push(whole(shape[parts.len()]));
            }
            continue;
        }
        if is_set(masks.new_axis, entry) {
            new_axes[parts.len()] += 1;
            continue;
        }
        let size = shape[parts.len()] as i64;
        let step = strides[entry];
        if step == 0 {
            return None;
        }
        let place = |index: i64| {
            if index < 0 { index.saturating_add(size) } else { index }
        };
        if is_set(masks.shrink_axis, entry) {
            let index = place(begin[entry]);
            parts.push(Part {
                indices: vec![usize::try_from(index).ok().filter(|_| index < size)?],
                is_kept: false,
            });
            continue;
        }
        let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let first = if is_set(masks.begin, entry) {
            if step > 0 { least } else { most }
        } else {
            place(begin[entry]).clamp(least, most.max(least))
        };
        let last = if is_set(masks.end, entry) {
            if step > 0 { most } else { least }
        } else {
            place(end[entry]).clamp(least, most.max(least))
        };
        let mut indices = Vec::new();
        let mut index = first;
        while (step > 0 && index < last) || (step < 0 && index > last) {
            // Between the bounds above, so not negative.
            indices.push(index as usize);
            index = index.saturating_add(step);
        }
        parts.push(Part { indices, is_kept: true });
    }
    while parts.len() < rank {
        parts.push(whole(shape[parts.len()]));
    }
    Some((parts, new_axes))
}

pub(crate) fn lower_strided_slice(
    operands: &Operands<'_>,
    masks: Masks,
) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let (begin, end, strides) =
        (operands.integers(1)?, operands.integers(2)?, operands.integers(3)?);
    let (parts, new_axes) =
        strided_parts(shape, masks, &begin, &end, &strides).ok_or_else(|| {
            operands.invalid(format!(
                "expected a part of {shape:?}, found {begin:?} to {end:?} by {strides:?}"
            ))
        })?;
    let (shape, offsets) = select(shape, &parts, &new_axes);
    lower_selection(operands, 0, shape, offsets)
}

/// The second input says where the slice begins, the third how large it is; -1 stands for the
/// rest.
pub(crate) fn lower_slice(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let (begin, sizes) = (operands.integers(1)?, operands.integers(2)?);
    let parts: Option<Vec<Part>> = (begin.len() == shape.len() && sizes.len() == shape.len())
        .then(|| {
            let entries = shape.iter().zip(&begin).zip(&sizes);
            let part = |((&whole, &begin), &size): ((&usize, &i64), &i64)| {
                let begin = usize::try_from(begin).ok()?;
                let end = if size == -1 {
                    whole
                } else {
                    begin.checked_add(usize::try_from(size).ok()?)?
                };
                (begin <= end && end <= whole)
                    .then(|| Part { indices: (begin..end).collect(), is_kept: true })
            };
            entries.map(part).collect()
        })
        .flatten();
    let parts = parts.ok_or_else(|| {
        operands.invalid(format!("expected a part of {shape:?}, found {sizes:?} at {begin:?}"))
    })?;
    let (shape, offsets) = select(shape, &parts, &[]);
    lower_selection(operands, 0, shape, offsets)
}

/// One stretch of an input along an axis.
fn lower_stretch(
    operands: &Operands<'_>,
    input: usize,
    axis: usize,
    stretch: std::ops::Range<usize>,
    is_kept: bool,
) -> Result<Lowered, BackendError> {
    let shape = &operands.input(input)?.shape;
    let part = |(dimension, &size): (usize, &usize)| {
        if dimension == axis {
            Part { indices: stretch.clone().collect(), is_kept }
        } else {
            Part { indices: (0..size).collect(), is_kept: true }
        }
    };
    let parts: Vec<Part> = shape.iter().enumerate().map(part).collect();
    let (shape, offsets) = select(shape, &parts, &[]);
    lower_selection(operands, input, shape, offsets)
}

/// The axis that constant input `index` names, of input `of`.
fn axis_input(operands: &Operands<'_>, index: usize, of: usize) -> Result<usize, BackendError> {
    match operands.integers(index)?[..] {
        [axis] => operands.axis(axis, operands.input(of)?.shape.len()),
        ref axes => Err(operands.invalid(format!("expected one axis, found {axes:?}"))),
    }
}

/// Equal stretches of the second input along the axis in the first.
pub(crate) fn lower_split(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let axis = axis_input(operands, 0, 1)?;
    let size = operands.input(1)?.shape[axis];
    let count = operands.node.outputs.len();
    if count == 0 || size % count != 0 {
        return Err(operands
            .invalid(format!("expected a size in multiples of {count} outputs, found {size}")));
    }
    let stretch = size / count;
    let start = operands.position * stretch;
    lower_stretch(operands, 1, axis, start..start + stretch, true)
}

/// Stretches of the first input, as long as the second input says, along the axis in the third.
pub(crate) fn lower_split_v(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let axis = axis_input(operands, 2, 0)?;
    let size = operands.input(0)?.shape[axis];
    let sizes = operands.integers(1)?;
    let wrong = || {
        operands.invalid(format!(
            "expected {} sizes that make {size}, found {sizes:?}",
            operands.node.outputs.len()
        ))
    };
    let known: usize = sizes
        .iter()
        .filter(|&&size| size != -1)
        .try_fold(0usize, |sum, &size| sum.checked_add(usize::try_from(size).ok()?))
        .ok_or_else(wrong)?;
    let rest = size.checked_sub(known).ok_or_else(wrong)?;
    let open = sizes.iter().filter(|&&size| size == -1).count();
    let fits = sizes.len() == operands.node.outputs.len() && (open == 1 || open == 0 && rest == 0);
    if !fits {
        return Err(wrong());
    }
    let length = |size: &i64| usize::try_from(*size).unwrap_or(rest);
    let start = sizes[..operands.position].iter().map(length).sum();
    let end = start + length(&sizes[operands.position]);
    lower_stretch(operands, 0, axis, start..end, true)
}

/// Each element along an axis on its own.
pub(crate) fn lower_unpack(operands: &Operands<'_>, axis: i32) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let axis = operands.axis(axis.into(), shape.len())?;
    let count = operands.node.outputs.len();
    if shape[axis] != count {
        return Err(operands.invalid(format!("expected {} outputs, found {count}", shape[axis])));
    }
    let index = operands.position;
    lower_stretch(operands, 0, axis, index..index + 1, false)
}

/// The first input again and again, as often along each dimension as the second says.
pub(crate) fn lower_tile(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let multiples = operands.integers(1)?;
    let sizes: Option<Vec<usize>> = (multiples.len() == shape.len())
        .then(|| {
            let sizes = shape.iter().zip(&multiples);
            sizes.map(|(&size, &times)| size.checked_mul(usize::try_from(times).ok()?)).collect()
        })
        .flatten();
    let Some(sizes) = sizes else {
        return Err(operands.invalid(format!(
            "expected a multiple for each dimension of {shape:?}, found {multiples:?}"
        )));
    };
    lower_repeats(operands, sizes)
}

/// The first input in the shape that the second says; dimensions of one element repeat it.
pub(crate) fn lower_broadcast_to(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let wanted = operands.integers(1)?;
    let sizes: Option<Vec<usize>> = wanted.iter().map(|&size| usize::try_from(size).ok()).collect();
    let fits = |sizes: &Vec<usize>| {
        sizes.len() >= shape.len()
            && sizes[sizes.len() - shape.len()..]
                .iter()
                .zip(shape)
                .all(|(&size, &own)| own == size || own == 1)
    };
    let Some(sizes) = sizes.filter(fits) else {
        return Err(operands.invalid(format!(
            "expected a shape that {shape:?} can be repeated to, found {wanted:?}"
        )));
    };
    lower_repeats(operands, sizes)
}

/// The first input in dimensions that are multiples of its own.
fn lower_repeats(operands: &Operands<'_>, sizes: Vec<usize>) -> Result<Lowered, BackendError> {
    checked_element_count(&operands.node.name, &sizes)?;
    let shape = &operands.input(0)?.shape;
    let strides = strides(shape);
    let missing = sizes.len() - shape.len();
    let offsets =
        sizes.iter().enumerate().map(|(dimension, &size)| match dimension.checked_sub(missing) {
            Some(own) => (0..size).map(|index| index % shape[own] * strides[own]).collect(),
            None => vec![0; size],
        });
    let offsets = offsets.collect();
    lower_selection(operands, 0, sizes, offsets)
}

/// The first input backwards along the dimensions in the second.
pub(crate) fn lower_reverse(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let mut offsets: Vec<Vec<usize>> =
        shape.iter().zip(strides(shape)).map(|(&size, stride)| every(size, stride)).collect();
    for axis in operands.integers(1)? {
        offsets[operands.axis(axis, shape.len())?].reverse();
    }
    lower_selection(operands, 0, shape.clone(), offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Masks = Masks { begin: 0, end: 0, ellipsis: 0, new_axis: 0, shrink_axis: 0 };

    fn indices(
        shape: &[usize],
        masks: Masks,
        begin: &[i64],
        end: &[i64],
        strides: &[i64],
    ) -> Vec<(Vec<usize>, bool)> {
        let (parts, _) = strided_parts(shape, masks, begin, end, strides).unwrap();
        parts.into_iter().map(|part| (part.indices, part.is_kept)).collect()
    }

    #[test]
    fn strided_slices_follow_tensorflow() {
        assert_eq!(
            indices(&[5, 4], PLAIN, &[1, -1], &[5, -4], &[2, -2]),
            [(vec![1, 3], true), (vec![3, 1], true)]
        );
        // x[..., ::-1]
        let reverse = Masks { begin: 0b10, end: 0b10, ellipsis: 0b1, ..PLAIN };
        assert_eq!(
            indices(&[1, 2, 3], reverse, &[0, 0], &[0, 0], &[1, -1]),
            [(vec![0], true), (vec![0, 1], true), (vec![2, 1, 0], true)]
        );
        // x[-1, 7:2]
        let last = Masks { shrink_axis: 0b1, ..PLAIN };
        assert_eq!(
            indices(&[3, 4, 2], last, &[-1, 7], &[0, 2], &[1, 1]),
            [(vec![2], false), (vec![], true), (vec![0, 1], true)]
        );
    }

    #[test]
    fn new_dimensions_are_counted_where_they_come() {
        let masks = Masks { new_axis: 0b101, begin: 0b010, end: 0b010, ..PLAIN };
        let (parts, new_axes) =
            strided_parts(&[3], masks, &[0, 0, 0], &[0, 0, 0], &[1, 1, 1]).unwrap();
        assert_eq!(select(&[3], &parts, &new_axes).0, [1, 3, 1]);
    }

    #[test]
    fn misfits_are_refused() {
        assert_eq!(strided_parts(&[3], PLAIN, &[0], &[1], &[0]), None);
        assert_eq!(strided_parts(&[3], PLAIN, &[0, 0], &[1, 1], &[1, 1]), None);
        let shrink = Masks { shrink_axis: 1, ..PLAIN };
        assert_eq!(strided_parts(&[3], shrink, &[3], &[4], &[1]), None);
    }
}
