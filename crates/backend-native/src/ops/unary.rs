//! Functions of one element, such as `LOGISTIC` and `HARD_SWISH`: loops over floats, tables over
//! bytes.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::{FixedPoint, HardSwish};

use crate::NAME;
use crate::graph::Element;
use crate::kernels::comparison::clamp;
use crate::kernels::elementary::{self, precise};
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Unary};
use crate::ops::elements::Each;
use crate::ops::{ELEMENTS, Kernel, Lowered, Operands, both_bytes, both_float32, both_integers};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower(operands: &Operands<'_>, function: Unary) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let shape = input.shape.clone();
    let places = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatUnary { function }, places));
    }
    if both_integers(input, output) {
        let is_narrow = output.element == Element::Int32;
        let wrap = move |value: i64| if is_narrow { i64::from(value as i32) } else { value };
        let function = match function {
            Unary::Abs => i64::wrapping_abs,
            Unary::Neg => i64::wrapping_neg,
            _ => return Err(operands.unsupported_elements()),
        };
        let kernel = Each::new(move |value: i64| wrap(function(value)));
        return Ok(Lowered::step(shape, kernel, places));
    }
    if both_bytes(input, output) {
        let quantization = Quantizations {
            input: input.per_tensor()?,
            output: output.per_tensor()?,
            element: input.element,
        };
        let table = table(function, &quantization).ok_or_else(|| {
            let ((from, from_zero), (to, to_zero)) = (quantization.input, quantization.output);
            operands.unsupported(format!(
                "bytes of scale {from} and held zero point {from_zero} to scale {to} and held \
                 zero point {to_zero}"
            ))
        })?;
        if function == Unary::Rsqrt {
            let kernel = PositiveTable {
                name: operands.node.name.clone(),
                table: ByteTable { table },
                zero_point: quantization.input.1,
            };
            return Ok(Lowered::step(shape, kernel, places));
        }
        return Ok(Lowered::step(shape, ByteTable { table }, places));
    }
    Err(operands.unsupported_elements())
}

/// A function of floats.
#[derive(Debug)]
struct FloatUnary {
    function: Unary,
}

impl Kernel for FloatUnary {
    fn grain(&self) -> Option<usize> {
        Some(ELEMENTS)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        fn each(input: &[f32], output: &mut [f32], function: impl Fn(f32) -> f32) {
            for (result, &value) in output.iter_mut().zip(input) {
                *result = function(value);
            }
        }
        let first = output.first();
        let (input, output) = (&inputs.float32(0)?[first..], output.float32()?);
        match self.function {
            Unary::Abs => each(input, output, f32::abs),
            Unary::Ceil => each(input, output, f32::ceil),
            Unary::Cos => each(input, output, libm::cosf),
            Unary::Clamp(activation) => {
                let range = activation.range();
                each(input, output, |value| clamp(value, range));
            }
            Unary::Elu => each(input, output, elu),
            Unary::Exp => each(input, output, elementary::exp),
            Unary::Floor => each(input, output, f32::floor),
            Unary::Gelu { approximate: true } => {
                each(input, output, |value| approximate_gelu(value, elementary::tanh))
            }
            Unary::Gelu { approximate: false } => each(input, output, gelu),
            Unary::HardSwish => {
                each(input, output, |value| value * ((value + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0)))
            }
            Unary::LeakyRelu { alpha } => {
                each(input, output, |value| if value < 0.0 { value * alpha } else { value })
            }
            Unary::Log => each(input, output, elementary::ln),
            Unary::Logistic => each(input, output, elementary::logistic),
            Unary::Neg => each(input, output, |value| -value),
            Unary::Round => each(input, output, f32::round_ties_even),
            Unary::Rsqrt => each(input, output, |value| 1.0 / value.sqrt()),
            Unary::Sin => each(input, output, libm::sinf),
            Unary::Sqrt => each(input, output, f32::sqrt),
            Unary::Square => each(input, output, |value| value * value),
            Unary::Tanh => each(input, output, elementary::tanh),
        }
        Ok(())
    }
}

fn elu(value: f32) -> f32 {
    if value.is_sign_negative() { elementary::exp_m1(value) } else { value }
}

/// [`elu`] to the last digit, for tables.
fn precise_elu(value: f32) -> f32 {
    if value.is_sign_negative() { precise::exp_m1(value) } else { value }
}

/// The logistic function to the last digit, for tables.
fn precise_logistic(value: f32) -> f32 {
    let tail = 1.0 / (1.0 + precise::exp(value.abs()));
    if value.is_sign_negative() { tail } else { 1.0 - tail }
}

/// ```text
/// x / 2 * (1 + erf(x / sqrt(2)))
/// ```
///
/// The error function is that of Abramowitz and Stegun, 7.1.26, exact to 1.5e-7.
fn gelu(value: f32) -> f32 {
    const TERMS: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_8, -1.453_152_1, 1.061_405_4];
    let place = value.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * place);
    let polynomial = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let half_tail = 0.5 * polynomial * elementary::exp(-place * place);
    value * if value < 0.0 { half_tail } else { 1.0 - half_tail }
}

/// [`gelu`] to the last digit, for tables: too slow for every element of a tensor.
///
/// ```text
/// erf(x) = 2 / sqrt(pi) * exp(-x^2) * (x + 2 x^3 / 3 + 4 x^5 / 15 + ...)
/// ```
///
/// Source of the formula: Abramowitz and Stegun, 7.1.6.
fn precise_gelu(value: f32) -> f32 {
    let value = f64::from(value);
    let place = value * std::f64::consts::FRAC_1_SQRT_2;
    // Beyond six the error function is one to the last digit.
    let error_function = if place.abs() > 6.0 {
        place.signum()
    } else {
        let (mut term, mut sum) = (place, 0.0);
        for step in 1..200 {
            sum += term;
            term *= 2.0 * place * place / f64::from(2 * step + 1);
        }
        std::f64::consts::FRAC_2_SQRT_PI * libm::exp(-place * place) * sum
    };
    (value / 2.0 * (1.0 + error_function)) as f32
}

/// ```text
/// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
/// ```
fn approximate_gelu(value: f32, tanh: impl Fn(f32) -> f32) -> f32 {
    let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    0.5 * value * (1.0 + tanh(factor * (value + 0.044_715 * value * value * value)))
}

/// The scales and held zero points of both sides, and their type.
#[derive(Clone, Copy, Debug)]
struct Quantizations {
    input: (f32, i32),
    output: (f32, i32),
    element: Element,
}

impl Quantizations {
    /// The result for each held byte, given its distance from the zero point.
    fn each(&self, result: impl Fn(i32) -> u8) -> Box<[u8; 256]> {
        let mut table = Box::new([0; 256]);
        for (entry, value) in table.iter_mut().zip(0..) {
            *entry = result(value - self.input.1);
        }
        table
    }

    /// A function of real values, its results rounded half to even.
    ///
    /// Source of the formula: XNNPACK, operators by lookup table.
    fn real_as_xnnpack(&self, function: impl Fn(f32) -> f32) -> Box<[u8; 256]> {
        let ((input_scale, _), (scale, zero_point)) = (self.input, self.output);
        let inverse = 1.0 / scale;
        self.each(|centred| {
            let result = function(centred as f32 * input_scale) * inverse;
            // Beyond 32 bits the conversion saturates, and so does the byte.
            (result.round_ties_even() as i32).saturating_add(zero_point).clamp(0, 255) as u8
        })
    }

    /// A function of real values, its results rounded half away from zero.
    ///
    /// Source of the formula: TensorFlow Lite, `LUTPopulate`.
    fn real(&self, function: impl Fn(f32) -> f32) -> Box<[u8; 256]> {
        let ((input_scale, _), (scale, zero_point)) = (self.input, self.output);
        let inverse = 1.0 / scale;
        self.each(|centred| {
            let result = (function(input_scale * centred as f32) * inverse).round();
            (result as i32).saturating_add(zero_point).clamp(0, 255) as u8
        })
    }

    fn range(&self, activation: Activation) -> OutputRange {
        let (scale, zero_point) = self.output;
        OutputRange::new(scale, zero_point, self.element.byte_offset(), activation)
    }

    /// The output's scale over the input's, as fixed point.
    fn rescale(&self, value: i32) -> i32 {
        if self.input.0 == self.output.0 {
            return value;
        }
        FixedPoint::new(f64::from(self.input.0 / self.output.0)).apply(value)
    }
}

/// The results of a function of bytes; `None` if TensorFlow Lite has none for such bytes.
fn table(function: Unary, quantizations: &Quantizations) -> Option<Box<[u8; 256]>> {
    let ((input_scale, _), (scale, zero_point)) = (quantizations.input, quantizations.output);
    let is_signed = quantizations.element == Element::Int8;
    let range = quantizations.range(Activation::None);
    Some(match function {
        Unary::Abs if is_signed => {
            quantizations.each(|centred| range.clamp(quantizations.rescale(centred.abs())))
        }
        Unary::Clamp(activation) => {
            let range = quantizations.range(activation);
            quantizations.each(|centred| range.clamp(quantizations.rescale(centred)))
        }
        Unary::Elu if is_signed => quantizations.real_as_xnnpack(precise_elu),
        Unary::Exp if is_signed => quantizations.real(precise::exp),
        Unary::Gelu { approximate: true } => {
            quantizations.real(|value| approximate_gelu(value, precise::tanh))
        }
        Unary::Gelu { approximate: false } => quantizations.real(precise_gelu),
        Unary::HardSwish => {
            let hard_swish = HardSwish::new(input_scale, scale)?;
            quantizations.each(|centred| range.clamp(hard_swish.apply(centred)))
        }
        Unary::LeakyRelu { alpha } => leaky_relu(quantizations, alpha),
        Unary::Rsqrt if is_signed => {
            let inverse = InverseSquareRoot::new(input_scale, scale);
            quantizations.each(|centred| range.clamp(inverse.apply(centred)))
        }
        // Both sides fix the range of these results.
        Unary::Logistic if (scale, zero_point) == (1.0 / 256.0, 0) => {
            quantizations.real_as_xnnpack(precise_logistic)
        }
        Unary::Tanh if (scale, zero_point) == (1.0 / 128.0, 128) => {
            quantizations.real_as_xnnpack(precise::tanh)
        }
        _ => return None,
    })
}

/// The inverse square root in fixed point.
///
/// Source of the formula: TensorFlow Lite's builtin `Rsqrt` of 8-bit tensors.
#[derive(Clone, Copy, Debug)]
struct InverseSquareRoot {
    multiplier: FixedPoint,
}

impl InverseSquareRoot {
    /// Inverse roots are whole numbers in units of this power of two.
    const SHIFT: i32 = 20;

    fn new(input_scale: f32, output_scale: f32) -> Self {
        let factor = 1.0 / (input_scale.sqrt() * output_scale);
        Self { multiplier: FixedPoint::new(f64::from(factor)) }
    }

    /// The result relative to the zero point; beyond every byte if the value is not positive.
    fn apply(&self, centred: i32) -> i32 {
        if centred <= 0 {
            return 255;
        }
        let root = FixedPoint::inverse_square_root(centred).shifted(Self::SHIFT).apply(1);
        self.multiplier.shifted(-Self::SHIFT).apply(root)
    }
}

/// Leaky rectification.
///
/// ```text
/// result = zero_point + mulhrs((input_zero - value) << 7, lrint(-256 * factor))
/// mulhrs(a, b) = (a * b + 2^14) >> 15
/// ```
///
/// Source of the formulas: XNNPACK, `qs8-vlrelu`; for factors that it does not take, TensorFlow
/// Lite's builtin `LeakyRelu`.
fn leaky_relu(quantizations: &Quantizations, alpha: f32) -> Box<[u8; 256]> {
    let ((input_scale, _), (scale, _)) = (quantizations.input, quantizations.output);
    let range = quantizations.range(Activation::None);
    let positive = input_scale / scale;
    let negative = positive * alpha;
    let (least, most) = (2f32.powi(-8), 2f32.powi(7));
    let xnnpack_takes = (least..=most).contains(&positive)
        && (-(most - 2f32.powi(-9))..=most).contains(&negative)
        && negative.abs() >= least;
    if xnnpack_takes {
        let multiplier = |factor: f32| (-256.0 * factor).round_ties_even() as i32;
        let (positive, negative) = (multiplier(positive), multiplier(negative));
        return quantizations.each(|centred| {
            let multiplier = if centred > 0 { positive } else { negative };
            range.clamp((-(centred << 7) * multiplier + (1 << 14)) >> 15)
        });
    }
    let positive = FixedPoint::new(f64::from(positive));
    let mut negative = FixedPoint::new(f64::from(negative.abs()));
    if alpha < 0.0 {
        negative.multiplier = -negative.multiplier;
    }
    quantizations.each(|centred| {
        let multiplier = if centred >= 0 { positive } else { negative };
        range.clamp(multiplier.apply(centred))
    })
}

/// A function of bytes, by table.
#[derive(Debug)]
pub(crate) struct ByteTable {
    /// The result for each held byte, from the least.
    pub(crate) table: Box<[u8; 256]>,
}

impl Kernel for ByteTable {
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
        let (input, output) = (&inputs.bytes(0)?[first..], output.bytes()?);
        for (result, &value) in output.iter_mut().zip(input) {
            *result = self.table[usize::from(value)];
        }
        Ok(())
    }
}

/// A function by table of bytes that stand for no number below zero.
#[derive(Debug)]
struct PositiveTable {
    name: String,
    table: ByteTable,
    zero_point: i32,
}

impl Kernel for PositiveTable {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let input = inputs.bytes(0)?;
        if let Some(value) = input.iter().find(|&&value| i32::from(value) < self.zero_point) {
            return Err(BackendError::Runtime {
                backend: NAME.to_owned(),
                message: format!(
                    "{}: expected no elements below zero, found one {} steps below",
                    self.name,
                    self.zero_point - i32::from(*value)
                ),
            });
        }
        self.table.run(inputs, output, scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_that_of_tables() {
        // From tables of the normal distribution: x * Phi(x).
        for (value, expected) in [
            (-3.0, -0.004_049_69),
            (-1.0, -0.158_655_25),
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (2.0, 1.954_499_7),
        ] {
            assert!((gelu(value) - expected).abs() < 5e-7, "{value}: {}", gelu(value));
            assert!((precise_gelu(value) - expected).abs() < 5e-7, "{value}");
            let approximate = approximate_gelu(value, elementary::tanh);
            assert!((approximate - expected).abs() < 5e-4, "{value}");
        }
    }
}
