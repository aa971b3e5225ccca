//! Which colours YUV samples stand for.

use std::fmt;

/// The colours that YUV samples stand for: the weights of red, green and blue in them, and the
/// levels that they span.
///
/// Cameras of phones give BT.601 with full range as a rule, video of high definition is BT.709
/// with limited range. What is right for a frame is told by what made it; nothing in its bytes
/// does.
///
/// ```
/// use image_embedder_preprocess::{PreprocessMode, PreprocessOptions, YuvColorSpace};
/// use image_embedder_preprocess::{YuvMatrix, YuvRange};
///
/// let mut options = PreprocessOptions::with_mode(PreprocessMode::Quality);
/// options.yuv_color_space = YuvColorSpace::new(YuvMatrix::Bt709, YuvRange::Limited);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "the two facts that the conversion depends on")]
pub struct YuvColorSpace {
    /// The weights of red, green and blue.
    pub matrix: YuvMatrix,
    /// The levels that the samples span.
    pub range: YuvRange,
}

/// The weights of red, green and blue in luma, and by them in chroma.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition, JPEG, and what the Task Library assumes.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance: ultra-high definition.
    Bt2020,
}

/// The levels that YUV samples of 8 bits span.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum YuvRange {
    /// Luma from 16 to 235, chroma from 16 to 240: video, and what the Task Library assumes.
    #[default]
    Limited,
    /// All levels from 0 to 255: JPEG and most cameras.
    Full,
}

impl YuvColorSpace {
    /// Every combination.
    pub const ALL: [Self; 6] = [
        Self::new(YuvMatrix::Bt601, YuvRange::Limited),
        Self::new(YuvMatrix::Bt601, YuvRange::Full),
        Self::new(YuvMatrix::Bt709, YuvRange::Limited),
        Self::new(YuvMatrix::Bt709, YuvRange::Full),
        Self::new(YuvMatrix::Bt2020, YuvRange::Limited),
        Self::new(YuvMatrix::Bt2020, YuvRange::Full),
    ];

    /// A colour space.
    pub const fn new(matrix: YuvMatrix, range: YuvRange) -> Self {
        Self { matrix, range }
    }
}

impl YuvMatrix {
    /// The weights of red and blue in luma; that of green is the rest.
    ///
    /// Source: ITU-R BT.601-7, BT.709-6, BT.2020-2.
    pub const fn luma_weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

impl fmt::Display for YuvMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bt601 => "BT.601",
            Self::Bt709 => "BT.709",
            Self::Bt2020 => "BT.2020",
        })
    }
}

impl fmt::Display for YuvRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limited => "limited range",
            Self::Full => "full range",
        })
    }
}

impl fmt::Display for YuvColorSpace {
    /// As `BT.709, limited range`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.matrix, self.range)
    }
}
