//! `SOFTMAX` and `LOG_SOFTMAX` along the last dimension.

use image_embedder_backend::BackendError;

use crate::kernels::comparison::maximum;
use crate::kernels::elementary::{self, precise};
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower(operands: &Operands<'_>, beta: f32) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let Some(&depth) = shape.last().filter(|&&depth| depth > 0) else {
        return Err(operands.invalid(format!("expected a last dimension, found shape {shape:?}")));
    };
    let values = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatSoftmax { depth, beta }, values));
    }
    if both_bytes(input, output) {
        let (input_scale, _) = input.per_tensor()?;
        let (scale, zero_point) = output.per_tensor()?;
        let kernel = QuantizedSoftmax {
            depth,
            table: exponentials(input_scale * beta),
            scale,
            zero_point: zero_point + output.element.byte_offset(),
            byte_offset: output.element.byte_offset(),
        };
        return Ok(Lowered::step(shape, kernel, values));
    }
    Err(operands.unsupported_elements())
}

/// The softmax of floats, relative to the largest.
#[derive(Debug)]
struct FloatSoftmax {
    depth: usize,
    beta: f32,
}

impl Kernel for FloatSoftmax {
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
            let largest =
                values.iter().copied().fold(f32::NEG_INFINITY, |most, value| maximum(value, most));
            let mut sum = 0.0;
            for (result, value) in results.iter_mut().zip(values) {
                *result = elementary::exp((value - largest) * self.beta);
                sum += *result;
            }
            let factor = 1.0 / sum;
            for result in results {
                *result *= factor;
            }
        }
        Ok(())
    }
}

/// The softmax of bytes through a table of exponentials.
///
/// Source of the formula: TensorFlow Lite's builtin `Softmax` of 8-bit tensors, which XNNPACK
/// leaves to it.
#[derive(Debug)]
struct QuantizedSoftmax {
    depth: usize,
    /// The exponential of each distance from the largest value.
    table: Box<[f32; 256]>,
    scale: f32,
    /// In the model's own type.
    zero_point: i32,
    byte_offset: i32,
}

impl Kernel for QuantizedSoftmax {
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
            let largest = values.iter().copied().max().unwrap_or_default();
            let power = |value: u8| self.table[usize::from(largest.abs_diff(value))];
            let sum: f32 = values.iter().fold(0.0, |sum, &value| sum + power(value));
            let factor = 1.0 / (sum * self.scale);
            let (least, largest) = (self.byte_offset, 255 + self.byte_offset);
            for (result, &value) in results.iter_mut().zip(values) {
                let scaled = power(value) * factor;
                let own = if self.byte_offset != 0 {
                    scaled.round_ties_even() as i32 + self.zero_point
                } else {
                    (scaled + 0.5) as i32 + self.zero_point
                };
                *result = (own.clamp(least, largest) - self.byte_offset) as u8;
            }
        }
        Ok(())
    }
}

/// The logarithm of the softmax.
pub(crate) fn lower_log(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let Some(&depth) = shape.last().filter(|&&depth| depth > 0) else {
        return Err(operands.invalid(format!("expected a last dimension, found shape {shape:?}")));
    };
    let values = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatLogSoftmax { depth }, values));
    }
    if both_bytes(input, output) {
        let (input_scale, _) = input.per_tensor()?;
        let (scale, zero_point) = output.per_tensor()?;
        let kernel = QuantizedLogSoftmax {
            depth,
            table: exponentials(input_scale),
            input_scale,
            scale,
            zero_point,
            byte_offset: output.element.byte_offset(),
        };
        return Ok(Lowered::step(shape, kernel, values));
    }
    Err(operands.unsupported_elements())
}

/// The exponential of each distance below the largest byte.
fn exponentials(scale: f32) -> Box<[f32; 256]> {
    let mut table = Box::new([0.0; 256]);
    for (distance, entry) in table.iter_mut().enumerate() {
        *entry = precise::exp(-scale * distance as f32);
    }
    table
}

/// The logarithm of the softmax of floats, relative to the largest.
#[derive(Debug)]
struct FloatLogSoftmax {
    depth: usize,
}

impl Kernel for FloatLogSoftmax {
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
            let largest =
                values.iter().copied().fold(f32::NEG_INFINITY, |most, value| maximum(value, most));
            let sum: f32 = values.iter().map(|value| elementary::exp(value - largest)).sum();
            let logarithm = elementary::ln(sum);
            for (result, value) in results.iter_mut().zip(values) {
                *result = value - largest - logarithm;
            }
        }
        Ok(())
    }
}

/// The logarithm of the softmax of bytes through a table of exponentials.
///
/// Source of the formula: TensorFlow Lite's builtin `LogSoftmax` of 8-bit tensors.
#[derive(Debug)]
struct QuantizedLogSoftmax {
    depth: usize,
    /// The exponential of each distance from the largest value.
    table: Box<[f32; 256]>,
    input_scale: f32,
    scale: f32,
    /// As it is held.
    zero_point: i32,
    byte_offset: i32,
}

impl Kernel for QuantizedLogSoftmax {
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
        let own = |value: u8| (i32::from(value) + self.byte_offset) as f32;
        let factor = self.input_scale / self.scale;
        for (results, values) in output.chunks_exact_mut(self.depth).zip(rows) {
            let largest = values.iter().copied().max().unwrap_or_default();
            let power = |value: u8| self.table[usize::from(largest.abs_diff(value))];
            let sum: f32 = values.iter().fold(0.0, |sum, &value| sum + power(value));
            let whole = (self.input_scale * own(largest) + elementary::ln(sum)) / self.scale;
            for (result, &value) in results.iter_mut().zip(values) {
                let rounded = (factor * own(value) - whole).round_ties_even() as i32;
                *result = rounded.saturating_add(self.zero_point).clamp(0, 255) as u8;
            }
        }
        Ok(())
    }
}
