//! Regions of a frame.

use std::fmt;

use crate::{FrameError, Orientation};

/// A rectangle of whole pixels in the stored frame, before its orientation is applied.
///
/// # Units
///
/// Pixels; the origin is the first pixel in memory. The rectangle covers the columns
/// `origin_x..origin_x + width` and the rows `origin_y..origin_y + height`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "the four numbers that describe a rectangle")]
pub struct BoundingBox {
    /// The leftmost column.
    pub origin_x: u32,
    /// The topmost row.
    pub origin_y: u32,
    /// Number of columns, at least one.
    pub width: u32,
    /// Number of rows, at least one.
    pub height: u32,
}

impl BoundingBox {
    /// A box with the given origin and size.
    pub const fn new(origin_x: u32, origin_y: u32, width: u32, height: u32) -> Self {
        Self { origin_x, origin_y, width, height }
    }

    /// The box that covers a whole frame.
    pub const fn whole(frame_width: u32, frame_height: u32) -> Self {
        Self::new(0, 0, frame_width, frame_height)
    }

    /// Checks that the box is not empty and lies within a frame; it is never clamped.
    ///
    /// # Errors
    ///
    /// - [`FrameError::EmptyRegion`] if it has no pixels.
    /// - [`FrameError::RegionOutOfBounds`] if any of its pixels is not in the frame.
    pub fn check(&self, frame_width: u32, frame_height: u32) -> Result<(), FrameError> {
        if self.width == 0 || self.height == 0 {
            return Err(FrameError::EmptyRegion { region: *self });
        }
        let fits = |origin: u32, size: u32, frame: u32| {
            origin.checked_add(size).is_some_and(|end| end <= frame)
        };
        if fits(self.origin_x, self.width, frame_width)
            && fits(self.origin_y, self.height, frame_height)
        {
            Ok(())
        } else {
            Err(FrameError::RegionOutOfBounds { region: *self, frame_width, frame_height })
        }
    }

    /// Where the box lies once the frame has been made upright.
    ///
    /// The way back, from a box in the upright image to one in the stored frame, is the inverse
    /// orientation with the size of the upright image:
    ///
    /// ```
    /// use image_embedder_frame::{BoundingBox, Orientation};
    ///
    /// // A camera frame of 640x480 pixels that is upright at 480x640.
    /// let orientation = Orientation::RightTop;
    /// let shown = BoundingBox::new(0, 0, 100, 50);
    /// let stored = shown.oriented(orientation.inverse(), 480, 640)?;
    /// assert_eq!(stored, BoundingBox::new(0, 380, 50, 100));
    /// assert_eq!(stored.oriented(orientation, 640, 480)?, shown);
    /// # Ok::<(), image_embedder_frame::FrameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn oriented(
        self,
        orientation: Orientation,
        frame_width: u32,
        frame_height: u32,
    ) -> Result<Self, FrameError> {
        self.check(frame_width, frame_height)?;
        let Self { origin_x: x, origin_y: y, width, height } = self;
        // What is left of the frame on the other side of the box.
        let (right, below) = (frame_width - x - width, frame_height - y - height);
        Ok(match orientation {
            Orientation::TopLeft => self,
            Orientation::TopRight => Self::new(right, y, width, height),
            Orientation::BottomRight => Self::new(right, below, width, height),
            Orientation::BottomLeft => Self::new(x, below, width, height),
            Orientation::LeftTop => Self::new(y, x, height, width),
            Orientation::RightTop => Self::new(below, x, height, width),
            Orientation::RightBottom => Self::new(below, right, height, width),
            Orientation::LeftBottom => Self::new(y, right, height, width),
        })
    }
}

impl fmt::Display for BoundingBox {
    /// As `4x2 at (1, 0)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} at ({}, {})", self.width, self.height, self.origin_x, self.origin_y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frame_and_corners_fit() {
        assert_eq!(BoundingBox::whole(4, 3).check(4, 3), Ok(()));
        assert_eq!(BoundingBox::new(3, 2, 1, 1).check(4, 3), Ok(()));
    }

    #[test]
    fn empty_boxes_are_refused() {
        for region in [BoundingBox::new(0, 0, 0, 1), BoundingBox::new(0, 0, 1, 0)] {
            assert_eq!(region.check(4, 3), Err(FrameError::EmptyRegion { region }));
        }
    }

    #[test]
    fn boxes_outside_are_refused_by_name() {
        let outside = [
            BoundingBox::new(4, 0, 1, 1),
            BoundingBox::new(0, 3, 1, 1),
            BoundingBox::new(1, 0, 4, 3),
            BoundingBox::new(0, 1, 4, 3),
            BoundingBox::new(u32::MAX, 0, u32::MAX, 1),
            BoundingBox::new(0, u32::MAX, 1, 1),
        ];
        for region in outside {
            let error = region.check(4, 3).unwrap_err();
            assert_eq!(
                error,
                FrameError::RegionOutOfBounds { region, frame_width: 4, frame_height: 3 }
            );
            assert!(error.to_string().contains(&region.to_string()));
            assert!(error.to_string().contains("4x3"));
        }
    }

    #[test]
    fn oriented_boxes_follow_the_turns_and_mirrors() {
        let (frame_width, frame_height) = (10, 7);
        let region = BoundingBox::new(1, 2, 3, 4);
        for orientation in Orientation::ALL {
            let (mut turned, mut width, mut height) = (region, frame_width, frame_height);
            for _ in 0..orientation.quarter_turns() {
                let BoundingBox { origin_x: x, origin_y: y, .. } = turned;
                let origin_y = width - x - turned.width;
                turned = BoundingBox::new(y, origin_y, turned.height, turned.width);
                (width, height) = (height, width);
            }
            if orientation.is_mirrored() {
                turned.origin_x = width - turned.origin_x - turned.width;
            }
            let oriented = region.oriented(orientation, frame_width, frame_height);
            assert_eq!(oriented, Ok(turned), "{orientation}");
            assert_eq!(turned.oriented(orientation.inverse(), width, height), Ok(region));
        }
        let outside = BoundingBox::new(8, 0, 3, 1);
        assert!(outside.oriented(Orientation::TopRight, frame_width, frame_height).is_err());
    }
}
