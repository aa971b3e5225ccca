//! `L2_NORMALIZATION` along the last dimension.

use image_embedder_backend::BackendError;

use crate::graph::Element;
use crate::kernels::requantize::multiply_by_quantized_multiplier;
use crate::operator::Activation;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower_l2(
    operands: &Operands<'_>,
    activation: Activation,
) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let Some(&depth) = shape.last().filter(|&&depth| depth > 0) else {
        return Err(operands.invalid(format!("expected a last dimension, found shape {shape:?}")));
    };
    if activation != Activation::None {
        return Err(operands.unsupported("a fused activation"));
    }
    let places = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatL2 { depth }, places));
    }
    if both_bytes(input, output) {
        let (_, zero_point) = input.per_tensor()?;
        if output.per_tensor()? != (1.0 / 128.0, 128) || i32::try_from(depth).is_err() {
            return Err(operands.unsupported(
                "an output of bytes that is not of scale 1/128 about the middle byte",
            ));
        }
        return Ok(Lowered::step(
            shape,
            ByteL2 { depth, zero_point, is_signed: input.element == Element::Int8 },
            places,
        ));
    }
    Err(operands.unsupported_elements())
}

/// Rows of floats over their lengths, which count as 1e-3 at least.
///
/// Source of the formula: TensorFlow Lite's builtin `L2Normalization`.
#[derive(Debug)]
struct FloatL2 {
    depth: usize,
}

impl Kernel for FloatL2 {
    fn grain(&self) -> Option<usize> {
        Some(self.depth)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&inputs.float32(0)?[first..], output.float32()?);
        let rows = input.chunks_exact(self.depth);
        for (results, values) in output.chunks_exact_mut(self.depth).zip(rows) {
            let square: f32 = values.iter().map(|value| value * value).sum();
            let length = square.sqrt().max(1e-3);
            for (result, value) in results.iter_mut().zip(values) {
                *result = value / length;
            }
        }
        Ok(())
    }
}

/// Rows of bytes over their lengths, in fixed point.
///
/// Source of the formula: TensorFlow Lite's builtin `L2Normalization` of 8-bit tensors.
#[derive(Debug)]
struct ByteL2 {
    depth: usize,
    zero_point: i32,
    is_signed: bool,
}

impl Kernel for ByteL2 {
    fn grain(&self) -> Option<usize> {
        Some(self.depth)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&inputs.bytes(0)?[first..], output.bytes()?);
        let rows = input.chunks_exact(self.depth);
        for (results, values) in output.chunks_exact_mut(self.depth).zip(rows) {
            let centred = |value: u8| i32::from(value) - self.zero_point;
            let square = values
                .iter()
                .fold(0i32, |sum, &value| sum.wrapping_add(centred(value) * centred(value)));
            let (multiplier, shift) = inverse_square_root(square);
            // The output's scale of 2^-7 is in the shift or in the factor.
            let (factor, shift) = if self.is_signed { (1, shift + 7) } else { (128, shift) };
            for (result, &value) in results.iter_mut().zip(values) {
                let scaled =
                    multiply_by_quantized_multiplier(factor * centred(value), multiplier, shift);
                *result = (128 + scaled).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}

/// The fixed-point multiplier of the inverse square root of a whole number, by Newton's method.
///
/// Source of the formula: TensorFlow Lite, `GetInvSqrtQuantizedMultiplierExp`.
pub(super) fn inverse_square_root(mut input: i32) -> (i32, i32) {
    if input <= 1 {
        return (i32::MAX, 0);
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
    if shift < 0 { (multiplier << -shift, 0) } else { (multiplier, -shift) }
}

/// Twice the product's upper half, rounded.
pub(super) fn rounding_high_product(a: i32, b: i32) -> i32 {
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
            let (multiplier, shift) = inverse_square_root(value);
            let found = f64::from(multiplier) / 2f64.powi(31) * 2f64.powi(shift);
            let expected = 1.0 / f64::from(value).sqrt();
            assert!((found / expected - 1.0).abs() < 1e-5, "{value}: {found}, {expected}");
        }
    }
}
