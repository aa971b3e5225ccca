//! The metadata of one tensor.

use std::fmt;

use image_embedder_schema::metadata::{self as schema, ColorSpaceType};

use crate::associated_file::associated_files;
use crate::{AssociatedFile, MetadataError, NormalizationOptions};

/// What metadata says of one input or output.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorMetadata {
    /// The tensor's name; it need not be the name in the model.
    pub name: Option<String>,
    /// What it holds.
    pub description: Option<String>,
    /// A name for each dimension.
    pub dimension_names: Vec<String>,
    /// The kind of content.
    pub content: Content,
    /// Processing before the model or after it.
    pub process_units: Vec<ProcessUnit>,
    /// The range of the values.
    pub stats: Option<Stats>,
    /// The files of the tensor, such as labels.
    pub associated_files: Vec<AssociatedFile>,
}

/// The kind of a tensor's content.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// Not said.
    #[default]
    None,
    /// A feature vector, or anything else without properties.
    Feature,
    /// An image.
    Image(ImageProperties),
    /// Bounding boxes.
    BoundingBox,
    /// Audio.
    Audio,
    /// A kind that this crate does not know.
    Other,
}

/// The properties of an image tensor.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ImageProperties {
    /// The colours.
    pub color_space: ColorSpace,
    /// The size to use where the model leaves it open.
    pub default_size: Option<ImageSize>,
}

/// The colours of an image tensor.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ColorSpace {
    /// Not said.
    #[default]
    Unknown,
    /// Red, green, blue.
    Rgb,
    /// One channel of brightness.
    Grayscale,
    /// A number that the schema does not have.
    Other(i8),
}

/// A size in pixels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a size is a width and a height")]
pub struct ImageSize {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
}

/// A step of processing.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessUnit {
    /// Normalisation of an input, as written: its lengths are not checked.
    Normalization(NormalizationOptions),
    /// Calibration of scores.
    ScoreCalibration,
    /// Thresholding of scores.
    ScoreThresholding,
    /// A tokenizer of text.
    Tokenizer,
    /// No step, or one that this crate does not know.
    Other,
}

/// The range of a tensor's values.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// The largest value, one or one per channel.
    pub max: Vec<f32>,
    /// The least value, one or one per channel.
    pub min: Vec<f32>,
}

impl TensorMetadata {
    /// The name, or `#0` as a stand-in that error messages can show.
    fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| "#0".to_owned())
    }

    /// The properties of the image that the tensor holds; `None` if its content is not described.
    ///
    /// # Errors
    ///
    /// [`MetadataError::ContentKind`] if it is described as anything else than an image.
    pub fn image_properties(&self) -> Result<Option<ImageProperties>, MetadataError> {
        let found = match self.content {
            Content::None => return Ok(None),
            Content::Image(properties) => return Ok(Some(properties)),
            Content::Feature => "FeatureProperties",
            Content::BoundingBox => "BoundingBoxProperties",
            Content::Audio => "AudioProperties",
            Content::Other => "properties of an unknown kind",
        };
        Err(MetadataError::ContentKind { tensor: self.label(), found })
    }

    /// The tensor's one normalisation, with its lengths checked; `None` if there is none.
    ///
    /// # Errors
    ///
    /// - [`MetadataError::NormalizationCount`] if there are several.
    /// - [`MetadataError::NormalizationLengths`] or [`MetadataError::NormalizationChannels`] if it
    ///   has an unfit number of values.
    pub fn normalization_options(&self) -> Result<Option<&NormalizationOptions>, MetadataError> {
        let mut normalizations = self.process_units.iter().filter_map(|unit| match unit {
            ProcessUnit::Normalization(options) => Some(options),
            _ => None,
        });
        let Some(options) = normalizations.next() else {
            return Ok(None);
        };
        let others = normalizations.count();
        if others > 0 {
            return Err(MetadataError::NormalizationCount {
                tensor: self.label(),
                found: others + 1,
            });
        }
        options.check_lengths()?;
        Ok(Some(options))
    }

    pub(crate) fn from_schema(tensor: &schema::TensorMetadata<'_>) -> Self {
        Self {
            name: owned(tensor.name()),
            description: owned(tensor.description()),
            dimension_names: tensor.dimension_names().iter().map(str::to_owned).collect(),
            content: tensor.content().map_or(Content::None, |content| {
                Content::from_schema(&content.content_properties())
            }),
            process_units: tensor
                .process_units()
                .iter()
                .map(|unit| ProcessUnit::from_schema(&unit.options()))
                .collect(),
            stats: tensor.stats().map(|stats| Stats {
                max: stats.max().iter().collect(),
                min: stats.min().iter().collect(),
            }),
            associated_files: associated_files(tensor.associated_files().iter()),
        }
    }
}

impl Content {
    fn from_schema(properties: &schema::ContentProperties<'_>) -> Self {
        match properties {
            schema::ContentProperties::None => Self::None,
            schema::ContentProperties::FeatureProperties(_) => Self::Feature,
            schema::ContentProperties::ImageProperties(image) => Self::Image(ImageProperties {
                color_space: ColorSpace::from_raw(image.color_space()),
                default_size: image
                    .default_size()
                    .map(|size| ImageSize { width: size.width(), height: size.height() }),
            }),
            schema::ContentProperties::BoundingBoxProperties(_) => Self::BoundingBox,
            schema::ContentProperties::AudioProperties(_) => Self::Audio,
            _ => Self::Other,
        }
    }
}

impl ColorSpace {
    pub(crate) fn raw(self) -> i8 {
        match self {
            Self::Unknown => ColorSpaceType::Unknown.raw(),
            Self::Rgb => ColorSpaceType::Rgb.raw(),
            Self::Grayscale => ColorSpaceType::Grayscale.raw(),
            Self::Other(raw) => raw,
        }
    }

    fn from_raw(raw: i8) -> Self {
        match ColorSpaceType::from_raw(raw) {
            Some(ColorSpaceType::Unknown) => Self::Unknown,
            Some(ColorSpaceType::Rgb) => Self::Rgb,
            Some(ColorSpaceType::Grayscale) => Self::Grayscale,
            _ => Self::Other(raw),
        }
    }
}

impl fmt::Display for ColorSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("UNKNOWN"),
            Self::Rgb => f.write_str("RGB"),
            Self::Grayscale => f.write_str("GRAYSCALE"),
            Self::Other(raw) => write!(f, "number {raw}"),
        }
    }
}

impl fmt::Display for ImageSize {
    /// As `width x height`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

impl ProcessUnit {
    fn from_schema(options: &schema::ProcessUnitOptions<'_>) -> Self {
        match options {
            schema::ProcessUnitOptions::NormalizationOptions(options) => {
                Self::Normalization(NormalizationOptions {
                    mean: options.mean().iter().collect(),
                    std: options.std().iter().collect(),
                })
            }
            schema::ProcessUnitOptions::ScoreCalibrationOptions(_) => Self::ScoreCalibration,
            schema::ProcessUnitOptions::ScoreThresholdingOptions(_) => Self::ScoreThresholding,
            schema::ProcessUnitOptions::BertTokenizerOptions(_)
            | schema::ProcessUnitOptions::SentencePieceTokenizerOptions(_)
            | schema::ProcessUnitOptions::RegexTokenizerOptions(_) => Self::Tokenizer,
            _ => Self::Other,
        }
    }
}

pub(crate) fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
