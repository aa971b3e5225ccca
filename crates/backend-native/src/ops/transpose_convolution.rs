//! `TRANSPOSE_CONV`: every input pixel spreads over a window of the output.

use image_embedder_backend::BackendError;
use image_embedder_fixed_point::FixedPoint;

use crate::graph::{Element, Node};
use crate::kernels::comparison::clamp;
use crate::operator::Convolution;
use crate::ops::convolution::{ByteWeights, Requantization, float_bias, float_constant};
use crate::ops::window::Axis;
use crate::ops::{Kernel, Lowered, Operands, both_bytes};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

/// The inputs are the output's shape, the filter, the image and a bias, which may be left out.
pub(crate) fn lower(
    operands: &Operands<'_>,
    options: &Convolution,
) -> Result<Lowered, BackendError> {
    let wanted = operands.integers(0)?;
    let [output_channels, window_height, window_width, filter_channels] = operands.image(1)?;
    let [batch, height, width, input_channels] = operands.image(2)?;
    let shape: Option<Vec<usize>> = wanted.iter().map(|&size| usize::try_from(size).ok()).collect();
    let large = match shape.as_deref() {
        Some(&[wanted_batch, large_height, large_width, channels])
            if wanted_batch == batch && channels == output_channels =>
        {
            [large_height, large_width]
        }
        _ => {
            return Err(operands.invalid(format!(
                "expected an output of {batch} x height x width x {output_channels}, found \
                 {wanted:?}"
            )));
        }
    };
    if filter_channels != input_channels || input_channels == 0 || output_channels == 0 {
        return Err(operands.invalid(format!(
            "expected a filter of {input_channels} input channels, found {filter_channels}"
        )));
    }
    // The windows are those of the convolution that goes from the output to the input.
    let axis = |small: usize, window: usize, index: usize| {
        Axis::new(options.padding, large[index], window, options.strides[index], 1)
            .filter(|axis| axis.output == small)
            .ok_or_else(|| {
                operands.invalid(format!(
                    "expected an output whose windows make {height} x {width}, found {} x {}",
                    large[0], large[1]
                ))
            })
    };
    let geometry = Geometry {
        rows: axis(height, window_height, 0)?,
        columns: axis(width, window_width, 1)?,
        input_channels,
        output_channels,
    };
    let shape = vec![batch, large[0], large[1], output_channels];
    // In the order of a convolution: image, filter, bias.
    let node = Node {
        inputs: [2, 1, 3].map(|index| operands.node.inputs.get(index).copied().flatten()).to_vec(),
        ..operands.node.clone()
    };
    let ordered = Operands { node: &node, ..*operands };
    let (input, filter, output) = (ordered.input(0)?, ordered.input(1)?, ordered.output()?);
    let image = vec![ordered.input_index(0)?];
    match (input.element, filter.element, output.element) {
        (Element::Float32, Element::Float32, Element::Float32) => {
            let kernel = FloatTransposeConvolution {
                weights: geometry.by_tap(float_constant(&ordered, 1)?),
                bias: float_bias(&ordered, output_channels)?,
                range: options.activation.range(),
                geometry,
            };
            Ok(Lowered::step(shape, kernel, image))
        }
        (Element::Int8 | Element::UInt8, _, _)
            if both_bytes(input, output) && filter.element.is_byte() =>
        {
            let weights = ByteWeights::new(&ordered, output_channels, 0)?;
            let is_per_channel = filter
                .quantization
                .as_ref()
                .is_some_and(|quantization| quantization.scales.len() > 1);
            let multipliers =
                if is_per_channel { fixed_point(&ordered, &weights)? } else { Vec::new() };
            let kernel = QuantizedTransposeConvolution {
                zero_point: input.per_tensor()?.1,
                weights: geometry.by_tap(&weights.centred(&ordered)?),
                multipliers,
                requantization: Requantization::new(&ordered, options.activation, &weights)?,
                geometry,
            };
            Ok(Lowered::step(shape, kernel, image))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// Rows and columns, whose inputs are the output of the transposed convolution, and channels.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    rows: Axis,
    columns: Axis,
    input_channels: usize,
    output_channels: usize,
}

impl Geometry {
    fn large(&self) -> usize {
        self.rows.input * self.columns.input * self.output_channels
    }

    fn small(&self) -> usize {
        self.rows.output * self.columns.output * self.input_channels
    }

    /// Weights tap by tap, input channel by input channel, from output channel by output channel.
    fn by_tap<T: Copy + Default>(&self, weights: &[T]) -> Vec<T> {
        let depth = weights.len() / self.output_channels;
        let mut turned = vec![T::default(); weights.len()];
        for (channel, weights) in weights.chunks_exact(depth).enumerate() {
            for (place, &weight) in weights.iter().enumerate() {
                turned[place * self.output_channels + channel] = weight;
            }
        }
        turned
    }

    /// Calls `add(sums, value, weights)` for each input element of an image and each output pixel
    /// under its window.
    fn spread<T: Copy, S, W>(
        &self,
        image: &[T],
        weights: &[W],
        sums: &mut [S],
        add: impl Fn(&mut [S], T, &[W]),
    ) {
        let channels = self.output_channels;
        let tap_weights = self.input_channels * channels;
        let mut pixels = image.chunks_exact(self.input_channels);
        for row in 0..self.rows.output {
            for column in 0..self.columns.output {
                let Some(pixel) = pixels.next() else { return };
                for row_tap in self.rows.inside(row) {
                    let Some(y) = self.rows.source(row, row_tap) else {
                        continue;
                    };
                    for column_tap in self.columns.inside(column) {
                        let Some(x) = self.columns.source(column, column_tap) else {
                            continue;
                        };
                        let tap = row_tap * self.columns.window + column_tap;
                        let weights = &weights[tap * tap_weights..][..tap_weights];
                        let at = (y * self.columns.input + x) * channels;
                        let sums = &mut sums[at..at + channels];
                        for (&value, weights) in pixel.iter().zip(weights.chunks_exact(channels)) {
                            add(sums, value, weights);
                        }
                    }
                }
            }
        }
    }
}

/// A transposed convolution of floats.
#[derive(Debug)]
struct FloatTransposeConvolution {
    weights: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
    geometry: Geometry,
}

impl Kernel for FloatTransposeConvolution {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let images = input.chunks_exact(self.geometry.small());
        for (output, image) in output.chunks_exact_mut(self.geometry.large()).zip(images) {
            for pixel in output.chunks_exact_mut(self.bias.len()) {
                pixel.copy_from_slice(&self.bias);
            }
            let add = |sums: &mut [f32], value: f32, weights: &[f32]| {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            };
            self.geometry.spread(image, &self.weights, output, add);
            for result in output {
                *result = clamp(*result, self.range);
            }
        }
        Ok(())
    }
}

/// The fixed-point multipliers of each channel.
fn fixed_point(
    operands: &Operands<'_>,
    weights: &ByteWeights,
) -> Result<Vec<FixedPoint>, BackendError> {
    let (input_scale, _) = operands.input(0)?.per_tensor()?;
    let (scale, _) = operands.output()?.per_tensor()?;
    Ok(weights
        .scales
        .iter()
        .map(|&weight_scale| {
            let product = f64::from(input_scale) * f64::from(weight_scale);
            FixedPoint::new(product / f64::from(scale))
        })
        .collect())
}

/// A transposed convolution of bytes with requantisation in float32, or in fixed point if each
/// channel has its own scale.
///
/// Source of the formulas: XNNPACK; TensorFlow Lite's builtin `TransposeConv`, to which XNNPACK
/// leaves scales by channel.
#[derive(Debug)]
struct QuantizedTransposeConvolution {
    zero_point: i32,
    /// Less their zero points.
    weights: Vec<i16>,
    /// Of each channel, or none.
    multipliers: Vec<FixedPoint>,
    requantization: Requantization,
    geometry: Geometry,
}

impl Kernel for QuantizedTransposeConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { int32: self.geometry.large(), ..ScratchSizes::default() }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let Requantization { scales, bias, output: range } = &self.requantization;
        let channels = scales.len();
        let sums = &mut scratch.int32[..self.geometry.large()];
        let images = input.chunks_exact(self.geometry.small());
        for (output, image) in output.chunks_exact_mut(sums.len()).zip(images) {
            for pixel in sums.chunks_exact_mut(channels) {
                pixel.copy_from_slice(bias);
            }
            let add = |sums: &mut [i32], value: u8, weights: &[i16]| {
                let centred = i32::from(value) - self.zero_point;
                for (sum, &weight) in sums.iter_mut().zip(weights) {
                    *sum = sum.wrapping_add(centred * i32::from(weight));
                }
            };
            self.geometry.spread(image, &self.weights, sums, add);
            let pixels = output.chunks_exact_mut(channels).zip(sums.chunks_exact(channels));
            for (results, sums) in pixels {
                if self.multipliers.is_empty() {
                    for ((result, &sum), &scale) in results.iter_mut().zip(sums).zip(scales) {
                        *result = range.requantize(sum, scale);
                    }
                }
                let in_vectors = self.multipliers.len() / 8 * 8;
                let channels = results.iter_mut().zip(sums).zip(&self.multipliers).enumerate();
                for (channel, ((result, &sum), &multiplier)) in channels {
                    *result = range.clamp(if channel < in_vectors {
                        multiplier.apply_half_up(sum)
                    } else {
                        multiplier.apply(sum)
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_turn_to_taps() {
        let axis = Axis::new(image_embedder_schema::tflite::Padding::Valid, 2, 2, 1, 1).unwrap();
        let geometry =
            Geometry { rows: axis, columns: axis, input_channels: 1, output_channels: 2 };
        assert_eq!(geometry.by_tap(&[1, 2, 3, 4, 5, 6, 7, 8]), [1, 5, 2, 6, 3, 7, 4, 8]);
    }
}
