//! Products of matrices: `FULLY_CONNECTED` and `BATCH_MATMUL`.

use std::ops::{AddAssign, Mul};

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::graph::{Node, Tensor};
use crate::kernels::requantize::OutputRange;
use crate::operator::{Activation, Convolution};
use crate::ops::broadcast::Broadcast;
use crate::ops::{Kernel, Lowered, Operands, Work, both_bytes, both_float32, convolution};
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
    let operand = operands.input_index(0)?;
    let work = match lowered.work {
        Work::Step { kernel, .. } => Work::Step { kernel, operands: vec![operand] },
        Work::ThroughBytes { first, len, then, .. } => {
            Work::ThroughBytes { first, len, then, operand }
        }
        Work::Constant(_) | Work::Alias(_) => return Err(operands.unsupported_elements()),
    };
    Ok(Lowered { shape, work })
}

/// Products of matrices in the last two dimensions.
pub(crate) fn lower_batch(
    operands: &Operands<'_>,
    adjoint: [bool; 2],
) -> Result<Lowered, BackendError> {
    let (a, b, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let is_float = both_float32(a, b) && both_float32(b, output);
    let is_byte = both_bytes(a, b) && both_bytes(b, output);
    if !is_float && !is_byte {
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
    let products = BatchProducts { pairs, rows, depth, columns, adjoint };
    let places = vec![operands.input_index(0)?, operands.input_index(1)?];
    if is_float {
        return Ok(Lowered::step(shape, FloatBatchProducts(products), places));
    }
    if depth > MAX_BYTE_DEPTH {
        return Err(operands.unsupported(format!("sums of {depth} products of bytes")));
    }
    let ((a_scale, a_zero), (b_scale, b_zero)) = (a.per_tensor()?, b.per_tensor()?);
    let (scale, zero_point) = output.per_tensor()?;
    let offset = output.element.byte_offset();
    let kernel = ByteBatchProducts {
        products,
        zero_points: [a_zero, b_zero],
        multiplier: FixedPoint::new(f64::from(a_scale) * f64::from(b_scale) / f64::from(scale)),
        range: OutputRange::new(scale, zero_point, offset, Activation::None),
    };
    Ok(Lowered::step(shape, kernel, places))
}

/// As many products of two bytes as have a sum within 32 bits.
const MAX_BYTE_DEPTH: usize = (i32::MAX / (255 * 255)) as usize;

/// Products of matrices that are known at run time only.
#[derive(Debug)]
struct BatchProducts {
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

impl BatchProducts {
    /// The number of elements of a matrix of each side.
    fn sizes(&self) -> [usize; 2] {
        [self.rows * self.depth, self.depth * self.columns]
    }
}

/// Products of floats.
#[derive(Debug)]
struct FloatBatchProducts(BatchProducts);

impl Kernel for FloatBatchProducts {
    fn scratch(&self) -> ScratchSizes {
        let turned = self.0.sizes().into_iter().zip(self.0.adjoint);
        ScratchSizes {
            float32: turned.map(|(size, adjoint)| if adjoint { size } else { 0 }).sum(),
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
        let &BatchProducts { ref pairs, rows, depth, columns, adjoint } = &self.0;
        let [a_size, b_size] = self.0.sizes();
        if rows * columns == 0 {
            return Ok(());
        }
        let (a_scratch, b_scratch) =
            scratch.float32.split_at_mut(if adjoint[0] { a_size } else { 0 });
        let results = output.chunks_exact_mut(rows * columns);
        for (&(a_index, b_index), results) in pairs.iter().zip(results) {
            let mut a = &a[a_index * a_size..][..a_size];
            let mut b = &b[b_index * b_size..][..b_size];
            if adjoint[0] {
                turn(a, rows, a_scratch, |value| value);
                a = a_scratch;
            }
            if adjoint[1] {
                let turned = &mut b_scratch[..b_size];
                turn(b, depth, turned, |value| value);
                b = turned;
            }
            multiply(a, b, depth, columns, results);
        }
        Ok(())
    }
}

/// Products of bytes, less their zero points, requantised in fixed point, rounding halves up twice.
///
/// Source of the formula: ruy's vector kernels, which TensorFlow Lite's builtin `BatchMatMul`
/// calls; XNNPACK has no such operator.
#[derive(Debug)]
struct ByteBatchProducts {
    products: BatchProducts,
    zero_points: [i32; 2],
    multiplier: FixedPoint,
    range: OutputRange,
}

impl ByteBatchProducts {
    fn requantize(&self, sum: i32) -> u8 {
        self.range.clamp(self.multiplier.apply_half_up(sum))
    }
}

impl Kernel for ByteBatchProducts {
    fn scratch(&self) -> ScratchSizes {
        let BatchProducts { rows, columns, .. } = self.products;
        let [a_size, b_size] = self.products.sizes();
        ScratchSizes { int32: a_size + b_size + rows * columns, ..ScratchSizes::default() }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (a, b, output) = (inputs.bytes(0)?, inputs.bytes(1)?, output.bytes()?);
        let &BatchProducts { ref pairs, rows, depth, columns, adjoint } = &self.products;
        let [a_size, b_size] = self.products.sizes();
        if rows * columns == 0 {
            return Ok(());
        }
        let (a_centred, rest) = scratch.int32.split_at_mut(a_size);
        let (b_centred, rest) = rest.split_at_mut(b_size);
        let sums = &mut rest[..rows * columns];
        let [a_zero, b_zero] = self.zero_points;
        let results = output.chunks_exact_mut(rows * columns);
        for (&(a_index, b_index), results) in pairs.iter().zip(results) {
            let a = &a[a_index * a_size..][..a_size];
            let b = &b[b_index * b_size..][..b_size];
            // A matrix that is stored as it is meant is a single row to turn.
            turn(a, if adjoint[0] { rows } else { 1 }, a_centred, |a| i32::from(a) - a_zero);
            turn(b, if adjoint[1] { depth } else { 1 }, b_centred, |b| i32::from(b) - b_zero);
            multiply(a_centred, b_centred, depth, columns, sums);
            for (result, &sum) in results.iter_mut().zip(&*sums) {
                *result = self.requantize(sum);
            }
        }
        Ok(())
    }
}

/// Exchanges rows and columns; the source has `columns` columns.
fn turn<S: Copy, T>(source: &[S], columns: usize, result: &mut [T], convert: impl Fn(S) -> T) {
    let rows = source.len() / columns;
    for (column, results) in result.chunks_exact_mut(rows).enumerate() {
        for (result, row) in results.iter_mut().zip(source.chunks_exact(columns)) {
            *result = convert(row[column]);
        }
    }
}

/// The product of two matrices; every sum runs over the depth in order.
fn multiply<T: Copy + Default + AddAssign + Mul<Output = T>>(
    a: &[T],
    b: &[T],
    depth: usize,
    columns: usize,
    results: &mut [T],
) {
    let rows = results.chunks_mut(TILE_ROWS * columns);
    for (results, a) in rows.zip(a.chunks(TILE_ROWS * depth)) {
        let mut first = 0;
        while first + TILE_COLUMNS <= columns {
            let mut sums = [[T::default(); TILE_COLUMNS]; TILE_ROWS];
            for (index, b) in b.chunks_exact(columns).enumerate() {
                let b = &b[first..first + TILE_COLUMNS];
                for (sums, a) in sums.iter_mut().zip(a.chunks_exact(depth)) {
                    let factor = a[index];
                    for (sum, value) in sums.iter_mut().zip(b) {
                        *sum += factor * *value;
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
            row.fill(T::default());
            for (factor, b) in a.iter().zip(b.chunks_exact(columns)) {
                for (sum, value) in row.iter_mut().zip(&b[first..]) {
                    *sum += *factor * *value;
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
        turn(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, &mut result, |value| value);
        assert_eq!(result, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
