//! The geometry of windows that slide over an image.

use image_embedder_schema::tflite::Padding;

/// Where windows of a convolution or pooling lie along one axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) window: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    /// Elements before the input's first that the first window covers.
    pub(crate) padding: usize,
}

impl Axis {
    /// The axis by TensorFlow's padding rules, or `None` if no window fits.
    ///
    /// ```text
    /// SAME:  output = ceil(input / stride), what is missing is padded, the smaller half in front
    /// VALID: output = ceil((input - span + 1) / stride), span = (window - 1) * dilation + 1
    /// ```
    pub(crate) fn new(
        padding: Padding,
        input: usize,
        window: usize,
        stride: usize,
        dilation: usize,
    ) -> Option<Self> {
        let span = window.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let (output, padding) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = output.checked_sub(1)?.checked_mul(stride)?.checked_add(span)?;
                (output, covered.saturating_sub(input) / 2)
            }
            _ => (input.checked_sub(span - 1)?.div_ceil(stride), 0),
        };
        (output > 0).then_some(Self { input, output, window, stride, dilation, padding })
    }

    /// The input index under tap `tap` of the window at `position`, if it is inside.
    pub(crate) fn source(&self, position: usize, tap: usize) -> Option<usize> {
        (position * self.stride + tap * self.dilation)
            .checked_sub(self.padding)
            .filter(|&index| index < self.input)
    }

    /// The taps of the window at `position` that lie inside the input.
    pub(crate) fn inside(&self, position: usize) -> std::ops::Range<usize> {
        let start = position * self.stride;
        let first = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.input + self.padding).saturating_sub(start).div_ceil(self.dilation);
        first.min(self.window)..end.min(self.window)
    }
}

impl Axis {
    /// Input elements from the first to the last that a window covers.
    pub(crate) fn span(&self) -> usize {
        (self.window - 1) * self.dilation + 1
    }

    /// The positions whose whole window lies inside the input.
    pub(crate) fn whole(&self) -> std::ops::Range<usize> {
        let start = self.padding.div_ceil(self.stride).min(self.output);
        let end = (self.input + self.padding)
            .checked_sub(self.span())
            .map_or(0, |last| last / self.stride + 1);
        start..end.clamp(start, self.output)
    }

    /// The input elements under the windows at some positions.
    pub(crate) fn under(&self, positions: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let (first, band) = self.band(positions.clone());
        let end = positions.end.saturating_sub(1) * self.stride + self.span();
        first..end.saturating_sub(self.padding).clamp(first, first + band.input)
    }

    /// The axis of some of the positions alone, and the first input element that it has.
    pub(crate) fn band(&self, positions: std::ops::Range<usize>) -> (usize, Self) {
        let start = positions.start * self.stride;
        let first = start.saturating_sub(self.padding).min(self.input);
        let padding = self.padding.saturating_sub(start);
        (first, Self { input: self.input - first, output: positions.len(), padding, ..*self })
    }
}

/// The rows of images that a part of an output has, one range for each image: for a part of `len`
/// elements from `first` on, of images of `rows` rows of `row_len` elements.
pub(crate) fn bands(
    first: usize,
    len: usize,
    rows: usize,
    row_len: usize,
) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let row_len = row_len.max(1);
    let (mut next, end) = (first / row_len, (first + len) / row_len);
    std::iter::from_fn(move || {
        if next >= end || rows == 0 {
            return None;
        }
        let (image, row) = (next / rows, next % rows);
        let last = rows.min(row + end - next);
        next += last - row;
        Some((image, row..last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_agrees_with_source() {
        let mut cases = 0;
        for padding in [Padding::Same, Padding::Valid] {
            for input in 1..12 {
                for window in 1..6 {
                    for stride in 1..4 {
                        for dilation in 1..4 {
                            let Some(axis) = Axis::new(padding, input, window, stride, dilation)
                            else {
                                continue;
                            };
                            for position in 0..axis.output {
                                let whole = axis.inside(position).len() == window;
                                assert_eq!(axis.whole().contains(&position), whole, "{axis:?}");
                                let inside: Vec<usize> = (0..window)
                                    .filter(|&tap| axis.source(position, tap).is_some())
                                    .collect();
                                assert_eq!(
                                    inside,
                                    axis.inside(position).collect::<Vec<_>>(),
                                    "{axis:?} at {position}"
                                );
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(cases > 1000, "only {cases} cases ran");
    }

    #[test]
    fn bands_have_the_sources_of_the_whole() {
        let mut cases = 0;
        for padding in [Padding::Same, Padding::Valid] {
            for input in 1..10 {
                for (window, stride, dilation) in [(1, 1, 1), (1, 3, 1), (3, 1, 2), (5, 2, 1)] {
                    let Some(axis) = Axis::new(padding, input, window, stride, dilation) else {
                        continue;
                    };
                    for start in 0..axis.output {
                        let (first, band) = axis.band(start..axis.output);
                        assert_eq!(band.output, axis.output - start);
                        for position in start..axis.output {
                            for tap in 0..window {
                                let source = band.source(position - start, tap);
                                let whole = axis.source(position, tap);
                                assert_eq!(source.map(|index| index + first), whole, "{axis:?}");
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(cases > 1000, "only {cases} cases ran");
    }

    #[test]
    fn parts_fall_into_images() {
        // Images of three rows of ten elements.
        let found: Vec<_> = bands(20, 60, 3, 10).collect();
        assert_eq!(found, [(0, 2..3), (1, 0..3), (2, 0..2)]);
        assert_eq!(bands(0, 0, 3, 10).count(), 0);
    }

    #[test]
    fn sizes_follow_tensorflow() {
        let same = Axis::new(Padding::Same, 224, 3, 2, 1).unwrap();
        assert_eq!((same.output, same.padding), (112, 0));
        let same = Axis::new(Padding::Same, 225, 3, 2, 1).unwrap();
        assert_eq!((same.output, same.padding), (113, 1));
        let valid = Axis::new(Padding::Valid, 7, 7, 2, 1).unwrap();
        assert_eq!((valid.output, valid.padding), (1, 0));
        assert_eq!(Axis::new(Padding::Valid, 3, 4, 1, 1), None);
    }
}
