//! `ARG_MAX` and `ARG_MIN`: the place of the largest or the least element along a dimension.

use image_embedder_backend::BackendError;

use crate::graph::Holder;
use crate::ops::{Kernel, Lowered, Operands};
use crate::slots::{Held, Inputs, Output, Scratch};

/// The second input is the axis; of equal elements the first counts.
pub(crate) fn lower(operands: &Operands<'_>, is_maximum: bool) -> Result<Lowered, BackendError> {
    let (input, output) = (operands.input(0)?, operands.output()?);
    let axis = match operands.integers(1)?[..] {
        [axis] => operands.axis(axis, input.shape.len())?,
        ref axes => return Err(operands.invalid(format!("expected one axis, found {axes:?}"))),
    };
    let Some(holder) = input.element.holder().filter(|_| output.element.is_integer()) else {
        return Err(operands.unsupported_elements());
    };
    let mut shape = input.shape.clone();
    let size = shape.remove(axis);
    if size == 0 {
        return Err(operands.invalid(format!("expected elements along axis {axis}, found none")));
    }
    let run = shape[axis..].iter().product();
    let kernel = ArgExtreme { is_maximum, holder, size, run };
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

#[derive(Debug)]
struct ArgExtreme {
    is_maximum: bool,
    holder: Holder,
    size: usize,
    /// Elements between neighbours along the axis.
    run: usize,
}

impl ArgExtreme {
    fn find<T: Held>(&self, input: &[T], output: &mut [i64]) {
        let Self { is_maximum, size, run, .. } = *self;
        let is_better = |new: T, old: T| if is_maximum { new > old } else { new < old };
        for (index, result) in output.iter_mut().enumerate() {
            let first = index / run * run * size + index % run;
            let mut best = 0;
            for place in 1..size {
                if is_better(input[first + place * run], input[first + best * run]) {
                    best = place;
                }
            }
            *result = best as i64;
        }
    }
}

impl Kernel for ArgExtreme {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let output = output.integers()?;
        match self.holder {
            Holder::Float32 => self.find(inputs.float32(0)?, output),
            Holder::Bytes => self.find(inputs.bytes(0)?, output),
            Holder::Integers => self.find(inputs.integers(0)?, output),
        }
        Ok(())
    }
}
