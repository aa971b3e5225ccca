//! What a model's outputs give, checked when the embedder is created.

use image_embedder_backend::{DType, Quantization, TensorSpec};
use image_embedder_embedding::{FeatureVector, dequantize_int8, dequantize_uint8, l2_normalize};

use crate::tensor_buffer::TensorBuffer;
use crate::{Error, ErrorKind, ImageEmbedderOptions, TfLiteSupportStatus};

/// What an output of a model gives.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    /// The output's name: that of the metadata or, if it names none, that of the tensor.
    pub name: Option<String>,
    /// The type of the elements, before they become real numbers.
    pub dtype: DType,
    /// The number of elements of the feature vector, after any shortening.
    pub dimension: usize,
    /// The number of elements that the model gives.
    pub model_dimension: usize,
    /// The affine quantisation of 8-bit elements.
    pub quantization: Option<Quantization>,
}

impl OutputSpec {
    /// Checks one output, in the order of the TensorFlow Lite Task Library.
    pub(crate) fn new(
        output: &TensorSpec,
        index: usize,
        metadata_name: Option<&str>,
        shortened: Option<usize>,
    ) -> Result<Self, Error> {
        let unsupported = |reason: String| {
            Error::new(ErrorKind::Unsupported, format!("not an embedder: output {index}: {reason}"))
        };
        let dimensions = TfLiteSupportStatus::InvalidOutputTensorDimensionsError;
        let shape = output.shape();
        let dimension = match *shape.as_slice() {
            [_, height, width, _] if height != 1 || width != 1 => {
                return Err(unsupported(format!(
                    "expected 1 x N or 1 x 1 x 1 x N, found a map of {width}x{height} in {output}"
                ))
                .with_status(dimensions));
            }
            [1, dimension] | [1, _, _, dimension] => dimension,
            [batch, _] | [batch, _, _, _] => {
                return Err(unsupported(format!(
                    "expected a batch of 1, found {batch} in {output}"
                ))
                .with_status(dimensions));
            }
            _ => {
                return Err(unsupported(format!(
                    "expected 2 dimensions (1 x N) or 4 (1 x 1 x 1 x N), found {} in {output}",
                    shape.len()
                ))
                .with_status(dimensions));
            }
        };
        let is_float = matches!(output.dtype, DType::Float32 | DType::Float16);
        if !is_float && !matches!(output.dtype, DType::Int8 | DType::UInt8) {
            return Err(unsupported(format!(
                "expected FLOAT32, FLOAT16, INT8 or UINT8 elements, found {output}"
            ))
            .with_status(TfLiteSupportStatus::InvalidOutputTensorTypeError));
        }
        if dimension == 0 {
            return Err(unsupported(format!("expected at least 1 element, found 0 in {output}")));
        }
        if !is_float && output.quantization.is_none() {
            return Err(unsupported(format!(
                "expected quantisation parameters for 8-bit elements, found none in {output}"
            )));
        }
        if let Some(shortened) = shortened.filter(|&shortened| shortened > dimension) {
            let message = format!(
                "expected options.dimension of at most {dimension}, the size of output {index}, \
                 found {shortened}"
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        let tensor_name = Some(output.name.as_str()).filter(|name| !name.is_empty());
        Ok(Self {
            name: metadata_name.or(tensor_name).map(str::to_owned),
            dtype: output.dtype,
            dimension: shortened.unwrap_or(dimension),
            model_dimension: dimension,
            quantization: output.quantization,
        })
    }

    /// The feature vector in an output tensor: dequantised and shortened, then normalised and
    /// quantised as the options ask.
    ///
    /// Of a tensor that has grown with a resized input, the first elements count; whether that is
    /// allowed was checked before.
    pub(crate) fn feature_vector(
        &self,
        buffer: &TensorBuffer,
        options: &ImageEmbedderOptions,
    ) -> Result<FeatureVector, Error> {
        let Quantization { scale, zero_point, .. } =
            self.quantization.unwrap_or(Quantization::new(1.0, 0));
        let count = self.dimension;
        let values = match buffer {
            TensorBuffer::Float32(elements) => elements.get(..count).map(<[f32]>::to_vec),
            TensorBuffer::Float16(elements) => elements
                .get(..count)
                .map(|elements| elements.iter().map(|element| element.to_f32()).collect()),
            TensorBuffer::Int8(elements) => {
                elements.get(..count).map(|elements| dequantize_int8(elements, scale, zero_point))
            }
            TensorBuffer::UInt8(elements) => {
                elements.get(..count).map(|elements| dequantize_uint8(elements, scale, zero_point))
            }
        };
        let mut values = values.ok_or_else(|| {
            let message = format!("expected an output of at least {count} elements, found fewer");
            Error::new(ErrorKind::Bug, message)
        })?;
        if options.l2_normalize {
            l2_normalize(&mut values);
        }
        Ok(options.quantize.apply(values))
    }
}
