//! What an image embedder must know of its input.

use crate::{ColorSpace, ImageSize, MetadataError, NormalizationOptions};

/// What metadata says of a model's one image input; empty if it says nothing.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageInput {
    /// The tensor's name in the metadata.
    pub name: Option<String>,
    /// The colours, if the input is described as an image.
    pub color_space: Option<ColorSpace>,
    /// The size to use where the model leaves it open.
    pub default_size: Option<ImageSize>,
    /// How pixels are normalised, with one value or one for each of three channels.
    pub normalization: Option<NormalizationOptions>,
}

impl ImageInput {
    /// Checks that the input takes red, green and blue.
    ///
    /// An input without image properties, or whose colour space is [`ColorSpace::Unknown`] (the
    /// schema's default, which writers that mean RGB often leave), is taken to be RGB.
    ///
    /// # Errors
    ///
    /// [`MetadataError::ColorSpace`] if it takes anything else.
    pub fn check_color_space(&self) -> Result<(), MetadataError> {
        match self.color_space {
            None | Some(ColorSpace::Rgb | ColorSpace::Unknown) => Ok(()),
            Some(found) => Err(MetadataError::ColorSpace { found }),
        }
    }
}
