//! Images as the command line names them: files to decode, or frames of raw pixels.

use std::path::Path;

use clap::Args;
use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::frame::{FrameBuffer, Orientation, PixelFormat, Plane};

use crate::failure::Failure;

/// How the file of a raw frame is to be read.
#[derive(Args, Debug)]
pub(crate) struct RawArguments {
    /// Take files as frames of raw pixels, as in --raw nv12 640x480: rgb, rgba, gray, nv12, nv21,
    /// yv12 or yv21 (which is also called i420). Without --plane rows are tight and planes follow
    /// each other.
    #[arg(
        long,
        num_args = 2,
        value_names = ["FORMAT", "WIDTHxHEIGHT"],
        value_parser = raw_part,
        conflicts_with_all = ["ignore_exif", "allow_truncated"],
    )]
    raw: Vec<RawPart>,
    /// Where a plane of the raw frame begins in the file, its bytes from row to row, and from
    /// pixel to pixel; given once for each plane, in the order of the format's name.
    #[arg(
        long = "plane",
        value_name = "OFFSET,ROW,PIXEL",
        value_parser = plane_layout,
        requires = "raw"
    )]
    planes: Vec<PlaneLayout>,
    /// How the raw frame is to be turned to be upright, as an Exif orientation from 1 to 8.
    #[arg(long, value_name = "N", value_parser = orientation, default_value = "1", requires = "raw")]
    orientation: Orientation,
}

/// One of the two values of `--raw`.
#[derive(Clone, Copy, Debug)]
enum RawPart {
    Format(PixelFormat),
    Size { width: u32, height: u32 },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PlaneLayout {
    offset: usize,
    row_stride: usize,
    pixel_stride: usize,
}

/// An image in memory.
#[derive(Debug)]
pub(crate) enum Picture {
    Decoded(Image),
    Raw { bytes: Vec<u8>, layout: RawLayout },
}

/// Where the pixels of a raw frame lie in its file.
#[derive(Clone, Debug)]
pub(crate) struct RawLayout {
    format: PixelFormat,
    width: u32,
    height: u32,
    /// Empty if the frame is contiguous.
    planes: Vec<PlaneLayout>,
    orientation: Orientation,
}

impl RawArguments {
    /// The layout of raw frames; `None` if images are to be decoded.
    pub(crate) fn layout(&self) -> Result<Option<RawLayout>, Failure> {
        let &RawArguments { ref raw, ref planes, orientation } = self;
        match raw[..] {
            [] => Ok(None),
            [RawPart::Format(format), RawPart::Size { width, height }] => {
                Ok(Some(RawLayout { format, width, height, planes: planes.clone(), orientation }))
            }
            _ => Err(Failure::RawArguments),
        }
    }
}

impl Picture {
    /// Reads a raw frame, or decodes an image.
    pub(crate) fn open(
        path: &Path,
        layout: Option<&RawLayout>,
        options: &DecodeOptions,
    ) -> Result<Self, Failure> {
        let Some(layout) = layout else {
            return Ok(Self::Decoded(Image::open(path, options)?));
        };
        let bytes = std::fs::read(path)
            .map_err(|source| Failure::ReadFile { path: path.display().to_string(), source })?;
        // A wrong size is told with the file's name.
        if let Err(reason) = layout.frame(&bytes) {
            return Err(Failure::RawFrame { path: path.display().to_string(), reason });
        }
        Ok(Self::Raw { bytes, layout: layout.clone() })
    }

    /// The image as a frame, with its orientation.
    pub(crate) fn frame(&self) -> Result<FrameBuffer<'_>, Failure> {
        match self {
            Self::Decoded(image) => Ok(image.frame()?),
            Self::Raw { bytes, layout } => layout
                .frame(bytes)
                .map_err(|reason| Failure::RawFrame { path: "of raw pixels".to_owned(), reason }),
        }
    }
}

impl RawLayout {
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<FrameBuffer<'a>, String> {
        let Self { format, width, height, orientation, .. } = *self;
        if self.planes.is_empty() {
            return FrameBuffer::from_contiguous(format, bytes, width, height)
                .map(|frame| frame.with_orientation(orientation))
                .map_err(|error| error.to_string());
        }
        let mut planes = Vec::new();
        for (index, plane) in self.planes.iter().enumerate() {
            let data = bytes.get(plane.offset..).ok_or_else(|| {
                format!(
                    "expected plane {index} to begin within the {} bytes of the file, found \
                     offset {}",
                    bytes.len(),
                    plane.offset
                )
            })?;
            planes.push(Plane::new(data, plane.row_stride, plane.pixel_stride));
        }
        FrameBuffer::new(format, width, height, &planes, orientation)
            .map_err(|error| error.to_string())
    }
}

fn raw_part(text: &str) -> Result<RawPart, String> {
    let name = text.to_ascii_uppercase();
    if name == "I420" {
        return Ok(RawPart::Format(PixelFormat::Yv21));
    }
    if let Some(format) = PixelFormat::ALL.into_iter().find(|format| format.name() == name) {
        return Ok(RawPart::Format(format));
    }
    let size = name.split_once('X').and_then(|(width, height)| {
        Some(RawPart::Size { width: width.parse().ok()?, height: height.parse().ok()? })
    });
    size.ok_or_else(|| {
        "expected rgb, rgba, gray, nv12, nv21, yv12 or yv21, and then a size as in 640x480"
            .to_owned()
    })
}

fn plane_layout(text: &str) -> Result<PlaneLayout, String> {
    let numbers: Option<Vec<usize>> =
        text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[offset, row_stride, pixel_stride]) => {
            Ok(PlaneLayout { offset, row_stride, pixel_stride })
        }
        _ => Err("expected three numbers of bytes, as in 0,704,1".to_owned()),
    }
}

fn orientation(text: &str) -> Result<Orientation, String> {
    text.parse()
        .ok()
        .and_then(Orientation::from_exif)
        .ok_or_else(|| "expected a whole number from 1 to 8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_sizes() {
        for (text, expected) in [
            ("rgb", PixelFormat::Rgb),
            ("NV21", PixelFormat::Nv21),
            ("i420", PixelFormat::Yv21),
            ("gray", PixelFormat::Gray),
        ] {
            let Ok(RawPart::Format(format)) = raw_part(text) else { panic!("{text}") };
            assert_eq!(format, expected);
        }
        let Ok(RawPart::Size { width: 640, height: 480 }) = raw_part("640x480") else {
            panic!("a size")
        };
        for wrong in ["", "x", "640", "640x", "-1x2", "640x480x3", "yuv", "4294967296x1"] {
            assert!(raw_part(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn planes() {
        let plane = PlaneLayout { offset: 5, row_stride: 704, pixel_stride: 2 };
        assert_eq!(plane_layout("5, 704,2"), Ok(plane));
        for wrong in ["", "1", "1,2", "1,2,3,4", "a,2,3", "-1,2,3"] {
            assert!(plane_layout(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn orientations() {
        assert_eq!(orientation("6"), Ok(Orientation::RightTop));
        for wrong in ["0", "9", "-1", "x", ""] {
            assert!(orientation(wrong).is_err(), "{wrong}");
        }
    }
}
