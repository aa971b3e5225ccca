//! `MEAN`, `SUM` and the other functions of all elements along some dimensions; `ARG_MAX` and
//! `ARG_MIN`.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;
use tract_core::internal::tvec;
use tract_core::ops::cast::cast;
use tract_core::ops::nn::{Reduce, Reducer};
use tract_core::prelude::{DatumType, OutletId};

use crate::graph_builder::{Operation, held_type};
use crate::model_file::Kind;
use crate::operation::{Combine, Map};
use crate::steps::Steps;

/// A function of all elements along some dimensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reduction {
    Max,
    Mean,
    Min,
    Prod,
    Sum,
}

impl Reduction {
    /// What tract does with the elements.
    fn reducer(self) -> Reducer {
        match self {
            Self::Max => Reducer::Max,
            Self::Min => Reducer::Min,
            Self::Prod => Reducer::Prod,
            Self::Mean | Self::Sum => Reducer::Sum,
        }
    }
}

pub(super) fn translate(
    operation: &mut Operation<'_, '_>,
    function: Reduction,
    keep_dims: bool,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    let rank = input.shape.len();
    let axes = operation.integers(1)?;
    let mut is_reduced = vec![false; rank];
    for &axis in &axes {
        is_reduced[operation.axis(axis, rank)?] = true;
    }
    if input.volume() == 0 {
        return Err(operation.unsupported("an input without elements"));
    }
    let reduced = (0..rank).filter(|&axis| is_reduced[axis]);
    let count: usize = reduced.clone().map(|axis| input.shape[axis]).product();
    let results = match (input.kind, count) {
        (Kind::Whole, _) => {
            let wide = operation.wire(cast(DatumType::I64), &[input.outlet])?;
            operation.wire(whole_reduction(&input.shape, &is_reduced, function), &[wide])?
        }
        (_, 1) => input.outlet,
        _ => operation.wire(Reduce::new(reduced.collect(), function.reducer()), &[input.outlet])?,
    };
    let finished = match (input.kind, output.kind()) {
        (Kind::Float, Some(Kind::Float)) if function == Reduction::Mean => {
            let factor = 1.0 / count as f32;
            operation.wire(Map::each("Mean", move |sum| sum * factor), &[results])?
        }
        (Kind::Float, Some(Kind::Float)) => results,
        (Kind::Whole, Some(Kind::Whole)) if input.tensor.dtype == output.dtype => {
            let narrow = held_type(output).ok_or_else(|| operation.unsupported_elements())?;
            operation.wire(cast(narrow), &[results])?
        }
        (Kind::Bytes, Some(Kind::Bytes)) if input.tensor.dtype == output.dtype => match function {
            Reduction::Max | Reduction::Min => {
                operation.check_moves(&input, 0)?;
                results
            }
            Reduction::Prod => return Err(operation.unsupported_elements()),
            Reduction::Mean | Reduction::Sum => {
                // XNNPACK has the mean over the height and width of images, or the width alone, and
                // leaves axes that are counted from the last to TensorFlow Lite.
                let is_image_mean = function == Reduction::Mean
                    && axes.iter().all(|&axis| axis >= 0)
                    && (is_reduced == [false, true, true, false]
                        || is_reduced == [false, false, true, false]);
                let (from, to) = (input.tensor.steps()?, output.steps()?);
                let finish = finish_bytes(from, to, function, is_image_mean, count)
                    .ok_or_else(|| operation.unsupported(format!("{count} elements")))?;
                operation.wire(finish, &[results])?
            }
        },
        _ => return Err(operation.unsupported_elements()),
    };
    let kept = |axis: &usize| keep_dims || !is_reduced[*axis];
    let size = |axis: usize| if is_reduced[axis] { 1 } else { input.shape[axis] };
    let shape: Vec<usize> = (0..rank).filter(kept).map(size).collect();
    operation.reshape(finished, &shape)
}

/// A reduction of whole numbers in 64 bits, which wraps around where tract's own ends; means are cut
/// off.
fn whole_reduction(shape: &[usize], is_reduced: &[bool], function: Reduction) -> Combine<i64, i64> {
    let result: Vec<usize> =
        shape.iter().zip(is_reduced).map(|(&size, &gone)| if gone { 1 } else { size }).collect();
    // The result of each element: its place in the shape without the dimensions that go.
    let places: Vec<usize> = (0..shape.iter().product())
        .map(|element: usize| {
            let (mut rest, mut place, mut step) = (element, 0, 1);
            for (&size, &gone) in shape.iter().zip(is_reduced).rev() {
                if !gone {
                    place += rest % size * step;
                    step *= size;
                }
                rest /= size;
            }
            place
        })
        .collect();
    let (start, combine): (i64, fn(i64, i64) -> i64) = match function {
        Reduction::Max => (i64::MIN, i64::max),
        Reduction::Min => (i64::MAX, i64::min),
        Reduction::Prod => (1, i64::wrapping_mul),
        Reduction::Mean | Reduction::Sum => (0, i64::wrapping_add),
    };
    Combine::new("Reduce", result, move |inputs: &[&[i64]], results: &mut [i64]| {
        results.fill(start);
        for (&place, &value) in places.iter().zip(inputs.iter().copied().flatten()) {
            results[place] = combine(results[place], value);
        }
        if function == Reduction::Mean {
            let count = (places.len() / results.len()) as i64;
            results.iter_mut().for_each(|result| *result /= count);
        }
        Ok(())
    })
}

/// How sums of steps become steps of the output.
fn finish_bytes(
    input: Steps,
    output: Steps,
    function: Reduction,
    is_image_mean: bool,
    count: usize,
) -> Option<Map> {
    // Sums of bytes stay within 32 bits.
    let count = i32::try_from(count).ok().filter(|count| count.checked_mul(256).is_some())?;
    let range = output.whole();
    if is_image_mean {
        // Source of the formula: XNNPACK, quantised global average pooling.
        let scale = input.scale / (output.scale * count as f32);
        return Some(Map::each("Mean", move |sum| range.round(sum * scale)));
    }
    if function == Reduction::Mean {
        // The fixed-point multiplier stands for `input_scale / (output_scale * count)`. Source of
        // the formula: TensorFlow Lite's builtin `Mean`.
        let FixedPoint { multiplier, shift } =
            FixedPoint::new(f64::from(input.scale) / f64::from(output.scale));
        // As many bits as the count has are kept for the division.
        let bits = (31 - count.leading_zeros().cast_signed()).min(31 + shift).max(0);
        let divided = (i64::from(multiplier) << bits) / i64::from(count);
        let factor = FixedPoint { multiplier: i32::try_from(divided).ok()?, shift: shift - bits };
        return Some(Map::each("Mean", move |sum| range.clamp(factor.apply(sum as i32))));
    }
    // ```text
    // scale = input_scale / output_scale
    // sum = round(sum * scale - input_zero * scale * count) + output_zero
    // ```
    //
    // Source of the formula: TensorFlow Lite's builtin `Sum`, which sums bytes, not steps.
    let scale = input.scale / output.scale;
    let zero_point = input.zero_point as f32;
    let bias = -zero_point * scale * count as f32;
    let own = (count * input.zero_point) as f32;
    Some(Map::each("Sum", move |sum| range.clamp(((sum + own) * scale + bias).round() as i32)))
}

/// The place of the largest or the least element along the axis in the second input; of equal
/// elements the first counts.
pub(super) fn translate_arg_extreme(
    operation: &mut Operation<'_, '_>,
    is_maximum: bool,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    let axis = match operation.integers(1)?[..] {
        [axis] => operation.axis(axis, input.shape.len())?,
        ref axes => return Err(operation.invalid(format!("expected one axis, found {axes:?}"))),
    };
    let narrow = held_type(output).filter(|_| output.kind() == Some(Kind::Whole));
    let (Some(narrow), true) = (narrow, input.kind != Kind::Bool) else {
        return Err(operation.unsupported_elements());
    };
    let mut shape = input.shape;
    if shape.remove(axis) == 0 {
        return Err(operation.invalid(format!("expected elements along axis {axis}, found none")));
    }
    let reducer = if is_maximum { Reducer::ArgMax(false) } else { Reducer::ArgMin(false) };
    let places = operation.wire(Reduce::new(tvec!(axis), reducer), &[input.outlet])?;
    let places = operation.wire(cast(narrow), &[places])?;
    operation.reshape(places, &shape)
}
