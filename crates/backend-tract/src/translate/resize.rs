//! `RESIZE_BILINEAR` and `RESIZE_NEAREST_NEIGHBOR`.

use image_embedder_backend::BackendError;
use tract_core::prelude::OutletId;

use super::selection::take;
use crate::graph_builder::Operation;
use crate::model_file::{Kind, checked_volume};
use crate::operation::Combine;

/// How the pixels of a resized image lie over those of the original.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Alignment {
    pub(super) corners: bool,
    pub(super) half_pixel_centers: bool,
}

/// The new height and width, above zero as the old ones are.
fn new_size(operation: &mut Operation<'_, '_>) -> Result<[usize; 2], BackendError> {
    let [batch, height, width, channels] = operation.image(0)?;
    let size = operation.sizes(1)?;
    match size[..] {
        [new_height, new_width]
            if [new_height, new_width, height, width].iter().all(|&n| n > 0) =>
        {
            checked_volume("of a resized image", &[batch, new_height, new_width, channels])?;
            Ok([new_height, new_width])
        }
        _ => Err(operation.invalid(format!(
            "expected a height and a width above 0, found {size:?} for {height} x {width}"
        ))),
    }
}

/// The step between source places.
fn step(from: usize, to: usize, alignment: Alignment) -> f32 {
    if alignment.corners && to > 1 {
        (from - 1) as f32 / (to - 1) as f32
    } else {
        from as f32 / to as f32
    }
}

pub(super) fn translate_nearest_neighbor(
    operation: &mut Operation<'_, '_>,
    alignment: Alignment,
) -> Result<OutletId, BackendError> {
    let [_, height, width, _] = operation.image(0)?;
    let [new_height, new_width] = new_size(operation)?;
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let rows = take(operation, input.outlet, 1, &nearest(height, new_height, alignment))?;
    take(operation, rows, 2, &nearest(width, new_width, alignment))
}

/// Source of the formula: TensorFlow Lite, `GetNearestNeighbor`.
fn nearest(from: usize, to: usize, alignment: Alignment) -> Vec<usize> {
    let step = step(from, to, alignment);
    let offset = if alignment.half_pixel_centers { 0.5 } else { 0.0 };
    (0..to)
        .map(|index| {
            let place = (index as f32 + offset) * step;
            let place = if alignment.corners { place.round() } else { place.floor() };
            (place as usize).min(from - 1)
        })
        .collect()
}

/// The two source places of each new place, and the weight of the second.
struct Samples {
    lower: Vec<usize>,
    upper: Vec<usize>,
    weights: Vec<f32>,
}

impl Samples {
    /// Source of the formula: XNNPACK, `resize_bilinear2d`.
    fn new(from: usize, to: usize, alignment: Alignment) -> Self {
        let step = step(from, to, alignment);
        let offset = if alignment.half_pixel_centers { 0.5 * step - 0.5 } else { 0.0 };
        let last = (from - 1) as f32;
        let place = |index| (index as f32 * step + offset).max(0.0).min(last);
        let lower: Vec<usize> =
            (0..to).map(|index| (place(index) as usize).min(from - 1)).collect();
        let upper = lower.iter().map(|lower| (lower + 1).min(from - 1)).collect();
        let weights =
            lower.iter().enumerate().map(|(index, &lower)| place(index) - lower as f32).collect();
        Self { lower, upper, weights }
    }
}

pub(super) fn translate_bilinear(
    operation: &mut Operation<'_, '_>,
    alignment: Alignment,
) -> Result<OutletId, BackendError> {
    let [batch, height, width, channels] = operation.image(0)?;
    let [new_height, new_width] = new_size(operation)?;
    if alignment.corners && alignment.half_pixel_centers {
        return Err(operation.invalid("expected aligned corners or half pixel centers, found both"));
    }
    let input = operation.input(0)?;
    operation.check_moves(&input, 0)?;
    let rows = Samples::new(height, new_height, alignment);
    let columns = Samples::new(width, new_width, alignment);
    let mut corners = Vec::new();
    for y in [&rows.lower, &rows.upper] {
        let row = take(operation, input.outlet, 1, y)?;
        for x in [&columns.lower, &columns.upper] {
            corners.push(take(operation, row, 2, x)?);
        }
    }
    let shape = vec![batch, new_height, new_width, channels];
    let (down, across) = (rows.weights, columns.weights);
    let mix = match input.kind {
        Kind::Float => mix_images(shape, down, across, |[a, b, c, d], down, across| {
            let top = a + (b - a) * across;
            let bottom = c + (d - c) * across;
            top + (bottom - top) * down
        }),
        // By weights in units of 2^-11, rounding half up. Source of the formula: XNNPACK,
        // `s8-ibilinear`.
        Kind::Bytes => {
            let whole = |weights: Vec<f32>| {
                weights.into_iter().map(|weight| (weight * 2048.0).round_ties_even()).collect()
            };
            mix_images(shape, whole(down), whole(across), |corners, down, across| {
                let [a, b, c, d] = corners.map(|corner| corner as i32);
                let (down, across) = (down as i32, across as i32);
                let top = (a << 11) + (b - a) * across;
                let bottom = (c << 11) + (d - c) * across;
                (((top << 11) + (bottom - top) * down + (1 << 21)) >> 22) as f32
            })
        }
        _ => return Err(operation.unsupported_elements()),
    };
    operation.wire(mix, &corners)
}

/// Mixes four images pixel by pixel: top left, top right, bottom left and bottom right.
fn mix_images(
    shape: Vec<usize>,
    down: Vec<f32>,
    across: Vec<f32>,
    mix: impl Fn([f32; 4], f32, f32) -> f32 + Send + Sync + 'static,
) -> Combine<f32, f32> {
    let channels = shape[3].max(1);
    Combine::new("ResizeBilinear", shape, move |inputs: &[&[f32]], results: &mut [f32]| {
        let &[a, b, c, d] = inputs else {
            return Err("expected four images".to_owned());
        };
        let mut place = 0;
        for row in results.chunks_exact_mut(across.len() * channels) {
            let down = down[place / (across.len() * channels) % down.len()];
            for (pixel, &across) in row.chunks_exact_mut(channels).zip(&across) {
                let corners = [a, b, c, d].map(|image| &image[place..place + channels]);
                for (channel, result) in pixel.iter_mut().enumerate() {
                    *result = mix(corners.map(|corner| corner[channel]), down, across);
                }
                place += channels;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: Alignment = Alignment { corners: false, half_pixel_centers: false };
    const CORNERS: Alignment = Alignment { corners: true, half_pixel_centers: false };
    const CENTERS: Alignment = Alignment { corners: false, half_pixel_centers: true };

    #[test]
    fn samples_lie_where_the_alignment_says() {
        let samples = |from, to, alignment| {
            let Samples { lower, upper, weights } = Samples::new(from, to, alignment);
            (lower, upper, weights)
        };
        assert_eq!(
            samples(2, 4, LEGACY),
            (vec![0, 0, 1, 1], vec![1, 1, 1, 1], vec![0.0, 0.5, 0.0, 0.0])
        );
        assert_eq!(samples(3, 2, CORNERS), (vec![0, 2], vec![1, 2], vec![0.0, 0.0]));
        assert_eq!(
            samples(2, 4, CENTERS),
            (vec![0, 0, 0, 1], vec![1, 1, 1, 1], vec![0.0, 0.25, 0.75, 0.0])
        );
    }

    #[test]
    fn nearest_neighbours_follow_the_alignment() {
        assert_eq!(nearest(2, 5, LEGACY), [0, 0, 0, 1, 1]);
        assert_eq!(nearest(4, 3, CORNERS), [0, 2, 3]);
        assert_eq!(nearest(4, 2, CENTERS), [1, 3]);
    }
}
