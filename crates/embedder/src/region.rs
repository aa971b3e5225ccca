//! The part of a frame that is embedded.

use std::fmt;

use image_embedder_frame::BoundingBox;

use crate::{Error, ErrorKind};

/// A rectangle of a frame, in pixels or as fractions of its size, and what happens where it
/// leaves the frame.
///
/// # Units
///
/// Everything is in terms of the stored frame, before its orientation is applied; the origin is
/// its first pixel.
///
/// ```
/// use image_embedder::frame::BoundingBox;
/// use image_embedder::{OutOfBounds, RegionOfInterest};
///
/// // A detector's box that sticks out on the left.
/// let face = RegionOfInterest::pixels(-20, 10, 100, 80).with_out_of_bounds(OutOfBounds::Clamp);
/// assert_eq!(face.resolve(640, 480)?, BoundingBox::new(0, 10, 80, 80));
///
/// let middle = RegionOfInterest::normalized(0.25, 0.25, 0.5, 0.5);
/// assert_eq!(middle.resolve(640, 480)?, BoundingBox::new(160, 120, 320, 240));
/// # Ok::<(), image_embedder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionOfInterest {
    rectangle: Rectangle,
    out_of_bounds: OutOfBounds,
}

/// What happens if a region is not within the frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum OutOfBounds {
    /// It is an error, as in the TensorFlow Lite Task Library.
    #[default]
    Error,
    /// The part within the frame is taken; it is an error if there is none.
    Clamp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rectangle {
    Pixels { x: i64, y: i64, width: u32, height: u32 },
    Normalized { x: f64, y: f64, width: f64, height: f64 },
}

impl RegionOfInterest {
    /// A rectangle in pixels, which may leave the frame on any side.
    pub const fn pixels(x: i64, y: i64, width: u32, height: u32) -> Self {
        Self::new(Rectangle::Pixels { x, y, width, height })
    }

    /// A rectangle in fractions of the frame's width and height: the whole is 0, 0, 1, 1.
    ///
    /// Its edges are rounded to the nearest pixel edge, halves away from zero, so that rectangles
    /// that touch each other do so in pixels too:
    ///
    /// ```text
    /// left = round(x * frame_width)    right = round((x + width) * frame_width)
    /// ```
    ///
    /// in 64-bit floats, and likewise for the rows.
    pub const fn normalized(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self::new(Rectangle::Normalized { x, y, width, height })
    }

    /// The same rectangle with another rule for leaving the frame.
    #[must_use]
    pub const fn with_out_of_bounds(mut self, out_of_bounds: OutOfBounds) -> Self {
        self.out_of_bounds = out_of_bounds;
        self
    }

    /// What happens if the region is not within the frame.
    pub const fn out_of_bounds(&self) -> OutOfBounds {
        self.out_of_bounds
    }

    /// The pixels of a frame that the region covers; never empty, always within the frame.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the rectangle has no pixels, is not within the frame (with
    /// [`OutOfBounds::Clamp`]: has no pixel within it), or has a number that is infinite or not a
    /// number.
    pub fn resolve(&self, frame_width: u32, frame_height: u32) -> Result<BoundingBox, Error> {
        let (columns, rows) = match self.rectangle {
            Rectangle::Pixels { x, y, width, height } => (
                Edges { start: x.into(), end: i128::from(x) + i128::from(width) },
                Edges { start: y.into(), end: i128::from(y) + i128::from(height) },
            ),
            Rectangle::Normalized { x, y, width, height } => {
                if ![x, y, width, height].iter().all(|number| number.is_finite()) {
                    let message =
                        format!("expected a region of finite numbers, found {}", self.rectangle);
                    return Err(Error::new(ErrorKind::Input, message));
                }
                (
                    Edges::of_fractions(x, width, frame_width),
                    Edges::of_fractions(y, height, frame_height),
                )
            }
        };
        if columns.is_empty() || rows.is_empty() {
            let message =
                format!("expected a region of at least 1x1 pixels, found {}", self.rectangle);
            return Err(Error::new(ErrorKind::Input, message));
        }
        let clamps = self.out_of_bounds == OutOfBounds::Clamp;
        match (columns.within(frame_width, clamps), rows.within(frame_height, clamps)) {
            (Some((origin_x, width)), Some((origin_y, height))) => {
                Ok(BoundingBox { origin_x, origin_y, width, height })
            }
            _ => {
                let message = format!(
                    "expected a region {} the frame of {frame_width}x{frame_height} pixels, found \
                     {}",
                    if clamps { "with pixels in" } else { "within" },
                    self.rectangle
                );
                Err(Error::new(ErrorKind::Input, message))
            }
        }
    }

    const fn new(rectangle: Rectangle) -> Self {
        Self { rectangle, out_of_bounds: OutOfBounds::Error }
    }
}

impl From<BoundingBox> for RegionOfInterest {
    /// The box in pixels; leaving the frame is an error.
    fn from(region: BoundingBox) -> Self {
        let BoundingBox { origin_x, origin_y, width, height } = region;
        Self::pixels(origin_x.into(), origin_y.into(), width, height)
    }
}

impl From<&BoundingBox> for RegionOfInterest {
    /// The box in pixels; leaving the frame is an error.
    fn from(region: &BoundingBox) -> Self {
        Self::from(*region)
    }
}

impl From<&Self> for RegionOfInterest {
    fn from(region: &Self) -> Self {
        *region
    }
}

/// Where a rectangle begins and ends along one axis, in pixels.
#[derive(Clone, Copy)]
struct Edges {
    start: i128,
    end: i128,
}

impl Edges {
    fn of_fractions(start: f64, size: f64, extent: u32) -> Self {
        // The conversion saturates far outside every frame.
        let edge = |fraction: f64| i128::from((fraction * f64::from(extent)).round() as i64);
        Self { start: edge(start), end: edge(start + size) }
    }

    fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Origin and size within a frame; `None` if the edges are not, or have nothing in it.
    fn within(self, extent: u32, clamps: bool) -> Option<(u32, u32)> {
        let (mut start, mut end) = (self.start, self.end);
        if clamps {
            start = start.max(0);
            end = end.min(extent.into());
        }
        if start < 0 || end > i128::from(extent) || end <= start {
            return None;
        }
        Some((u32::try_from(start).ok()?, u32::try_from(end - start).ok()?))
    }
}

impl fmt::Display for Rectangle {
    /// As `4x2 at (-1, 0)` or `0.5x0.25 at (0.1, 0) of the frame`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels { x, y, width, height } => write!(f, "{width}x{height} at ({x}, {y})"),
            Self::Normalized { x, y, width, height } => {
                write!(f, "{width}x{height} at ({x}, {y}) of the frame")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clamped(region: RegionOfInterest) -> RegionOfInterest {
        region.with_out_of_bounds(OutOfBounds::Clamp)
    }

    #[test]
    fn pixels_within_the_frame_stay_as_they_are() {
        for region in [BoundingBox::new(0, 0, 10, 5), BoundingBox::new(9, 4, 1, 1)] {
            assert_eq!(RegionOfInterest::from(region).resolve(10, 5).unwrap(), region);
            assert_eq!(clamped(region.into()).resolve(10, 5).unwrap(), region);
        }
    }

    #[test]
    fn pixels_outside_are_refused_or_cut_off() {
        let cases = [
            ((-3, 0, 5, 5), Some(BoundingBox::new(0, 0, 2, 5))),
            ((8, 3, 9, 9), Some(BoundingBox::new(8, 3, 2, 2))),
            ((i64::MIN, -1, u32::MAX, 3), None),
            ((i64::MAX, 0, u32::MAX, 3), None),
            ((-5, -5, 5, 5), None),
            ((10, 0, 1, 1), None),
            ((-1, -1, 12, 7), Some(BoundingBox::new(0, 0, 10, 5))),
        ];
        for ((x, y, width, height), expected) in cases {
            let region = RegionOfInterest::pixels(x, y, width, height);
            let error = region.resolve(10, 5).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            let part = format!("within the frame of 10x5 pixels, found {width}x{height} at ({x}");
            assert!(error.to_string().contains(&part), "{error}");
            match (clamped(region).resolve(10, 5), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected),
                (Err(error), None) => {
                    assert!(error.to_string().contains("with pixels in"), "{error}");
                }
                (found, expected) => panic!("{found:?} and {expected:?}"),
            }
        }
    }

    #[test]
    fn regions_without_pixels_are_refused() {
        let empty = [
            RegionOfInterest::pixels(0, 0, 0, 5),
            RegionOfInterest::pixels(0, 0, 5, 0),
            RegionOfInterest::normalized(0.5, 0.5, 0.0, 0.5),
            RegionOfInterest::normalized(0.5, 0.5, -0.5, 0.5),
            RegionOfInterest::normalized(0.5, 0.5, 0.01, 0.5),
        ];
        for region in empty {
            for region in [region, clamped(region)] {
                let error = region.resolve(10, 5).unwrap_err();
                assert!(error.to_string().contains("at least 1x1 pixels"), "{error}");
            }
        }
        for number in [f64::NAN, f64::INFINITY] {
            let error = RegionOfInterest::normalized(0.0, 0.0, number, 1.0).resolve(10, 5);
            assert!(error.unwrap_err().to_string().contains("finite numbers"));
        }
    }

    #[test]
    fn fractions_round_their_edges() {
        let resolve = |x, width| {
            let region = RegionOfInterest::normalized(x, 0.0, width, 1.0).resolve(10, 5).unwrap();
            (region.origin_x, region.width)
        };
        assert_eq!(resolve(0.0, 1.0), (0, 10));
        assert_eq!(resolve(0.1, 0.9), (1, 9));
        assert_eq!(resolve(0.25, 0.5), (3, 5));
        assert_eq!(resolve(0.0, 0.33), (0, 3));
        assert_eq!(resolve(0.33, 0.33), (3, 4));
        assert_eq!(resolve(0.66, 0.34), (7, 3));
        let outside = RegionOfInterest::normalized(0.5, 0.0, 0.6, 1.0);
        assert!(outside.resolve(10, 5).is_err());
        assert_eq!(clamped(outside).resolve(10, 5).unwrap(), BoundingBox::new(5, 0, 5, 5));
        let huge = RegionOfInterest::normalized(-1e300, -1e300, 2e300, 2e300);
        assert_eq!(clamped(huge).resolve(10, 5).unwrap(), BoundingBox::new(0, 0, 10, 5));
    }
}
