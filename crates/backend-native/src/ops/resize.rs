//! `RESIZE_BILINEAR` and `RESIZE_NEAREST_NEIGHBOR`.

use image_embedder_backend::BackendError;

use crate::operator::Alignment;
use crate::ops::selection::{every, lower_selection};
use crate::ops::window::bands;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::simd::{Computation, Isa};
use crate::slots::{Elements, Inputs, Output, Scratch, ScratchSizes, misplaced};

/// The new height and width, above zero as the old ones are.
fn new_size(operands: &Operands<'_>) -> Result<[usize; 2], BackendError> {
    let [_, height, width, _] = operands.image(0)?;
    let size = operands.integers(1)?;
    let sizes: Option<Vec<usize>> =
        size.iter().map(|&size| usize::try_from(size).ok().filter(|&size| size > 0)).collect();
    match sizes.as_deref() {
        Some(&[new_height, new_width]) if height > 0 && width > 0 => Ok([new_height, new_width]),
        _ => Err(operands.invalid(format!(
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

pub(crate) fn lower_bilinear(
    operands: &Operands<'_>,
    alignment: Alignment,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let [new_height, new_width] = new_size(operands)?;
    if alignment.corners && alignment.half_pixel_centers {
        return Err(operands.invalid("expected aligned corners or half pixel centers, found both"));
    }
    let kernel = ResizeBilinear {
        isa: operands.isa,
        height,
        width,
        channels,
        rows: samples(height, new_height, alignment),
        columns: samples(width, new_width, alignment),
    };
    let input = operands.input(0)?;
    let output = operands.output()?;
    if !both_float32(input, output) {
        if !both_bytes(input, output) {
            return Err(operands.unsupported_elements());
        }
        operands.check_moves(input)?;
    }
    let shape = vec![batch, new_height, new_width, channels];
    Ok(Lowered::step(shape, kernel, vec![operands.input_index(0)?]))
}

pub(crate) fn lower_nearest_neighbor(
    operands: &Operands<'_>,
    alignment: Alignment,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let [new_height, new_width] = new_size(operands)?;
    let row = width * channels;
    let offsets = |from: usize, to: usize, stride: usize| {
        let nearest = nearest(from, to, alignment);
        nearest.into_iter().map(|index| index * stride).collect()
    };
    let offsets = vec![
        every(batch, height * row),
        offsets(height, new_height, row),
        offsets(width, new_width, channels),
        every(channels, 1),
    ];
    let shape = vec![batch, new_height, new_width, channels];
    lower_selection(operands, 0, shape, offsets)
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

/// The two source indices of an output index, and the weight of the second.
type Sample = (usize, usize, f32);

/// Source of the formula: XNNPACK, `resize_bilinear2d`.
fn samples(from: usize, to: usize, alignment: Alignment) -> Vec<Sample> {
    let step = step(from, to, alignment);
    let offset = if alignment.half_pixel_centers { 0.5 * step - 0.5 } else { 0.0 };
    let last = (from - 1) as f32;
    (0..to)
        .map(|index| {
            let place = (index as f32 * step + offset).max(0.0).min(last);
            let lower = (place as usize).min(from - 1);
            (lower, (lower + 1).min(from - 1), place - lower as f32)
        })
        .collect()
}

/// Weighted means of four source pixels.
#[derive(Debug)]
struct ResizeBilinear {
    isa: Isa,
    height: usize,
    width: usize,
    channels: usize,
    rows: Vec<Sample>,
    columns: Vec<Sample>,
}

impl ResizeBilinear {
    /// Elements of an output row.
    fn row(&self) -> usize {
        self.columns.len() * self.channels
    }

    /// Calls `mix([top left, top right, bottom left, bottom right], across, down, result)` for
    /// every pixel of the part of the output from element `first` on.
    fn each<T>(
        &self,
        input: &[T],
        (first, output): (usize, &mut [T]),
        mix: impl Fn([&[T]; 4], f32, f32, &mut [T]),
    ) {
        let channels = self.channels;
        let bands = bands(first, output.len(), self.rows.len(), self.row());
        let mut results = output.chunks_exact_mut(channels.max(1));
        for (image, rows) in bands {
            for &(top, bottom, down) in &self.rows[rows] {
                let pixel = |y: usize, x: usize| {
                    &input[((image * self.height + y) * self.width + x) * channels..][..channels]
                };
                for &(left, right, across) in &self.columns {
                    let Some(result) = results.next() else {
                        return;
                    };
                    let corners = [
                        pixel(top, left),
                        pixel(top, right),
                        pixel(bottom, left),
                        pixel(bottom, right),
                    ];
                    mix(corners, across, down, result);
                }
            }
        }
    }

    /// Computes the part of the output from element `first` on. Source rows are mixed across once
    /// for all output rows that they are mixed down to.
    fn mix_floats(&self, input: &[f32], first: usize, output: &mut [f32], mixed: &mut [f32]) {
        let row = self.row();
        if row == 0 {
            return;
        }
        let (mut top, bottom) = mixed.split_at_mut(row);
        let (mut bottom, _) = bottom.split_at_mut(row);
        let (mut top_source, mut bottom_source) = (None, None);
        let bands = bands(first, output.len(), self.rows.len(), row);
        let samples = bands.flat_map(|(image, rows)| {
            self.rows[rows].iter().map(move |&(top, bottom, down)| {
                (image * self.height + top, image * self.height + bottom, down)
            })
        });
        for (results, (above, below, down)) in output.chunks_exact_mut(row).zip(samples) {
            if top_source != Some(above) && bottom_source == Some(above) {
                std::mem::swap(&mut top, &mut bottom);
                std::mem::swap(&mut top_source, &mut bottom_source);
            }
            if top_source != Some(above) {
                self.isa.vectorize(self.across(input, above, top));
                top_source = Some(above);
            }
            if bottom_source != Some(below) {
                self.isa.vectorize(self.across(input, below, bottom));
                bottom_source = Some(below);
            }
            self.isa.vectorize(Down { top, bottom, down, results });
        }
    }

    /// Mixes the row of the input across.
    fn across<'a>(&'a self, input: &'a [f32], row: usize, results: &'a mut [f32]) -> Across<'a> {
        let len = self.width * self.channels;
        let (columns, channels) = (&self.columns[..], self.channels);
        Across { row: &input[row * len..][..len], columns, channels, results }
    }
}

/// A source row, of which every output pixel mixes two pixels.
struct Across<'a> {
    row: &'a [f32],
    columns: &'a [Sample],
    channels: usize,
    results: &'a mut [f32],
}

impl Computation for Across<'_> {
    type Results = ();

    #[inline(always)]
    fn compute(self) {
        let results = self.results.chunks_exact_mut(self.channels);
        for (results, &(left, right, across)) in results.zip(self.columns) {
            let left = &self.row[left * self.channels..][..self.channels];
            let right = &self.row[right * self.channels..][..self.channels];
            mix(left, right, across, results);
        }
    }
}

/// Mixes values in pairs; the second have the share given.
#[inline(always)]
fn mix(first: &[f32], second: &[f32], share: f32, results: &mut [f32]) {
    for ((result, first), second) in results.iter_mut().zip(first).zip(second) {
        *result = first + (second - first) * share;
    }
}

/// Two rows of the output's width, which an output row mixes.
struct Down<'a> {
    top: &'a [f32],
    bottom: &'a [f32],
    down: f32,
    results: &'a mut [f32],
}

impl Computation for Down<'_> {
    type Results = ();

    #[inline(always)]
    fn compute(self) {
        mix(self.top, self.bottom, self.down, self.results);
    }
}

impl Kernel for ResizeBilinear {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { float32: 2 * self.row(), ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.row())
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        match output.elements {
            Elements::Float32(output) => {
                self.mix_floats(inputs.float32(0)?, first, output, &mut scratch.float32);
            }
            Elements::Bytes(output) => self.each(inputs.bytes(0)?, (first, output), mix_bytes),
            Elements::Integers(_) => return Err(misplaced()),
        }
        Ok(())
    }
}

/// Mixes bytes by weights in units of 2^-11, rounding half up.
///
/// Source of the formula: XNNPACK, `s8-ibilinear`.
fn mix_bytes([a, b, c, d]: [&[u8]; 4], across: f32, down: f32, result: &mut [u8]) {
    let weight = |share: f32| (share * 2048.0).round_ties_even() as i32;
    let (across, down) = (weight(across), weight(down));
    let pairs = a.iter().zip(b).zip(c.iter().zip(d));
    for (result, ((&a, &b), (&c, &d))) in result.iter_mut().zip(pairs) {
        let [a, b, c, d] = [a, b, c, d].map(i32::from);
        let top = (a << 11) + (b - a) * across;
        let bottom = (c << 11) + (d - c) * across;
        // A weighted mean of bytes is a byte.
        *result = (((top << 11) + (bottom - top) * down + (1 << 21)) >> 22) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: Alignment = Alignment { corners: false, half_pixel_centers: false };
    const CORNERS: Alignment = Alignment { corners: true, half_pixel_centers: false };
    const CENTERS: Alignment = Alignment { corners: false, half_pixel_centers: true };

    #[test]
    fn samples_lie_where_the_alignment_says() {
        assert_eq!(samples(2, 4, LEGACY), [(0, 1, 0.0), (0, 1, 0.5), (1, 1, 0.0), (1, 1, 0.0)]);
        assert_eq!(samples(3, 2, CORNERS), [(0, 1, 0.0), (2, 2, 0.0)]);
        assert_eq!(samples(2, 4, CENTERS), [(0, 1, 0.0), (0, 1, 0.25), (0, 1, 0.75), (1, 1, 0.0)]);
    }

    #[test]
    fn nearest_neighbours_follow_the_alignment() {
        assert_eq!(nearest(2, 5, LEGACY), [0, 0, 0, 1, 1]);
        assert_eq!(nearest(4, 3, CORNERS), [0, 2, 3]);
        assert_eq!(nearest(4, 2, CENTERS), [1, 3]);
    }

    #[test]
    fn bytes_mix_to_their_weighted_mean() {
        let mut result = [0; 2];
        mix_bytes([&[0, 255], &[100, 255], &[200, 255], &[40, 255]], 0.5, 0.25, &mut result);
        assert_eq!(result, [68, 255]);
    }
}
