//! `SELECT` and `SELECT_V2`: elements of one tensor or another, by a condition.

use image_embedder_backend::BackendError;

use crate::graph::{Element, checked_element_count};
use crate::ops::broadcast::Broadcast;
use crate::ops::selection::strides;
use crate::ops::{Kernel, Lowered, Operands};
use crate::slots::{Elements, Held, Inputs, Output, Scratch};

pub(crate) fn lower(operands: &Operands<'_>, broadcasts: bool) -> Result<Lowered, BackendError> {
    let (condition, a, b) = (operands.input(0)?, operands.input(1)?, operands.input(2)?);
    if condition.element != Element::Bool {
        return Err(operands.unsupported_elements());
    }
    operands.check_moves(a)?;
    operands.check_moves(b)?;
    // In the first version a list of conditions is for the outermost dimension.
    let mut condition_shape = condition.shape.clone();
    if !broadcasts && condition_shape.len() == 1 {
        condition_shape.resize(a.shape.len().max(1), 1);
    }
    let shape = Broadcast::new(&condition_shape, &a.shape)
        .and_then(|(shape, _)| Some(Broadcast::new(&shape, &b.shape)?.0));
    let Some(shape) = shape else {
        return Err(operands.invalid(format!(
            "expected shapes that differ in dimensions of 1 only, found {:?}, {:?} and {:?}",
            condition.shape, a.shape, b.shape
        )));
    };
    checked_element_count(&operands.node.name, &shape)?;
    let steps = [&condition_shape, &a.shape, &b.shape].map(|own| repeating_strides(own, &shape));
    let dimensions = (0..shape.len())
        .map(|index| (shape[index], std::array::from_fn(|operand| steps[operand][index])))
        .collect();
    let places = vec![operands.input_index(0)?, operands.input_index(1)?, operands.input_index(2)?];
    Ok(Lowered::step(shape, Select { dimensions }, places))
}

/// The distance between neighbours along each dimension of a shape that is repeated to another.
fn repeating_strides(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let missing = shape.len() - own.len();
    let steps = own.iter().zip(strides(own)).map(|(&size, step)| if size == 1 { 0 } else { step });
    std::iter::repeat_n(0, missing).chain(steps).collect()
}

#[derive(Debug)]
struct Select {
    /// From the outermost: sizes, and the steps of condition and both sides.
    dimensions: Vec<(usize, [usize; 3])>,
}

fn select<T: Held>(
    dimensions: &[(usize, [usize; 3])],
    condition: &[u8],
    sides: [&[T]; 2],
    output: &mut [T],
) {
    let [a, b] = sides;
    let Some((&(size, [condition_step, a_step, b_step]), inner)) = dimensions.split_first() else {
        output[0] = if condition[0] != 0 { a[0] } else { b[0] };
        return;
    };
    let chunk = output.len() / size;
    for (index, output) in output.chunks_exact_mut(chunk).enumerate() {
        let sides = [&a[index * a_step..], &b[index * b_step..]];
        select(inner, &condition[index * condition_step..], sides, output);
    }
}

impl Select {
    fn run_on<T: Held>(&self, inputs: Inputs<'_>, output: &mut [T]) -> Result<(), BackendError> {
        let sides = [T::input(inputs, 1)?, T::input(inputs, 2)?];
        if !output.is_empty() {
            select(&self.dimensions, inputs.bytes(0)?, sides, output);
        }
        Ok(())
    }
}

impl Kernel for Select {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        match output.elements {
            Elements::Float32(output) => self.run_on(inputs, output),
            Elements::Bytes(output) => self.run_on(inputs, output),
            Elements::Integers(output) => self.run_on(inputs, output),
        }
    }
}
