//! `L2_NORMALIZATION` along the last dimension.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::graph::Element;
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
            let inverse = FixedPoint::inverse_square_root(square);
            // The output's scale of 2^-7 is in the shift or in the factor.
            let (factor, inverse) =
                if self.is_signed { (1, inverse.shifted(7)) } else { (128, inverse) };
            for (result, &value) in results.iter_mut().zip(values) {
                let scaled = inverse.apply(factor * centred(value));
                *result = (128 + scaled).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}
