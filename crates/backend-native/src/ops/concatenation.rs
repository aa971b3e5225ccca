//! `CONCATENATION` along any dimension.

use image_embedder_backend::BackendError;

use crate::operator::Activation;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower(
    operands: &Operands<'_>,
    axis: i32,
    activation: Activation,
) -> Result<Lowered, BackendError> {
    let (first, output) = (operands.input(0)?, operands.output()?);
    let rank = first.shape.len();
    let axis = usize::try_from(if axis < 0 {
        i64::from(axis) + rank as i64
    } else {
        axis.into()
    })
    .ok()
    .filter(|&axis| axis < rank)
    .ok_or_else(|| operands.invalid(format!("expected an axis below {rank}, found {axis}")))?;
    if activation != Activation::None {
        return Err(operands.unsupported("a fused activation"));
    }
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    let mut runs = Vec::new();
    let mut places = Vec::new();
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
        let alike = both_float32(part, output)
            || (both_bytes(part, output) && part.per_tensor()? == output.per_tensor()?);
        if !alike {
            return Err(operands.unsupported_elements());
        }
        shape[axis] += part.shape[axis];
        runs.push(part.shape[axis..].iter().product());
        places.push(operands.input_index(index)?);
    }
    Ok(Lowered::step(shape, Concatenation { runs }, places))
}

/// Runs of each input in turn.
#[derive(Debug)]
struct Concatenation {
    /// The length of each input's run.
    runs: Vec<usize>,
}

impl Concatenation {
    fn copy<'a, T: Copy + 'a>(
        &self,
        output: &mut [T],
        part: impl Fn(usize) -> Result<&'a [T], BackendError>,
    ) -> Result<(), BackendError> {
        let whole: usize = self.runs.iter().sum();
        let mut start = 0;
        for (index, &run) in self.runs.iter().enumerate() {
            let source = part(index)?;
            if run > 0 {
                let rows = output.chunks_exact_mut(whole).zip(source.chunks_exact(run));
                for (row, source) in rows {
                    row[start..start + run].copy_from_slice(source);
                }
            }
            start += run;
        }
        Ok(())
    }
}

impl Kernel for Concatenation {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output {
            Output::Float32(output) => self.copy(output, |index| inputs.float32(index)),
            Output::Bytes(output) => self.copy(output, |index| inputs.bytes(index)),
        }
    }
}
