//! `RESIZE_BILINEAR` of floats.

use image_embedder_backend::BackendError;

use crate::ops::{Kernel, Lowered, Operands, both_float32};
use crate::slots::{Inputs, Output, Scratch};

pub(crate) fn lower_bilinear(
    operands: &Operands<'_>,
    align_corners: bool,
    half_pixel_centers: bool,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let size = operands.integers(1)?;
    let (Some(&new_height), Some(&new_width), 2) = (size.first(), size.get(1), size.len()) else {
        return Err(operands.invalid(format!("expected a height and a width, found {size:?}")));
    };
    let axis = |from: usize, to: i64| {
        usize::try_from(to)
            .ok()
            .filter(|&to| to > 0 && from > 0)
            .map(|to| samples(from, to, align_corners, half_pixel_centers))
            .ok_or_else(|| operands.invalid(format!("expected a size above 0, found {to}")))
    };
    let kernel = ResizeBilinear {
        batch,
        height,
        width,
        channels,
        rows: axis(height, new_height)?,
        columns: axis(width, new_width)?,
    };
    if !both_float32(operands.input(0)?, operands.output()?) {
        return Err(operands.unsupported_elements());
    }
    let shape = vec![batch, kernel.rows.len(), kernel.columns.len(), channels];
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

/// The two source indices of an output index, and the weight of the second.
type Sample = (usize, usize, f32);

/// Source of the formula: TensorFlow Lite, `ComputeInterpolationValues`.
fn samples(from: usize, to: usize, align_corners: bool, half_pixel_centers: bool) -> Vec<Sample> {
    let scale = if align_corners && to > 1 {
        (from - 1) as f32 / (to - 1) as f32
    } else {
        from as f32 / to as f32
    };
    (0..to)
        .map(|index| {
            let place = if half_pixel_centers {
                (index as f32 + 0.5) * scale - 0.5
            } else {
                index as f32 * scale
            };
            let floor = place.floor();
            let lower = floor.max(0.0) as usize;
            let upper = (place.ceil().max(0.0) as usize).min(from - 1);
            (lower.min(from - 1), upper, place - floor)
        })
        .collect()
}

/// Weighted means of four source pixels.
#[derive(Debug)]
struct ResizeBilinear {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    rows: Vec<Sample>,
    columns: Vec<Sample>,
}

impl Kernel for ResizeBilinear {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let channels = self.channels;
        let pixel = |image: usize, y: usize, x: usize| {
            &input[((image * self.height + y) * self.width + x) * channels..][..channels]
        };
        let mut results = output.chunks_exact_mut(channels.max(1));
        for image in 0..self.batch {
            for &(top, bottom, down) in &self.rows {
                for &(left, right, across) in &self.columns {
                    let Some(result) = results.next() else {
                        return Ok(());
                    };
                    let corners = pixel(image, top, left)
                        .iter()
                        .zip(pixel(image, bottom, left))
                        .zip(
                            pixel(image, top, right)
                                .iter()
                                .zip(pixel(image, bottom, right)),
                        );
                    for (result, ((a, b), (c, d))) in result.iter_mut().zip(corners) {
                        *result = a * (1.0 - down) * (1.0 - across)
                            + b * down * (1.0 - across)
                            + c * (1.0 - down) * across
                            + d * down * across;
                    }
                }
            }
        }
        Ok(())
    }
}
