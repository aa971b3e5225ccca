//! `GATHER`: elements by their places along a dimension.

use image_embedder_backend::BackendError;

use crate::NAME;
use crate::graph::checked_element_count;
use crate::ops::selection::{every, lower_selection, strides};
use crate::ops::{Kernel, Lowered, Operands};
use crate::slots::{Elements, Held, Inputs, Output, Scratch};

/// The elements of the first input that the indices in the second name along an axis, both apart
/// for each index of the first `batch_dims` dimensions.
pub(crate) fn lower(
    operands: &Operands<'_>,
    axis: i32,
    batch_dims: i32,
) -> Result<Lowered, BackendError> {
    let (input, indices) = (operands.input(0)?, operands.input(1)?);
    operands.check_moves(input)?;
    if !indices.element.is_integer() {
        return Err(operands.unsupported_elements());
    }
    let shape = &input.shape;
    let axis = operands.axis(axis.into(), shape.len())?;
    let rank = i64::try_from(indices.shape.len()).unwrap_or(i64::MAX);
    let batch = i64::from(batch_dims) + if batch_dims < 0 { rank } else { 0 };
    let batch = usize::try_from(batch)
        .ok()
        .filter(|&batch| batch <= axis && batch <= indices.shape.len())
        .filter(|&batch| shape[..batch] == indices.shape[..batch])
        .ok_or_else(|| {
            operands.invalid(format!(
                "expected {batch_dims} dimensions alike before axis {axis}, found shapes {shape:?} \
                 and {:?}",
                indices.shape
            ))
        })?;
    let mut result = shape[..axis].to_vec();
    result.extend(&indices.shape[batch..]);
    result.extend(&shape[axis + 1..]);
    if let (0, Some(indices)) = (batch, indices.integers()) {
        let places: Option<Vec<usize>> =
            indices.iter().map(|&index| place(index, shape[axis])).collect();
        let places = places.ok_or_else(|| {
            operands.invalid(format!("expected indices below {}, found {indices:?}", shape[axis]))
        })?;
        let strides = strides(shape);
        let offsets = (0..shape.len())
            .map(|dimension| {
                if dimension == axis {
                    places.iter().map(|&place| place * strides[axis]).collect()
                } else {
                    every(shape[dimension], strides[dimension])
                }
            })
            .collect();
        return lower_selection(operands, 0, result, offsets);
    }
    checked_element_count(&operands.node.name, &result)?;
    let kernel = Gather {
        name: operands.node.name.clone(),
        outer: shape[batch..axis].iter().product(),
        size: shape[axis],
        run: shape[axis + 1..].iter().product(),
        indices: indices.shape[batch..].iter().product(),
    };
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    Ok(Lowered::step(result, kernel, places))
}

/// The index, if it is below the size.
fn place(index: i64, size: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|&index| index < size)
}

/// Places that are known at run time only.
#[derive(Debug)]
struct Gather {
    name: String,
    /// Elements of the dimensions between the batch and the axis.
    outer: usize,
    /// Elements of the axis.
    size: usize,
    /// Elements behind the axis.
    run: usize,
    /// Indices for each index of the batch.
    indices: usize,
}

impl Gather {
    fn gather<T: Held>(
        &self,
        input: &[T],
        indices: &[i64],
        output: &mut [T],
    ) -> Result<(), BackendError> {
        let Self { outer, size, run, .. } = *self;
        if output.is_empty() {
            return Ok(());
        }
        let images = input.chunks_exact(outer * size * run);
        let lists = indices.chunks_exact(self.indices);
        let results = output.chunks_exact_mut(outer * self.indices * run);
        for ((image, list), results) in images.zip(lists).zip(results) {
            let rows = image.chunks_exact(size * run);
            for (row, results) in rows.zip(results.chunks_exact_mut(self.indices * run)) {
                for (&index, results) in list.iter().zip(results.chunks_exact_mut(run)) {
                    let place = place(index, size).ok_or_else(|| BackendError::Runtime {
                        backend: NAME.to_owned(),
                        message: format!(
                            "{}: expected indices below {size}, found {index}",
                            self.name
                        ),
                    })?;
                    results.copy_from_slice(&row[place * run..][..run]);
                }
            }
        }
        Ok(())
    }
}

impl Kernel for Gather {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let indices = inputs.integers(1)?;
        match output.elements {
            Elements::Float32(output) => self.gather(inputs.float32(0)?, indices, output),
            Elements::Bytes(output) => self.gather(inputs.bytes(0)?, indices, output),
            Elements::Integers(output) => self.gather(inputs.integers(0)?, indices, output),
        }
    }
}
