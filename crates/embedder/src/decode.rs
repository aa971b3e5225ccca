//! Reading image files: pixels and the orientation that Exif gives them.
//!
//! JPEG, PNG, WebP, BMP, GIF (its first frame) and TIFF are told apart by content, whatever a
//! file is called. Damaged and truncated files are errors, unless
//! [`DecodeOptions::allow_truncated`] says otherwise, and so are images whose pixels need
//! more memory than [`DecodeOptions::max_bytes`].

mod jpeg;

use std::fmt;
use std::io::Cursor;
use std::path::Path;

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use image_embedder_frame::{FrameBuffer, Orientation, PixelFormat};

use crate::{Error, ErrorKind};

/// Options of decoding.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecodeOptions {
    /// Whether the orientation in the file is ignored, as the TensorFlow Lite Task Library does.
    pub ignore_exif: bool,
    /// Whether a JPEG file that ends early is decoded as far as it goes.
    ///
    /// What is missing becomes gray, and the embedding is that of the picture with the gray part.
    /// Other formats do not have it: what ends early is refused.
    pub allow_truncated: bool,
    /// The most bytes that a decoder may allocate and that the decoded pixels may have.
    pub max_bytes: u64,
}

impl Default for DecodeOptions {
    /// Exif orientation is heeded, files that end early are refused; at most 512 MiB.
    fn default() -> Self {
        Self { ignore_exif: false, allow_truncated: false, max_bytes: 512 << 20 }
    }
}

/// An image in memory: tight rows of RGB or RGBA bytes and an orientation.
#[derive(Clone, Eq, PartialEq)]
pub struct Image {
    format: PixelFormat,
    width: u32,
    height: u32,
    orientation: Orientation,
    pixels: Vec<u8>,
}

impl Image {
    /// Reads and decodes a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the file cannot be read; else as
    /// [`from_bytes`](Self::from_bytes). The message begins with the path.
    pub fn open(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| {
            Error::from_io(format!("cannot read the image {}", path.display()), error)
        })?;
        Self::from_bytes(&bytes, options).map_err(|error| {
            Error::because(
                error.kind(),
                format!("cannot decode the image {}", path.display()),
                error,
            )
        })
    }

    /// Decodes the content of a file.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`] if the content is not of a known format, is damaged or ends early.
    /// - [`ErrorKind::Unsupported`] if it uses a feature of its format that the decoder lacks.
    /// - [`ErrorKind::Resource`] if it needs more memory than allowed.
    pub fn from_bytes(bytes: &[u8], options: &DecodeOptions) -> Result<Self, Error> {
        let mut reader = ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| Error::from_io("cannot read the image".to_owned(), error))?;
        let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
            return Err(unknown_format(bytes));
        };
        if format == ImageFormat::Jpeg && !options.allow_truncated {
            jpeg::check_complete(bytes)?;
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(options.max_bytes);
        reader.limits(limits);

        let decode_error = |error| decode_error(format, options, &error);
        let mut decoder = reader.into_decoder().map_err(decode_error)?;
        if decoder.total_bytes() > options.max_bytes {
            let (width, height) = decoder.dimensions();
            let found = decoder.total_bytes();
            let limit = options.max_bytes;
            let message = format!(
                "expected at most {limit} bytes of pixels, found {found} ({width}x{height})"
            );
            return Err(Error::new(ErrorKind::Resource, message));
        }
        let orientation = if options.ignore_exif {
            Orientation::TopLeft
        } else {
            let orientation = decoder.orientation().map_err(decode_error)?;
            Orientation::from_exif(orientation.to_exif()).unwrap_or_default()
        };
        let decoded = DynamicImage::from_decoder(decoder).map_err(decode_error)?;
        Ok(Self::try_from(decoded)?.with_orientation(orientation))
    }

    /// The same pixels with another orientation.
    #[must_use]
    pub fn with_orientation(mut self, orientation: Orientation) -> Self {
        self.orientation = orientation;
        self
    }

    /// The image as a frame, with its orientation.
    ///
    /// # Errors
    ///
    /// None in practice: an image that exists has pixels, and as many as its size says.
    pub fn frame(&self) -> Result<FrameBuffer<'_>, Error> {
        let frame =
            FrameBuffer::from_contiguous(self.format, &self.pixels, self.width, self.height)?;
        Ok(frame.with_orientation(self.orientation))
    }

    /// RGB or RGBA.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The width in pixels, before the orientation is applied.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The height in pixels, before the orientation is applied.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How the image is to be turned to be upright.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The pixels, in tight rows.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl TryFrom<DynamicImage> for Image {
    type Error = Error;

    /// Takes pixels that the `image` crate has decoded, upright as they are.
    ///
    /// Gray becomes RGB with three equal channels; 16 bits and floats are scaled to 8 bits; alpha
    /// is kept, though embedding does not look at it.
    fn try_from(decoded: DynamicImage) -> Result<Self, Error> {
        let (width, height) = (decoded.width(), decoded.height());
        if width == 0 || height == 0 {
            let message = format!("expected an image with pixels, found {width}x{height}");
            return Err(Error::new(ErrorKind::Input, message));
        }
        let (format, pixels) = if decoded.color().has_alpha() {
            (PixelFormat::Rgba, decoded.into_rgba8().into_raw())
        } else {
            (PixelFormat::Rgb, decoded.into_rgb8().into_raw())
        };
        Ok(Self { format, width, height, orientation: Orientation::TopLeft, pixels })
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, width, height, orientation, .. } = self;
        write!(f, "Image({width}x{height} {format}, {orientation})")
    }
}

fn unknown_format(bytes: &[u8]) -> Error {
    let found = match bytes {
        [] => "an empty file".to_owned(),
        _ => {
            let start = bytes.get(..8).unwrap_or(bytes);
            format!("content that starts with \"{}\"", start.escape_ascii())
        }
    };
    let message = format!("expected a JPEG, PNG, WebP, BMP, GIF or TIFF image, found {found}");
    Error::new(ErrorKind::Input, message)
}

/// One line of what the decoder says; its error types stay out of this crate's interface.
fn decode_error(format: ImageFormat, options: &DecodeOptions, error: &ImageError) -> Error {
    let format = format.extensions_str().first().unwrap_or(&"image").to_ascii_uppercase();
    let said = error.to_string().replace(['\n', '\r'], " ");
    let (kind, message) = match error {
        ImageError::Limits(_) => (
            ErrorKind::Resource,
            format!(
                "expected a {format} image that decodes in {} bytes, found a larger one: {said}",
                options.max_bytes
            ),
        ),
        ImageError::Unsupported(_) => (
            ErrorKind::Unsupported,
            format!("expected a {format} image of a supported kind, found another: {said}"),
        ),
        _ => (
            ErrorKind::Input,
            format!("expected an intact {format} image, found a damaged or truncated one: {said}"),
        ),
    };
    Error::new(kind, message)
}
