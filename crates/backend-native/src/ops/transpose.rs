//! `TRANSPOSE`, and the exchange of pixels and channels: `DEPTH_TO_SPACE` and `SPACE_TO_DEPTH`.

use image_embedder_backend::BackendError;

use crate::ops::selection::{every, lower_selection, strides};
use crate::ops::{Lowered, Operands};

/// The second input says which input dimension each output dimension is.
pub(crate) fn lower(operands: &Operands<'_>) -> Result<Lowered, BackendError> {
    let shape = &operands.input(0)?.shape;
    let permutation = operands.integers(1)?;
    let dimensions: Option<Vec<usize>> =
        permutation.iter().map(|&axis| crate::ops::dimension(axis, shape.len())).collect();
    let is_permutation = |dimensions: &Vec<usize>| {
        dimensions.len() == shape.len() && (0..shape.len()).all(|axis| dimensions.contains(&axis))
    };
    let Some(dimensions) = dimensions.filter(is_permutation) else {
        return Err(operands.invalid(format!(
            "expected a permutation of {} dimensions, found {permutation:?}",
            shape.len()
        )));
    };
    let strides = strides(shape);
    let offsets = dimensions.iter().map(|&axis| every(shape[axis], strides[axis]));
    let offsets = offsets.collect();
    let shape = dimensions.iter().map(|&axis| shape[axis]).collect();
    lower_selection(operands, 0, shape, offsets)
}

fn block_size(operands: &Operands<'_>, block: i32) -> Result<usize, BackendError> {
    usize::try_from(block)
        .ok()
        .filter(|&block| block > 0)
        .ok_or_else(|| operands.invalid(format!("expected a block above 0, found {block}")))
}

/// ```text
/// output[b][y * block + i][x * block + j][c] = input[b][y][x][(i * block + j) * channels + c]
/// ```
pub(crate) fn lower_depth_to_space(
    operands: &Operands<'_>,
    block: i32,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, depth] = operands.image(0)?;
    let block = block_size(operands, block)?;
    let channels = block
        .checked_mul(block)
        .filter(|&area| depth % area == 0)
        .map(|area| depth / area)
        .ok_or_else(|| {
            operands.invalid(format!(
                "expected channels in multiples of {block} squared, found {depth}"
            ))
        })?;
    let row = width * depth;
    let offsets = vec![
        every(batch, height * row),
        every(height, row),
        every(block, block * channels),
        every(width, depth),
        every(block * channels, 1),
    ];
    let shape = vec![batch, height * block, width * block, channels];
    lower_selection(operands, 0, shape, offsets)
}

/// ```text
/// output[b][y][x][(i * block + j) * channels + c] = input[b][y * block + i][x * block + j][c]
/// ```
pub(crate) fn lower_space_to_depth(
    operands: &Operands<'_>,
    block: i32,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let block = block_size(operands, block)?;
    if height % block != 0 || width % block != 0 {
        return Err(operands.invalid(format!(
            "expected {height} x {width} to be a multiple of the block {block}"
        )));
    }
    let row = width * channels;
    let offsets = vec![
        every(batch, height * row),
        every(height / block, block * row),
        every(width / block, block * channels),
        every(block, row),
        every(block * channels, 1),
    ];
    // The blocks fit into the image, so the products stay below its number of elements.
    let shape = vec![batch, height / block, width / block, block * block * channels];
    lower_selection(operands, 0, shape, offsets)
}
