//! Operators that pick elements: `SLICE`, `STRIDED_SLICE`, `SPLIT`, `UNPACK`, `GATHER`, `TILE`,
//! `REVERSE_V2`, `SELECT` and `MIRROR_PAD`.

use image_embedder_backend::BackendError;
use tract_core::internal::tensor1;
use tract_core::ops::array::{Gather, Slice};
use tract_core::ops::cast::cast;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::logic::Iff;
use tract_core::prelude::{DatumType, OutletId};

use super::layout::margins;
use crate::broadcast::Broadcast;
use crate::graph_builder::Operation;
use crate::model_file::{Kind, MAX_ELEMENTS, checked_volume};
use crate::operation::Combine;

/// Bit masks of a strided slice, see the schema's `StridedSliceOptions`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Masks {
    pub(super) begin: i32,
    pub(super) end: i32,
    pub(super) ellipsis: i32,
    pub(super) new_axis: i32,
    pub(super) shrink_axis: i32,
}

/// The places along a dimension, in the given order.
pub(super) fn take(
    operation: &mut Operation<'_, '_>,
    input: OutletId,
    axis: usize,
    places: &[usize],
) -> Result<OutletId, BackendError> {
    let size = operation.shape(input)?[axis];
    let first = places.first().copied().unwrap_or(0);
    let is_run = places.iter().enumerate().all(|(index, &place)| place == first + index);
    if is_run && places.len() == size {
        return Ok(input);
    }
    if is_run {
        return operation.wire(Slice::new(axis, first, first + places.len()), &[input]);
    }
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    let places = operation.add_constant(tensor1(&places))?;
    operation.wire(Gather::new(axis), &[input, places])
}

/// What a slice does with the dimensions, in order.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// The places along the next dimension of the input.
    Keep(Vec<usize>),
    /// One place along the next dimension of the input, which is dropped.
    Drop(usize),
    /// A new dimension of one element.
    Insert,
}

/// The parts of a strided slice; `None` if the numbers do not fit the shape.
fn strided_parts(
    shape: &[usize],
    masks: Masks,
    begin: &[i64],
    end: &[i64],
    strides: &[i64],
) -> Option<Vec<Part>> {
    let count = begin.len();
    // Masks have a bit for each entry.
    if end.len() != count || strides.len() != count || count > 31 {
        return None;
    }
    let is_set = |mask: i32, entry: usize| mask & (1 << entry) != 0;
    let ellipsis = (0..count).find(|&entry| is_set(masks.ellipsis, entry));
    let consumed = (0..count)
        .filter(|&entry| Some(entry) != ellipsis && !is_set(masks.new_axis, entry))
        .count();
    let spare = shape.len().checked_sub(consumed)?;
    let mut sizes = shape.iter().copied();
    let mut parts = Vec::new();
    for entry in 0..count {
        if Some(entry) == ellipsis {
            parts.extend(sizes.by_ref().take(spare).map(|size| Part::Keep((0..size).collect())));
            continue;
        }
        if is_set(masks.new_axis, entry) {
            parts.push(Part::Insert);
            continue;
        }
        let size = sizes.next()? as i64;
        let step = strides[entry];
        if step == 0 {
            return None;
        }
        let place = |index: i64| if index < 0 { index.saturating_add(size) } else { index };
        if is_set(masks.shrink_axis, entry) {
            let index = place(begin[entry]);
            parts.push(Part::Drop(usize::try_from(index).ok().filter(|_| index < size)?));
            continue;
        }
        let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let (front, back) = if step > 0 { (least, most) } else { (most, least) };
        let bounded = |index: i64| place(index).clamp(least, most.max(least));
        let first = if is_set(masks.begin, entry) { front } else { bounded(begin[entry]) };
        let last = if is_set(masks.end, entry) { back } else { bounded(end[entry]) };
        let mut places = Vec::new();
        let mut index = first;
        while (step > 0 && index < last) || (step < 0 && index > last) {
            // Between the bounds above, so not negative.
            places.push(index as usize);
            index = index.saturating_add(step);
        }
        parts.push(Part::Keep(places));
    }
    parts.extend(sizes.map(|size| Part::Keep((0..size).collect())));
    Some(parts)
}

pub(super) fn translate_strided_slice(
    operation: &mut Operation<'_, '_>,
    masks: Masks,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let (begin, end) = (operation.integers(1)?, operation.integers(2)?);
    let strides = operation.integers(3)?;
    let parts = strided_parts(&input.shape, masks, &begin, &end, &strides).ok_or_else(|| {
        operation.invalid(format!(
            "expected a part of {:?}, found {begin:?} to {end:?} by {strides:?}",
            input.shape
        ))
    })?;
    let mut outlet = input.outlet;
    let mut axis = 0;
    for part in &parts {
        match part {
            Part::Keep(places) => {
                outlet = take(operation, outlet, axis, places)?;
                axis += 1;
            }
            Part::Drop(place) => {
                outlet = take(operation, outlet, axis, &[*place])?;
                outlet = operation.wire(AxisOp::Rm(axis), &[outlet])?;
            }
            Part::Insert => {
                outlet = operation.wire(AxisOp::Add(axis), &[outlet])?;
                axis += 1;
            }
        }
    }
    Ok(outlet)
}

/// The second input says where the slice begins, the third how large it is; -1 stands for the
/// rest.
pub(super) fn translate_slice(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let (begin, sizes) = (operation.integers(1)?, operation.integers(2)?);
    let part = |((&whole, &begin), &size): ((&usize, &i64), &i64)| {
        let begin = usize::try_from(begin).ok()?;
        let end = match size {
            -1 => whole,
            _ => begin.checked_add(usize::try_from(size).ok()?)?,
        };
        (begin <= end && end <= whole).then_some(begin..end)
    };
    let fits = begin.len() == input.shape.len() && sizes.len() == input.shape.len();
    let parts: Option<Vec<std::ops::Range<usize>>> =
        input.shape.iter().zip(&begin).zip(&sizes).map(part).collect();
    let parts = parts.filter(|_| fits).ok_or_else(|| {
        operation
            .invalid(format!("expected a part of {:?}, found {sizes:?} at {begin:?}", input.shape))
    })?;
    let mut outlet = input.outlet;
    for (axis, part) in parts.into_iter().enumerate() {
        outlet = take(operation, outlet, axis, &part.collect::<Vec<usize>>())?;
    }
    Ok(outlet)
}

/// Stretches of an input along an axis, one for each output.
fn stretches(
    operation: &mut Operation<'_, '_>,
    index: usize,
    axis: usize,
    lengths: &[usize],
) -> Result<Vec<OutletId>, BackendError> {
    let input = operation.input(index)?;
    let mut start = 0;
    let mut outlets = Vec::new();
    for (position, length) in lengths.iter().enumerate() {
        operation.check_moves(&input, position)?;
        let places: Vec<usize> = (start..start + length).collect();
        outlets.push(take(operation, input.outlet, axis, &places)?);
        start += length;
    }
    Ok(outlets)
}

/// The axis that constant input `index` names, of input `of`.
fn axis_input(
    operation: &mut Operation<'_, '_>,
    index: usize,
    of: usize,
) -> Result<usize, BackendError> {
    let rank = operation.input(of)?.shape.len();
    match operation.integers(index)?[..] {
        [axis] => operation.axis(axis, rank),
        ref axes => Err(operation.invalid(format!("expected one axis, found {axes:?}"))),
    }
}

/// Equal stretches of the second input along the axis in the first.
pub(super) fn translate_split(
    operation: &mut Operation<'_, '_>,
) -> Result<Vec<OutletId>, BackendError> {
    let axis = axis_input(operation, 0, 1)?;
    let size = operation.input(1)?.shape[axis];
    let count = operation.output_count();
    if size.checked_rem(count) != Some(0) {
        return Err(operation
            .invalid(format!("expected a size in multiples of {count} outputs, found {size}")));
    }
    stretches(operation, 1, axis, &vec![size / count; count])
}

/// Stretches of the first input, as long as the second input says, along the axis in the third.
pub(super) fn translate_split_v(
    operation: &mut Operation<'_, '_>,
) -> Result<Vec<OutletId>, BackendError> {
    let axis = axis_input(operation, 2, 0)?;
    let size = operation.input(0)?.shape[axis];
    let sizes = operation.integers(1)?;
    let count = operation.output_count();
    let known = sizes
        .iter()
        .filter(|&&size| size != -1)
        .try_fold(0usize, |sum, &size| sum.checked_add(usize::try_from(size).ok()?));
    let rest = known.and_then(|known| size.checked_sub(known));
    let open = sizes.iter().filter(|&&size| size == -1).count();
    match rest {
        Some(rest) if sizes.len() == count && (open == 1 || open == 0 && rest == 0) => {
            let lengths: Vec<usize> =
                sizes.iter().map(|&size| usize::try_from(size).unwrap_or(rest)).collect();
            stretches(operation, 0, axis, &lengths)
        }
        _ => {
            Err(operation
                .invalid(format!("expected {count} sizes that make {size}, found {sizes:?}")))
        }
    }
}

/// Each element along an axis on its own.
pub(super) fn translate_unpack(
    operation: &mut Operation<'_, '_>,
    axis: i32,
) -> Result<Vec<OutletId>, BackendError> {
    let shape = operation.input(0)?.shape;
    let axis = operation.axis(axis.into(), shape.len())?;
    let count = operation.output_count();
    if shape[axis] != count {
        return Err(operation.invalid(format!("expected {} outputs, found {count}", shape[axis])));
    }
    let slices = stretches(operation, 0, axis, &vec![1; count])?;
    slices.into_iter().map(|slice| operation.wire(AxisOp::Rm(axis), &[slice])).collect()
}

/// The elements of the first input that the indices in the second name along an axis, both apart
/// for each index of the first `batch_dims` dimensions.
pub(super) fn translate_gather(
    operation: &mut Operation<'_, '_>,
    axis: i32,
    batch_dims: i32,
) -> Result<OutletId, BackendError> {
    let (input, indices) = (operation.input(0)?, operation.input(1)?);
    operation.check_moves(&input, 0)?;
    if indices.kind != Kind::Whole {
        return Err(operation.unsupported_elements());
    }
    let axis = operation.axis(axis.into(), input.shape.len())?;
    let batch = i64::from(batch_dims) + if batch_dims < 0 { indices.shape.len() as i64 } else { 0 };
    let batch = usize::try_from(batch)
        .ok()
        .filter(|&batch| batch <= axis && batch <= indices.shape.len())
        .filter(|&batch| input.shape[..batch] == indices.shape[..batch])
        .ok_or_else(|| {
            operation.invalid(format!(
                "expected {batch_dims} dimensions alike before axis {axis}, found shapes {:?} and \
                 {:?}",
                input.shape, indices.shape
            ))
        })?;
    let size = input.shape[axis];
    let images: usize = input.shape[..batch].iter().product();
    let outer: usize = input.shape[batch..axis].iter().product();
    let run: usize = input.shape[axis + 1..].iter().product();
    let list: usize = indices.shape[batch..].iter().product();
    // One axis of all images, and indices into it.
    let wide = operation.wire(cast(DatumType::I64), &[indices.outlet])?;
    let places = operation.wire(places_in_images(images, list, size), &[wide])?;
    let split = operation.reshape(input.outlet, &[images, outer, size, run])?;
    let turned = operation.wire(AxisOp::Move(2, 1), &[split])?;
    let joined = operation.reshape(turned, &[images * size, outer, run])?;
    let picked = operation.wire(Gather::new(0), &[joined, places])?;
    let split = operation.reshape(picked, &[images, list, outer, run])?;
    let turned = operation.wire(AxisOp::Move(2, 1), &[split])?;
    let shape = [&input.shape[..axis], &indices.shape[batch..], &input.shape[axis + 1..]].concat();
    operation.reshape(turned, &shape)
}

/// Indices below `size` into each of some images as indices into all of them.
fn places_in_images(images: usize, list: usize, size: usize) -> Combine<i64, i64> {
    let size = size as i64;
    Combine::new("Places", vec![images * list], move |inputs: &[&[i64]], places: &mut [i64]| {
        let indices = inputs.iter().copied().flatten();
        for (position, (place, &index)) in places.iter_mut().zip(indices).enumerate() {
            if !(0..size).contains(&index) {
                return Err(format!("expected indices below {size}, found {index}"));
            }
            *place = (position / list.max(1)) as i64 * size + index;
        }
        Ok(())
    })
}

/// Backwards along the axes in the second input.
pub(super) fn translate_reverse(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let mut outlet = input.outlet;
    for axis in operation.integers(1)? {
        let axis = operation.axis(axis, input.shape.len())?;
        let places: Vec<usize> = (0..input.shape[axis]).rev().collect();
        outlet = take(operation, outlet, axis, &places)?;
    }
    Ok(outlet)
}

/// Repeated along each dimension as often as the second input says.
pub(super) fn translate_tile(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let multiples = operation.sizes(1)?;
    let tiled: Option<Vec<usize>> =
        input.shape.iter().zip(&multiples).map(|(size, times)| size.checked_mul(*times)).collect();
    let Some(tiled) = tiled.filter(|_| multiples.len() == input.shape.len()) else {
        return Err(operation.invalid(format!(
            "expected a multiple for each dimension of {:?}, found {multiples:?}",
            input.shape
        )));
    };
    checked_volume("of TILE", &tiled)?;
    let mut outlet = input.outlet;
    for (axis, (&size, &whole)) in input.shape.iter().zip(&tiled).enumerate() {
        let places: Vec<usize> = (0..whole).map(|place| place % size).collect();
        outlet = take(operation, outlet, axis, &places)?;
    }
    Ok(outlet)
}

/// Elements of the second input where the first is true, and of the third elsewhere.
///
/// Without `broadcasts` a list of conditions is for the outermost dimension.
pub(super) fn translate_select(
    operation: &mut Operation<'_, '_>,
    broadcasts: bool,
) -> Result<OutletId, BackendError> {
    let (condition, a, b) = (operation.input(0)?, operation.input(1)?, operation.input(2)?);
    if condition.kind != Kind::Bool {
        return Err(operation.unsupported_elements());
    }
    operation.check_moves(&a, 0)?;
    operation.check_moves(&b, 0)?;
    let mut conditions = condition.shape.clone();
    if !broadcasts && conditions.len() == 1 {
        conditions.resize(a.shape.len().max(1), 1);
    }
    let shape = Broadcast::new(&conditions, &a.shape)
        .and_then(|(shape, _)| Some(Broadcast::new(&shape, &b.shape)?.0));
    let Some(shape) = shape else {
        return Err(operation.invalid(format!(
            "expected shapes that differ in dimensions of 1 only, found {:?}, {:?} and {:?}",
            condition.shape, a.shape, b.shape
        )));
    };
    let mut ranked = |outlet, own: &[usize]| {
        let ones = vec![1; shape.len().saturating_sub(own.len())];
        operation.reshape(outlet, &[&ones[..], own].concat())
    };
    let operands = [
        ranked(condition.outlet, &conditions)?,
        ranked(a.outlet, &a.shape)?,
        ranked(b.outlet, &b.shape)?,
    ];
    operation.wire(Iff, &operands)
}

/// The elements themselves around the tensor, mirrored at the edge; `symmetric` repeats the edge's
/// own.
pub(super) fn translate_mirror_pad(
    operation: &mut Operation<'_, '_>,
    symmetric: bool,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let margins = margins(operation)?;
    let edge = usize::from(!symmetric);
    let mut outlet = input.outlet;
    for (axis, (&size, (before, after))) in input.shape.iter().zip(margins).enumerate() {
        if before.max(after) > size.saturating_sub(edge).min(MAX_ELEMENTS) {
            return Err(operation.invalid(format!(
                "expected margins within {} elements, found {before} and {after}",
                size.saturating_sub(edge)
            )));
        }
        let front = (0..before).map(|index| before - 1 - index + edge);
        let back = (0..after).map(|index| size - 1 - edge - index);
        let places: Vec<usize> = front.chain(0..size).chain(back).collect();
        outlet = take(operation, outlet, axis, &places)?;
    }
    Ok(outlet)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Masks = Masks { begin: 0, end: 0, ellipsis: 0, new_axis: 0, shrink_axis: 0 };

    #[test]
    fn strided_slices_follow_tensorflow() {
        let keep = |places: &[usize]| Part::Keep(places.to_vec());
        assert_eq!(
            strided_parts(&[5, 4], PLAIN, &[1, -1], &[5, -4], &[2, -2]).unwrap(),
            [keep(&[1, 3]), keep(&[3, 1])]
        );
        // x[..., ::-1]
        let reverse = Masks { begin: 0b10, end: 0b10, ellipsis: 0b1, ..PLAIN };
        assert_eq!(
            strided_parts(&[1, 2, 3], reverse, &[0, 0], &[0, 0], &[1, -1]).unwrap(),
            [keep(&[0]), keep(&[0, 1]), keep(&[2, 1, 0])]
        );
        // x[-1, 7:2]
        let last = Masks { shrink_axis: 0b1, ..PLAIN };
        assert_eq!(
            strided_parts(&[3, 4, 2], last, &[-1, 7], &[0, 2], &[1, 1]).unwrap(),
            [Part::Drop(2), keep(&[]), keep(&[0, 1])]
        );
        let inserted = Masks { new_axis: 0b101, begin: 0b010, end: 0b010, ..PLAIN };
        assert_eq!(
            strided_parts(&[3], inserted, &[0; 3], &[0; 3], &[1; 3]).unwrap(),
            [Part::Insert, keep(&[0, 1, 2]), Part::Insert]
        );
    }

    #[test]
    fn misfits_are_refused() {
        assert_eq!(strided_parts(&[3], PLAIN, &[0], &[1], &[0]), None);
        assert_eq!(strided_parts(&[3], PLAIN, &[0, 0], &[1, 1], &[1, 1]), None);
        let shrink = Masks { shrink_axis: 1, ..PLAIN };
        assert_eq!(strided_parts(&[3], shrink, &[3], &[4], &[1]), None);
    }
}
