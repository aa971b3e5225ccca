//! Functions of two elements, such as `ADD` and `MUL`, over shapes that may differ in dimensions
//! of one element; and `PRELU`.

use image_embedder_backend::BackendError;

use crate::kernels::add_bytes::AddBytes;
use crate::kernels::comparison::{clamp, maximum, minimum};
use crate::kernels::elementary;
use crate::kernels::requantize::{
    OutputRange, multiply_by_quantized_multiplier, quantize_multiplier,
};
use crate::operator::{Activation, Binary};
use crate::ops::broadcast::Broadcast;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower(
    operands: &Operands<'_>,
    function: Binary,
    activation: Activation,
) -> Result<Lowered, BackendError> {
    let (a, b, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let (shape, broadcast) = common_shape(operands)?;
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    if both_float32(a, b) && both_float32(b, output) {
        let kernel = FloatBinary { function, range: activation.range(), broadcast };
        return Ok(Lowered::step(shape, kernel, places));
    }
    if !(both_bytes(a, b) && both_bytes(b, output)) {
        return Err(operands.unsupported_elements());
    }
    if let Binary::Maximum | Binary::Minimum = function {
        let kernel = ByteExtreme { is_maximum: function == Binary::Maximum, broadcast };
        return Ok(Lowered::step(shape, kernel, places));
    }
    let (a_scale, a_zero_point) = a.per_tensor()?;
    let (b_scale, b_zero_point) = b.per_tensor()?;
    let (scale, zero_point) = output.per_tensor()?;
    let range = OutputRange::new(scale, zero_point, output.element.byte_offset(), activation);
    let unsupported_scales =
        || operands.unsupported(format!("scales {a_scale} and {b_scale} to {scale}"));
    match function {
        Binary::Add | Binary::Sub => {
            let is_difference = function == Binary::Sub;
            let a_term = (a_scale / scale, a_zero_point);
            let b_term =
                (b_scale / scale, if is_difference { 255 - b_zero_point } else { b_zero_point });
            match AddBytes::new(operands.isa, a_term, b_term, range) {
                Some(sum) => {
                    let kernel = ByteSum { sum, is_difference, broadcast };
                    Ok(Lowered::step(shape, kernel, places))
                }
                None => {
                    let sum = ShiftedSum::new(
                        (a_scale, a_zero_point),
                        (b_scale, b_zero_point),
                        if is_difference { -1 } else { 1 },
                        scale,
                        range,
                    );
                    Ok(Lowered::step(shape, ByteShiftedSum { sum, broadcast }, places))
                }
            }
        }
        Binary::Mul => {
            let factor = a_scale * b_scale / scale;
            let multiplier = (!(2f32.powi(-16)..2f32.powi(8)).contains(&factor)).then(|| {
                quantize_multiplier(f64::from(a_scale) * f64::from(b_scale) / f64::from(scale))
            });
            let kernel = ByteProduct {
                zero_points: [a_zero_point, b_zero_point],
                factor,
                multiplier,
                range,
                broadcast,
            };
            Ok(Lowered::step(shape, kernel, places))
        }
        Binary::SquaredDifference => {
            let kernel = ByteSquaredDifference::new(
                (a_scale, a_zero_point),
                (b_scale, b_zero_point),
                scale,
                range,
                broadcast,
            )
            .ok_or_else(unsupported_scales)?;
            Ok(Lowered::step(shape, kernel, places))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

fn common_shape(operands: &Operands<'_>) -> Result<(Vec<usize>, Broadcast), BackendError> {
    let (a, b) = (operands.input(0)?, operands.input(1)?);
    Broadcast::new(&a.shape, &b.shape).ok_or_else(|| {
        operands.invalid(format!(
            "expected shapes that differ in dimensions of 1 only, found {:?} and {:?}",
            a.shape, b.shape
        ))
    })
}

/// A function of floats.
#[derive(Debug)]
struct FloatBinary {
    function: Binary,
    range: (f32, f32),
    broadcast: Broadcast,
}

impl Kernel for FloatBinary {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.float32(0)?, inputs.float32(1)?);
        let output = (output.first(), output.float32()?);
        let clamp = |value: f32| clamp(value, self.range);
        let broadcast = &self.broadcast;
        match self.function {
            Binary::Add => broadcast.run(a, b, output, |a, b| clamp(a + b)),
            Binary::Div => broadcast.run(a, b, output, |a, b| clamp(a / b)),
            Binary::FloorDiv => broadcast.run(a, b, output, |a: f32, b: f32| (a / b).floor()),
            Binary::Maximum => broadcast.run(a, b, output, maximum),
            Binary::Minimum => broadcast.run(a, b, output, minimum),
            Binary::Mul => broadcast.run(a, b, output, |a, b| clamp(a * b)),
            Binary::Pow => broadcast.run(a, b, output, elementary::pow),
            Binary::SquaredDifference => broadcast.run(a, b, output, |a: f32, b: f32| {
                let difference = a - b;
                difference * difference
            }),
            Binary::Sub => broadcast.run(a, b, output, |a, b| clamp(a - b)),
        }
        Ok(())
    }
}

/// The larger or the smaller of bytes, whatever their quantisation.
#[derive(Debug)]
struct ByteExtreme {
    is_maximum: bool,
    broadcast: Broadcast,
}

impl Kernel for ByteExtreme {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        if self.is_maximum {
            self.broadcast.run(a, b, output, u8::max);
        } else {
            self.broadcast.run(a, b, output, u8::min);
        }
        Ok(())
    }
}

/// A sum or difference of bytes in XNNPACK's fixed point.
#[derive(Debug)]
struct ByteSum {
    /// For a difference: with the second operand's bytes, and its zero point, taken from 255,
    /// which turns the sign of what they stand for.
    sum: AddBytes,
    is_difference: bool,
    broadcast: Broadcast,
}

impl ByteSum {
    fn add(&self, a: &[u8], b: &[u8], results: &mut [u8]) {
        const CHUNK: usize = 256;
        let len = results.len();
        if a.len() == len && b.len() == len && !self.is_difference {
            self.sum.add(a, b, results);
            return;
        }
        let (mut a_chunk, mut b_chunk) = ([0; CHUNK], [0; CHUNK]);
        for (index, results) in results.chunks_mut(CHUNK).enumerate() {
            let fill = |chunk: &mut [u8], operand: &[u8]| {
                if operand.len() == len {
                    chunk.copy_from_slice(&operand[index * CHUNK..][..chunk.len()]);
                } else {
                    chunk.fill(operand[0]);
                }
            };
            let (a_chunk, b_chunk) = (&mut a_chunk[..results.len()], &mut b_chunk[..results.len()]);
            fill(a_chunk, a);
            fill(b_chunk, b);
            if self.is_difference {
                for byte in &mut *b_chunk {
                    *byte = 255 - *byte;
                }
            }
            self.sum.add(a_chunk, b_chunk, results);
        }
    }
}

impl Kernel for ByteSum {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        self.broadcast.for_each_run(a, b, output, |a, b, results| self.add(a, b, results));
        Ok(())
    }
}

/// A sum or difference of bytes in TensorFlow Lite's own fixed point, for scales that XNNPACK
/// does not take.
///
/// ```text
/// twice = 2 * max(a_scale, b_scale)
/// sum = ((a - a_zero) * 2^20 * (a_scale / twice) +- (b - b_zero) * 2^20 * (b_scale / twice))
///     * (twice / (2^20 * output_scale))
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin `Add` and `Sub` of 8-bit tensors.
#[derive(Clone, Copy, Debug)]
struct ShiftedSum {
    zero_points: [i32; 2],
    multipliers: [(i32, i32); 2],
    sign: i32,
    output_multiplier: (i32, i32),
    range: OutputRange,
}

impl ShiftedSum {
    const SHIFT: u32 = 20;

    fn new(
        (a_scale, a_zero): (f32, i32),
        (b_scale, b_zero): (f32, i32),
        sign: i32,
        scale: f32,
        range: OutputRange,
    ) -> Self {
        let twice = 2.0 * f64::from(a_scale.max(b_scale));
        let unit = f64::from(1 << Self::SHIFT);
        Self {
            zero_points: [a_zero, b_zero],
            multipliers: [
                quantize_multiplier(f64::from(a_scale) / twice),
                quantize_multiplier(f64::from(b_scale) / twice),
            ],
            sign,
            output_multiplier: quantize_multiplier(twice / (unit * f64::from(scale))),
            range,
        }
    }

    fn add(&self, a: u8, b: u8) -> u8 {
        let scaled = |value: u8, operand: usize| {
            let (multiplier, shift) = self.multipliers[operand];
            let shifted = (i32::from(value) - self.zero_points[operand]) << Self::SHIFT;
            multiply_by_quantized_multiplier(shifted, multiplier, shift)
        };
        let sum = scaled(a, 0).wrapping_add(self.sign * scaled(b, 1));
        let (multiplier, shift) = self.output_multiplier;
        self.range.clamp(multiply_by_quantized_multiplier(sum, multiplier, shift))
    }
}

/// A [`ShiftedSum`] for every pair of elements.
#[derive(Debug)]
struct ByteShiftedSum {
    sum: ShiftedSum,
    broadcast: Broadcast,
}

impl Kernel for ByteShiftedSum {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        self.broadcast.run(a, b, output, |a, b| self.sum.add(a, b));
        Ok(())
    }
}

/// A product of bytes, requantised in float32, or in fixed point if the factor is beyond what
/// XNNPACK takes.
///
/// Source of the formulas: XNNPACK, `qs8-vmul`; TensorFlow Lite's builtin `Mul`.
#[derive(Debug)]
struct ByteProduct {
    zero_points: [i32; 2],
    factor: f32,
    multiplier: Option<(i32, i32)>,
    range: OutputRange,
    broadcast: Broadcast,
}

impl Kernel for ByteProduct {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        let [a_zero, b_zero] = self.zero_points;
        let (factor, range) = (self.factor, self.range);
        let product = |a: u8, b: u8| (i32::from(a) - a_zero) * (i32::from(b) - b_zero);
        match self.multiplier {
            None => {
                self.broadcast.run(a, b, output, |a, b| range.requantize(product(a, b), factor))
            }
            Some((multiplier, shift)) => self.broadcast.run(a, b, output, |a, b| {
                let scaled = multiply_by_quantized_multiplier(product(a, b), multiplier, shift);
                range.clamp(scaled)
            }),
        }
        Ok(())
    }
}

/// A squared difference of bytes.
///
/// ```text
/// twice = 2 * max(a_scale, b_scale)
/// difference = (a - a_zero) * 2^7 * (a_scale / twice) - (b - b_zero) * 2^7 * (b_scale / twice)
/// result = difference^2 * (twice^2 / (2^14 * output_scale))
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin `SquaredDifference`.
#[derive(Debug)]
struct ByteSquaredDifference {
    zero_points: [i32; 2],
    multipliers: [(i32, i32); 2],
    output_multiplier: (i32, i32),
    range: OutputRange,
    broadcast: Broadcast,
}

impl ByteSquaredDifference {
    const SHIFT: u32 = 7;

    fn new(
        (a_scale, a_zero): (f32, i32),
        (b_scale, b_zero): (f32, i32),
        scale: f32,
        range: OutputRange,
        broadcast: Broadcast,
    ) -> Option<Self> {
        let twice = 2.0 * f64::from(a_scale.max(b_scale));
        let unit = f64::from(1 << (2 * Self::SHIFT));
        let output_factor = twice * twice / (unit * f64::from(scale));
        // TensorFlow Lite takes factors below one only.
        (output_factor < 1.0).then(|| Self {
            zero_points: [a_zero, b_zero],
            multipliers: [
                quantize_multiplier(f64::from(a_scale) / twice),
                quantize_multiplier(f64::from(b_scale) / twice),
            ],
            output_multiplier: quantize_multiplier(output_factor),
            range,
            broadcast,
        })
    }
}

impl Kernel for ByteSquaredDifference {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        let scaled = |value: u8, operand: usize| {
            let (multiplier, shift) = self.multipliers[operand];
            let shifted = (i32::from(value) - self.zero_points[operand]) << Self::SHIFT;
            multiply_by_quantized_multiplier(shifted, multiplier, shift)
        };
        let (multiplier, shift) = self.output_multiplier;
        self.broadcast.run(a, b, output, |a, b| {
            let difference = scaled(a, 0) - scaled(b, 1);
            let square = difference * difference;
            self.range.clamp(multiply_by_quantized_multiplier(square, multiplier, shift))
        });
        Ok(())
    }
}

/// `PRELU`: negative elements times a slope that is learnt.
pub(crate) fn lower_prelu(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let (input, slope, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let (shape, broadcast) = common_shape(operands)?;
    if shape != input.shape {
        return Err(operands.invalid(format!(
            "expected a slope within {:?}, found {:?}",
            input.shape, slope.shape
        )));
    }
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    if both_float32(input, slope) && both_float32(slope, output) {
        return Ok(Lowered::step(shape, FloatPrelu { broadcast }, places));
    }
    if both_bytes(input, slope) && both_bytes(slope, output) {
        let (input_scale, input_zero_point) = input.per_tensor()?;
        let (slope_scale, slope_zero_point) = slope.per_tensor()?;
        let (scale, zero_point) = output.per_tensor()?;
        let factor = f64::from(input_scale / scale);
        let kernel = BytePrelu {
            zero_points: [input_zero_point, slope_zero_point],
            positive: quantize_multiplier(factor),
            negative: quantize_multiplier(f64::from(input_scale * slope_scale / scale)),
            range: OutputRange::new(
                scale,
                zero_point,
                output.element.byte_offset(),
                Activation::None,
            ),
            broadcast,
        };
        return Ok(Lowered::step(shape, kernel, places));
    }
    Err(operands.unsupported_elements())
}

/// The learnt slope of floats.
#[derive(Debug)]
struct FloatPrelu {
    broadcast: Broadcast,
}

impl Kernel for FloatPrelu {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, slope) = (inputs.float32(0)?, inputs.float32(1)?);
        let output = (output.first(), output.float32()?);
        self.broadcast.run(
            input,
            slope,
            output,
            |value: f32, slope: f32| {
                if value < 0.0 { value * slope } else { value }
            },
        );
        Ok(())
    }
}

/// The learnt slope of bytes.
///
/// Source of the formula: TensorFlow Lite's builtin `Prelu`, as XNNPACK has none for bytes.
#[derive(Debug)]
struct BytePrelu {
    zero_points: [i32; 2],
    positive: (i32, i32),
    negative: (i32, i32),
    range: OutputRange,
    broadcast: Broadcast,
}

impl Kernel for BytePrelu {
    fn grain(&self) -> Option<usize> {
        Some(self.broadcast.grain())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, slope) = (inputs.bytes(0)?, inputs.bytes(1)?);
        let output = (output.first(), output.bytes()?);
        let [input_zero, slope_zero] = self.zero_points;
        self.broadcast.run(input, slope, output, |value: u8, slope: u8| {
            let value = i32::from(value) - input_zero;
            let (value, (multiplier, shift)) = if value >= 0 {
                (value, self.positive)
            } else {
                (value * (i32::from(slope) - slope_zero), self.negative)
            };
            self.range.clamp(multiply_by_quantized_multiplier(value, multiplier, shift))
        });
        Ok(())
    }
}
