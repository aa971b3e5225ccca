//! `ADD`, elementwise, the second operand repeated over outer dimensions if it has fewer elements.

use image_embedder_backend::BackendError;

use crate::kernels::add_bytes::AddBytes;
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
        let a_term = (a_scale / scale, a_zero_point);
        let b_term = (b_scale / scale, b_zero_point);
        let sum = AddBytes::new(operands.isa, a_term, b_term, range).ok_or_else(|| {
            operands.unsupported(format!("scales {a_scale} and {b_scale} to {scale}"))
        })?;
        let kernel = QuantizedAdd { sum };
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

/// A sum of bytes.
#[derive(Debug)]
struct QuantizedAdd {
    sum: AddBytes,
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
            self.sum.add(a, b, results);
        }
        Ok(())
    }
}
