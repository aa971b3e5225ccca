//! `ADD`, elementwise, the second operand repeated over outer dimensions if it has fewer elements.

use image_embedder_backend::BackendError;

use crate::kernels::requantize::OutputRange;
use crate::operator::Activation;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower(
    operands: &Operands<'_>,
    activation: Activation,
) -> Result<Lowered, BackendError> {
    let (mut first, mut second) = (0, 1);
    let is_tail = |whole: &[usize], part: &[usize]| {
        let part = &part[part.iter().take_while(|&&size| size == 1).count()..];
        whole.ends_with(part)
    };
    if !is_tail(
        &operands.input(first)?.shape,
        &operands.input(second)?.shape,
    ) {
        std::mem::swap(&mut first, &mut second);
    }
    let (a, b, output) = (
        operands.input(first)?,
        operands.input(second)?,
        operands.output()?,
    );
    if !is_tail(&a.shape, &b.shape) || a.shape.len() < b.shape.len() {
        return Err(operands.unsupported(format!("shapes {:?} and {:?}", a.shape, b.shape)));
    }
    let places = vec![operands.input_index(first)?, operands.input_index(second)?];
    if both_float32(a, b) && both_float32(b, output) {
        let kernel = FloatAdd {
            range: activation.range(),
        };
        return Ok(Lowered::step(a.shape.clone(), kernel, places));
    }
    if both_bytes(a, b) && both_bytes(b, output) {
        let (a_scale, a_zero_point) = a.per_tensor()?;
        let (b_scale, b_zero_point) = b.per_tensor()?;
        let (scale, zero_point) = output.per_tensor()?;
        let range = OutputRange::new(scale, zero_point, output.element.byte_offset(), activation);
        let kernel = QuantizedAdd::new(
            (a_scale / scale, a_zero_point),
            (b_scale / scale, b_zero_point),
            range,
        )
        .ok_or_else(|| {
            operands.unsupported(format!("scales {a_scale} and {b_scale} to {scale}"))
        })?;
        return Ok(Lowered::step(a.shape.clone(), kernel, places));
    }
    Err(operands.unsupported_elements())
}

/// A sum of floats.
#[derive(Debug)]
struct FloatAdd {
    range: (f32, f32),
}

impl Kernel for FloatAdd {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b, output) = (inputs.float32(0)?, inputs.float32(1)?, output.float32()?);
        let (least, largest) = self.range;
        let period = b.len().max(1);
        for (results, a) in output.chunks_mut(period).zip(a.chunks(period)) {
            for ((result, a), b) in results.iter_mut().zip(a).zip(b) {
                *result = (a + b).max(least).min(largest);
            }
        }
        Ok(())
    }
}

/// A sum of bytes in XNNPACK's fixed point.
///
/// ```text
/// shift = 20 - exponent(max(a_scale, b_scale)),  multiplier = lrint(scale * 2^shift)
/// sum   = (2^(shift-1) + (a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier) >> shift
/// ```
///
/// Source of the formula: XNNPACK, `qs8-vadd`; scales are relative to the output's.
#[derive(Debug)]
struct QuantizedAdd {
    bias: i32,
    a_multiplier: i32,
    b_multiplier: i32,
    shift: u32,
    range: OutputRange,
}

impl QuantizedAdd {
    fn new(
        (a_scale, a_zero): (f32, i32),
        (b_scale, b_zero): (f32, i32),
        range: OutputRange,
    ) -> Option<Self> {
        let in_range = |scale: f32| (2f32.powi(-10)..2f32.powi(8)).contains(&scale);
        if !in_range(a_scale) || !in_range(b_scale) {
            return None;
        }
        let exponent = (a_scale.max(b_scale).to_bits() >> 23).cast_signed() - 127;
        let shift = (20 - exponent).cast_unsigned();
        let multiplier = |scale: f32| {
            // Scaling by a power of two is exact.
            (scale * f32::from_bits((shift + 127) << 23)).round_ties_even() as i32
        };
        let (a_multiplier, b_multiplier) = (multiplier(a_scale), multiplier(b_scale));
        let bias = (1i32 << (shift - 1))
            .wrapping_sub(a_multiplier.wrapping_mul(a_zero))
            .wrapping_sub(b_multiplier.wrapping_mul(b_zero));
        Some(Self {
            bias,
            a_multiplier,
            b_multiplier,
            shift,
            range,
        })
    }
}

impl Kernel for QuantizedAdd {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b, output) = (inputs.bytes(0)?, inputs.bytes(1)?, output.bytes()?);
        let period = b.len().max(1);
        for (results, a) in output.chunks_mut(period).zip(a.chunks(period)) {
            for ((result, &a), &b) in results.iter_mut().zip(a).zip(b) {
                let sum = self
                    .bias
                    .wrapping_add(i32::from(a).wrapping_mul(self.a_multiplier))
                    .wrapping_add(i32::from(b).wrapping_mul(self.b_multiplier));
                *result = self.range.clamp(sum >> self.shift);
            }
        }
        Ok(())
    }
}
