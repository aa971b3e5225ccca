//! Products of matrices: `FULLY_CONNECTED` and `BATCH_MATMUL`.

use image_embedder_backend::BackendError;

use crate::graph::{Node, Tensor};
use crate::operator::{Activation, Convolution};
use crate::ops::broadcast::Broadcast;
use crate::ops::{Kernel, Lowered, Operands, Work, both_float32, convolution};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};
use image_embedder_schema::tflite::Padding;

/// Every row of the input times a constant matrix: a convolution of images of one pixel.
pub(crate) fn lower_fully_connected(
    operands: &Operands<'_>,
    activation: Activation,
    keep_dims: bool,
) -> Result<Lowered, BackendError> {
    let (input, weights) = (operands.input(0)?, operands.input(1)?);
    let &[units, depth] = &weights.shape[..] else {
        return Err(operands.invalid(format!(
            "expected weights of units x depth, found shape {:?}",
            weights.shape
        )));
    };
    let count = input.element_count();
    let rows = count.checked_div(depth).filter(|rows| rows * depth == count);
    let fits = rows.is_some() && (!keep_dims || input.shape.last() == Some(&depth));
    let (Some(rows), true) = (rows, fits) else {
        return Err(operands.invalid(format!(
            "expected an input in multiples of {depth}, found shape {:?}",
            input.shape
        )));
    };
    let shape = match input.shape.split_last() {
        Some((_, outer)) if keep_dims => {
            let mut shape = outer.to_vec();
            shape.push(units);
            shape
        }
        _ => vec![rows, units],
    };
    let like = |tensor: &Tensor, shape: Vec<usize>| Tensor { shape, ..tensor.clone() };
    let mut tensors = vec![
        like(input, vec![rows, 1, 1, depth]),
        like(weights, vec![units, 1, 1, depth]),
        like(operands.output()?, vec![rows, 1, 1, units]),
    ];
    let mut inputs = vec![Some(0), Some(1)];
    if let Some(bias) = operands.optional_input(2) {
        inputs.push(Some(tensors.len()));
        tensors.push(bias.clone());
    }
    let node = Node {
        name: operands.node.name.clone(),
        operator: operands.node.operator,
        inputs,
        outputs: vec![2],
    };
    let pixels = Operands { node: &node, tensors: &tensors, position: 0, ..*operands };
    let options =
        Convolution { padding: Padding::Valid, strides: [1, 1], dilations: [1, 1], activation };
    let lowered = convolution::lower(&pixels, &options)?;
    let Work::Step { kernel, .. } = lowered.work else {
        return Err(operands.unsupported_elements());
    };
    Ok(Lowered { shape, work: Work::Step { kernel, operands: vec![operands.input_index(0)?] } })
}

/// Products of matrices in the last two dimensions.
pub(crate) fn lower_batch(
    operands: &Operands<'_>,
    adjoint: [bool; 2],
) -> Result<Lowered, BackendError> {
    let (a, b, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    if !(both_float32(a, b) && both_float32(b, output)) {
        return Err(operands.unsupported_elements());
    }
    let misfit = || {
        operands.invalid(format!(
            "expected matrices that fit, found shapes {:?} and {:?}",
            a.shape, b.shape
        ))
    };
    let (a_batch, &[a_rows, a_columns]) = a.shape.split_last_chunk().ok_or_else(misfit)?;
    let (b_batch, &[b_rows, b_columns]) = b.shape.split_last_chunk().ok_or_else(misfit)?;
    let exchange = |rows, columns, is_adjoint| {
        if is_adjoint { (columns, rows) } else { (rows, columns) }
    };
    let (rows, depth) = exchange(a_rows, a_columns, adjoint[0]);
    let (b_depth, columns) = exchange(b_rows, b_columns, adjoint[1]);
    let (mut shape, broadcast) = Broadcast::new(a_batch, b_batch).ok_or_else(misfit)?;
    if depth != b_depth || depth == 0 {
        return Err(misfit());
    }
    let every = |batch: &[usize]| (0..batch.iter().product()).collect::<Vec<usize>>();
    let mut pairs = vec![(0, 0); crate::graph::checked_element_count(&output.name, &shape)?];
    broadcast.run(&every(a_batch), &every(b_batch), (0, &mut pairs[..]), |a, b| (a, b));
    shape.extend([rows, columns]);
    let kernel = BatchProduct { pairs, rows, depth, columns, adjoint };
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    Ok(Lowered::step(shape, kernel, places))
}

/// Products of float matrices that are known at run time only.
#[derive(Debug)]
struct BatchProduct {
    /// Which matrices of each side are multiplied, in the order of results.
    pairs: Vec<(usize, usize)>,
    rows: usize,
    depth: usize,
    columns: usize,
    /// Whether a side is stored with rows and columns exchanged.
    adjoint: [bool; 2],
}

/// Rows and columns of the results that are summed at a time.
const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 16;

impl Kernel for BatchProduct {
    fn scratch(&self) -> ScratchSizes {
        let [a, b] = self.adjoint;
        ScratchSizes {
            float32: usize::from(a) * self.rows * self.depth
                + usize::from(b) * self.depth * self.columns,
            ..ScratchSizes::default()
        }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b, output) = (inputs.float32(0)?, inputs.float32(1)?, output.float32()?);
        let &Self { rows, depth, columns, adjoint, .. } = self;
        if rows * columns == 0 {
            return Ok(());
        }
        let a_turned = if adjoint[0] { rows * depth } else { 0 };
        let (a_scratch, b_scratch) = scratch.float32.split_at_mut(a_turned);
        let results = output.chunks_exact_mut(rows * columns);
        for (&(a_index, b_index), results) in self.pairs.iter().zip(results) {
            let mut a = &a[a_index * rows * depth..][..rows * depth];
            let mut b = &b[b_index * depth * columns..][..depth * columns];
            if adjoint[0] {
                turn(a, rows, a_scratch);
                a = a_scratch;
            }
            if adjoint[1] {
                let turned = &mut b_scratch[..depth * columns];
                turn(b, depth, turned);
                b = turned;
            }
            multiply(a, b, depth, columns, results);
        }
        Ok(())
    }
}

/// Exchanges rows and columns; the source has `columns` columns.
fn turn(source: &[f32], columns: usize, result: &mut [f32]) {
    let rows = source.len() / columns;
    for (column, results) in result.chunks_exact_mut(rows).enumerate() {
        for (result, row) in results.iter_mut().zip(source.chunks_exact(columns)) {
            *result = row[column];
        }
    }
}

/// The product of two matrices; every sum runs over the depth in order.
fn multiply(a: &[f32], b: &[f32], depth: usize, columns: usize, results: &mut [f32]) {
    let rows = results.chunks_mut(TILE_ROWS * columns);
    for (results, a) in rows.zip(a.chunks(TILE_ROWS * depth)) {
        let mut first = 0;
        while first + TILE_COLUMNS <= columns {
            let mut sums = [[0.0f32; TILE_COLUMNS]; TILE_ROWS];
            for (index, b) in b.chunks_exact(columns).enumerate() {
                let b = &b[first..first + TILE_COLUMNS];
                for (sums, a) in sums.iter_mut().zip(a.chunks_exact(depth)) {
                    let factor = a[index];
                    for (sum, value) in sums.iter_mut().zip(b) {
                        *sum += factor * value;
                    }
                }
            }
            for (row, sums) in results.chunks_exact_mut(columns).zip(&sums) {
                row[first..first + TILE_COLUMNS].copy_from_slice(sums);
            }
            first += TILE_COLUMNS;
        }
        for (row, a) in results.chunks_exact_mut(columns).zip(a.chunks_exact(depth)) {
            let row = &mut row[first..];
            row.fill(0.0);
            for (factor, b) in a.iter().zip(b.chunks_exact(columns)) {
                for (sum, value) in row.iter_mut().zip(&b[first..]) {
                    *sum += factor * value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_single_sums() {
        let mut cases = 0;
        for rows in [1, 3, 4, 9] {
            for depth in [1, 5] {
                for columns in [1, 15, 16, 35] {
                    let a: Vec<f32> = (0..rows * depth).map(|index| index as f32 - 4.0).collect();
                    let b: Vec<f32> = (0..depth * columns).map(|index| index as f32).collect();
                    let mut results = vec![f32::NAN; rows * columns];
                    multiply(&a, &b, depth, columns, &mut results);
                    for (index, result) in results.iter().enumerate() {
                        let (row, column) = (index / columns, index % columns);
                        let expected: f32 = (0..depth)
                            .map(|place| a[row * depth + place] * b[place * columns + column])
                            .sum();
                        assert_eq!(*result, expected);
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, 17 * 67 * 2);
    }

    #[test]
    fn turning_exchanges_rows_and_columns() {
        let mut result = [0.0; 6];
        turn(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut result);
        assert_eq!(result, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
