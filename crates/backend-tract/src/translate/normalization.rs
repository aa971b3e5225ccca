//! `SOFTMAX`, `LOG_SOFTMAX` and `L2_NORMALIZATION` along the last dimension.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;
use tract_core::prelude::OutletId;

use crate::graph_builder::{Operand, Operation};
use crate::model_file::Kind;
use crate::operation::Map;
use crate::steps::{Activation, Steps};

/// What the rows along the last dimension hold.
struct Rows<'a> {
    input: Operand<'a>,
    depth: usize,
    /// How input and output are quantised, if they are bytes.
    steps: Option<[Steps; 2]>,
}

impl<'a> Rows<'a> {
    fn new(operation: &mut Operation<'_, 'a>) -> Result<Self, BackendError> {
        let input = operation.input(0)?;
        let output = operation.output(0)?;
        let Some(&depth) = input.shape.last().filter(|&&depth| depth > 0) else {
            return Err(operation
                .invalid(format!("expected a last dimension, found shape {:?}", input.shape)));
        };
        let steps = match (input.kind, output.kind()) {
            (Kind::Float, Some(Kind::Float)) => None,
            (Kind::Bytes, Some(Kind::Bytes)) if input.tensor.dtype == output.dtype => {
                Some([input.tensor.steps()?, output.steps()?])
            }
            _ => return Err(operation.unsupported_elements()),
        };
        Ok(Self { input, depth, steps })
    }

    /// Adds a function of each row.
    fn wire(
        self,
        operation: &mut Operation<'_, '_>,
        name: &'static str,
        function: impl Fn(&mut [f32]) + Send + Sync + 'static,
    ) -> Result<OutletId, BackendError> {
        let depth = self.depth;
        let rows = Map::new(name, move |values| values.chunks_exact_mut(depth).for_each(&function));
        operation.wire(rows, &[self.input.outlet])
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The exponential of each distance below the largest byte.
fn exponentials(scale: f32) -> Vec<f32> {
    (0..256u16).map(|distance| (-scale * f32::from(distance)).exp()).collect()
}

/// The exponentials of the distances of a row from its largest.
fn powers(values: &mut [f32], table: &[f32]) {
    let largest = largest(values);
    for value in values {
        *value = table[((largest - *value) as usize).min(table.len() - 1)];
    }
}

pub(super) fn translate_softmax(
    operation: &mut Operation<'_, '_>,
    beta: f32,
) -> Result<OutletId, BackendError> {
    let rows = Rows::new(operation)?;
    let Some([input, output]) = rows.steps else {
        return rows.wire(operation, "Softmax", move |values| {
            let largest = largest(values);
            let mut sum = 0.0;
            for value in &mut *values {
                *value = ((*value - largest) * beta).exp();
                sum += *value;
            }
            let factor = 1.0 / sum;
            values.iter_mut().for_each(|value| *value *= factor);
        });
    };
    // Source of the formula: TensorFlow Lite's builtin `Softmax` of 8-bit tensors, which XNNPACK
    // leaves to it; through a table of exponentials.
    let table = exponentials(input.scale * beta);
    let range = output.whole();
    rows.wire(operation, "Softmax", move |values| {
        powers(values, &table);
        let sum = values.iter().fold(0.0f32, |sum, power| sum + power);
        let factor = 1.0 / (sum * output.scale);
        for value in values {
            let scaled = *value * factor;
            let whole = if output.is_signed() {
                scaled.round_ties_even() as i32
            } else {
                (scaled + 0.5) as i32
            };
            *value = range.clamp(whole);
        }
    })
}

/// The logarithm of the softmax.
pub(super) fn translate_log_softmax(
    operation: &mut Operation<'_, '_>,
) -> Result<OutletId, BackendError> {
    let rows = Rows::new(operation)?;
    let Some([input, output]) = rows.steps else {
        return rows.wire(operation, "LogSoftmax", |values| {
            let largest = largest(values);
            let sum: f32 = values.iter().map(|value| (value - largest).exp()).sum();
            let logarithm = sum.ln();
            values.iter_mut().for_each(|value| *value = *value - largest - logarithm);
        });
    };
    // Source of the formula: TensorFlow Lite's builtin `LogSoftmax` of 8-bit tensors.
    let table = exponentials(input.scale);
    let range = output.whole();
    let zero_point = input.zero_point as f32;
    rows.wire(operation, "LogSoftmax", move |values| {
        let largest = largest(values);
        let power = |value: f32| table[((largest - value) as usize).min(table.len() - 1)];
        let sum = values.iter().fold(0.0f32, |sum, &value| sum + power(value));
        let whole = (input.scale * (largest + zero_point) + sum.ln()) / output.scale;
        let factor = input.scale / output.scale;
        for value in values {
            let rounded = (factor * (*value + zero_point) - whole).round_ties_even();
            *value = range.clamp(rounded as i32);
        }
    })
}

/// Rows over their lengths.
pub(super) fn translate_l2(
    operation: &mut Operation<'_, '_>,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    if activation != Activation::None {
        return Err(operation.unsupported("a fused activation"));
    }
    let rows = Rows::new(operation)?;
    let Some([_, output]) = rows.steps else {
        // A length counts as 1e-3 at least. Source of the formula: TensorFlow Lite's builtin
        // `L2Normalization`.
        return rows.wire(operation, "L2Normalization", |values| {
            let square: f32 = values.iter().map(|value| value * value).sum();
            let length = square.sqrt().max(1e-3);
            values.iter_mut().for_each(|value| *value /= length);
        });
    };
    if (output.scale, output.zero_point - output.least) != (1.0 / 128.0, 128) {
        return Err(operation
            .unsupported("an output of bytes that is not of scale 1/128 about the middle byte"));
    }
    // Source of the formula: TensorFlow Lite's builtin `L2Normalization` of 8-bit tensors.
    let range = output.whole();
    rows.wire(operation, "L2Normalization", move |values| {
        let square = values.iter().fold(0i32, |sum, &value| {
            let steps = value as i32;
            sum.wrapping_add(steps * steps)
        });
        let mut inverse = FixedPoint::inverse_square_root(square);
        // The output's scale of 2^-7 is in the shift or in the factor.
        let factor = if output.is_signed() {
            inverse.shift += 7;
            1
        } else {
            128
        };
        for value in values {
            *value = range.clamp(inverse.apply(factor * *value as i32));
        }
    })
}
