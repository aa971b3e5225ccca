//! `QUANTIZE`, `DEQUANTIZE` and `CAST`: between floats and bytes, and between quantisations.

use image_embedder_backend::{BackendError, DType};
use image_embedder_fixed_point::FixedPoint;
use tract_core::ops::cast::cast;
use tract_core::prelude::{DatumType, OutletId};

use super::unary::by_table;
use crate::graph_builder::{Operation, held_type};
use crate::model_file::Kind;
use crate::operation::Map;
use crate::steps::Steps;

pub(super) fn translate_quantize(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    if output.kind() != Some(Kind::Bytes) {
        return Err(operation.unsupported_elements());
    }
    let output_steps = output.steps()?;
    let range = output_steps.whole();
    match input.kind {
        Kind::Float => {
            let factor = 1.0 / output_steps.scale;
            let quantize = Map::each("Quantize", move |value| range.round(value * factor));
            operation.wire(quantize, &[input.outlet])
        }
        Kind::Bytes => {
            let input_steps = input.tensor.steps()?;
            if same_steps(input_steps, output_steps) {
                return Ok(input.outlet);
            }
            if input.tensor.dtype == output.dtype {
                let factor = input_steps.scale / output_steps.scale;
                let zero_point = output_steps.zero_point;
                let entries = input_steps
                    .all()
                    .map(|steps| range.clamp(rescale_as_xnnpack(steps, factor, zero_point)))
                    .collect();
                return operation.wire(by_table(input_steps, entries), &[input.outlet]);
            }
            retype(operation, input.outlet, input_steps, output_steps)
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// Whether bytes of both count the same steps over the same range.
fn same_steps(a: Steps, b: Steps) -> bool {
    a.scale == b.scale && a.zero_point - a.least == b.zero_point - b.least
}

/// From one quantisation to another of the same type.
///
/// ```text
/// multiplier = lrint(256 * factor),  result = (zero_point * 256 + 128 + steps * multiplier) >> 8
/// ```
///
/// Source of the formula: XNNPACK, `qs8-vcvt`.
fn rescale_as_xnnpack(steps: i32, factor: f32, zero_point: i32) -> i32 {
    let multiplier = (256.0 * factor).round_ties_even() as i32;
    let scaled = (zero_point << 8).wrapping_add(128).wrapping_add(steps.wrapping_mul(multiplier));
    (scaled >> 8) - zero_point
}

/// From signed to unsigned bytes or back, with another quantisation.
///
/// Source of the formula: TensorFlow Lite's builtin `Requantize`, whose vector code rounds halves
/// up and whose scalar code, which takes what is left of the last sixteen, away from zero.
fn retype(
    operation: &mut Operation<'_, '_>,
    input: OutletId,
    from: Steps,
    to: Steps,
) -> Result<OutletId, BackendError> {
    const LANES: usize = 16;
    let factor = FixedPoint::new(f64::from(from.scale) / f64::from(to.scale));
    let range = to.whole();
    let retype = Map::new("Requantize", move |values| {
        let in_vectors = values.len() / LANES * LANES;
        let (vectors, rest) = values.split_at_mut(in_vectors);
        for value in vectors {
            *value = range.clamp(factor.apply_half_up(*value as i32));
        }
        for value in rest {
            *value = range.clamp(factor.apply(*value as i32));
        }
    });
    operation.wire(retype, &[input])
}

/// ```text
/// result = scale * steps
/// ```
pub(super) fn translate_dequantize(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    if operation.output(0)?.dtype != Some(DType::Float32) {
        return Err(operation.unsupported_elements());
    }
    match input.kind {
        Kind::Float => Ok(input.outlet),
        Kind::Bytes => {
            let scale = input.tensor.steps()?.scale;
            operation.wire(Map::each("Dequantize", move |steps| scale * steps), &[input.outlet])
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// The same numbers in another type, whatever the quantisation of either.
///
/// Floats lose their fractions and saturate; whole numbers wrap around.
pub(super) fn translate_cast(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    let (Some(kind), Some(held)) = (output.kind(), held_type(output)) else {
        return Err(operation.unsupported_elements());
    };
    // The numbers themselves instead of steps.
    let own = match input.kind {
        Kind::Bytes => {
            let zero_point = input.tensor.zero_point() as f32;
            operation
                .wire(Map::each("Release", move |steps| steps + zero_point), &[input.outlet])?
        }
        _ => input.outlet,
    };
    if kind != Kind::Bytes {
        return operation.wire(cast(held), &[own]);
    }
    let whole = match input.kind {
        Kind::Bytes => operation.wire(cast(DatumType::I32), &[own])?,
        _ => own,
    };
    let narrow = if output.least() == 0 { DatumType::U8 } else { DatumType::I8 };
    let bytes = operation.wire(cast(narrow), &[whole])?;
    operation.hold(output, bytes)
}
