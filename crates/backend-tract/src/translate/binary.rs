//! Functions of two elements, such as `ADD` and `MUL`, over shapes that may differ in dimensions
//! of one element; comparisons, `ADD_N` and `PRELU`.

use image_embedder_backend::{BackendError, DType};
use image_embedder_fixed_point::FixedPoint;
use tract_core::prelude::{Datum, OutletId};

use crate::broadcast::Broadcast;
use crate::graph_builder::{Operand, Operation};
use crate::model_file::Kind;
use crate::operation::Combine;
use crate::steps::{Activation, StepRange, Steps};

/// A function of two elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Binary {
    Add,
    Div,
    FloorDiv,
    FloorMod,
    Maximum,
    Minimum,
    Mul,
    Pow,
    SquaredDifference,
    Sub,
}

/// Two operands and the shape of what they make.
struct Pair<'a> {
    operands: [Operand<'a>; 2],
    shape: Vec<usize>,
    broadcast: Broadcast,
}

impl<'a> Pair<'a> {
    fn new(operation: &mut Operation<'_, 'a>) -> Result<Self, BackendError> {
        let operands = [operation.input(0)?, operation.input(1)?];
        let [a, b] = &operands;
        let (shape, broadcast) = Broadcast::new(&a.shape, &b.shape).ok_or_else(|| {
            operation.invalid(format!(
                "expected shapes that differ in dimensions of 1 only, found {:?} and {:?}",
                a.shape, b.shape
            ))
        })?;
        Ok(Self { operands, shape, broadcast })
    }

    /// Whether both operands and the output are of one kind, and of one type unless it is that of
    /// floats.
    fn is_all(&self, operation: &Operation<'_, '_>, kind: Kind) -> Result<bool, BackendError> {
        let output = operation.output(0)?;
        let fits = |operand: &Operand<'_>| {
            operand.kind == kind && (kind == Kind::Float || operand.tensor.dtype == output.dtype)
        };
        Ok(output.kind() == Some(kind) && self.operands.iter().all(fits))
    }

    /// Adds the function of every pair of elements.
    fn wire<T: Datum + Copy, R: Datum + Copy + Default>(
        self,
        operation: &mut Operation<'_, '_>,
        name: &'static str,
        combine: impl Fn(T, T) -> Option<R> + Copy + Send + Sync + 'static,
    ) -> Result<OutletId, BackendError> {
        let Self { operands: [a, b], shape, broadcast } = self;
        let op = Combine::new(name, shape, move |inputs: &[&[T]], results: &mut [R]| {
            let &[a, b] = inputs else {
                return Err("expected two inputs".to_owned());
            };
            let done = broadcast.run([a, b], results, combine);
            done.ok_or_else(|| "division by zero".to_owned())
        });
        operation.wire(op, &[a.outlet, b.outlet])
    }

    /// Adds a function of every pair of bytes, given as whole numbers of steps.
    fn wire_steps(
        self,
        operation: &mut Operation<'_, '_>,
        name: &'static str,
        combine: impl Fn(i32, i32) -> f32 + Copy + Send + Sync + 'static,
    ) -> Result<OutletId, BackendError> {
        self.wire(operation, name, move |a: f32, b: f32| Some(combine(a as i32, b as i32)))
    }
}

pub(super) fn translate(
    operation: &mut Operation<'_, '_>,
    function: Binary,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    let pair = Pair::new(operation)?;
    if pair.is_all(operation, Kind::Float)? {
        return floats(operation, pair, function, activation);
    }
    if pair.is_all(operation, Kind::Bytes)? {
        return bytes(operation, pair, function, activation);
    }
    if pair.is_all(operation, Kind::Whole)? {
        let results = match operation.output(0)?.dtype {
            Some(DType::Int64) => whole_64(operation, pair, function)?,
            _ => whole_32(operation, pair, function)?,
        };
        return bounded_whole(operation, results, activation);
    }
    Err(operation.unsupported_elements())
}

fn floats(
    operation: &mut Operation<'_, '_>,
    pair: Pair<'_>,
    function: Binary,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    let (least, largest) = activation.range();
    let clamp = move |value: f32| Some(value.max(least).min(largest));
    match function {
        Binary::Add => pair.wire(operation, "Add", move |a: f32, b: f32| clamp(a + b)),
        Binary::Div => pair.wire(operation, "Div", move |a: f32, b: f32| clamp(a / b)),
        Binary::FloorDiv => {
            pair.wire(operation, "FloorDiv", |a: f32, b: f32| Some((a / b).floor()))
        }
        Binary::FloorMod => pair.wire(operation, "FloorMod", |a: f32, b: f32| {
            let remainder = a % b;
            let other_side = remainder != 0.0 && (remainder < 0.0) != (b < 0.0);
            Some(if other_side { remainder + b } else { remainder })
        }),
        Binary::Maximum => pair.wire(operation, "Maximum", |a: f32, b: f32| Some(a.max(b))),
        Binary::Minimum => pair.wire(operation, "Minimum", |a: f32, b: f32| Some(a.min(b))),
        Binary::Mul => pair.wire(operation, "Mul", move |a: f32, b: f32| clamp(a * b)),
        Binary::Pow => pair.wire(operation, "Pow", |a: f32, b: f32| Some(a.powf(b))),
        Binary::SquaredDifference => {
            pair.wire(operation, "SquaredDifference", |a: f32, b: f32| Some((a - b) * (a - b)))
        }
        Binary::Sub => pair.wire(operation, "Sub", move |a: f32, b: f32| clamp(a - b)),
    }
}

/// Whole numbers bounded by an activation.
fn bounded_whole(
    operation: &mut Operation<'_, '_>,
    values: OutletId,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    // Whole bounds, or none at all, which the conversion makes the ends of the type.
    let (least, largest) = activation.range();
    if activation == Activation::None {
        return Ok(values);
    }
    let shape = operation.shape(values)?;
    match operation.output(0)?.dtype {
        Some(DType::Int64) => operation.wire(clamp(shape, least as i64, largest as i64), &[values]),
        _ => operation.wire(clamp(shape, least as i32, largest as i32), &[values]),
    }
}

fn clamp<T: Datum + Copy + Ord>(shape: Vec<usize>, least: T, largest: T) -> Combine<T, T> {
    Combine::new("Clamp", shape, move |inputs: &[&[T]], results: &mut [T]| {
        for (result, value) in results.iter_mut().zip(inputs.iter().copied().flatten()) {
            *result = (*value).clamp(least, largest);
        }
        Ok(())
    })
}

/// Functions of whole numbers, whose sums and products wrap around as in TensorFlow Lite.
macro_rules! whole {
    ($name:ident, $T:ty) => {
        fn $name(
            operation: &mut Operation<'_, '_>,
            pair: Pair<'_>,
            function: Binary,
        ) -> Result<OutletId, BackendError> {
            match function {
                Binary::Add => pair.wire(operation, "Add", |a: $T, b: $T| Some(a.wrapping_add(b))),
                Binary::Div => {
                    pair.wire(operation, "Div", |a: $T, b: $T| (b != 0).then(|| a.wrapping_div(b)))
                }
                Binary::FloorDiv => pair.wire(operation, "FloorDiv", |a: $T, b: $T| {
                    let inexact = b != 0 && a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
                    (b != 0).then(|| a.wrapping_div(b) - <$T>::from(inexact))
                }),
                Binary::FloorMod => pair.wire(operation, "FloorMod", |a: $T, b: $T| {
                    let remainder = if b == 0 { return None } else { a.wrapping_rem(b) };
                    let other_side = remainder != 0 && (remainder < 0) != (b < 0);
                    Some(if other_side { remainder + b } else { remainder })
                }),
                Binary::Maximum => pair.wire(operation, "Maximum", |a: $T, b: $T| Some(a.max(b))),
                Binary::Minimum => pair.wire(operation, "Minimum", |a: $T, b: $T| Some(a.min(b))),
                Binary::Mul => pair.wire(operation, "Mul", |a: $T, b: $T| Some(a.wrapping_mul(b))),
                Binary::Pow => pair.wire(operation, "Pow", |a: $T, b: $T| {
                    // Of whole numbers only one has a whole inverse, and its own root: itself.
                    Some(u32::try_from(b).map_or(<$T>::from(a == 1), |b| a.wrapping_pow(b)))
                }),
                Binary::SquaredDifference => {
                    pair.wire(operation, "SquaredDifference", |a: $T, b: $T| {
                        let difference = a.wrapping_sub(b);
                        Some(difference.wrapping_mul(difference))
                    })
                }
                Binary::Sub => pair.wire(operation, "Sub", |a: $T, b: $T| Some(a.wrapping_sub(b))),
            }
        }
    };
}

whole!(whole_32, i32);
whole!(whole_64, i64);

fn bytes(
    operation: &mut Operation<'_, '_>,
    pair: Pair<'_>,
    function: Binary,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    if let Binary::Maximum | Binary::Minimum = function {
        return extreme(operation, pair, function == Binary::Maximum);
    }
    let [a, b] = [pair.operands[0].tensor.steps()?, pair.operands[1].tensor.steps()?];
    let output = operation.output(0)?.steps()?;
    let range = output.range(activation);
    match function {
        Binary::Add | Binary::Sub => {
            let sign = if function == Binary::Sub { -1 } else { 1 };
            if let Some(sum) = ScaledSum::new([a, b], output, range) {
                return pair.wire_steps(operation, "Add", move |a, b| sum.add(a, sign * b));
            }
            let sum = ShiftedSum::new([a, b], output, range);
            pair.wire_steps(operation, "Add", move |a, b| sum.add(a, b, sign))
        }
        // Source of the formulas: XNNPACK, `qs8-vmul`; TensorFlow Lite's builtin `Mul` for factors
        // beyond what XNNPACK takes.
        Binary::Mul => {
            let factor = a.scale * b.scale / output.scale;
            if (2f32.powi(-16)..2f32.powi(8)).contains(&factor) {
                return pair.wire(operation, "Mul", move |a: f32, b: f32| {
                    Some(range.round((a * b) * factor))
                });
            }
            let product = f64::from(a.scale) * f64::from(b.scale);
            let factor = FixedPoint::new(product / f64::from(output.scale));
            pair.wire_steps(operation, "Mul", move |a, b| range.clamp(factor.apply(a * b)))
        }
        Binary::SquaredDifference => {
            let Some(function) = StepDifference::new([a, b], output, range) else {
                return Err(operation.unsupported(format!(
                    "scales {} and {} to {}",
                    a.scale, b.scale, output.scale
                )));
            };
            pair.wire_steps(operation, "SquaredDifference", move |a, b| function.square(a, b))
        }
        Binary::Div if !output.is_signed() => {
            let quotient = f64::from(a.scale) / (f64::from(b.scale) * f64::from(output.scale));
            let factor = FixedPoint::new(quotient);
            pair.wire(operation, "Div", move |a: f32, b: f32| {
                Some(range.clamp(factor.divide(a as i32, b as i32)?))
            })
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// The larger or the smaller of bytes, whatever their quantisation.
fn extreme(
    operation: &mut Operation<'_, '_>,
    pair: Pair<'_>,
    is_maximum: bool,
) -> Result<OutletId, BackendError> {
    let output = operation.output(0)?.zero_point() as f32;
    let zero_points = [&pair.operands[0], &pair.operands[1]]
        .map(|operand| operand.tensor.zero_point() as f32 - output);
    pair.wire(operation, "Extreme", move |a: f32, b: f32| {
        let (a, b) = (a + zero_points[0], b + zero_points[1]);
        Some(if is_maximum { a.max(b) } else { a.min(b) })
    })
}

/// A sum of steps in XNNPACK's fixed point.
///
/// ```text
/// shift = 20 - exponent(max(a_scale, b_scale)),  multiplier = lrint(scale * 2^shift)
/// sum   = (2^(shift-1) + a * a_multiplier + b * b_multiplier) >> shift
/// ```
///
/// Source of the formula: XNNPACK, `qs8-vadd`; scales are relative to the output's.
#[derive(Clone, Copy, Debug)]
struct ScaledSum {
    multipliers: [i32; 2],
    shift: u32,
    range: StepRange,
}

impl ScaledSum {
    /// `None` where XNNPACK has no such sum: a scale below 2^-10 or from 2^8 on.
    fn new(operands: [Steps; 2], output: Steps, range: StepRange) -> Option<Self> {
        let scales = operands.map(|operand| operand.scale / output.scale);
        let takes = 2f32.powi(-10)..2f32.powi(8);
        if !scales.iter().all(|scale| takes.contains(scale)) {
            return None;
        }
        let exponent = (scales[0].max(scales[1]).to_bits() >> 23).cast_signed() - 127;
        let shift = (20 - exponent).cast_unsigned();
        // Scaling by a power of two is exact.
        let unit = f32::from_bits((shift + 127) << 23);
        let multipliers = scales.map(|scale| (scale * unit).round_ties_even() as i32);
        Some(Self { multipliers, shift, range })
    }

    fn add(&self, a: i32, b: i32) -> f32 {
        let [a_multiplier, b_multiplier] = self.multipliers;
        let sum = (1i32 << (self.shift - 1))
            .wrapping_add(a.wrapping_mul(a_multiplier))
            .wrapping_add(b.wrapping_mul(b_multiplier));
        self.range.clamp(sum >> self.shift)
    }
}

/// A sum or difference of steps in TensorFlow Lite's own fixed point, for scales that XNNPACK does
/// not take.
///
/// ```text
/// twice = 2 * max(a_scale, b_scale)
/// sum = (a * 2^20 * (a_scale / twice) +- b * 2^20 * (b_scale / twice))
///     * (twice / (2^20 * output_scale))
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin `Add` and `Sub` of 8-bit tensors.
#[derive(Clone, Copy, Debug)]
struct ShiftedSum {
    factors: [FixedPoint; 2],
    output: FixedPoint,
    range: StepRange,
}

impl ShiftedSum {
    const SHIFT: u32 = 20;

    fn new(operands: [Steps; 2], output: Steps, range: StepRange) -> Self {
        let twice = 2.0 * f64::from(operands[0].scale.max(operands[1].scale));
        let unit = f64::from(1 << Self::SHIFT);
        Self {
            factors: operands.map(|operand| FixedPoint::new(f64::from(operand.scale) / twice)),
            output: FixedPoint::new(twice / (unit * f64::from(output.scale))),
            range,
        }
    }

    fn add(&self, a: i32, b: i32, sign: i32) -> f32 {
        let a = self.factors[0].apply(a << Self::SHIFT);
        let b = self.factors[1].apply(b << Self::SHIFT);
        self.range.clamp(self.output.apply(a.wrapping_add(sign * b)))
    }
}

/// The square of a difference of steps.
///
/// ```text
/// twice = 2 * max(a_scale, b_scale)
/// difference = a * 2^7 * (a_scale / twice) - b * 2^7 * (b_scale / twice)
/// result = difference^2 * (twice^2 / (2^14 * output_scale))
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin `SquaredDifference`.
#[derive(Clone, Copy, Debug)]
struct StepDifference {
    factors: [FixedPoint; 2],
    output: FixedPoint,
    range: StepRange,
}

impl StepDifference {
    const SHIFT: u32 = 7;

    fn new(operands: [Steps; 2], output: Steps, range: StepRange) -> Option<Self> {
        let twice = 2.0 * f64::from(operands[0].scale.max(operands[1].scale));
        let unit = f64::from(1 << (2 * Self::SHIFT));
        let factor = twice * twice / (unit * f64::from(output.scale));
        // TensorFlow Lite takes factors below one only.
        (factor < 1.0).then(|| Self {
            factors: operands.map(|operand| FixedPoint::new(f64::from(operand.scale) / twice)),
            output: FixedPoint::new(factor),
            range,
        })
    }

    fn square(&self, a: i32, b: i32) -> f32 {
        let a = self.factors[0].apply(a << Self::SHIFT);
        let b = self.factors[1].apply(b << Self::SHIFT);
        self.range.clamp(self.output.apply((a - b).wrapping_mul(a - b)))
    }
}

/// `PRELU`: negative elements times a slope that is learnt.
pub(super) fn translate_prelu(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let pair = Pair::new(operation)?;
    let [input, slope] = &pair.operands;
    if pair.shape != input.shape {
        return Err(operation.invalid(format!(
            "expected a slope within {:?}, found {:?}",
            input.shape, slope.shape
        )));
    }
    if pair.is_all(operation, Kind::Float)? {
        return pair.wire(operation, "Prelu", |value: f32, slope: f32| {
            Some(if value < 0.0 { value * slope } else { value })
        });
    }
    if !pair.is_all(operation, Kind::Bytes)? {
        return Err(operation.unsupported_elements());
    }
    // Source of the formula: TensorFlow Lite's builtin `Prelu`, as XNNPACK has none for bytes.
    let (input, slope) = (input.tensor.steps()?, slope.tensor.steps()?);
    let output = operation.output(0)?.steps()?;
    let range = output.whole();
    let positive = FixedPoint::new(f64::from(input.scale / output.scale));
    let negative = FixedPoint::new(f64::from(input.scale * slope.scale / output.scale));
    pair.wire_steps(operation, "Prelu", move |value, slope| {
        range.clamp(if value >= 0 { positive.apply(value) } else { negative.apply(value * slope) })
    })
}

/// A relation of two elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    NotEqual,
}

impl Comparison {
    fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::NotEqual => a != b,
        }
    }
}

pub(super) fn translate_comparison(
    operation: &mut Operation<'_, '_>,
    comparison: Comparison,
) -> Result<OutletId, BackendError> {
    let pair = Pair::new(operation)?;
    let [a, b] = &pair.operands;
    if a.tensor.dtype != b.tensor.dtype || operation.output(0)?.kind() != Some(Kind::Bool) {
        return Err(operation.unsupported_elements());
    }
    match (a.kind, a.tensor.dtype) {
        (Kind::Bytes, _) if a.tensor.quantization.is_some() => {
            // ```text
            // scaled = (steps * 2^8) * scale
            // ```
            //
            // Source of the formula: TensorFlow Lite's builtin comparisons of 8-bit tensors.
            let factors = [a.tensor.steps()?, b.tensor.steps()?]
                .map(|steps| FixedPoint::new(f64::from(steps.scale)));
            let scaled =
                move |steps: f32, operand: usize| factors[operand].apply((steps as i32) << 8);
            pair.wire(operation, "Compare", move |a: f32, b: f32| {
                Some(comparison.holds(scaled(a, 0), scaled(b, 1)))
            })
        }
        (Kind::Float | Kind::Bytes, _) => {
            pair.wire(operation, "Compare", move |a: f32, b: f32| Some(comparison.holds(a, b)))
        }
        (Kind::Whole, Some(DType::Int64)) => {
            pair.wire(operation, "Compare", move |a: i64, b: i64| Some(comparison.holds(a, b)))
        }
        (Kind::Whole, _) => {
            pair.wire(operation, "Compare", move |a: i32, b: i32| Some(comparison.holds(a, b)))
        }
        (Kind::Bool, _) => {
            pair.wire(operation, "Compare", move |a: bool, b: bool| Some(comparison.holds(a, b)))
        }
    }
}

/// A function of two truth values.
pub(super) fn translate_logical(
    operation: &mut Operation<'_, '_>,
    function: fn(bool, bool) -> bool,
) -> Result<OutletId, BackendError> {
    let pair = Pair::new(operation)?;
    if !pair.is_all(operation, Kind::Bool)? {
        return Err(operation.unsupported_elements());
    }
    pair.wire(operation, "Logical", move |a: bool, b: bool| Some(function(a, b)))
}

pub(super) fn translate_not(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let input = operation.input(0)?;
    if input.kind != Kind::Bool || operation.output(0)?.kind() != Some(Kind::Bool) {
        return Err(operation.unsupported_elements());
    }
    let not = Combine::new("Not", input.shape, |inputs: &[&[bool]], results: &mut [bool]| {
        for (result, value) in results.iter_mut().zip(inputs.iter().copied().flatten()) {
            *result = !value;
        }
        Ok(())
    });
    operation.wire(not, &[input.outlet])
}

/// `ADD_N`: the sum of inputs of one shape.
pub(super) fn translate_sum(operation: &mut Operation<'_, '_>) -> Result<OutletId, BackendError> {
    let first = operation.input(0)?;
    let mut parts = Vec::new();
    for index in 0..operation.input_count() {
        let part = operation.input(index)?;
        operation.check_moves(&part, 0)?;
        if part.shape != first.shape {
            return Err(operation.invalid(format!(
                "expected inputs of one shape, found {:?} and {:?}",
                first.shape, part.shape
            )));
        }
        parts.push(part.outlet);
    }
    match first.tensor.dtype {
        Some(DType::Float32) => {
            operation.wire(sum(first.shape, |sum: f32, value: f32| sum + value), &parts)
        }
        Some(DType::Int32) => operation.wire(sum(first.shape, i32::wrapping_add), &parts),
        _ => Err(operation.unsupported_elements()),
    }
}

fn sum<T: Datum + Copy>(
    shape: Vec<usize>,
    add: impl Fn(T, T) -> T + Send + Sync + 'static,
) -> Combine<T, T> {
    Combine::new("AddN", shape, move |inputs: &[&[T]], sums: &mut [T]| {
        let Some((first, rest)) = inputs.split_first() else {
            return Err("expected inputs".to_owned());
        };
        sums.copy_from_slice(first);
        for part in rest {
            for (sum, value) in sums.iter_mut().zip(*part) {
                *sum = add(*sum, *value);
            }
        }
        Ok(())
    })
}
