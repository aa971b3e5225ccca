//! Normalising pixels to a float tensor.

use crate::PreprocessError;

/// Mean and standard deviation of each channel, by which bytes become floats.
///
/// ```text
/// value = (1 / std[c]) * (float(byte) - mean[c])
/// ```
///
/// All in 32-bit floats, rounded after each operation. Source: TensorFlow Lite Task Library,
/// `image_preprocessor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    mean: [f32; 3],
    std: [f32; 3],
}

impl Normalization {
    /// A normalisation of red, green and blue.
    ///
    /// # Units
    ///
    /// Levels from 0 to 255. A negative `std` is allowed.
    ///
    /// # Errors
    ///
    /// - [`PreprocessError::NonFiniteNormalization`] if a number is infinite or not a number.
    /// - [`PreprocessError::ZeroStd`] if a `std` is closer to zero than [`f32::EPSILON`].
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Result<Self, PreprocessError> {
        for (channel, (&mean, &std)) in mean.iter().zip(&std).enumerate() {
            if !mean.is_finite() || !std.is_finite() {
                return Err(PreprocessError::NonFiniteNormalization { channel, mean, std });
            }
            if std.abs() < f32::EPSILON {
                return Err(PreprocessError::ZeroStd { channel, std });
            }
        }
        Ok(Self { mean, std })
    }

    /// One normalisation for all channels.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn uniform(mean: f32, std: f32) -> Result<Self, PreprocessError> {
        Self::new([mean; 3], [std; 3])
    }

    /// The means of red, green and blue.
    pub const fn mean(&self) -> [f32; 3] {
        self.mean
    }

    /// The standard deviations of red, green and blue.
    pub const fn std(&self) -> [f32; 3] {
        self.std
    }

    /// Normalises RGB bytes.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::OutputLength`] if the lengths differ.
    pub fn apply(&self, rgb: &[u8], output: &mut [f32]) -> Result<(), PreprocessError> {
        if rgb.len() != output.len() {
            return Err(PreprocessError::OutputLength { expected: rgb.len(), found: output.len() });
        }
        let [red, green, blue] = self.mean;
        let [inverse_red, inverse_green, inverse_blue] = self.inverse();
        for (values, bytes) in output.as_chunks_mut::<3>().0.iter_mut().zip(rgb.as_chunks::<3>().0)
        {
            *values = [
                inverse_red * (f32::from(bytes[0]) - red),
                inverse_green * (f32::from(bytes[1]) - green),
                inverse_blue * (f32::from(bytes[2]) - blue),
            ];
        }
        Ok(())
    }

    fn inverse(&self) -> [f32; 3] {
        self.std.map(|std| 1.0 / std)
    }

    /// The normalised value of one byte of a channel.
    pub(crate) fn value(&self, channel: usize, byte: u8) -> f32 {
        self.inverse()[channel] * (f32::from(byte) - self.mean[channel])
    }
}

impl Default for Normalization {
    /// Leaves the levels as they are: mean 0, standard deviation 1.
    fn default() -> Self {
        Self { mean: [0.0; 3], std: [1.0; 3] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_zero_std_is_refused() {
        for std in [0.0, -0.0, 1e-30, -1e-8, 1.192_092_8e-7] {
            assert_eq!(
                Normalization::new([0.0; 3], [1.0, std, 1.0]),
                Err(PreprocessError::ZeroStd { channel: 1, std })
            );
        }
        assert!(Normalization::uniform(0.0, f32::EPSILON).is_ok());
        assert!(Normalization::uniform(0.0, -2.0).is_ok());
    }

    #[test]
    fn non_finite_numbers_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(matches!(
                Normalization::new([0.0, 0.0, bad], [1.0; 3]),
                Err(PreprocessError::NonFiniteNormalization { channel: 2, .. })
            ));
            assert!(matches!(
                Normalization::new([0.0; 3], [bad, 1.0, 1.0]),
                Err(PreprocessError::NonFiniteNormalization { channel: 0, .. })
            ));
        }
    }

    #[test]
    fn lengths_must_agree() {
        assert_eq!(
            Normalization::default().apply(&[0; 6], &mut [0.0; 3]),
            Err(PreprocessError::OutputLength { expected: 6, found: 3 })
        );
    }
}
