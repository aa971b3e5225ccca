//! Functions of one element, such as `LOGISTIC` and `HARD_SWISH`: of floats, and by table of bytes.

use image_embedder_backend::{BackendError, DType};
use image_embedder_fixed_point::{FixedPoint, HardSwish};
use tract_core::prelude::{Datum, OutletId};

use crate::graph_builder::Operation;
use crate::model_file::Kind;
use crate::operation::{Combine, Map};
use crate::steps::{Activation, Steps};

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unary {
    Abs,
    Ceil,
    Clamp(Activation),
    Cos,
    Elu,
    Exp,
    Floor,
    Gelu { approximate: bool },
    HardSwish,
    LeakyRelu { alpha: f32 },
    Log,
    Logistic,
    Neg,
    Round,
    Rsqrt,
    Sin,
    Sqrt,
    Square,
    Tanh,
}

pub(super) fn translate(
    operation: &mut Operation<'_, '_>,
    function: Unary,
) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    let output = operation.output(0)?;
    match (input.kind, output.kind()) {
        (Kind::Float, Some(Kind::Float)) => operation.wire(floats(function), &[input.outlet]),
        (Kind::Bytes, Some(Kind::Bytes)) if input.tensor.dtype == output.dtype => {
            let (input_steps, output_steps) = (input.tensor.steps()?, output.steps()?);
            let Some(entries) = table(function, input_steps, output_steps) else {
                return Err(operation.unsupported(format!(
                    "bytes of scale {} and zero point {} to scale {} and zero point {}",
                    input_steps.scale,
                    input_steps.zero_point,
                    output_steps.scale,
                    output_steps.zero_point
                )));
            };
            operation.wire(by_table(input_steps, entries), &[input.outlet])
        }
        (Kind::Whole, Some(Kind::Whole)) if input.tensor.dtype == output.dtype => {
            if !matches!(function, Unary::Abs | Unary::Neg) {
                return Err(operation.unsupported_elements());
            }
            let is_negated = function == Unary::Neg;
            match output.dtype {
                Some(DType::Int64) => {
                    let function = if is_negated { i64::wrapping_neg } else { i64::wrapping_abs };
                    operation.wire(whole(input.shape, function), &[input.outlet])
                }
                _ => {
                    let function = if is_negated { i32::wrapping_neg } else { i32::wrapping_abs };
                    operation.wire(whole(input.shape, function), &[input.outlet])
                }
            }
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// A function of whole numbers.
fn whole<T: Datum + Copy>(shape: Vec<usize>, function: fn(T) -> T) -> Combine<T, T> {
    Combine::new("Whole", shape, move |inputs: &[&[T]], results: &mut [T]| {
        for (result, value) in results.iter_mut().zip(inputs.iter().copied().flatten()) {
            *result = function(*value);
        }
        Ok(())
    })
}

/// A function of bytes whose results for each of them, from the least, are in a table.
pub(super) fn by_table(input: Steps, entries: Vec<f32>) -> Map {
    let first = (input.least - input.zero_point) as f32;
    Map::new("Table", move |values| {
        for value in values {
            // A held byte is an index; whatever else comes takes the first entry or the last.
            *value = entries[((*value - first) as usize).min(entries.len() - 1)];
        }
    })
}

fn floats(function: Unary) -> Map {
    match function {
        Unary::Abs => Map::each("Abs", f32::abs),
        Unary::Ceil => Map::each("Ceil", f32::ceil),
        Unary::Clamp(activation) => {
            let (least, largest) = activation.range();
            Map::each("Clamp", move |value| value.max(least).min(largest))
        }
        Unary::Cos => Map::each("Cos", f32::cos),
        Unary::Elu => Map::each("Elu", elu),
        Unary::Exp => Map::each("Exp", f32::exp),
        Unary::Floor => Map::each("Floor", f32::floor),
        Unary::Gelu { approximate: true } => Map::each("Gelu", approximate_gelu),
        Unary::Gelu { approximate: false } => Map::each("Gelu", gelu),
        Unary::HardSwish => {
            Map::each("HardSwish", |value| value * ((value + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0)))
        }
        Unary::LeakyRelu { alpha } => {
            Map::each("LeakyRelu", move |value| if value < 0.0 { value * alpha } else { value })
        }
        Unary::Log => Map::each("Log", f32::ln),
        Unary::Logistic => Map::each("Logistic", logistic),
        Unary::Neg => Map::each("Neg", |value| -value),
        Unary::Round => Map::each("Round", f32::round_ties_even),
        Unary::Rsqrt => Map::each("Rsqrt", |value| 1.0 / value.sqrt()),
        Unary::Sin => Map::each("Sin", f32::sin),
        Unary::Sqrt => Map::each("Sqrt", f32::sqrt),
        Unary::Square => Map::each("Square", |value| value * value),
        Unary::Tanh => Map::each("Tanh", f32::tanh),
    }
}

fn elu(value: f32) -> f32 {
    if value < 0.0 { value.exp_m1() } else { value }
}

/// The logistic function, from the side where the exponential stays small.
fn logistic(value: f32) -> f32 {
    let tail = 1.0 / (1.0 + value.abs().exp());
    if value < 0.0 { tail } else { 1.0 - tail }
}

/// ```text
/// x / 2 * (1 + erf(x / sqrt(2)))
/// erf(x) = 2 / sqrt(pi) * exp(-x^2) * (x + 2 x^3 / 3 + 4 x^5 / 15 + ...)
/// ```
///
/// Source of the formula: Abramowitz and Stegun, 7.1.6.
fn gelu(value: f32) -> f32 {
    let value = f64::from(value);
    let place = value * std::f64::consts::FRAC_1_SQRT_2;
    let (mut term, mut sum) = (place, place);
    // Beyond six the error function is one to the last digit.
    let error_function = if place.abs() > 6.0 {
        place.signum()
    } else {
        for step in 1..200 {
            term *= 2.0 * place * place / f64::from(2 * step + 1);
            sum += term;
            if term.abs() < 1e-17 * sum.abs() {
                break;
            }
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-place * place).exp() * sum
    };
    (value / 2.0 * (1.0 + error_function)) as f32
}

/// ```text
/// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
/// ```
fn approximate_gelu(value: f32) -> f32 {
    let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    0.5 * value * (1.0 + (factor * (value + 0.044_715 * value * value * value)).tanh())
}

/// The results of a function for every byte, from the least; `None` if TensorFlow Lite has none for
/// such bytes.
fn table(function: Unary, input: Steps, output: Steps) -> Option<Vec<f32>> {
    let range = output.whole();
    let inverse = 1.0 / output.scale;
    let whole = |result: f32| range.clamp(result as i32);
    // Source of the formula: XNNPACK, operators by lookup table.
    let as_xnnpack = |function: fn(f32) -> f32| {
        let result = |steps| function(steps as f32 * input.scale) * inverse;
        input.all().map(|steps| whole(result(steps).round_ties_even())).collect()
    };
    // Source of the formula: TensorFlow Lite, `LUTPopulate`.
    let real = |function: fn(f32) -> f32| {
        let result = |steps| function(input.scale * steps as f32) * inverse;
        input.all().map(|steps| whole(result(steps).round())).collect()
    };
    // The output's scale over the input's, as fixed point.
    let factor = (input.scale != output.scale)
        .then(|| FixedPoint::new(f64::from(input.scale / output.scale)));
    let rescale = |steps: i32| factor.map_or(steps, |factor| factor.apply(steps));
    Some(match function {
        Unary::Abs if input.is_signed() => {
            input.all().map(|steps| range.clamp(rescale(steps.abs()))).collect()
        }
        Unary::Clamp(activation) => {
            let range = output.range(activation);
            input.all().map(|steps| range.clamp(rescale(steps))).collect()
        }
        Unary::Elu if input.is_signed() => as_xnnpack(elu),
        Unary::Exp if input.is_signed() => real(f32::exp),
        Unary::Gelu { approximate: true } => real(approximate_gelu),
        Unary::Gelu { approximate: false } => real(gelu),
        Unary::HardSwish => {
            let hard_swish = HardSwish::new(input.scale, output.scale)?;
            input.all().map(|steps| range.clamp(hard_swish.apply(steps))).collect()
        }
        Unary::LeakyRelu { alpha } => leaky_relu(input, output, alpha),
        // Only of bytes that are not negative: the others have no root.
        Unary::Rsqrt if input.is_signed() && input.zero_point == input.least => {
            input.all().map(|steps| inverse_root(steps, input, output)).collect()
        }
        // TensorFlow Lite fixes the range of these results.
        Unary::Logistic if (output.scale, output.zero_point) == (1.0 / 256.0, output.least) => {
            as_xnnpack(logistic)
        }
        Unary::Tanh if (output.scale, output.zero_point) == (1.0 / 128.0, output.least + 128) => {
            as_xnnpack(f32::tanh)
        }
        _ => return None,
    })
}

/// ```text
/// result = 1 / sqrt(steps) * (1 / (sqrt(input_scale) * output_scale)), largest for zero
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin `Rsqrt` of 8-bit tensors.
fn inverse_root(steps: i32, input: Steps, output: Steps) -> f32 {
    const SHIFT: i32 = 20;
    let range = output.whole();
    if steps == 0 {
        return range.largest;
    }
    let mut root = FixedPoint::inverse_square_root(steps);
    root.shift += SHIFT;
    let mut factor = FixedPoint::new(f64::from(1.0 / (input.scale.sqrt() * output.scale)));
    factor.shift -= SHIFT;
    range.clamp(factor.apply(root.apply(1)))
}

/// Leaky rectification.
///
/// ```text
/// result = mulhrs(-steps << 7, lrint(-256 * factor)),  mulhrs(a, b) = (a * b + 2^14) >> 15
/// ```
///
/// Source of the formulas: XNNPACK, `qs8-vlrelu`; for factors that it does not take, TensorFlow
/// Lite's builtin `LeakyRelu`.
fn leaky_relu(input: Steps, output: Steps, alpha: f32) -> Vec<f32> {
    let range = output.whole();
    let positive = input.scale / output.scale;
    let negative = positive * alpha;
    let (least, most) = (2f32.powi(-8), 2f32.powi(7));
    let xnnpack_takes = (least..=most).contains(&positive)
        && (-(most - 2f32.powi(-9))..=most).contains(&negative)
        && negative.abs() >= least;
    if xnnpack_takes {
        let multiplier = |factor: f32| (-256.0 * factor).round_ties_even() as i32;
        let (positive, negative) = (multiplier(positive), multiplier(negative));
        let result = |steps: i32| {
            let multiplier = if steps > 0 { positive } else { negative };
            range.clamp((-(steps << 7) * multiplier + (1 << 14)) >> 15)
        };
        return input.all().map(result).collect();
    }
    let positive = FixedPoint::new(f64::from(positive));
    let magnitude = FixedPoint::new(f64::from(negative.abs()));
    let sign = if alpha < 0.0 { -1 } else { 1 };
    let negative = FixedPoint { multiplier: sign * magnitude.multiplier, ..magnitude };
    let result = |steps: i32| {
        range.clamp(if steps >= 0 { positive.apply(steps) } else { negative.apply(steps) })
    };
    input.all().map(result).collect()
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
            assert!((approximate_gelu(value) - expected).abs() < 5e-4, "{value}");
        }
    }
}
