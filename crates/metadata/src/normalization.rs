//! The normalisation of an input.

use crate::MetadataError;

/// How pixels become the numbers that a model was trained on.
///
/// ```text
/// value = (pixel - mean) / std
/// ```
///
/// with `pixel` from 0 to 255, per channel. Source: `NormalizationOptions` of TFLite Metadata.
///
/// MediaPipe 1.2.2 does not run a model whose channels differ; the TensorFlow Lite Task Library
/// does.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "both fields are all there is to a normalisation")]
pub struct NormalizationOptions {
    /// One mean for all channels, or one each for red, green and blue.
    pub mean: Vec<f32>,
    /// One standard deviation for all channels, or one each. May be negative, not zero.
    pub std: Vec<f32>,
}

impl NormalizationOptions {
    /// The same mean and standard deviation for all channels.
    ///
    /// ```
    /// use image_embedder_metadata::NormalizationOptions;
    ///
    /// // Pixels to the range from -1 to 1.
    /// let normalization = NormalizationOptions::uniform(127.5, 127.5);
    /// assert!(normalization.check_values().is_ok());
    /// ```
    pub fn uniform(mean: f32, std: f32) -> Self {
        Self { mean: vec![mean], std: vec![std] }
    }

    /// One mean and standard deviation each for red, green and blue.
    pub fn per_channel(mean: [f32; 3], std: [f32; 3]) -> Self {
        Self { mean: mean.to_vec(), std: std.to_vec() }
    }

    /// Checks the number of values.
    ///
    /// # Errors
    ///
    /// - [`MetadataError::NormalizationLengths`] if there are not as many means as standard
    ///   deviations.
    /// - [`MetadataError::NormalizationChannels`] if there are neither one nor three.
    pub fn check_lengths(&self) -> Result<(), MetadataError> {
        if self.mean.len() != self.std.len() {
            return Err(MetadataError::NormalizationLengths {
                mean: self.mean.len(),
                std: self.std.len(),
            });
        }
        if !matches!(self.mean.len(), 1 | 3) {
            return Err(MetadataError::NormalizationChannels { found: self.mean.len() });
        }
        Ok(())
    }

    /// Checks the number of values and that each can be used.
    ///
    /// # Errors
    ///
    /// - Those of [`check_lengths`](Self::check_lengths).
    /// - [`MetadataError::NormalizationMean`] if a mean is infinite or not a number.
    /// - [`MetadataError::NormalizationStd`] if a standard deviation is infinite, not a number, or
    ///   nearer to zero than [`f32::EPSILON`].
    pub fn check_values(&self) -> Result<(), MetadataError> {
        self.check_lengths()?;
        for (channel, &found) in self.mean.iter().enumerate() {
            if !found.is_finite() {
                return Err(MetadataError::NormalizationMean { channel, found });
            }
        }
        for (channel, &found) in self.std.iter().enumerate() {
            if !found.is_finite() || found.abs() < f32::EPSILON {
                return Err(MetadataError::NormalizationStd { channel, found });
            }
        }
        Ok(())
    }

    /// Means and standard deviations for red, green and blue, one value spread over all three.
    ///
    /// # Errors
    ///
    /// Those of [`check_lengths`](Self::check_lengths).
    pub fn channels(&self) -> Result<([f32; 3], [f32; 3]), MetadataError> {
        self.check_lengths()?;
        match (self.mean.as_slice(), self.std.as_slice()) {
            ([mean], [std]) => Ok(([*mean; 3], [*std; 3])),
            ([r, g, b], [r_std, g_std, b_std]) => Ok(([*r, *g, *b], [*r_std, *g_std, *b_std])),
            _ => Err(MetadataError::NormalizationChannels { found: self.mean.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_or_three() {
        assert_eq!(
            NormalizationOptions::uniform(127.0, 128.0).channels(),
            Ok(([127.0; 3], [128.0; 3]))
        );
        assert_eq!(
            NormalizationOptions::per_channel([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).channels(),
            Ok(([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
        );
        for count in [0, 2, 4] {
            let values = vec![1.0; count];
            let options = NormalizationOptions { mean: values.clone(), std: values };
            let expected = Err(MetadataError::NormalizationChannels { found: count });
            assert_eq!(options.check_lengths(), expected);
        }
        let uneven = NormalizationOptions { mean: vec![1.0], std: vec![1.0; 3] };
        assert_eq!(uneven.channels(), Err(MetadataError::NormalizationLengths { mean: 1, std: 3 }));
    }

    #[test]
    fn std_must_be_usable() {
        for std in [0.0, -0.0, 1e-8, f32::INFINITY, f32::NAN] {
            let options = NormalizationOptions::uniform(0.0, std);
            assert!(matches!(
                options.check_values(),
                Err(MetadataError::NormalizationStd { channel: 0, .. })
            ));
        }
        for std in [f32::EPSILON, -1.0, 255.0] {
            assert_eq!(NormalizationOptions::uniform(0.0, std).check_values(), Ok(()));
        }
        let nowhere = NormalizationOptions::per_channel([0.0, f32::NAN, 0.0], [1.0; 3]);
        assert!(matches!(
            nowhere.check_values(),
            Err(MetadataError::NormalizationMean { channel: 1, .. })
        ));
    }
}
