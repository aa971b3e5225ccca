//! `MEAN` over height and width.

use image_embedder_backend::BackendError;

use crate::kernels::requantize::OutputRange;
use crate::operator::Activation;
use crate::ops::{Kernel, Lowered, Operands, both_bytes, both_float32};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

pub(crate) fn lower(operands: &Operands<'_>, keep_dims: bool) -> Result<Lowered, BackendError> {
    let [batch, height, width, channels] = operands.image(0)?;
    let mut axes: Vec<i64> = operands
        .integers(1)?
        .into_iter()
        .map(|axis| if axis < 0 { axis + 4 } else { axis })
        .collect();
    axes.sort_unstable();
    axes.dedup();
    if axes != [1, 2] || height * width == 0 {
        return Err(operands.unsupported(format!("axes {axes:?} of {height} x {width}")));
    }
    let shape = if keep_dims {
        vec![batch, 1, 1, channels]
    } else {
        vec![batch, channels]
    };
    let area = Area {
        pixels: height * width,
        channels,
    };
    let (input, output) = (operands.input(0)?, operands.output()?);
    let image = vec![operands.input_index(0)?];
    if both_float32(input, output) {
        return Ok(Lowered::step(shape, FloatMean { area }, image));
    }
    if both_bytes(input, output) {
        let (input_scale, input_zero_point) = input.per_tensor()?;
        let (scale, zero_point) = output.per_tensor()?;
        let kernel = QuantizedMean {
            area,
            bias: i32::try_from(area.pixels)
                .ok()
                .and_then(|pixels| pixels.checked_mul(-input_zero_point))
                .ok_or_else(|| operands.unsupported(format!("{} pixels", area.pixels)))?,
            scale: input_scale / (scale * area.pixels as f32),
            range: OutputRange::new(
                scale,
                zero_point,
                output.element.byte_offset(),
                Activation::None,
            ),
        };
        return Ok(Lowered::step(shape, kernel, image));
    }
    Err(operands.unsupported_elements())
}

/// The pixels that are averaged.
#[derive(Clone, Copy, Debug)]
struct Area {
    pixels: usize,
    channels: usize,
}

/// The mean of floats.
#[derive(Debug)]
struct FloatMean {
    area: Area,
}

impl Kernel for FloatMean {
    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        _scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        let Area { pixels, channels } = self.area;
        let images = input.chunks_exact(pixels * channels);
        for (means, image) in output.chunks_exact_mut(channels).zip(images) {
            means.fill(0.0);
            for pixel in image.chunks_exact(channels) {
                for (sum, value) in means.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            let factor = 1.0 / pixels as f32;
            for mean in means {
                *mean *= factor;
            }
        }
        Ok(())
    }
}

/// The mean of bytes.
///
/// ```text
/// scale = input_scale / (output_scale * pixels),  mean = requantize(sum - pixels * zero, scale)
/// ```
///
/// Source of the formula: XNNPACK, quantised global average pooling.
#[derive(Debug)]
struct QuantizedMean {
    area: Area,
    bias: i32,
    scale: f32,
    range: OutputRange,
}

impl Kernel for QuantizedMean {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            int32: self.area.channels,
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
        let Area { pixels, channels } = self.area;
        let sums = &mut scratch.int32[..channels];
        let images = input.chunks_exact(pixels * channels);
        for (means, image) in output.chunks_exact_mut(channels).zip(images) {
            sums.fill(self.bias);
            for pixel in image.chunks_exact(channels) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value);
                }
            }
            for (mean, &sum) in means.iter_mut().zip(&*sums) {
                *mean = self.range.requantize(sum, self.scale);
            }
        }
        Ok(())
    }
}
