//! `QUANTIZE`, `DEQUANTIZE` and `CAST`: between floats and bytes, and between quantisations.

use image_embedder_backend::BackendError;

use crate::graph::{Data, Element};
use crate::kernels::requantize::{
    OutputRange, multiply_by_quantized_multiplier, multiply_half_up, quantize_multiplier,
};
use crate::operator::Activation;
use crate::ops::unary::ByteTable;
use crate::ops::{ELEMENTS, Kernel, Lowered, Operands};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower_quantize(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let place = operands.input_index(0)?;
    if !output.element.is_byte() {
        return Err(operands.unsupported_elements());
    }
    let (scale, zero_point) = output.per_tensor()?;
    let range = OutputRange::new(scale, zero_point, output.element.byte_offset(), Activation::None);
    match input.element {
        Element::Float32 => {
            let kernel = QuantizeFloats { factor: 1.0 / scale, range };
            Ok(Lowered::step(shape, kernel, vec![place]))
        }
        Element::Int8 | Element::UInt8 => {
            let (input_scale, input_zero_point) = input.per_tensor()?;
            if (input_scale, input_zero_point) == (scale, zero_point) {
                // Held zero points are equal: so are all held bytes.
                return Ok(Lowered::alias(shape, place));
            }
            let table = |result: &dyn Fn(i32) -> u8| {
                let mut table = Box::new([0; 256]);
                for (entry, value) in table.iter_mut().zip(0..=255) {
                    *entry = result(value - input_zero_point);
                }
                table
            };
            if input.element == output.element {
                let factor = input_scale / scale;
                let table = table(&|centred| rescale_as_xnnpack(centred, factor, zero_point));
                return Ok(Lowered::step(shape, ByteTable { table }, vec![place]));
            }
            let (multiplier, shift) =
                quantize_multiplier(f64::from(input_scale) / f64::from(scale));
            let kernel = Retype {
                vectors: table(&|centred| {
                    range.clamp(multiply_half_up(centred, multiplier, shift))
                }),
                rest: table(&|centred| {
                    range.clamp(multiply_by_quantized_multiplier(centred, multiplier, shift))
                }),
            };
            Ok(Lowered::step(shape, kernel, vec![place]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

pub(crate) fn lower_dequantize(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    if output.element != Element::Float32 {
        return Err(operands.unsupported_elements());
    }
    match (input.element, &input.data) {
        (Element::Float16, Some(data @ Data::Float32(_))) => {
            Ok(Lowered::constant(shape, data.clone()))
        }
        (Element::Int8 | Element::UInt8, _) => {
            let (scale, zero_point) = input.per_tensor()?;
            let kernel = Dequantize { scale, zero_point };
            Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// The same numbers in another type, whatever the quantisation of either.
pub(crate) fn lower_cast(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let place = operands.input_index(0)?;
    match (input.element, output.element, &input.data) {
        (from, to, _) if from == to => Ok(Lowered::alias(shape, place)),
        (Element::Float16, Element::Float32, Some(data @ Data::Float32(_))) => {
            Ok(Lowered::constant(shape, data.clone()))
        }
        (Element::Int32, Element::Float32, Some(Data::Int32(values))) => {
            let values = values.iter().map(|&value| value as f32).collect();
            Ok(Lowered::constant(shape, Data::Float32(values)))
        }
        (Element::Int64, Element::Float32, Some(Data::Int64(values))) => {
            let values = values.iter().map(|&value| value as f32).collect();
            Ok(Lowered::constant(shape, Data::Float32(values)))
        }
        (Element::Int8 | Element::UInt8, Element::Float32, _) => {
            let kernel = Dequantize { scale: 1.0, zero_point: -input.element.byte_offset() };
            Ok(Lowered::step(shape, kernel, vec![place]))
        }
        (Element::Float32, Element::Int8 | Element::UInt8, _) => {
            let zero = -output.element.byte_offset();
            Ok(Lowered::step(shape, CutFloats { zero }, vec![place]))
        }
        (Element::Int8 | Element::UInt8, Element::Int8 | Element::UInt8, _) => {
            // Both types wrap around, so what is held differs by one bit.
            let mut table = Box::new([0; 256]);
            for (entry, value) in table.iter_mut().zip(0u8..=255) {
                *entry = value ^ 0x80;
            }
            Ok(Lowered::step(shape, ByteTable { table }, vec![place]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// Floats without their fractions, as bytes; those beyond the range saturate.
#[derive(Debug)]
struct CutFloats {
    /// The held byte that stands for 0.
    zero: i32,
}

impl Kernel for CutFloats {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&inputs.float32(0)?[first..], output.bytes()?);
        for (result, &value) in output.iter_mut().zip(input) {
            *result = (value as i32).saturating_add(self.zero).clamp(0, 255) as u8;
        }
        Ok(())
    }
}

/// From one quantisation to another of the same type.
///
/// ```text
/// multiplier = lrint(256 * factor),  result = (zero_point * 256 + 128 + value * multiplier) >> 8
/// ```
///
/// Source of the formula: XNNPACK, `qs8-vcvt`.
fn rescale_as_xnnpack(centred: i32, factor: f32, zero_point: i32) -> u8 {
    let multiplier = (256.0 * factor).round_ties_even() as i32;
    let scaled = (zero_point << 8).wrapping_add(128).wrapping_add(centred.wrapping_mul(multiplier));
    (scaled >> 8).clamp(0, 255) as u8
}

/// From signed to unsigned bytes or back, with another quantisation.
///
/// Source of the formula: TensorFlow Lite's builtin `Requantize`, whose vector code rounds halves
/// up and whose scalar code, which takes what is left of the last sixteen, away from zero.
#[derive(Debug)]
struct Retype {
    /// The result for each held byte, from the least, in whole vectors.
    vectors: Box<[u8; 256]>,
    /// The same behind them.
    rest: Box<[u8; 256]>,
}

impl Kernel for Retype {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        const LANES: usize = 16;
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let in_vectors = input.len() / LANES * LANES;
        for (index, (result, &value)) in output.iter_mut().zip(input).enumerate() {
            let table = if index < in_vectors { &self.vectors } else { &self.rest };
            *result = table[usize::from(value)];
        }
        Ok(())
    }
}

/// From floats to bytes.
#[derive(Debug)]
struct QuantizeFloats {
    factor: f32,
    range: OutputRange,
}

impl Kernel for QuantizeFloats {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&inputs.float32(0)?[first..], output.bytes()?);
        for (result, value) in output.iter_mut().zip(input) {
            *result = self.range.quantize(value * self.factor);
        }
        Ok(())
    }
}

/// From bytes to floats: `scale * (value - zero_point)`.
#[derive(Debug)]
struct Dequantize {
    scale: f32,
    zero_point: i32,
}

impl Kernel for Dequantize {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (&inputs.bytes(0)?[first..], output.float32()?);
        for (result, &value) in output.iter_mut().zip(input) {
            *result = self.scale * (i32::from(value) - self.zero_point) as f32;
        }
        Ok(())
    }
}
