//! How a region becomes the pixels that a model takes.

use std::fmt;

use crate::{YuvColorSpace, YuvMatrix, YuvRange};

/// Whose resize arithmetic a plan follows.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PreprocessMode {
    /// The exact pixels of the TensorFlow Lite Task Library on x86-64, on every machine.
    ///
    /// Bilinear with two taps an axis whatever the ratio: there is no anti-aliasing, interpolated
    /// columns of RGB lose a 128th of their brightness, enlarging aligns the corners of the
    /// first and last pixel while shrinking aligns centres. YUV is BT.601 with limited range,
    /// converted after resizing. Gray frames, which the original refuses, become RGB with three
    /// equal channels.
    ///
    /// On 64-bit ARM the original itself gives other pixels in three places, by what the source of
    /// its libyuv 1773 says: means of 2x2 pixels of RGB and RGBA are rounded once instead of twice
    /// (a difference of up to 1 level); planes that shrink to three quarters or three eighths are
    /// rounded after the last step alone (up to 1 level of luma or chroma, 4 of a colour); and
    /// columns of planes are blended with weights of 16 instead of 7 bits (up to 2 levels of luma
    /// or chroma). This mode does not follow it there, so that vectors of one index compare on
    /// every machine.
    #[default]
    TaskLibrary,
    /// The exact pixels of MediaPipe's image embedder on a CPU.
    ///
    /// Bilinear with two taps an axis and 5-bit weights, sampled at the top left corner of each
    /// output pixel; only the four orientations without mirroring. Samples beside the region
    /// come from the frame around it. YUV and gray frames, which the original refuses, are
    /// converted sample by sample, YUV as [`PreprocessOptions::yuv_color_space`] says.
    MediaPipe,
    /// An ordinary anti-aliased resize: a triangle filter as wide as the ratio asks for, centres
    /// aligned, no sample from outside the region. YUV is converted as
    /// [`PreprocessOptions::yuv_color_space`] says, with interpolated chroma.
    Quality,
}

impl fmt::Display for PreprocessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TaskLibrary => "task library",
            Self::MediaPipe => "MediaPipe",
            Self::Quality => "quality",
        })
    }
}

/// What happens if the region and the target have different aspect ratios.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ResizePolicy {
    /// The region fills the target, distorted. Every mode accepts it.
    #[default]
    Stretch,
    /// The whole region, undistorted and centred, with bars of one colour. Of an odd number of
    /// spare rows or columns the greater part comes last in the stored frame.
    Letterbox {
        /// The red, green and blue of the bars.
        padding: [u8; 3],
    },
    /// The short side of the region fits the target, and the middle of the long side is taken.
    CenterCrop,
}

impl fmt::Display for ResizePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stretch => "stretch",
            Self::Letterbox { .. } => "letterbox",
            Self::CenterCrop => "center crop",
        })
    }
}

/// Options of a [`Plan`](crate::Plan).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PreprocessOptions {
    /// Whose resize arithmetic is followed.
    pub mode: PreprocessMode,
    /// What happens to the aspect ratio. Only [`PreprocessMode::Quality`] takes anything but
    /// [`ResizePolicy::Stretch`].
    pub resize_policy: ResizePolicy,
    /// Which colours the samples of YUV frames stand for; other frames do not depend on it.
    /// [`PreprocessMode::TaskLibrary`] knows the default only, BT.601 with limited range.
    pub yuv_color_space: YuvColorSpace,
}

impl PreprocessOptions {
    /// Options with the given mode that stretch the region; YUV is BT.601 with limited range.
    pub const fn with_mode(mode: PreprocessMode) -> Self {
        Self {
            mode,
            resize_policy: ResizePolicy::Stretch,
            yuv_color_space: YuvColorSpace::new(YuvMatrix::Bt601, YuvRange::Limited),
        }
    }
}
