//! `CONCATENATION` and `PACK` along any dimension.

use image_embedder_backend::BackendError;

use crate::graph::{Element, Tensor};
use crate::operator::Activation;
use crate::ops::{Kernel, Lowered, Operands, both_bytes};
use crate::slots::{Elements, Inputs, Output, Scratch};

pub(crate) fn lower(
    operands: &Operands<'_>,
    axis: i32,
    activation: Activation,
) -> Result<Lowered, BackendError> {
    let (first, output) = (operands.input(0)?, operands.output()?);
    let rank = first.shape.len();
    let axis = operands.axis(axis.into(), rank)?;
    if activation != Activation::None {
        return Err(operands.unsupported("a fused activation"));
    }
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    let mut runs = Vec::new();
    let mut places = Vec::new();
    let mut tables = Vec::new();
    for index in 0..operands.node.inputs.len() {
        let part = operands.input(index)?;
        let fits = part.shape.len() == rank
            && (0..rank).all(|other| other == axis || part.shape[other] == shape[other]);
        if !fits {
            return Err(operands.invalid(format!(
                "expected shapes alike but along axis {axis}, found {:?} and {:?}",
                first.shape, part.shape
            )));
        }
        tables.push(if !part.element.is_byte() || part.quantization == output.quantization {
            None
        } else {
            Some(requantization(part, output).ok_or_else(|| operands.unsupported_elements())?)
        });
        if part.element != output.element || part.element.holder().is_none() {
            return Err(operands.unsupported_elements());
        }
        shape[axis] = shape[axis]
            .checked_add(part.shape[axis])
            .ok_or_else(|| operands.invalid("expected small inputs"))?;
        runs.push(part.shape[axis..].iter().product());
        places.push(operands.input_index(index)?);
    }
    Ok(Lowered::step(shape, Concatenation { runs, tables }, places))
}

/// The output's bytes for the bytes of an input that is quantised otherwise.
///
/// ```text
/// scale = input_scale / output_scale
/// result = round(value * scale - input_zero * scale) + output_zero
/// ```
///
/// Source of the formula: TensorFlow Lite, `ConcatenationWithScaling`, which is for unsigned bytes
/// only.
fn requantization(input: &Tensor, output: &Tensor) -> Option<Box<[u8; 256]>> {
    if !(both_bytes(input, output) && output.element == Element::UInt8) {
        return None;
    }
    let (input_scale, input_zero_point) = input.per_tensor().ok()?;
    let (scale, zero_point) = output.per_tensor().ok()?;
    let factor = input_scale * (1.0 / scale);
    let bias = -input_zero_point as f32 * factor;
    let mut table = Box::new([0; 256]);
    for (entry, value) in table.iter_mut().zip(0u8..=255) {
        let rounded = (f32::from(value) * factor + bias).round() as i32;
        *entry = rounded.saturating_add(zero_point).clamp(0, 255) as u8;
    }
    Some(table)
}

/// Inputs of one shape side by side along a new dimension.
pub(crate) fn lower_pack(operands: &Operands<'_>, axis: i32) -> Result<Lowered, BackendError> {
    let first = operands.input(0)?;
    let axis = operands.axis(axis.into(), first.shape.len() + 1)?;
    let mut shape = first.shape.clone();
    shape.insert(axis, operands.node.inputs.len());
    let run: usize = first.shape[axis..].iter().product();
    let mut places = Vec::new();
    for index in 0..operands.node.inputs.len() {
        let part = operands.input(index)?;
        if part.shape != first.shape {
            return Err(operands.invalid(format!(
                "expected inputs of one shape, found {:?} and {:?}",
                first.shape, part.shape
            )));
        }
        operands.check_moves(part)?;
        places.push(operands.input_index(index)?);
    }
    let kernel = Concatenation { runs: vec![run; places.len()], tables: vec![None; places.len()] };
    Ok(Lowered::step(shape, kernel, places))
}

/// Runs of each input in turn.
#[derive(Debug)]
struct Concatenation {
    /// The length of each input's run.
    runs: Vec<usize>,
    /// What becomes of each input's bytes, if they do not stay as they are.
    tables: Vec<Option<Box<[u8; 256]>>>,
}

impl Concatenation {
    /// The length of the runs of all inputs.
    fn whole(&self) -> usize {
        self.runs.iter().sum()
    }

    fn copy<'a, T: Copy + 'a>(
        &self,
        (first, output): (usize, &mut [T]),
        part: impl Fn(usize) -> Result<&'a [T], BackendError>,
        finish: impl Fn(usize, &mut [T]),
    ) -> Result<(), BackendError> {
        let whole = self.whole();
        let skipped = first.checked_div(whole).unwrap_or(0);
        let mut start = 0;
        for (index, &run) in self.runs.iter().enumerate() {
            let source = part(index)?;
            if run > 0 {
                let rows =
                    output.chunks_exact_mut(whole).zip(source[skipped * run..].chunks_exact(run));
                for (row, source) in rows {
                    let results = &mut row[start..start + run];
                    results.copy_from_slice(source);
                    finish(index, results);
                }
            }
            start += run;
        }
        Ok(())
    }
}

impl Kernel for Concatenation {
    fn grain(&self) -> Option<usize> {
        Some(self.whole())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        match output.elements {
            Elements::Float32(output) => {
                self.copy((first, output), |index| inputs.float32(index), |_, _| {})
            }
            Elements::Integers(output) => {
                self.copy((first, output), |index| inputs.integers(index), |_, _| {})
            }
            Elements::Bytes(output) => self.copy(
                (first, output),
                |index| inputs.bytes(index),
                |index, results| {
                    if let Some(Some(table)) = self.tables.get(index) {
                        for result in results {
                            *result = table[usize::from(*result)];
                        }
                    }
                },
            ),
        }
    }
}
