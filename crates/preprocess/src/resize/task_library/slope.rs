//! Where output samples lie in the source, in 16.16 fixed point.

use crate::memory::Size;

/// One in 16.16 fixed point.
pub(super) const ONE: i64 = 1 << 16;

/// Which axes are interpolated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Filter {
    /// Neither: nearest sample.
    None,
    /// Columns only.
    Linear,
    /// Both.
    Bilinear,
}

impl Filter {
    /// The simplest filter with the effect of the bilinear one.
    ///
    /// A height that stays, or shrinks to a third (where the sample is the middle row), needs no
    /// vertical interpolation; likewise the width.
    pub(super) fn reduced(source: Size, target: Size) -> Self {
        let is_trivial = |source, target| target == source || 3 * target == source;
        let mut filter = Self::Bilinear;
        if source.height == 1 || is_trivial(source.height, target.height) {
            filter = Self::Linear;
        }
        if source.width == 1 {
            filter = Self::None;
        }
        if filter == Self::Linear && is_trivial(source.width, target.width) {
            filter = Self::None;
        }
        filter
    }
}

/// The positions of one axis: `start`, `start + step`, and so on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slope {
    pub(super) start: i64,
    pub(super) step: i64,
}

impl Slope {
    /// The slopes of columns and rows.
    pub(super) fn of(filter: Filter, source: Size, target: Size) -> (Self, Self) {
        let (x_source, y_source) = (source.width as i64, source.height as i64);
        // A single output sample of a long axis would overflow the original's 32 bits.
        let guarded = |source: i64, target: i64| {
            if target == 1 && source >= 32768 { source } else { target }
        };
        let x_target = guarded(x_source, target.width as i64);
        let y_target = guarded(y_source, target.height as i64);
        match filter {
            Filter::Bilinear => {
                (Self::interpolated(x_source, x_target), Self::interpolated(y_source, y_target))
            }
            Filter::Linear => {
                (Self::interpolated(x_source, x_target), Self::nearest(y_source, y_target))
            }
            Filter::None => (Self::nearest(x_source, x_target), Self::nearest(y_source, y_target)),
        }
    }

    /// Pixel centres aligned when shrinking; first and last pixel aligned when enlarging.
    fn interpolated(source: i64, target: i64) -> Self {
        if target <= source {
            let step = fixed_div(source, target);
            Self { start: (step >> 1) - ONE / 2, step }
        } else {
            // The target has at least two samples here. The constant keeps the last position
            // short of the last source sample, which is then never read past.
            Self { start: 0, step: ((source << 16) - 0x1_0001) / (target - 1) }
        }
    }

    fn nearest(source: i64, target: i64) -> Self {
        let step = fixed_div(source, target);
        Self { start: step >> 1, step }
    }
}

/// A quotient in 16.16 fixed point.
pub(super) fn fixed_div(numerator: i64, denominator: i64) -> i64 {
    (numerator << 16) / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(source: (usize, usize), target: (usize, usize)) -> Filter {
        let size = |(width, height)| Size { width, height };
        Filter::reduced(size(source), size(target))
    }

    #[test]
    fn filters_are_reduced() {
        assert_eq!(reduced((10, 10), (4, 4)), Filter::Bilinear);
        assert_eq!(reduced((10, 1), (4, 4)), Filter::Linear);
        assert_eq!(reduced((10, 10), (4, 10)), Filter::Linear);
        assert_eq!(reduced((10, 12), (4, 4)), Filter::Linear);
        assert_eq!(reduced((1, 10), (4, 4)), Filter::None);
        assert_eq!(reduced((12, 12), (4, 4)), Filter::None);
        assert_eq!(reduced((12, 12), (12, 12)), Filter::None);
        assert_eq!(reduced((12, 10), (4, 4)), Filter::Bilinear);
    }

    #[test]
    fn enlarging_aligns_corners_and_shrinking_centres() {
        assert_eq!(Slope::interpolated(4, 2), Slope { start: ONE / 2, step: 2 * ONE });
        let enlarged = Slope::interpolated(4, 7);
        assert_eq!(enlarged.start, 0);
        let last = enlarged.start + 6 * enlarged.step;
        assert!(last < 3 * ONE && last > 3 * ONE - 10);
    }

    #[test]
    fn long_axes_to_one_sample_are_guarded() {
        let long = Size { width: 32768, height: 32767 };
        let (x, y) = Slope::of(Filter::Bilinear, long, Size { width: 1, height: 1 });
        assert_eq!(x, Slope { start: 0, step: ONE });
        assert_eq!(y.start >> 16, 16383);
    }
}
