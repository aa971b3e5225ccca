//! What a plan depends on of a frame.

use std::fmt;

use image_embedder_frame::{BoundingBox, FrameBuffer, FrameError, Orientation, PixelFormat};

/// Everything about a frame and its region but the pixels and strides: the key of a
/// [`Plan`](crate::Plan).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameGeometry {
    format: PixelFormat,
    frame_width: u32,
    frame_height: u32,
    orientation: Orientation,
    region: BoundingBox,
}

impl FrameGeometry {
    /// The geometry of a whole frame.
    pub const fn of(frame: &FrameBuffer<'_>) -> Self {
        Self {
            format: frame.format(),
            frame_width: frame.width(),
            frame_height: frame.height(),
            orientation: frame.orientation(),
            region: frame.bounds(),
        }
    }

    /// The geometry of a region of a frame, given in pixels of the stored frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::EmptyRegion`] or [`FrameError::RegionOutOfBounds`].
    pub fn of_region(frame: &FrameBuffer<'_>, region: BoundingBox) -> Result<Self, FrameError> {
        region.check(frame.width(), frame.height())?;
        Ok(Self { region, ..Self::of(frame) })
    }

    /// How the pixels of the frame lie in memory.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width of the stored frame in pixels.
    pub const fn frame_width(&self) -> u32 {
        self.frame_width
    }

    /// Height of the stored frame in pixels.
    pub const fn frame_height(&self) -> u32 {
        self.frame_height
    }

    /// How the stored frame is to be turned to be upright.
    pub const fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The region, in pixels of the stored frame.
    pub const fn region(&self) -> BoundingBox {
        self.region
    }

    /// Whether a frame has this geometry, the region aside.
    pub(crate) fn matches(&self, frame: &FrameBuffer<'_>) -> bool {
        Self { region: self.region, ..Self::of(frame) } == *self
    }
}

impl fmt::Display for FrameGeometry {
    /// As `640x480 NV12, RightTop (Exif 6)`, with the region if it is not the whole frame.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}x{} {}, {}",
            self.frame_width, self.frame_height, self.format, self.orientation
        )?;
        if self.region != BoundingBox::whole(self.frame_width, self.frame_height) {
            write!(f, ", region {}", self.region)?;
        }
        Ok(())
    }
}
