//! `SOFTMAX`, `LOG_SOFTMAX` and `L2_NORMALIZATION` along the last dimension.

use image_embedder_backend::BackendError;
use tract_core::prelude::OutletId;

use crate::graph_builder::{Operand, Operation};
use crate::model_file::Kind;
use crate::operation::Map;
use crate::steps::{Activation, FixedPoint, Steps};

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
        let mut inverse = inverse_square_root(square);
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

/// The fixed-point multiplier of the inverse square root of a whole number, by Newton's method.
///
/// Source of the formula: TensorFlow Lite, `GetInvSqrtQuantizedMultiplierExp`.
fn inverse_square_root(mut input: i32) -> FixedPoint {
    if input <= 1 {
        return FixedPoint { multiplier: i32::MAX, shift: 0 };
    }
    // To between 2^27 and 2^29 by powers of four.
    let mut shift = 11;
    while input >= 1 << 29 {
        input /= 4;
        shift += 1;
    }
    let left = (input.leading_zeros().cast_signed() - 1) / 2 - 1;
    shift -= left;
    input <<= 2 * left;
    // In units of 2^-28: three integer bits.
    let half = rounding_shift_right(input >> 1, 1);
    let half_three = (1 << 28) + (1 << 27);
    let mut estimate: i32 = 1 << 28;
    for _ in 0..5 {
        let square = rounding_high_product(estimate, estimate);
        // Products of such numbers are in units of 2^-25.
        let cube = saturating_shift_left(rounding_high_product(square, estimate), 6);
        let next = rounding_high_product(half_three, estimate)
            .wrapping_sub(rounding_high_product(half, cube));
        estimate = saturating_shift_left(next, 3);
    }
    // The root of one half in units of 2^-31.
    let half_root = 1_518_500_250;
    let multiplier = rounding_high_product(estimate, half_root);
    if shift < 0 {
        FixedPoint { multiplier: multiplier << -shift, shift: 0 }
    } else {
        FixedPoint { multiplier, shift: -shift }
    }
}

/// Twice the product's upper half, rounded.
fn rounding_high_product(a: i32, b: i32) -> i32 {
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

fn rounding_shift_right(value: i32, bits: u32) -> i32 {
    let mask = (1 << bits) - 1;
    let threshold = (mask >> 1) + i32::from(value < 0);
    (value >> bits) + i32::from(value & mask > threshold)
}

fn saturating_shift_left(value: i32, bits: u32) -> i32 {
    (i64::from(value) << bits).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_square_roots_are_near() {
        for value in [2, 3, 10, 1000, 123_456, 1 << 30] {
            let FixedPoint { multiplier, shift } = inverse_square_root(value);
            let found = f64::from(multiplier) / 2f64.powi(31) * 2f64.powi(shift);
            let expected = 1.0 / f64::from(value).sqrt();
            assert!((found / expected - 1.0).abs() < 1e-5, "{value}: {found}, {expected}");
        }
    }
}
