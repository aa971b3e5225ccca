//! `CONV_2D`, `DEPTHWISE_CONV_2D` and `TRANSPOSE_CONV`.
//!
//! tract convolves floats. Bytes are held as whole numbers of steps, so their products and sums
//! are exact up to 2^24 and what becomes of a sum afterwards follows the formulas of TensorFlow
//! Lite's kernels.

use std::sync::Arc;

use image_embedder_backend::{BackendError, DType};
use image_embedder_fixed_point::FixedPoint;
use image_embedder_schema::tflite::Padding;
use tract_core::internal::tvec;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, Deconv, KernelFormat, PaddingSpec};
use tract_core::prelude::OutletId;

use super::window::{Span, Windows};
use crate::graph_builder::{Operand, Operation};
use crate::model_file::Kind;
use crate::operation::{Combine, Map, QuantizeRows};
use crate::steps::{Activation, RangeRounding, StepRange};

/// The options of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvolutionOptions {
    pub(super) padding: Padding,
    /// Height, width.
    pub(super) strides: [usize; 2],
    /// Height, width.
    pub(super) dilations: [usize; 2],
    pub(super) activation: Activation,
}

impl ConvolutionOptions {
    fn windows(&self, window: [usize; 2]) -> Windows {
        Windows { padding: self.padding, strides: self.strides, dilations: self.dilations, window }
    }
}

/// What an operation multiplies by weights, and how its numbers are quantised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Numbers {
    Floats,
    /// Inputs, weights and results of bytes.
    Bytes,
    /// Floats and weights of bytes.
    Hybrid,
}

/// Tells from the elements of image, weights and output.
pub(super) fn numbers(
    operation: &Operation<'_, '_>,
    input: &Operand<'_>,
    weights: &Operand<'_>,
) -> Result<Numbers, BackendError> {
    let output = operation.output(0)?;
    match (input.kind, weights.kind, output.kind()) {
        (Kind::Float, Kind::Float, Some(Kind::Float)) => Ok(Numbers::Floats),
        (Kind::Bytes, Kind::Bytes, Some(Kind::Bytes)) if input.tensor.dtype == output.dtype => {
            Ok(Numbers::Bytes)
        }
        (Kind::Float, Kind::Bytes, Some(Kind::Float))
            if weights.tensor.dtype == Some(DType::Int8) =>
        {
            Ok(Numbers::Hybrid)
        }
        _ => Err(operation.unsupported_elements()),
    }
}

/// The scale of the weights of each output channel, which lie along `dimension`.
fn weight_scales(
    operation: &Operation<'_, '_>,
    weights: &Operand<'_>,
    channels: usize,
    dimension: usize,
) -> Result<Vec<f32>, BackendError> {
    let Some(affine) = &weights.tensor.quantization else {
        return Err(operation.invalid("expected quantised weights, found no scales"));
    };
    match affine.scales[..] {
        [scale] => Ok(vec![scale; channels]),
        _ if affine.scales.len() == channels && affine.dimension == dimension => {
            Ok(affine.scales.clone())
        }
        _ => Err(operation.invalid(format!(
            "expected 1 or {channels} weight scales along dimension {dimension}, found {} along {}",
            affine.scales.len(),
            affine.dimension
        ))),
    }
}

/// A bias of as many numbers as there are channels; zero if it is left out.
fn bias(
    operation: &mut Operation<'_, '_>,
    index: usize,
    channels: usize,
    dtype: DType,
) -> Result<Vec<f32>, BackendError> {
    let Some(tensor) = operation.optional_input(index)? else {
        return Ok(vec![0.0; channels]);
    };
    if tensor.volume() != channels {
        return Err(operation
            .invalid(format!("expected a bias of {channels} values, found {}", tensor.volume())));
    }
    match tensor.tensor.dtype {
        Some(found) if found == dtype && dtype == DType::Int32 => {
            let values = operation.integers(index)?;
            Ok(values.into_iter().map(|value| value as f32).collect())
        }
        Some(DType::Float32 | DType::Float16) if dtype == DType::Float32 => operation.floats(index),
        _ => Err(operation.unsupported(format!("a bias of {}", tensor.tensor.dtype_name()))),
    }
}

/// What becomes of the sums of products, whose last dimension is the output channels.
pub(super) struct End {
    channels: usize,
    numbers: Numbers,
    /// Of the weights of each channel, if they are bytes.
    scales: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl End {
    /// Reads scales from the weights, whose channels lie along `dimension`, and the bias from input
    /// `bias_index`.
    pub(super) fn new(
        operation: &mut Operation<'_, '_>,
        numbers: Numbers,
        weights: (&Operand<'_>, usize),
        bias_index: usize,
        channels: usize,
        activation: Activation,
    ) -> Result<Self, BackendError> {
        let scales = match numbers {
            Numbers::Floats => Vec::new(),
            _ => weight_scales(operation, weights.0, channels, weights.1)?,
        };
        let dtype = if numbers == Numbers::Bytes { DType::Int32 } else { DType::Float32 };
        let bias = bias(operation, bias_index, channels, dtype)?;
        Ok(Self { channels, numbers, scales, bias, activation })
    }

    /// The bias if it is added to the sums themselves, or else zero.
    pub(super) fn inner_bias(
        &self,
        operation: &mut Operation<'_, '_>,
    ) -> Result<OutletId, BackendError> {
        match self.numbers {
            Numbers::Hybrid => operation.add_floats(&[self.channels], &vec![0.0; self.channels]),
            _ => operation.add_floats(&[self.channels], &self.bias),
        }
    }

    /// Finishes sums that include the [inner bias](Self::inner_bias); `scales` are those of the
    /// rows of hybrid operations.
    pub(super) fn finish(
        &self,
        operation: &mut Operation<'_, '_>,
        sums: OutletId,
        scales: Option<OutletId>,
    ) -> Result<OutletId, BackendError> {
        match (self.numbers, scales) {
            (Numbers::Bytes, _) => {
                let (factors, range) = self.requantization(operation)?;
                operation.wire(requantize(factors, range), &[sums])
            }
            (Numbers::Hybrid, Some(scales)) => {
                let (weight_scales, bias) = (self.scales.clone(), self.bias.clone());
                let (least, largest) = self.activation.range();
                let channels = self.channels;
                let shape = operation.shape(sums)?;
                let rescale = Combine::new(
                    "Rescale",
                    shape,
                    move |inputs: &[&[f32]], results: &mut [f32]| {
                        let &[sums, scales] = inputs else {
                            return Err("expected sums and scales".to_owned());
                        };
                        let row = results.len().checked_div(scales.len()).unwrap_or(0).max(1);
                        for ((results, sums), scale) in
                            results.chunks_exact_mut(row).zip(sums.chunks_exact(row)).zip(scales)
                        {
                            let pixels =
                                results.chunks_exact_mut(channels).zip(sums.chunks_exact(channels));
                            for (results, sums) in pixels {
                                let constants = weight_scales.iter().zip(&bias);
                                for ((result, sum), (weight_scale, bias)) in
                                    results.iter_mut().zip(sums).zip(constants)
                                {
                                    let value = sum * (scale * weight_scale) + bias;
                                    *result = value.max(least).min(largest);
                                }
                            }
                        }
                        Ok(())
                    },
                );
                operation.wire(rescale, &[sums, scales])
            }
            _ => bounded(operation, sums, self.activation),
        }
    }

    /// The factor of each channel and the range of the output.
    ///
    /// ```text
    /// factor[c] = input_scale * weight_scale[c] / output_scale    (float32, left to right)
    /// ```
    fn requantization(
        &self,
        operation: &mut Operation<'_, '_>,
    ) -> Result<(Vec<f32>, StepRange), BackendError> {
        let image = self.image(operation)?.tensor.steps()?;
        let output = operation.output(0)?.steps()?;
        let factors =
            self.scales.iter().map(|weights| image.scale * weights / output.scale).collect();
        Ok((factors, output.range(self.activation)))
    }

    /// The operand that is not the weights: that of bytes or floats with the first index.
    fn image<'a>(&self, operation: &mut Operation<'_, 'a>) -> Result<Operand<'a>, BackendError> {
        let first = operation.input(0)?;
        // A transposed convolution begins with the shape of its output.
        if first.kind == Kind::Whole { operation.input(2) } else { Ok(first) }
    }
}

/// Sums times the factor of their channel, rounded and clamped.
fn requantize(factors: Vec<f32>, range: StepRange) -> Map {
    Map::new("Requantize", move |values| {
        for pixel in values.chunks_exact_mut(factors.len().max(1)) {
            for (value, factor) in pixel.iter_mut().zip(&factors) {
                *value = range.round(*value * factor);
            }
        }
    })
}

/// Floats bounded by an activation.
pub(super) fn bounded(
    operation: &mut Operation<'_, '_>,
    values: OutletId,
    activation: Activation,
) -> Result<OutletId, BackendError> {
    let (least, largest) = match activation {
        Activation::None => return Ok(values),
        _ => activation.range(),
    };
    operation.wire(Map::each("Clamp", move |value| value.max(least).min(largest)), &[values])
}

/// Quantises the rows of a hybrid operation, of which there are `rows`.
pub(super) fn quantized_rows(
    operation: &mut Operation<'_, '_>,
    input: OutletId,
    rows: usize,
    rounding: RangeRounding,
) -> Result<(OutletId, OutletId), BackendError> {
    match operation.wire_all(QuantizeRows { rows, rounding }, &[input])?[..] {
        [steps, scales] => Ok((steps, scales)),
        _ => Err(operation.invalid("expected steps and scales")),
    }
}

/// Every output channel sees every input channel of its group.
pub(super) fn translate(
    operation: &mut Operation<'_, '_>,
    options: &ConvolutionOptions,
) -> Result<OutletId, BackendError> {
    let [batch, height, width, input_channels] = operation.image(0)?;
    let [output_channels, window_height, window_width, filter_channels] = operation.image(1)?;
    if filter_channels != input_channels || input_channels == 0 || output_channels == 0 {
        return Err(operation.unsupported(format!(
            "{input_channels} input channels for a filter of {filter_channels}"
        )));
    }
    let windows = options.windows([window_height, window_width]);
    let spans = windows.spans(operation, [height, width])?;
    let conv = Conv {
        pool_spec: windows.pool_spec(spans, [input_channels, output_channels]),
        kernel_fmt: KernelFormat::OHWI,
        group: 1,
        q_params: None,
    };
    let (input, weights) = (operation.input(0)?, operation.input(1)?);
    let numbers = numbers(operation, &input, &weights)?;
    let end = End::new(operation, numbers, (&weights, 0), 2, output_channels, options.activation)?;
    convolve(operation, conv, &input, weights.outlet, &end, (batch, RangeRounding::Xnnpack))
}

/// Every input channel has filters of its own.
pub(super) fn translate_depthwise(
    operation: &mut Operation<'_, '_>,
    options: &ConvolutionOptions,
) -> Result<OutletId, BackendError> {
    let [batch, height, width, input_channels] = operation.image(0)?;
    let [one, window_height, window_width, output_channels] = operation.image(1)?;
    let is_multiple = output_channels.checked_rem(input_channels) == Some(0);
    if one != 1 || output_channels == 0 || !is_multiple {
        return Err(operation.invalid(format!(
            "expected a filter of 1 x height x width x a multiple of {input_channels}, found one \
             of {one} x {window_height} x {window_width} x {output_channels}"
        )));
    }
    let windows = options.windows([window_height, window_width]);
    let spans = windows.spans(operation, [height, width])?;
    let conv = Conv {
        pool_spec: windows.pool_spec(spans, [input_channels, output_channels]),
        kernel_fmt: KernelFormat::OIHW,
        group: input_channels,
        q_params: None,
    };
    let (input, weights) = (operation.input(0)?, operation.input(1)?);
    let numbers = numbers(operation, &input, &weights)?;
    let end = End::new(operation, numbers, (&weights, 3), 2, output_channels, options.activation)?;
    // From 1 x height x width x output channels to output channels x 1 x height x width.
    let filter = operation.wire(AxisOp::Move(3, 0), &[weights.outlet])?;
    convolve(operation, conv, &input, filter, &end, (batch, RangeRounding::TensorFlowLite))
}

fn convolve(
    operation: &mut Operation<'_, '_>,
    conv: Conv,
    input: &Operand<'_>,
    weights: OutletId,
    end: &End,
    (rows, rounding): (usize, RangeRounding),
) -> Result<OutletId, BackendError> {
    let (image, scales) = match end.numbers {
        Numbers::Hybrid => {
            let (steps, scales) = quantized_rows(operation, input.outlet, rows, rounding)?;
            (steps, Some(scales))
        }
        _ => (input.outlet, None),
    };
    let bias = end.inner_bias(operation)?;
    let sums = operation.wire(conv, &[image, weights, bias])?;
    end.finish(operation, sums, scales)
}

/// Every input pixel spreads over a window of the output.
///
/// The inputs are the output's shape, the filter, the image and a bias, which may be left out.
pub(super) fn translate_transposed(
    operation: &mut Operation<'_, '_>,
    options: &ConvolutionOptions,
) -> Result<OutletId, BackendError> {
    let wanted = operation.sizes(0)?;
    let [output_channels, window_height, window_width, filter_channels] = operation.image(1)?;
    let [batch, height, width, input_channels] = operation.image(2)?;
    let large = match wanted[..] {
        [wanted_batch, large_height, large_width, channels]
            if wanted_batch == batch && channels == output_channels =>
        {
            [large_height, large_width]
        }
        _ => {
            return Err(operation.invalid(format!(
                "expected an output of {batch} x height x width x {output_channels}, found \
                 {wanted:?}"
            )));
        }
    };
    if filter_channels != input_channels || input_channels == 0 || output_channels == 0 {
        return Err(operation.invalid(format!(
            "expected a filter of {input_channels} input channels, found {filter_channels}"
        )));
    }
    // The windows are those of the convolution that goes from the output to the input.
    let windows = options.windows([window_height, window_width]);
    let spans = windows.spans(operation, large)?;
    if spans.map(|span| span.output) != [height, width] {
        return Err(operation.invalid(format!(
            "expected an output whose windows make {height} x {width}, found {} x {}",
            large[0], large[1]
        )));
    }
    let (input, weights) = (operation.input(2)?, operation.input(1)?);
    let numbers = numbers(operation, &input, &weights)?;
    if numbers == Numbers::Hybrid {
        return Err(operation.unsupported_elements());
    }
    let end = End::new(operation, numbers, (&weights, 0), 3, output_channels, options.activation)?;
    let mut pool_spec = windows.pool_spec(spans, [input_channels, output_channels]);
    pool_spec.padding = PaddingSpec::Explicit(
        spans.iter().map(|span| span.before).collect(),
        spans.iter().map(|span| span.after).collect(),
    );
    // What a convolution with such windows leaves out at the end is there in the output.
    let adjustment = |span: &Span, window: usize, stride: usize| {
        span.input + span.before + span.after - ((span.output - 1) * stride + window)
    };
    let deconv = Deconv {
        pool_spec,
        kernel_format: KernelFormat::OHWI,
        adjustments: tvec!(
            adjustment(&spans[0], window_height, options.strides[0]),
            adjustment(&spans[1], window_width, options.strides[1])
        ),
        group: 1,
    };
    let bias = end.inner_bias(operation)?;
    let sums = operation.wire(deconv, &[input.outlet, weights.outlet, bias])?;
    let is_per_channel =
        weights.tensor.quantization.as_ref().is_some_and(|affine| affine.scales.len() > 1);
    if numbers == Numbers::Bytes && is_per_channel {
        let image = input.tensor.steps()?;
        return fixed_point(operation, &end, image.scale, sums);
    }
    end.finish(operation, sums, None)
}

/// Requantises in fixed point, as TensorFlow Lite's builtin `TransposeConv` does, to which XNNPACK
/// leaves scales by channel.
fn fixed_point(
    operation: &mut Operation<'_, '_>,
    end: &End,
    input_scale: f32,
    sums: OutletId,
) -> Result<OutletId, BackendError> {
    let output = operation.output(0)?.steps()?;
    let range = output.range(end.activation);
    let factors: Arc<[FixedPoint]> = end
        .scales
        .iter()
        .map(|&weights| {
            let product = f64::from(input_scale) * f64::from(weights);
            FixedPoint::new(product / f64::from(output.scale))
        })
        .collect();
    let in_vectors = factors.len() / 8 * 8;
    let requantize = Map::new("Requantize", move |values| {
        for pixel in values.chunks_exact_mut(factors.len()) {
            for (channel, (value, factor)) in pixel.iter_mut().zip(&*factors).enumerate() {
                let sum = *value as i32;
                *value = range.clamp(if channel < in_vectors {
                    factor.apply_half_up(sum)
                } else {
                    factor.apply(sum)
                });
            }
        }
    });
    operation.wire(requantize, &[sums])
}
