//! Products of matrices: `FULLY_CONNECTED` and `BATCH_MATMUL`.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;
use tract_core::internal::AxesMapping;
use tract_core::ops::array::MultiBroadcastTo;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math;
use tract_core::prelude::{DatumType, OutletId};

use super::convolution::{End, Numbers, numbers, quantized_rows};
use crate::broadcast::Broadcast;
use crate::failure::tract_error;
use crate::graph_builder::Operation;
use crate::operation::Map;
use crate::steps::{Activation, RangeRounding};

fn product(axes: &str) -> Result<EinSum, BackendError> {
    let axes: AxesMapping = axes.parse().map_err(|error| tract_error("naming axes", &error))?;
    Ok(EinSum::new(axes, DatumType::F32))
}

/// Every row of the input times a matrix.
pub(super) fn translate_fully_connected(
    operation: &mut Operation<'_, '_>,
    activation: Activation,
    keep_dims: bool,
) -> Result<OutletId, BackendError> {
    let (input, weights) = (operation.input(0)?, operation.input(1)?);
    let &[units, depth] = &weights.shape[..] else {
        return Err(operation.invalid(format!(
            "expected weights of units x depth, found shape {:?}",
            weights.shape
        )));
    };
    let count = input.volume();
    let rows = count.checked_div(depth).filter(|rows| rows * depth == count);
    let fits = units > 0 && (!keep_dims || input.shape.last() == Some(&depth));
    let (Some(rows), true) = (rows, fits) else {
        return Err(operation.invalid(format!(
            "expected an input in multiples of {depth}, found shape {:?}",
            input.shape
        )));
    };
    let shape = match input.shape.split_last() {
        Some((_, outer)) if keep_dims => [outer, &[units]].concat(),
        _ => vec![rows, units],
    };
    let numbers = numbers(operation, &input, &weights)?;
    let end = End::new(operation, numbers, (&weights, 0), 2, units, activation)?;
    let matrix = operation.reshape(input.outlet, &[rows, depth])?;
    let (matrix, scales) = match numbers {
        Numbers::Hybrid => {
            let (steps, scales) = quantized_rows(operation, matrix, rows, RangeRounding::Xnnpack)?;
            (steps, Some(scales))
        }
        _ => (matrix, None),
    };
    let products = operation.wire(product("mk,nk->mn")?, &[matrix, weights.outlet])?;
    let bias = end.inner_bias(operation)?;
    let bias = operation.wire(AxisOp::Add(0), &[bias])?;
    let sums = operation.wire(math::add(), &[products, bias])?;
    let results = end.finish(operation, sums, scales)?;
    operation.reshape(results, &shape)
}

/// Products of matrices in the last two dimensions.
pub(super) fn translate_batch(
    operation: &mut Operation<'_, '_>,
    adjoint: [bool; 2],
) -> Result<OutletId, BackendError> {
    let (a, b) = (operation.input(0)?, operation.input(1)?);
    let numbers = numbers(operation, &a, &b)?;
    if numbers == Numbers::Hybrid {
        return Err(operation.unsupported_elements());
    }
    let misfit = || {
        operation.invalid(format!(
            "expected matrices that fit, found shapes {:?} and {:?}",
            a.shape, b.shape
        ))
    };
    let (a_batch, &a_matrix) = a.shape.split_last_chunk::<2>().ok_or_else(misfit)?;
    let (b_batch, &b_matrix) = b.shape.split_last_chunk::<2>().ok_or_else(misfit)?;
    let (batch, _) = Broadcast::new(a_batch, b_batch).ok_or_else(misfit)?;
    let turned =
        |[rows, columns]: [usize; 2], turn| if turn { [columns, rows] } else { [rows, columns] };
    let [rows, depth] = turned(a_matrix, adjoint[0]);
    let [other_depth, columns] = turned(b_matrix, adjoint[1]);
    if depth != other_depth || depth == 0 {
        return Err(misfit());
    }
    let matrices: usize = batch.iter().product();
    let (a_batch, b_batch) = (a_batch.to_vec(), b_batch.to_vec());
    let mut spread = |outlet, own: &[usize], matrix: [usize; 2]| {
        let mut outlet = outlet;
        if own != batch {
            let ranked = [&vec![1; batch.len() - own.len()][..], own, &matrix].concat();
            outlet = operation.reshape(outlet, &ranked)?;
            let shape = [&batch[..], &matrix].concat();
            outlet = operation.wire(MultiBroadcastTo::new(shape.into()), &[outlet])?;
        }
        operation.reshape(outlet, &[matrices, matrix[0], matrix[1]])
    };
    let a = spread(a.outlet, &a_batch, a_matrix)?;
    let b = spread(b.outlet, &b_batch, b_matrix)?;
    let axes = match adjoint {
        [false, false] => "bmk,bkn->bmn",
        [false, true] => "bmk,bnk->bmn",
        [true, false] => "bkm,bkn->bmn",
        [true, true] => "bkm,bnk->bmn",
    };
    let mut products = operation.wire(product(axes)?, &[a, b])?;
    if numbers == Numbers::Bytes {
        products = requantized(operation, products)?;
    }
    operation.reshape(products, &[&batch[..], &[rows, columns]].concat())
}

/// Sums of products of the first two inputs in steps of the output.
///
/// Source of the formula: TensorFlow Lite's builtin `BatchMatMul` of 8-bit tensors, which XNNPACK
/// leaves to it; its matrix library rounds halves up.
fn requantized(
    operation: &mut Operation<'_, '_>,
    sums: OutletId,
) -> Result<OutletId, BackendError> {
    let (a, b) = (operation.input(0)?.tensor.steps()?, operation.input(1)?.tensor.steps()?);
    let output = operation.output(0)?.steps()?;
    let factor = FixedPoint::new(f64::from(a.scale * b.scale) / f64::from(output.scale));
    let range = output.whole();
    let requantize =
        Map::each("Requantize", move |sum| range.clamp(factor.apply_half_up(sum as i32)));
    operation.wire(requantize, &[sums])
}
