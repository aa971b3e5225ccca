//! `DEPTHWISE_CONV_2D`: every input channel has its own filters.

use image_embedder_backend::BackendError;

use crate::graph::Element;
use crate::kernels::dynamic_range::{DynamicScale, quantize_by_range};
use crate::operator::Convolution;
use crate::ops::convolution::{ByteWeights, Requantization, float_bias, float_constant};
use crate::ops::window::Axis;
use crate::ops::{Kernel, Lowered, Operands, both_bytes};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

/// Batch, rows and columns of a depthwise convolution with its channels.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    rows: Axis,
    columns: Axis,
    input_channels: usize,
    /// Output channels for each input channel.
    multiplier: usize,
}

impl Geometry {
    fn output_channels(&self) -> usize {
        self.input_channels * self.multiplier
    }

    /// For every output pixel: starts its sums, adds every tap inside the input, finishes it.
    fn for_each_pixel<T, S>(
        &self,
        input: &[T],
        weights: &[S],
        mut accumulate: impl FnMut(Tap<'_, T, S>),
    ) {
        let (input_channels, output_channels) = (self.input_channels, self.output_channels());
        let mut pixel = 0;
        for image in 0..self.batch {
            for row in 0..self.rows.output {
                for column in 0..self.columns.output {
                    accumulate(Tap::Start);
                    for row_tap in self.rows.inside(row) {
                        let Some(y) = self.rows.source(row, row_tap) else {
                            continue;
                        };
                        for column_tap in self.columns.inside(column) {
                            let Some(x) = self.columns.source(column, column_tap) else {
                                continue;
                            };
                            let from = ((image * self.rows.input + y) * self.columns.input + x)
                                * input_channels;
                            let tap =
                                (row_tap * self.columns.window + column_tap) * output_channels;
                            accumulate(Tap::Add {
                                values: &input[from..from + input_channels],
                                weights: &weights[tap..tap + output_channels],
                            });
                        }
                    }
                    accumulate(Tap::Finish { pixel });
                    pixel += 1;
                }
            }
        }
    }
}

/// One event in the computation of an output pixel.
enum Tap<'a, T, S> {
    Start,
    Add { values: &'a [T], weights: &'a [S] },
    Finish { pixel: usize },
}

pub(crate) fn lower(
    operands: &Operands<'_>,
    options: &Convolution,
) -> Result<Lowered, BackendError> {
    let [batch, height, width, input_channels] = operands.image(0)?;
    let [one, window_height, window_width, output_channels] = operands.image(1)?;
    if one != 1
        || input_channels == 0
        || output_channels == 0
        || output_channels % input_channels != 0
    {
        return Err(operands.invalid(format!(
            "expected a filter of 1 x height x width x a multiple of {input_channels}, found {:?}",
            operands.input(1)?.shape
        )));
    }
    let axis = |input, window, index: usize| {
        Axis::new(
            options.padding,
            input,
            window,
            options.strides[index],
            options.dilations[index],
        )
        .ok_or_else(|| {
            operands.invalid(format!(
                "expected a window within the input, found {window} over {input}"
            ))
        })
    };
    let geometry = Geometry {
        batch,
        rows: axis(height, window_height, 0)?,
        columns: axis(width, window_width, 1)?,
        input_channels,
        multiplier: output_channels / input_channels,
    };
    let shape = vec![
        batch,
        geometry.rows.output,
        geometry.columns.output,
        output_channels,
    ];
    let (input, filter, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let image = operands.input_index(0)?;
    match (input.element, filter.element, output.element) {
        (Element::Float32, Element::Float32, Element::Float32) => {
            let kernel = FloatDepthwiseConvolution {
                weights: float_constant(operands, 1)?.to_vec(),
                bias: float_bias(operands, output_channels)?,
                range: options.activation.range(),
                geometry,
            };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        (Element::Float32, Element::Int8, Element::Float32) => {
            let weights = ByteWeights::new(operands, output_channels, 3)?;
            let kernel = DynamicRangeDepthwiseConvolution {
                weights: weights.centred(operands)?,
                scales: weights.scales,
                bias: float_bias(operands, output_channels)?,
                range: options.activation.range(),
                geometry,
            };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        (Element::Int8 | Element::UInt8, _, _)
            if both_bytes(input, output) && filter.element.is_byte() =>
        {
            let weights = ByteWeights::new(operands, output_channels, 3)?;
            let kernel = QuantizedDepthwiseConvolution {
                input_zero_point: input.per_tensor()?.1 as i16,
                weights: weights.centred(operands)?,
                requantization: Requantization::new(operands, options.activation, &weights)?,
                geometry,
            };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// A depthwise convolution of floats.
#[derive(Debug)]
struct FloatDepthwiseConvolution {
    /// Tap by tap.
    weights: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
    geometry: Geometry,
}

impl Kernel for FloatDepthwiseConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            float32: self.geometry.output_channels(),
            ..ScratchSizes::default()
        }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let channels = self.geometry.output_channels();
        let multiplier = self.geometry.multiplier;
        let sums = &mut scratch.float32[..channels];
        let (least, largest) = self.range;
        self.geometry
            .for_each_pixel(input, &self.weights, |tap| match tap {
                Tap::Start => sums.copy_from_slice(&self.bias),
                Tap::Add { values, weights } if multiplier == 1 => {
                    for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                        *sum += value * weight;
                    }
                }
                Tap::Add { values, weights } => {
                    let groups = sums
                        .chunks_exact_mut(multiplier)
                        .zip(weights.chunks_exact(multiplier));
                    for ((sums, weights), value) in groups.zip(values) {
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum += value * weight;
                        }
                    }
                }
                Tap::Finish { pixel } => {
                    let results = &mut output[pixel * channels..][..channels];
                    for (result, sum) in results.iter_mut().zip(&*sums) {
                        *result = sum.max(least).min(largest);
                    }
                }
            });
        Ok(())
    }
}

/// A depthwise convolution of bytes with requantisation in float32.
#[derive(Debug)]
struct QuantizedDepthwiseConvolution {
    input_zero_point: i16,
    /// Tap by tap, less their zero points.
    weights: Vec<i16>,
    requantization: Requantization,
    geometry: Geometry,
}

impl Kernel for QuantizedDepthwiseConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            int32: self.geometry.output_channels(),
            ..ScratchSizes::default()
        }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        let channels = self.geometry.output_channels();
        let multiplier = self.geometry.multiplier;
        let zero_point = self.input_zero_point;
        let sums = &mut scratch.int32[..channels];
        self.geometry
            .for_each_pixel(input, &self.weights, |tap| match tap {
                Tap::Start => sums.copy_from_slice(&self.requantization.bias),
                Tap::Add { values, weights } => {
                    let centre = |value: u8| i16::from(value) - zero_point;
                    add_products(sums, values, centre, weights, multiplier);
                }
                Tap::Finish { pixel } => {
                    let results = &mut output[pixel * channels..][..channels];
                    let scales = &self.requantization.scales;
                    for ((result, &sum), &scale) in results.iter_mut().zip(&*sums).zip(scales) {
                        *result = self.requantization.output.requantize(sum, scale);
                    }
                }
            });
        Ok(())
    }
}

/// Adds the product of each centred value with its weights to the sums.
fn add_products<T: Copy>(
    sums: &mut [i32],
    values: &[T],
    centre: impl Fn(T) -> i16,
    weights: &[i16],
    multiplier: usize,
) {
    if multiplier == 1 {
        for ((sum, &value), &weight) in sums.iter_mut().zip(values).zip(weights) {
            *sum = sum.wrapping_add(i32::from(centre(value)) * i32::from(weight));
        }
        return;
    }
    let groups = sums
        .chunks_exact_mut(multiplier)
        .zip(weights.chunks_exact(multiplier));
    for ((sums, weights), &value) in groups.zip(values) {
        let centred = i32::from(centre(value));
        for (sum, &weight) in sums.iter_mut().zip(weights) {
            *sum = sum.wrapping_add(centred * i32::from(weight));
        }
    }
}

/// A depthwise convolution of floats with weights of bytes: each image is quantised by its own
/// range.
#[derive(Debug)]
struct DynamicRangeDepthwiseConvolution {
    /// Tap by tap.
    weights: Vec<i16>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    range: (f32, f32),
    geometry: Geometry,
}

impl DynamicRangeDepthwiseConvolution {
    fn image_elements(&self) -> usize {
        self.geometry.rows.input * self.geometry.columns.input * self.geometry.input_channels
    }
}

impl Kernel for DynamicRangeDepthwiseConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            int16: self.image_elements(),
            int32: self.geometry.output_channels(),
            ..ScratchSizes::default()
        }
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let channels = self.geometry.output_channels();
        let multiplier = self.geometry.multiplier;
        let (least, largest) = self.range;
        let one = Geometry {
            batch: 1,
            ..self.geometry
        };
        let centred = &mut scratch.int16[..self.image_elements()];
        let sums = &mut scratch.int32[..channels];
        let results = one.rows.output * one.columns.output * channels;
        let images = input.chunks_exact(self.image_elements());
        for (image, output) in images.zip(output.chunks_exact_mut(results)) {
            let DynamicScale(scale) = quantize_by_range(image, centred);
            one.for_each_pixel(centred, &self.weights, |tap| match tap {
                Tap::Start => sums.fill(0),
                Tap::Add { values, weights } => {
                    add_products(sums, values, |value| value, weights, multiplier);
                }
                Tap::Finish { pixel } => {
                    let results = &mut output[pixel * channels..][..channels];
                    for (channel, (result, &sum)) in results.iter_mut().zip(&*sums).enumerate() {
                        let value =
                            sum as f32 * (scale * self.scales[channel]) + self.bias[channel];
                        *result = value.max(least).min(largest);
                    }
                }
            });
        }
        Ok(())
    }
}
