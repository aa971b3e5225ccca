//! Windows that slide over an image.

use image_embedder_backend::BackendError;
use image_embedder_schema::tflite::Padding;
use tract_core::internal::tvec;
use tract_core::ops::cnn::{PaddingSpec, PoolSpec};
use tract_core::ops::nn::DataFormat;

use crate::graph_builder::Operation;

/// Windows over the height and width of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) padding: Padding,
    /// Of each, height and width.
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    pub(super) window: [usize; 2],
}

/// Where windows lie along one dimension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Span {
    pub(super) input: usize,
    pub(super) output: usize,
    /// Elements before the input's first that the first window covers.
    pub(super) before: usize,
    /// Elements behind the input's last that the last window covers.
    pub(super) after: usize,
    window: usize,
    stride: usize,
    dilation: usize,
}

impl Span {
    /// Windows by TensorFlow's padding rules, or `None` if none fits.
    ///
    /// ```text
    /// SAME:  output = ceil(input / stride), what is missing is padded, the smaller half in front
    /// VALID: output = ceil((input - span + 1) / stride), span = (window - 1) * dilation + 1
    /// ```
    pub(super) fn new(
        padding: Padding,
        input: usize,
        window: usize,
        stride: usize,
        dilation: usize,
    ) -> Option<Self> {
        let span = window.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let (output, before, after) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let covered = output.checked_sub(1)?.checked_mul(stride)?.checked_add(span)?;
                let missing = covered.saturating_sub(input);
                (output, missing / 2, missing - missing / 2)
            }
            _ => (input.checked_sub(span - 1)?.div_ceil(stride), 0, 0),
        };
        (output > 0).then_some(Self { input, output, before, after, window, stride, dilation })
    }

    /// How many elements of the input each window covers.
    pub(super) fn covered(&self) -> Vec<usize> {
        let inside = |position: usize| {
            (0..self.window)
                .filter_map(|tap| {
                    (position * self.stride + tap * self.dilation).checked_sub(self.before)
                })
                .filter(|&index| index < self.input)
                .count()
        };
        (0..self.output).map(inside).collect()
    }
}

impl Windows {
    /// The windows along the height and the width of an image.
    pub(super) fn spans(
        &self,
        operation: &Operation<'_, '_>,
        image: [usize; 2],
    ) -> Result<[Span; 2], BackendError> {
        let span = |index: usize| {
            let (stride, dilation) = (self.strides[index], self.dilations[index]);
            let (input, window) = (image[index], self.window[index]);
            Span::new(self.padding, input, window, stride, dilation).ok_or_else(|| {
                operation.invalid(format!(
                    "expected a window within the input, found {window} over {input}"
                ))
            })
        };
        Ok([span(0)?, span(1)?])
    }

    /// The windows in tract's terms, with channels last.
    pub(super) fn pool_spec(&self, spans: [Span; 2], channels: [usize; 2]) -> PoolSpec {
        let before = tvec!(spans[0].before, spans[1].before);
        let after = tvec!(spans[0].after, spans[1].after);
        let padding = if before.iter().chain(&after).all(|&margin| margin == 0) {
            PaddingSpec::Valid
        } else {
            PaddingSpec::Explicit(before, after)
        };
        PoolSpec {
            data_format: DataFormat::NHWC,
            kernel_shape: self.window.into_iter().collect(),
            padding,
            dilations: Some(self.dilations.into_iter().collect()),
            strides: Some(self.strides.into_iter().collect()),
            input_channels: channels[0],
            output_channels: channels[1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_the_padding_rules() {
        let same = Span::new(Padding::Same, 5, 3, 2, 1).unwrap();
        assert_eq!((same.output, same.before, same.after), (3, 1, 1));
        assert_eq!(same.covered(), [2, 3, 2]);
        let uneven = Span::new(Padding::Same, 4, 3, 2, 1).unwrap();
        assert_eq!((uneven.output, uneven.before, uneven.after), (2, 0, 1));
        let valid = Span::new(Padding::Valid, 7, 3, 2, 2).unwrap();
        assert_eq!((valid.output, valid.before, valid.after), (2, 0, 0));
        assert_eq!(valid.covered(), [3, 3]);
        assert_eq!(Span::new(Padding::Valid, 2, 3, 1, 1), None);
        assert_eq!(Span::new(Padding::Same, 0, 3, 1, 1), None);
    }
}
