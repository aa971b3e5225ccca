//! `QUANTIZE`, `DEQUANTIZE` and `CAST`: between floats and bytes, and between quantisations.

use image_embedder_backend::{BackendError, f16};
use image_embedder_fixed_point::FixedPoint;

use crate::graph::{Element, Holder};
use crate::kernels::requantize::OutputRange;
use crate::operator::Activation;
use crate::ops::elements::Each;
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
            let factor = FixedPoint::new(f64::from(input_scale) / f64::from(scale));
            let kernel = Retype {
                vectors: table(&|centred| range.clamp(factor.apply_half_up(centred))),
                rest: table(&|centred| range.clamp(factor.apply(centred))),
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
    match input.element {
        // Held alike.
        Element::Float16 => Ok(Lowered::alias(shape, operands.input_index(0)?)),
        Element::Int8 | Element::UInt8 => {
            let (scale, zero_point) = input.per_tensor()?;
            let kernel = Dequantize { scale, zero_point };
            Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// The same numbers in another type, whatever the quantisation of either.
///
/// Fractions are cut off; floats beyond a type of whole numbers saturate, and whole numbers wrap
/// around.
pub(crate) fn lower_cast(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let (from, to) = (input.element, output.element);
    let shape = input.shape.clone();
    let place = operands.input_index(0)?;
    let (Some(held_from), Some(held_to)) = (from.holder(), to.holder()) else {
        return Err(operands.unsupported_elements());
    };
    if from == to || (from, to) == (Element::Float16, Element::Float32) {
        return Ok(Lowered::alias(shape, place));
    }
    let places = vec![place];
    let (offset, zero) = (i64::from(from.byte_offset()), i64::from(-to.byte_offset()));
    let own = move |byte: u8| i64::from(byte) + offset;
    Ok(match (held_from, held_to) {
        // The wider type into the narrower.
        (Holder::Float32, Holder::Float32) => {
            let kernel = Each::new(|value: f32| f16::from_f32(value).to_f32());
            Lowered::step(shape, kernel, places)
        }
        (Holder::Float32, Holder::Bytes) if to == Element::Bool => {
            Lowered::step(shape, Each::new(|value: f32| u8::from(value != 0.0)), places)
        }
        (Holder::Float32, Holder::Bytes) => {
            let kernel = Each::new(move |value: f32| {
                (value as i64).saturating_add(zero).clamp(0, 255) as u8
            });
            Lowered::step(shape, kernel, places)
        }
        (Holder::Float32, Holder::Integers) if to == Element::Int32 => {
            Lowered::step(shape, Each::new(|value: f32| i64::from(value as i32)), places)
        }
        (Holder::Float32, Holder::Integers) => {
            Lowered::step(shape, Each::new(|value: f32| value as i64), places)
        }
        (Holder::Bytes, Holder::Float32) => {
            Lowered::step(shape, Each::new(move |byte: u8| own(byte) as f32), places)
        }
        (Holder::Bytes, Holder::Bytes) if to == Element::Bool => {
            Lowered::step(shape, Each::new(move |byte: u8| u8::from(own(byte) != 0)), places)
        }
        (Holder::Bytes, Holder::Bytes) => {
            Lowered::step(shape, Each::new(move |byte: u8| (own(byte) + zero) as u8), places)
        }
        (Holder::Bytes, Holder::Integers) => Lowered::step(shape, Each::new(own), places),
        (Holder::Integers, Holder::Float32) if to == Element::Float16 => {
            let kernel = Each::new(|value: i64| f16::from_f32(value as f32).to_f32());
            Lowered::step(shape, kernel, places)
        }
        (Holder::Integers, Holder::Float32) => {
            Lowered::step(shape, Each::new(|value: i64| value as f32), places)
        }
        (Holder::Integers, Holder::Bytes) if to == Element::Bool => {
            Lowered::step(shape, Each::new(|value: i64| u8::from(value != 0)), places)
        }
        (Holder::Integers, Holder::Bytes) => {
            let kernel = Each::new(move |value: i64| value.wrapping_add(zero) as u8);
            Lowered::step(shape, kernel, places)
        }
        (Holder::Integers, Holder::Integers) if to == Element::Int64 => {
            Lowered::alias(shape, place)
        }
        (Holder::Integers, Holder::Integers) => {
            Lowered::step(shape, Each::new(|value: i64| i64::from(value as i32)), places)
        }
    })
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
