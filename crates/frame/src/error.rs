//! What can be wrong with a frame or a region.

use std::error::Error;
use std::fmt;

use crate::{BoundingBox, PixelFormat};

/// Why memory is not a frame, or a box not a region of one.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameError {
    /// The frame has no pixels.
    EmptyFrame {
        /// The width given.
        width: u32,
        /// The height given.
        height: u32,
    },
    /// The sizes overflow the address space.
    SizeOverflow {
        /// The width of the frame or plane.
        width: u32,
        /// The height of the frame or plane.
        height: u32,
    },
    /// The format does not come in that number of planes.
    PlaneCount {
        /// The format of the frame.
        format: PixelFormat,
        /// The numbers of planes that the format may have.
        expected: &'static str,
        /// The number of planes given.
        found: usize,
    },
    /// A pixel stride does not fit the format.
    PixelStride {
        /// The index of the plane.
        plane: usize,
        /// The pixel strides that the format may have, in bytes.
        expected: &'static str,
        /// The pixel stride given, in bytes.
        found: usize,
    },
    /// A row stride is shorter than a row.
    RowStride {
        /// The index of the plane.
        plane: usize,
        /// Bytes of one row.
        minimum: usize,
        /// The row stride given, in bytes.
        found: usize,
    },
    /// A plane has too few bytes.
    PlaneLength {
        /// The index of the plane.
        plane: usize,
        /// The bytes that the plane needs.
        minimum: usize,
        /// The bytes given.
        found: usize,
    },
    /// A contiguous frame has another number of bytes than its size and format say.
    DataLength {
        /// The format of the frame.
        format: PixelFormat,
        /// The bytes that the frame has.
        expected: usize,
        /// The bytes given.
        found: usize,
    },
    /// A region has no pixels.
    EmptyRegion {
        /// The region.
        region: BoundingBox,
    },
    /// A region does not lie within the frame.
    RegionOutOfBounds {
        /// The region.
        region: BoundingBox,
        /// The width of the frame.
        frame_width: u32,
        /// The height of the frame.
        frame_height: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFrame { width, height } => {
                write!(f, "expected a frame of at least 1x1 pixels, found {width}x{height}")
            }
            Self::SizeOverflow { width, height } => {
                write!(f, "a size of {width}x{height} pixels overflows the address space")
            }
            Self::PlaneCount { format, expected, found } => {
                write!(f, "expected {expected} for {format}, found {found}")
            }
            Self::PixelStride { plane, expected, found } => {
                write!(f, "plane {plane}: expected a pixel stride of {expected}, found {found}")
            }
            Self::RowStride { plane, minimum, found } => {
                write!(
                    f,
                    "plane {plane}: expected a row stride of at least {minimum} bytes, found {found}"
                )
            }
            Self::PlaneLength { plane, minimum, found } => {
                write!(f, "plane {plane}: expected at least {minimum} bytes, found {found}")
            }
            Self::DataLength { format, expected, found } => {
                write!(f, "expected {expected} bytes of {format}, found {found}")
            }
            Self::EmptyRegion { region } => {
                write!(f, "expected a region of at least 1x1 pixels, found {region}")
            }
            Self::RegionOutOfBounds { region, frame_width, frame_height } => {
                write!(
                    f,
                    "expected a region within the frame of {frame_width}x{frame_height} pixels, \
                     found {region}"
                )
            }
        }
    }
}

impl Error for FrameError {}
