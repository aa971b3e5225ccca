//! Pixel formats.

use std::fmt;

/// How the pixels of a frame lie in memory; every sample has 8 bits.
///
/// The YUV formats are 4:2:0: one pair of chroma samples for each block of 2x2 pixels, so the
/// chroma planes have `(width + 1) / 2` columns and `(height + 1) / 2` rows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "every format needs code in every preprocessing mode")]
pub enum PixelFormat {
    /// Three bytes a pixel: red, green, blue.
    Rgb,
    /// Four bytes a pixel: red, green, blue, alpha (not premultiplied; alpha is ignored).
    Rgba,
    /// One byte a pixel.
    Gray,
    /// YUV 4:2:0: a Y plane, then a plane of interleaved pairs U, V.
    Nv12,
    /// YUV 4:2:0: a Y plane, then a plane of interleaved pairs V, U.
    Nv21,
    /// YUV 4:2:0: three planes Y, V, U.
    Yv12,
    /// YUV 4:2:0: three planes Y, U, V; also known as I420.
    Yv21,
}

impl PixelFormat {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::Rgb, Self::Rgba, Self::Gray, Self::Nv12, Self::Nv21, Self::Yv12, Self::Yv21];

    /// Bytes of one pixel in the first plane: three, four, or one.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::Gray | Self::Nv12 | Self::Nv21 | Self::Yv12 | Self::Yv21 => 1,
        }
    }

    /// Whether the format is one of the YUV 4:2:0 layouts.
    pub const fn is_yuv(self) -> bool {
        matches!(self, Self::Nv12 | Self::Nv21 | Self::Yv12 | Self::Yv21)
    }

    /// Whether the format keeps its chroma samples in interleaved pairs.
    pub const fn has_interleaved_chroma(self) -> bool {
        matches!(self, Self::Nv12 | Self::Nv21)
    }

    /// Whether V comes before U in memory.
    pub const fn has_v_first(self) -> bool {
        matches!(self, Self::Nv21 | Self::Yv12)
    }

    /// Bytes of a contiguous frame without any padding; `None` if it overflows.
    ///
    /// ```text
    /// Rgb: 3wh   Rgba: 4wh   Gray: wh   YUV: wh + 2 * ((w + 1) / 2) * ((h + 1) / 2)
    /// ```
    pub const fn contiguous_size(self, width: u32, height: u32) -> Option<usize> {
        let Some(pixels) = (width as usize).checked_mul(height as usize) else {
            return None;
        };
        if !self.is_yuv() {
            return pixels.checked_mul(self.bytes_per_pixel());
        }
        let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
        let Some(chroma) = (chroma_width as usize).checked_mul(chroma_height as usize) else {
            return None;
        };
        let Some(chroma) = chroma.checked_mul(2) else {
            return None;
        };
        pixels.checked_add(chroma)
    }

    /// The name in capital letters, such as `NV12`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb => "RGB",
            Self::Rgba => "RGBA",
            Self::Gray => "GRAY",
            Self::Nv12 => "NV12",
            Self::Nv21 => "NV21",
            Self::Yv12 => "YV12",
            Self::Yv21 => "YV21",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_sizes_round_chroma_up() {
        assert_eq!(PixelFormat::Rgb.contiguous_size(5, 3), Some(45));
        assert_eq!(PixelFormat::Rgba.contiguous_size(5, 3), Some(60));
        assert_eq!(PixelFormat::Gray.contiguous_size(5, 3), Some(15));
        for format in [PixelFormat::Nv12, PixelFormat::Nv21, PixelFormat::Yv12, PixelFormat::Yv21] {
            assert_eq!(format.contiguous_size(5, 3), Some(15 + 2 * 3 * 2));
            assert_eq!(format.contiguous_size(4, 2), Some(12));
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn contiguous_sizes_are_checked() {
        assert_eq!(PixelFormat::Rgba.contiguous_size(u32::MAX, u32::MAX), None);
        assert!(PixelFormat::Gray.contiguous_size(u32::MAX, u32::MAX).is_some());
    }
}
