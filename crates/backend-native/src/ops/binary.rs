//! Functions of two elements, such as `ADD` and `MUL`, over shapes that may differ in dimensions
//! of one element; `ADD_N` and `PRELU`.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::NAME;
use crate::graph::Element;
use crate::kernels::add_bytes::AddBytes;
use crate::kernels::comparison::{clamp, maximum, minimum};
use crate::kernels::elementary;
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Binary};
use crate::ops::broadcast::Broadcast;
use crate::ops::{ELEMENTS, Kernel, Lowered, Operands, both_bytes, both_float32, both_integers};
use crate::slots::{Elements, Inputs, Output, Scratch, misplaced};

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
    if both_integers(a, b) && both_integers(b, output) {
        let kernel = IntegerBinary {
            name: operands.node.name.clone(),
            function,
            range: integer_range(activation),
            is_narrow: output.element == Element::Int32,
            broadcast,
        };
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
                FixedPoint::new(f64::from(a_scale) * f64::from(b_scale) / f64::from(scale))
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
        Binary::Div if output.element == Element::UInt8 => {
            let kernel = ByteQuotient {
                name: operands.node.name.clone(),
                zero_points: [a_zero_point, b_zero_point],
                factor: FixedPoint::new(f64::from(a_scale / (b_scale * scale))),
                range,
                broadcast,
            };
            Ok(Lowered::step(shape, kernel, places))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

pub(crate) fn common_shape(
    operands: &Operands<'_>,
) -> Result<(Vec<usize>, Broadcast), BackendError> {
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
            Binary::FloorMod => broadcast.run(a, b, output, |a: f32, b: f32| {
                let rest = a % b;
                if rest != 0.0 && (b < 0.0) != (rest < 0.0) { rest + b } else { rest }
            }),
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

/// The least and the largest whole number that an activation leaves.
fn integer_range(activation: Activation) -> (i64, i64) {
    match activation {
        Activation::None => (i64::MIN, i64::MAX),
        Activation::Relu => (0, i64::MAX),
        Activation::ReluN1To1 => (-1, 1),
        Activation::Relu6 => (0, 6),
    }
}

/// A function of whole numbers.
#[derive(Debug)]
struct IntegerBinary {
    name: String,
    function: Binary,
    range: (i64, i64),
    /// Whether results are of 32 bits; what is beyond wraps around.
    is_narrow: bool,
    broadcast: Broadcast,
}

impl Kernel for IntegerBinary {
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
        let (a, b, output) = (inputs.integers(0)?, inputs.integers(1)?, output.integers()?);
        let divides = matches!(self.function, Binary::Div | Binary::FloorDiv | Binary::FloorMod);
        if divides && !output.is_empty() && b.contains(&0) {
            return Err(division_by_zero(&self.name));
        }
        let (least, largest) = self.range;
        let is_narrow = self.is_narrow;
        let finish = move |value: i64| {
            let value = if is_narrow { i64::from(value as i32) } else { value };
            value.clamp(least, largest)
        };
        let broadcast = &self.broadcast;
        let mut run = |function: fn(i64, i64) -> i64| {
            broadcast.run(a, b, (first, &mut *output), |a, b| finish(function(a, b)));
        };
        match self.function {
            Binary::Add => run(i64::wrapping_add),
            Binary::Div => run(i64::wrapping_div),
            Binary::FloorDiv => run(|a, b| {
                let rest = a.wrapping_rem(b);
                let down = i64::from(rest != 0 && (rest < 0) != (b < 0));
                a.wrapping_div(b) - down
            }),
            Binary::FloorMod => run(|a, b| {
                let rest = a.wrapping_rem(b);
                if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
            }),
            Binary::Maximum => run(i64::max),
            Binary::Minimum => run(i64::min),
            Binary::Mul => run(i64::wrapping_mul),
            Binary::Pow => run(|a, b| match u32::try_from(b) {
                Ok(exponent) => a.wrapping_pow(exponent),
                // Of whole numbers only one has a whole inverse, and its own root: itself.
                Err(_) => i64::from(a == 1),
            }),
            Binary::SquaredDifference => run(|a, b| {
                let difference = a.wrapping_sub(b);
                difference.wrapping_mul(difference)
            }),
            Binary::Sub => run(i64::wrapping_sub),
        }
        Ok(())
    }
}

fn division_by_zero(name: &str) -> BackendError {
    BackendError::Runtime { backend: NAME.to_owned(), message: format!("{name}: division by zero") }
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
    multipliers: [FixedPoint; 2],
    sign: i32,
    output_multiplier: FixedPoint,
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
                FixedPoint::new(f64::from(a_scale) / twice),
                FixedPoint::new(f64::from(b_scale) / twice),
            ],
            sign,
            output_multiplier: FixedPoint::new(twice / (unit * f64::from(scale))),
            range,
        }
    }

    fn add(&self, a: u8, b: u8) -> u8 {
        let scaled = |value: u8, operand: usize| {
            let shifted = (i32::from(value) - self.zero_points[operand]) << Self::SHIFT;
            self.multipliers[operand].apply(shifted)
        };
        let sum = scaled(a, 0).wrapping_add(self.sign * scaled(b, 1));
        self.range.clamp(self.output_multiplier.apply(sum))
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
    multiplier: Option<FixedPoint>,
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
            Some(multiplier) => self
                .broadcast
                .run(a, b, output, |a, b| range.clamp(multiplier.apply(product(a, b)))),
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
    multipliers: [FixedPoint; 2],
    output_multiplier: FixedPoint,
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
                FixedPoint::new(f64::from(a_scale) / twice),
                FixedPoint::new(f64::from(b_scale) / twice),
            ],
            output_multiplier: FixedPoint::new(output_factor),
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
            let shifted = (i32::from(value) - self.zero_points[operand]) << Self::SHIFT;
            self.multipliers[operand].apply(shifted)
        };
        self.broadcast.run(a, b, output, |a, b| {
            let difference = scaled(a, 0) - scaled(b, 1);
            let square = difference * difference;
            self.range.clamp(self.output_multiplier.apply(square))
        });
        Ok(())
    }
}

/// A quotient of unsigned bytes, in fixed point.
///
/// Source of the formula: TensorFlow Lite's builtin `Div` of 8-bit tensors.
#[derive(Debug)]
struct ByteQuotient {
    name: String,
    zero_points: [i32; 2],
    factor: FixedPoint,
    range: OutputRange,
    broadcast: Broadcast,
}

impl Kernel for ByteQuotient {
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
        let (a, b, output) = (inputs.bytes(0)?, inputs.bytes(1)?, output.bytes()?);
        let [a_zero, b_zero] = self.zero_points;
        if !output.is_empty() && b.iter().any(|&value| i32::from(value) == b_zero) {
            return Err(division_by_zero(&self.name));
        }
        self.broadcast.run(a, b, (first, output), |a: u8, b: u8| {
            let (a, b) = (i32::from(a) - a_zero, i32::from(b) - b_zero);
            // No divisor is zero.
            self.range.clamp(self.factor.divide(a, b).unwrap_or_default())
        });
        Ok(())
    }
}

/// `ADD_N`: the sum of inputs of one shape.
pub(crate) fn lower_sum(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let first = operands.input(0)?;
    let mut places = Vec::new();
    for index in 0..operands.node.inputs.len() {
        let input = operands.input(index)?;
        operands.check_moves(input)?;
        if input.shape != first.shape {
            return Err(operands.invalid(format!(
                "expected inputs of one shape, found {:?} and {:?}",
                first.shape, input.shape
            )));
        }
        places.push(operands.input_index(index)?);
    }
    if !matches!(first.element, Element::Float32 | Element::Int32) {
        return Err(operands.unsupported_elements());
    }
    let kernel = Sum { count: places.len() };
    Ok(Lowered::step(first.shape.clone(), kernel, places))
}

/// Sums of floats or of 32-bit whole numbers.
#[derive(Debug)]
struct Sum {
    count: usize,
}

impl Kernel for Sum {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output.elements {
            Elements::Float32(output) => {
                output.copy_from_slice(inputs.float32(0)?);
                for index in 1..self.count {
                    for (sum, value) in output.iter_mut().zip(inputs.float32(index)?) {
                        *sum += value;
                    }
                }
            }
            Elements::Integers(output) => {
                output.copy_from_slice(inputs.integers(0)?);
                for index in 1..self.count {
                    for (sum, value) in output.iter_mut().zip(inputs.integers(index)?) {
                        *sum = i64::from(sum.wrapping_add(*value) as i32);
                    }
                }
            }
            Elements::Bytes(_) => return Err(misplaced()),
        }
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
            positive: FixedPoint::new(factor),
            negative: FixedPoint::new(f64::from(input_scale * slope_scale / scale)),
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
    positive: FixedPoint,
    negative: FixedPoint,
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
            let (value, multiplier) = if value >= 0 {
                (value, self.positive)
            } else {
                (value * (i32::from(slope) - slope_zero), self.negative)
            };
            self.range.clamp(multiplier.apply(value))
        });
        Ok(())
    }
}
