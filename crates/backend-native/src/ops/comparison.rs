//! Relations of two elements, such as `LESS`, and functions of truth values.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::graph::{Element, Holder, Tensor};
use crate::operator::Comparison;
use crate::ops::binary::common_shape;
use crate::ops::elements::{Each, Pairs};
use crate::ops::{Lowered, Operands};

pub(crate) fn lower(
    operands: &Operands<'_>,
    comparison: Comparison,
) -> Result<Lowered, BackendError> {
    let (a, b) = (operands.input(0)?, operands.input(1)?);
    let (shape, broadcast) = common_shape(operands)?;
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    if a.element != b.element || operands.output()?.element != Element::Bool {
        return Err(operands.unsupported_elements());
    }
    if a.element.is_byte() && a.quantization.is_some() {
        let (a, b) = (ComparedBytes::new(a)?, ComparedBytes::new(b)?);
        let kernel = Pairs::new(broadcast, move |x: u8, y: u8| {
            u8::from(holds(comparison, a.scaled(x), b.scaled(y)))
        });
        return Ok(Lowered::step(shape, kernel, places));
    }
    Ok(match a.element.holder() {
        Some(Holder::Float32) => {
            let kernel =
                Pairs::new(broadcast, move |a: f32, b: f32| u8::from(holds(comparison, a, b)));
            Lowered::step(shape, kernel, places)
        }
        Some(Holder::Bytes) => {
            let kernel =
                Pairs::new(broadcast, move |a: u8, b: u8| u8::from(holds(comparison, a, b)));
            Lowered::step(shape, kernel, places)
        }
        Some(Holder::Integers) => {
            let kernel =
                Pairs::new(broadcast, move |a: i64, b: i64| u8::from(holds(comparison, a, b)));
            Lowered::step(shape, kernel, places)
        }
        None => return Err(operands.unsupported_elements()),
    })
}

fn holds<T: PartialOrd>(comparison: Comparison, a: T, b: T) -> bool {
    match comparison {
        Comparison::Equal => a == b,
        Comparison::Greater => a > b,
        Comparison::GreaterEqual => a >= b,
        Comparison::Less => a < b,
        Comparison::LessEqual => a <= b,
        Comparison::NotEqual => a != b,
    }
}

/// Bytes on a scale that both sides share.
///
/// ```text
/// scaled = ((value - zero_point) * 2^8) * scale
/// ```
///
/// Source of the formula: TensorFlow Lite's builtin comparisons of 8-bit tensors.
#[derive(Clone, Copy, Debug)]
struct ComparedBytes {
    zero_point: i32,
    multiplier: FixedPoint,
}

impl ComparedBytes {
    fn new(tensor: &Tensor) -> Result<Self, BackendError> {
        let (scale, zero_point) = tensor.per_tensor()?;
        Ok(Self { zero_point, multiplier: FixedPoint::new(f64::from(scale)) })
    }

    fn scaled(&self, value: u8) -> i32 {
        let shifted = (i32::from(value) - self.zero_point) << 8;
        self.multiplier.apply(shifted)
    }
}

/// A function of two truth values.
pub(crate) fn lower_logical(
    operands: &Operands<'_>,
    function: fn(u8, u8) -> u8,
) -> Result<Lowered, BackendError> {
    let (a, b) = (operands.input(0)?, operands.input(1)?);
    let (shape, broadcast) = common_shape(operands)?;
    if [a, b, operands.output()?].iter().any(|tensor| tensor.element != Element::Bool) {
        return Err(operands.unsupported_elements());
    }
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    Ok(Lowered::step(shape, Pairs::new(broadcast, function), places))
}

pub(crate) fn lower_not(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let input = operands.input(0)?;
    if input.element != Element::Bool {
        return Err(operands.unsupported_elements());
    }
    operands.check_moves(input)?;
    let kernel = Each::new(|value: u8| value ^ 1);
    Ok(Lowered::step(input.shape.clone(), kernel, vec![operands.input_index(0)?]))
}
