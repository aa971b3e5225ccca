//! `DEPTHWISE_CONV_2D`: every input channel has its own filters.

use std::ops::Range;

use image_embedder_backend::BackendError;

use crate::graph::Element;
use crate::kernels::depthwise_bytes::{
    DepthwiseBytes, DepthwiseConstants, DepthwiseGeometry, DepthwiseToFloats,
};
use crate::kernels::depthwise_f32::DepthwiseFloats;
use crate::operator::Convolution;
use crate::ops::chain::ByRows;
use crate::ops::convolution::{
    ByteWeights, Requantization, float_bias, float_constant, window_axes,
};
use crate::ops::dynamic_range::{Formula, QuantizedImages};
use crate::ops::{Kernel, Lowered, Operands, both_bytes};
use crate::slots::{Inputs, Output, Scratch, ScratchSizes};

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
    let [rows, columns] =
        window_axes(operands, options, [height, width], [window_height, window_width])?;
    let geometry = DepthwiseGeometry {
        batch,
        rows,
        columns,
        input_channels,
        multiplier: output_channels / input_channels,
    };
    let shape = vec![batch, geometry.rows.output, geometry.columns.output, output_channels];
    let (input, filter, output) = (operands.input(0)?, operands.input(1)?, operands.output()?);
    let image = operands.input_index(0)?;
    match (input.element, filter.element, output.element) {
        (Element::Float32, Element::Float32, Element::Float32) => {
            let convolution = DepthwiseFloats::new(
                operands.isa,
                geometry,
                float_constant(operands, 1)?,
                &float_bias(operands, output_channels)?,
                options.activation.range(),
            );
            let kernel = FloatDepthwiseConvolution { convolution };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        (Element::Float32, Element::Int8, Element::Float32) => {
            let weights = ByteWeights::new(operands, output_channels, 3)?;
            let centred = weights.centred(operands)?;
            let constants = (weights.scales, float_bias(operands, output_channels)?);
            let range = options.activation.range();
            let convolution =
                DepthwiseToFloats::new(operands.isa, geometry, centred, constants, range);
            let images = QuantizedImages { count: batch, elements: geometry.image_elements() };
            let kernel = DynamicRangeDepthwiseConvolution { images, convolution };
            Ok(images.lower(shape, (operands.isa, Formula::Tflite), kernel, image))
        }
        (Element::Int8 | Element::UInt8, _, _)
            if both_bytes(input, output) && filter.element.is_byte() =>
        {
            let weights = ByteWeights::new(operands, output_channels, 3)?;
            let Requantization { scales, bias, output } =
                Requantization::new(operands, options.activation, &weights)?;
            let constants = DepthwiseConstants {
                weights: &weights.centred(operands)?,
                scales: &scales,
                bias: &bias,
                output,
            };
            // A zero point of bytes is a byte.
            let zero_point = input.per_tensor()?.1 as u8;
            let kernel = QuantizedDepthwiseConvolution {
                convolution: DepthwiseBytes::new(operands.isa, geometry, zero_point, constants),
            };
            Ok(Lowered::step(shape, kernel, vec![image]))
        }
        _ => Err(operands.unsupported_elements()),
    }
}

/// A depthwise convolution of floats.
#[derive(Debug)]
struct FloatDepthwiseConvolution {
    convolution: DepthwiseFloats,
}

impl ByRows<f32> for FloatDepthwiseConvolution {
    fn output_rows(&self) -> (usize, usize) {
        self.convolution.geometry().output_rows()
    }

    fn input_rows(&self) -> (usize, usize) {
        self.convolution.geometry().input_rows()
    }

    fn rows_under(&self, rows: Range<usize>) -> Range<usize> {
        self.convolution.geometry().rows.under(rows)
    }

    fn run_rows(
        &self,
        rows: Range<usize>,
        input: &[f32],
        output: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (_, band) = self.convolution.geometry().band(rows);
        self.convolution.run_band(&band, input, output, &mut scratch.float32);
        Ok(())
    }
}

impl Kernel for FloatDepthwiseConvolution {
    fn float_rows(&self) -> Option<&dyn ByRows<f32>> {
        (self.convolution.geometry().batch == 1).then_some(self)
    }

    fn scratch(&self) -> ScratchSizes {
        ScratchSizes { float32: self.convolution.scratch_float32(), ..ScratchSizes::default() }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.convolution.geometry().grain())
    }

    fn multiply_adds(&self) -> u64 {
        self.convolution.geometry().multiply_adds()
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.float32(0)?, output.float32()?);
        self.convolution.run(input, first, output, &mut scratch.float32);
        Ok(())
    }
}

/// A depthwise convolution of bytes.
#[derive(Debug)]
struct QuantizedDepthwiseConvolution {
    convolution: DepthwiseBytes,
}

impl ByRows<u8> for QuantizedDepthwiseConvolution {
    fn output_rows(&self) -> (usize, usize) {
        self.convolution.geometry().output_rows()
    }

    fn input_rows(&self) -> (usize, usize) {
        self.convolution.geometry().input_rows()
    }

    fn rows_under(&self, rows: Range<usize>) -> Range<usize> {
        self.convolution.geometry().rows.under(rows)
    }

    fn run_rows(
        &self,
        rows: Range<usize>,
        input: &[u8],
        output: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let (_, band) = self.convolution.geometry().band(rows);
        let (bytes, int32) = (&mut scratch.bytes[..], &mut scratch.int32[..]);
        self.convolution.run_band(&band, input, output, bytes, int32);
        Ok(())
    }
}

impl Kernel for QuantizedDepthwiseConvolution {
    fn byte_rows(&self) -> Option<&dyn ByRows<u8>> {
        (self.convolution.geometry().batch == 1).then_some(self)
    }

    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            bytes: self.convolution.scratch_bytes(),
            int32: self.convolution.scratch_int32(),
            ..ScratchSizes::default()
        }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.convolution.geometry().grain())
    }

    fn multiply_adds(&self) -> u64 {
        self.convolution.geometry().multiply_adds()
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.bytes()?);
        self.convolution.run(input, first, output, &mut scratch.bytes, &mut scratch.int32);
        Ok(())
    }
}

/// A depthwise convolution of floats with weights of bytes, on images that are quantised at run
/// time.
#[derive(Debug)]
struct DynamicRangeDepthwiseConvolution {
    images: QuantizedImages,
    convolution: DepthwiseToFloats,
}

impl Kernel for DynamicRangeDepthwiseConvolution {
    fn scratch(&self) -> ScratchSizes {
        ScratchSizes {
            bytes: self.convolution.scratch_bytes(),
            int32: self.convolution.scratch_int32(),
            ..ScratchSizes::default()
        }
    }

    fn grain(&self) -> Option<usize> {
        Some(self.convolution.geometry().grain())
    }

    fn multiply_adds(&self) -> u64 {
        let batch = u64::try_from(self.images.count).unwrap_or(u64::MAX);
        self.convolution.geometry().multiply_adds().saturating_mul(batch)
    }

    fn run(
        &self,
        inputs: Inputs<'_>,
        output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), BackendError> {
        let first = output.first();
        let (input, output) = (inputs.bytes(0)?, output.float32()?);
        let results = self.convolution.geometry().result_elements();
        let (bytes, int32) = (&mut scratch.bytes[..], &mut scratch.int32[..]);
        self.images.for_each_part(input, results, first, output, |image, input, first, output| {
            self.convolution.run(image, input, first, output, (bytes, int32));
        })
    }
}
