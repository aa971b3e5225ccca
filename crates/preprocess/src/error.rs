//! What can go wrong between a frame and a tensor.

use std::error::Error;
use std::fmt;

use image_embedder_frame::{FrameError, Orientation};

use crate::{FrameGeometry, PreprocessMode, ResizePolicy, YuvColorSpace};

/// Why a frame could not be preprocessed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum PreprocessError {
    /// The frame or region is not valid.
    Frame(FrameError),
    /// The target size has no pixels or too many.
    TargetSize {
        /// The greatest width and height.
        maximum: u32,
        /// The width asked for.
        width: u32,
        /// The height asked for.
        height: u32,
    },
    /// The region has more columns or rows than the mode can resize.
    RegionSize {
        /// The mode.
        mode: PreprocessMode,
        /// The greatest width and height.
        maximum: u32,
        /// The region's width.
        width: u32,
        /// The region's height.
        height: u32,
    },
    /// The mode cannot do the orientation.
    UnsupportedOrientation {
        /// The mode.
        mode: PreprocessMode,
        /// The orientation asked for.
        orientation: Orientation,
    },
    /// The mode cannot do the resize policy.
    UnsupportedResizePolicy {
        /// The mode.
        mode: PreprocessMode,
        /// The policy asked for.
        resize_policy: ResizePolicy,
    },
    /// The mode converts YUV in another way.
    UnsupportedYuvColorSpace {
        /// The mode.
        mode: PreprocessMode,
        /// The only colour space that it knows.
        expected: YuvColorSpace,
        /// The colour space asked for.
        found: YuvColorSpace,
    },
    /// The frame is not of the kind that the plan was made for.
    FrameMismatch {
        /// The geometry of the plan.
        expected: FrameGeometry,
        /// The geometry of the frame.
        found: FrameGeometry,
    },
    /// The output has another number of elements than the target.
    OutputLength {
        /// The elements of the target: `height * width * 3`.
        expected: usize,
        /// The elements of the output.
        found: usize,
    },
    /// A standard deviation is zero, or too small to divide by.
    ZeroStd {
        /// The channel: 0 is red, 1 green, 2 blue.
        channel: usize,
        /// The standard deviation given.
        std: f32,
    },
    /// A mean or standard deviation is infinite or not a number.
    NonFiniteNormalization {
        /// The channel: 0 is red, 1 green, 2 blue.
        channel: usize,
        /// The mean given.
        mean: f32,
        /// The standard deviation given.
        std: f32,
    },
    /// A quantisation scale is not a positive number.
    QuantizationScale {
        /// The scale given.
        scale: f32,
    },
    /// There is not enough memory.
    OutOfMemory {
        /// The bytes asked for.
        bytes: usize,
    },
    /// The resize library refused a checked request.
    Resize {
        /// The library's own words.
        message: String,
    },
}

impl fmt::Display for PreprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(_) => f.write_str("invalid frame or region"),
            Self::TargetSize { maximum, width, height } => {
                write!(
                    f,
                    "expected a target of 1x1 to {maximum}x{maximum} pixels, found {width}x{height}"
                )
            }
            Self::RegionSize { mode, maximum, width, height } => {
                write!(
                    f,
                    "mode {mode}: expected a region of at most {maximum}x{maximum} pixels, \
                     found {width}x{height}"
                )
            }
            Self::UnsupportedOrientation { mode, orientation } => {
                write!(f, "mode {mode} does not support orientation {orientation}")
            }
            Self::UnsupportedResizePolicy { mode, resize_policy } => {
                write!(f, "mode {mode} does not support resize policy {resize_policy}")
            }
            Self::UnsupportedYuvColorSpace { mode, expected, found } => {
                write!(f, "mode {mode}: expected YUV of {expected}, found {found}")
            }
            Self::FrameMismatch { expected, found } => {
                write!(f, "expected a frame of {expected}, found {found}")
            }
            Self::OutputLength { expected, found } => {
                write!(f, "expected an output of {expected} elements, found {found}")
            }
            Self::ZeroStd { channel, std } => {
                write!(
                    f,
                    "channel {channel}: expected a standard deviation off zero, found {std:e}"
                )
            }
            Self::NonFiniteNormalization { channel, mean, std } => {
                write!(
                    f,
                    "channel {channel}: expected finite numbers, found mean {mean}, std {std}"
                )
            }
            Self::QuantizationScale { scale } => {
                write!(f, "expected a positive finite quantisation scale, found {scale}")
            }
            Self::OutOfMemory { bytes } => write!(f, "could not allocate {bytes} bytes"),
            Self::Resize { message } => write!(f, "resize failed: {message}"),
        }
    }
}

impl Error for PreprocessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            _ => None,
        }
    }
}

impl From<FrameError> for PreprocessError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
