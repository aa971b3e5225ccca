//! What a model's input takes, checked when the embedder is created.

use image_embedder_backend::{DType, Dimension, Quantization, TensorSpec, f16};
use image_embedder_frame::{BoundingBox, FrameBuffer};
use image_embedder_metadata::{ImageInput, ImageSize, MetadataError, NormalizationOptions};
use image_embedder_preprocess::{InputQuantization, LevelTable, Normalization, Plan};

use crate::tensor_buffer::TensorBuffer;
use crate::{Error, ErrorKind, TfLiteSupportStatus};

/// The channels of a pixel: red, green, blue.
const CHANNELS: usize = 3;

/// What a model's input takes.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The input's name: that of the metadata or, if it names none, that of the tensor.
    pub name: String,
    /// The type of the elements.
    pub dtype: DType,
    /// The width in pixels; `None` if the model takes images as wide as they are.
    pub width: Option<u32>,
    /// The height in pixels; `None` if the model takes images as high as they are.
    pub height: Option<u32>,
    /// How pixels become numbers; `None` if the model takes the bytes as they are.
    pub normalization: Option<NormalizationOptions>,
}

/// A checked input.
#[derive(Debug)]
pub(crate) struct ModelInput {
    pub(crate) spec: InputSpec,
    elements: Elements,
}

/// How bytes become elements of the tensor.
#[derive(Debug)]
enum Elements {
    /// Bytes as they are.
    UInt8,
    /// Bytes, normalised and quantised.
    QuantizedUInt8(Box<InputQuantization>),
    /// Bytes, normalised and quantised, or less 128.
    Int8(Box<InputQuantization>),
    /// Bytes, normalised.
    Float32(Normalization),
    /// Bytes, normalised and rounded to the nearest 16-bit float, halves to even.
    Float16(Box<LevelTable<f16>>),
}

impl ModelInput {
    /// Checks the inputs of a model, in the order of the TensorFlow Lite Task Library.
    pub(crate) fn new(
        inputs: &[TensorSpec],
        metadata: ImageInput,
        normalization: Option<&NormalizationOptions>,
    ) -> Result<Self, Error> {
        let unsupported = |status: TfLiteSupportStatus, message: String| {
            Error::new(ErrorKind::Unsupported, message).with_status(status)
        };
        let [input] = inputs else {
            let message = format!("expected a model with 1 input, found {}", inputs.len());
            return Err(unsupported(TfLiteSupportStatus::InvalidNumInputTensorsError, message));
        };
        let [batch, height, width, depth] = input.dimensions.as_slice() else {
            let message = format!(
                "expected an input of 4 dimensions (1 x height x width x 3), found {} in {input}",
                input.dimensions.len()
            );
            return Err(unsupported(
                TfLiteSupportStatus::InvalidInputTensorDimensionsError,
                message,
            ));
        };
        if !matches!(input.dtype, DType::Float32 | DType::Float16 | DType::Int8 | DType::UInt8) {
            let message =
                format!("expected an input of type FLOAT32, FLOAT16, INT8 or UINT8, found {input}");
            return Err(unsupported(TfLiteSupportStatus::InvalidInputTensorTypeError, message));
        }
        metadata.check_color_space()?;
        if !(admits(batch, 1) && admits(depth, CHANNELS)) {
            let message = format!("expected an input of 1 x height x width x 3, found {input}");
            return Err(unsupported(
                TfLiteSupportStatus::InvalidInputTensorDimensionsError,
                message,
            ));
        }
        let default = metadata.default_size.filter(|size| size.width > 0 && size.height > 0);
        let width = extent(width, default.map(|size| size.width), "width", input)?;
        let height = extent(height, default.map(|size| size.height), "height", input)?;

        let (elements, normalization) =
            Elements::new(input, normalization, metadata.normalization.as_ref())?;
        let name = metadata.name.unwrap_or_else(|| input.name.clone());
        let spec = InputSpec { name, dtype: input.dtype, width, height, normalization };
        Ok(Self { spec, elements })
    }

    /// The size that a region of a frame is resized to.
    ///
    /// A dimension that the model leaves open is that of the upright region.
    pub(crate) fn target_size(&self, frame: &FrameBuffer<'_>, region: &BoundingBox) -> ImageSize {
        let (width, height) = if frame.orientation().swaps_dimensions() {
            (region.height, region.width)
        } else {
            (region.width, region.height)
        };
        ImageSize {
            width: self.spec.width.unwrap_or(width),
            height: self.spec.height.unwrap_or(height),
        }
    }

    /// Whether the model takes images of any width or height.
    pub(crate) fn is_open(&self) -> bool {
        self.spec.width.is_none() || self.spec.height.is_none()
    }

    /// Fills the input tensor.
    pub(crate) fn fill(
        &self,
        plan: &mut Plan,
        frame: &FrameBuffer<'_>,
        buffer: &mut TensorBuffer,
    ) -> Result<(), Error> {
        match (&self.elements, buffer) {
            (Elements::UInt8, TensorBuffer::UInt8(output)) => plan.rgb_into(frame, output)?,
            (Elements::QuantizedUInt8(tables), TensorBuffer::UInt8(output)) => {
                plan.uint8_into(frame, tables, output)?;
            }
            (Elements::Int8(tables), TensorBuffer::Int8(output)) => {
                plan.int8_into(frame, tables, output)?;
            }
            (Elements::Float32(normalization), TensorBuffer::Float32(output)) => {
                plan.normalized_into(frame, normalization, output)?;
            }
            (Elements::Float16(table), TensorBuffer::Float16(output)) => {
                plan.table_into(frame, table, output)?;
            }
            _ => {
                return Err(Error::new(ErrorKind::Bug, "the input buffer has another type"));
            }
        }
        Ok(())
    }
}

impl Elements {
    /// Chooses the conversion for a checked type, and tells which normalisation it applies.
    ///
    /// `given` are the caller's options, `own` those of the model's metadata.
    fn new(
        input: &TensorSpec,
        given: Option<&NormalizationOptions>,
        own: Option<&NormalizationOptions>,
    ) -> Result<(Self, Option<NormalizationOptions>), Error> {
        let chosen = given.or(own);
        if matches!(input.dtype, DType::Float32 | DType::Float16) {
            let options = chosen.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "expected NormalizationOptions for the float input {input}, found none: \
                         add them to the model's metadata or set options.normalization"
                    ),
                )
                .with_status(TfLiteSupportStatus::MetadataMissingNormalizationOptionsError)
            })?;
            let normalization = checked(options, given.is_some())?;
            let elements = if input.dtype == DType::Float32 {
                Self::Float32(normalization)
            } else {
                Self::Float16(Box::new(LevelTable::new(&normalization, f16::from_f32)))
            };
            return Ok((elements, Some(options.clone())));
        }
        // The reference feeds uint8 models the bytes whatever their metadata says.
        let chosen = if input.dtype == DType::UInt8 { given } else { chosen };
        match (chosen, input.quantization) {
            (Some(options), Some(quantization)) => {
                let normalization = checked(options, given.is_some())?;
                let tables = tables(&normalization, quantization)?;
                Ok((Self::quantized(input.dtype, tables), Some(options.clone())))
            }
            (Some(_), None) if given.is_some() => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "expected quantisation parameters of the input {input} for \
                     options.normalization, found none"
                ),
            )),
            _ if input.dtype == DType::UInt8 => Ok((Self::UInt8, None)),
            _ => {
                let tables = tables(&Normalization::uniform(0.0, 1.0)?, SIGNED_BYTES)?;
                Ok((Self::Int8(tables), None))
            }
        }
    }

    fn quantized(dtype: DType, tables: Box<InputQuantization>) -> Self {
        if dtype == DType::UInt8 { Self::QuantizedUInt8(tables) } else { Self::Int8(tables) }
    }
}

/// Pixels from 0 to 255 as signed bytes.
const SIGNED_BYTES: Quantization = Quantization::new(1.0, -128);

fn tables(
    normalization: &Normalization,
    quantization: Quantization,
) -> Result<Box<InputQuantization>, Error> {
    let Quantization { scale, zero_point, .. } = quantization;
    Ok(Box::new(InputQuantization::new(normalization, scale, zero_point)?))
}

/// The normalisation for three channels, with values that can be used.
fn checked(options: &NormalizationOptions, is_given: bool) -> Result<Normalization, Error> {
    let error = |error: MetadataError| {
        if is_given {
            // The original has no such option.
            Error::because(ErrorKind::Input, "unusable options.normalization", error)
        } else {
            error.into()
        }
    };
    options.check_values().map_err(error)?;
    let (mean, std) = options.channels().map_err(error)?;
    Ok(Normalization::new(mean, std)?)
}

/// Whether a dimension has this size or can be given it.
fn admits(dimension: &Dimension, size: usize) -> bool {
    dimension.is_dynamic() || dimension.size() == size
}

/// The number of pixels along a dimension; `None` if it is that of each image.
fn extent(
    dimension: &Dimension,
    default: Option<u32>,
    side: &str,
    input: &TensorSpec,
) -> Result<Option<u32>, Error> {
    let Dimension::Fixed(size) = *dimension else {
        return Ok(default);
    };
    match u32::try_from(size) {
        Ok(size @ 1..) => Ok(Some(size)),
        _ => Err(Error::new(
            ErrorKind::Model,
            format!("expected an input of positive {side}, found {input}"),
        )
        .with_status(TfLiteSupportStatus::InvalidInputTensorDimensionsError)),
    }
}
