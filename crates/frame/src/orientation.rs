//! The eight orientations of a stored image.

use std::fmt;

/// Where the first row and first column of the stored image belong in the upright image, as the
/// Exif tag of the same name says it.
///
/// `RightTop`, for instance, says that the stored first row is the right side of the upright
/// image and the stored first column its top.
///
/// To make a stored image upright, turn it counter-clockwise by [`quarter_turns`], *then* mirror
/// it left to right if [`is_mirrored`]:
///
/// | Orientation | Exif | quarter turns | mirrored | that is |
/// |---|---|---|---|---|
/// | `TopLeft` | 1 | 0 | no | nothing |
/// | `TopRight` | 2 | 0 | yes | mirror left to right |
/// | `BottomRight` | 3 | 2 | no | turn by 180 degrees |
/// | `BottomLeft` | 4 | 2 | yes | flip top to bottom |
/// | `LeftTop` | 5 | 3 | yes | transpose |
/// | `RightTop` | 6 | 3 | no | turn clockwise by 90 degrees |
/// | `RightBottom` | 7 | 1 | yes | transpose over the other diagonal |
/// | `LeftBottom` | 8 | 1 | no | turn counter-clockwise by 90 degrees |
///
/// [`quarter_turns`]: Self::quarter_turns
/// [`is_mirrored`]: Self::is_mirrored
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "there are eight symmetries of a rectangle")]
pub enum Orientation {
    /// Upright as stored.
    #[default]
    TopLeft = 1,
    /// Mirrored left to right.
    TopRight = 2,
    /// Upside down.
    BottomRight = 3,
    /// Flipped top to bottom.
    BottomLeft = 4,
    /// Transposed.
    LeftTop = 5,
    /// Needs a clockwise quarter turn.
    RightTop = 6,
    /// Transposed over the other diagonal.
    RightBottom = 7,
    /// Needs a counter-clockwise quarter turn.
    LeftBottom = 8,
}

impl Orientation {
    /// All orientations in the order of their Exif values.
    pub const ALL: [Self; 8] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomRight,
        Self::BottomLeft,
        Self::LeftTop,
        Self::RightTop,
        Self::RightBottom,
        Self::LeftBottom,
    ];

    /// The orientation with an Exif value of 1 to 8; `None` for any other value.
    ///
    /// ```
    /// use image_embedder_frame::Orientation;
    ///
    /// assert_eq!(Orientation::from_exif(6), Some(Orientation::RightTop));
    /// assert_eq!(Orientation::from_exif(0), None);
    /// ```
    pub const fn from_exif(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::TopLeft),
            2 => Some(Self::TopRight),
            3 => Some(Self::BottomRight),
            4 => Some(Self::BottomLeft),
            5 => Some(Self::LeftTop),
            6 => Some(Self::RightTop),
            7 => Some(Self::RightBottom),
            8 => Some(Self::LeftBottom),
            _ => None,
        }
    }

    /// The Exif value, 1 to 8.
    pub const fn exif(self) -> u8 {
        self as u8
    }

    /// Whether the upright image is as wide as the stored one is high.
    pub const fn swaps_dimensions(self) -> bool {
        self.quarter_turns() % 2 == 1
    }

    /// Counter-clockwise quarter turns that make the image upright, 0 to 3, before mirroring.
    pub const fn quarter_turns(self) -> u8 {
        match self {
            Self::TopLeft | Self::TopRight => 0,
            Self::RightBottom | Self::LeftBottom => 1,
            Self::BottomRight | Self::BottomLeft => 2,
            Self::LeftTop | Self::RightTop => 3,
        }
    }

    /// Whether the turned image must also be mirrored left to right.
    pub const fn is_mirrored(self) -> bool {
        matches!(self, Self::TopRight | Self::BottomLeft | Self::LeftTop | Self::RightBottom)
    }

    /// The one orientation whose correction is that of `self` followed by that of `next`.
    ///
    /// ```text
    /// mirror . turn(k) = turn(-k) . mirror
    /// ```
    ///
    /// ```
    /// use image_embedder_frame::Orientation;
    ///
    /// let twice = Orientation::RightTop.then(Orientation::RightTop);
    /// assert_eq!(twice, Orientation::BottomRight);
    /// ```
    pub const fn then(self, next: Self) -> Self {
        let turns = if self.is_mirrored() {
            self.quarter_turns() + 4 - next.quarter_turns()
        } else {
            self.quarter_turns() + next.quarter_turns()
        };
        match (turns % 4, self.is_mirrored() != next.is_mirrored()) {
            (0, false) => Self::TopLeft,
            (0, true) => Self::TopRight,
            (2, false) => Self::BottomRight,
            (2, true) => Self::BottomLeft,
            (3, true) => Self::LeftTop,
            (3, false) => Self::RightTop,
            (_, true) => Self::RightBottom,
            (_, false) => Self::LeftBottom,
        }
    }

    /// The orientation whose correction undoes that of `self`.
    pub const fn inverse(self) -> Self {
        match self {
            Self::RightTop => Self::LeftBottom,
            Self::LeftBottom => Self::RightTop,
            other => other,
        }
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (Exif {})", self, self.exif())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_values_round_trip() {
        for (index, orientation) in Orientation::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(orientation.exif()), index + 1);
            assert_eq!(Orientation::from_exif(orientation.exif()), Some(orientation));
            assert_eq!(orientation.swaps_dimensions(), orientation.exif() >= 5);
        }
        for value in [0, 9, 255] {
            assert_eq!(Orientation::from_exif(value), None);
        }
    }

    /// Applies the documented decomposition to the point `(x, y)` of a square from -1 to 1.
    fn apply(orientation: Orientation, (mut x, mut y): (i32, i32)) -> (i32, i32) {
        for _ in 0..orientation.quarter_turns() {
            // Counter-clockwise with y pointing down: the right side goes to the top.
            (x, y) = (y, -x);
        }
        if orientation.is_mirrored() { (-x, y) } else { (x, y) }
    }

    #[test]
    fn composition_and_inverse_agree_with_the_decomposition() {
        let points = [(2, 1), (-2, 1), (1, -2), (0, 1)];
        for first in Orientation::ALL {
            assert_eq!(first.then(first.inverse()), Orientation::TopLeft);
            assert_eq!(first.then(Orientation::TopLeft), first);
            for second in Orientation::ALL {
                for point in points {
                    assert_eq!(
                        apply(second, apply(first, point)),
                        apply(first.then(second), point),
                        "{first} then {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn corners_go_where_the_names_say() {
        // The middle of the stored first row is (0, -1), of the first column (-1, 0).
        let expected = [
            ((0, -1), (-1, 0)),
            ((0, -1), (1, 0)),
            ((0, 1), (1, 0)),
            ((0, 1), (-1, 0)),
            ((-1, 0), (0, -1)),
            ((1, 0), (0, -1)),
            ((1, 0), (0, 1)),
            ((-1, 0), (0, 1)),
        ];
        for (orientation, (row, column)) in Orientation::ALL.into_iter().zip(expected) {
            assert_eq!(apply(orientation, (0, -1)), row, "{orientation}");
            assert_eq!(apply(orientation, (-1, 0)), column, "{orientation}");
        }
    }
}
