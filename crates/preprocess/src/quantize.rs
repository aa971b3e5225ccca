//! Pixels as the elements of a tensor, by tables: a byte has but 256 values.

use crate::{Normalization, PreprocessError};

/// Normalised pixels as the integers of a quantised input tensor.
///
/// ```text
/// q = clamp(round(normalised / scale) + zero_point)
/// ```
///
/// Halves are rounded away from zero and the result saturates at the bounds of the element
/// type. A byte has 256 values, so this is a table for each channel. Source: TensorFlow Lite 8-bit
/// quantization specification.
#[derive(Clone, Debug)]
pub struct InputQuantization {
    int8: [[i8; 256]; 3],
    uint8: [[u8; 256]; 3],
}

impl InputQuantization {
    /// The tables for a normalisation and the scale and zero point of the input tensor.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::QuantizationScale`] if `scale` is not a positive finite number.
    pub fn new(
        normalization: &Normalization,
        scale: f32,
        zero_point: i32,
    ) -> Result<Self, PreprocessError> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(PreprocessError::QuantizationScale { scale });
        }
        let mut tables = Self { int8: [[0; 256]; 3], uint8: [[0; 256]; 3] };
        for channel in 0..3 {
            for byte in 0..=u8::MAX {
                let real = normalization.value(channel, byte) / scale;
                // The conversion saturates; 64 bits then hold the sum.
                let quantized = i64::from(real.round() as i32) + i64::from(zero_point);
                let index = usize::from(byte);
                tables.int8[channel][index] = quantized.clamp(-128, 127) as i8;
                tables.uint8[channel][index] = quantized.clamp(0, 255) as u8;
            }
        }
        Ok(tables)
    }

    /// Quantises RGB bytes to signed bytes.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::OutputLength`] if the lengths differ.
    pub fn apply_int8(&self, rgb: &[u8], output: &mut [i8]) -> Result<(), PreprocessError> {
        apply(&self.int8, rgb, output)
    }

    /// Quantises RGB bytes to unsigned bytes.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::OutputLength`] if the lengths differ.
    pub fn apply_uint8(&self, rgb: &[u8], output: &mut [u8]) -> Result<(), PreprocessError> {
        apply(&self.uint8, rgb, output)
    }
}

/// What each level of red, green and blue becomes in a tensor of any type.
#[derive(Clone, Debug)]
pub struct LevelTable<T> {
    channels: [[T; 256]; 3],
}

impl<T: Copy> LevelTable<T> {
    /// The table of the normalised levels, converted from 32-bit floats.
    pub fn new(normalization: &Normalization, convert: impl Fn(f32) -> T) -> Self {
        let levels: [u8; 256] = std::array::from_fn(|level| level as u8);
        let channel = |channel| levels.map(|level| convert(normalization.value(channel, level)));
        Self { channels: [channel(0), channel(1), channel(2)] }
    }

    /// Converts RGB bytes.
    ///
    /// # Errors
    ///
    /// [`PreprocessError::OutputLength`] if the lengths differ.
    pub fn apply(&self, rgb: &[u8], output: &mut [T]) -> Result<(), PreprocessError> {
        apply(&self.channels, rgb, output)
    }
}

fn apply<T: Copy>(
    tables: &[[T; 256]; 3],
    rgb: &[u8],
    output: &mut [T],
) -> Result<(), PreprocessError> {
    if rgb.len() != output.len() {
        return Err(PreprocessError::OutputLength { expected: rgb.len(), found: output.len() });
    }
    let [red, green, blue] = tables;
    for (values, bytes) in output.as_chunks_mut::<3>().0.iter_mut().zip(rgb.as_chunks::<3>().0) {
        let [r, g, b] = bytes.map(usize::from);
        *values = [red[r], green[g], blue[b]];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_parameters_shift_by_the_zero_point() {
        // What converters give a model trained on (byte - 127.5) / 127.5.
        let normalization = Normalization::uniform(0.0, 255.0).unwrap();
        let quantization = InputQuantization::new(&normalization, 1.0 / 255.0, -128).unwrap();
        let bytes: Vec<u8> = (0..=255).chain([0, 0]).collect();
        let mut output = vec![0; bytes.len()];
        quantization.apply_int8(&bytes, &mut output).unwrap();
        for (byte, value) in bytes.into_iter().zip(output) {
            assert_eq!(i16::from(value), i16::from(byte) - 128);
        }
    }

    #[test]
    fn results_saturate() {
        let quantization =
            InputQuantization::new(&Normalization::default(), 1e-3, i32::MAX).unwrap();
        let mut output = [0u8; 3];
        quantization.apply_uint8(&[0, 1, 255], &mut output).unwrap();
        assert_eq!(output, [255; 3]);
        let quantization = InputQuantization::new(&Normalization::default(), 0.5, -300).unwrap();
        let mut output = [0i8; 3];
        quantization.apply_int8(&[0, 100, 255], &mut output).unwrap();
        assert_eq!(output, [-128, -100, 127]);
    }

    #[test]
    fn bad_scales_are_refused() {
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = InputQuantization::new(&Normalization::default(), scale, 0).unwrap_err();
            assert!(matches!(error, PreprocessError::QuantizationScale { .. }));
        }
    }

    #[test]
    fn a_table_holds_the_normalised_levels() {
        let normalization = Normalization::new([0.0, 10.0, 100.0], [1.0, 2.0, -4.0]).unwrap();
        let table = LevelTable::new(&normalization, f64::from);
        let rgb: Vec<u8> = (0..=255).flat_map(|level| [level; 3]).collect();
        let (mut found, mut expected) = (vec![0.0; rgb.len()], vec![0.0; rgb.len()]);
        table.apply(&rgb, &mut found).unwrap();
        normalization.apply(&rgb, &mut expected).unwrap();
        assert!(
            found.iter().zip(&expected).all(|(found, &expected)| *found == f64::from(expected))
        );
        let error = PreprocessError::OutputLength { expected: 768, found: 3 };
        assert_eq!(table.apply(&rgb, &mut [0.0; 3]), Err(error));
    }

    #[test]
    fn lengths_must_agree() {
        let quantization = InputQuantization::new(&Normalization::default(), 1.0, 0).unwrap();
        assert_eq!(
            quantization.apply_uint8(&[0; 3], &mut [0; 6]),
            Err(PreprocessError::OutputLength { expected: 3, found: 6 })
        );
    }
}
