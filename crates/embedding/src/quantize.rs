//! Scalar quantisation of feature vectors.

/// Quantises real numbers to signed bytes.
///
/// ```text
/// q = clamp(round(v * 128), -128, 127)
/// ```
///
/// Halves are rounded away from zero, values outside [-1, 1) saturate, and NaN becomes 0. The
/// scale suits vectors of length one.
pub fn quantize(values: &[f32]) -> Vec<i8> {
    // The conversion saturates, and takes NaN to zero.
    values
        .iter()
        .map(|value| (value * 128.0).round() as i8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let step = 1.0 / 128.0;
        assert_eq!(quantize(&[1.0, -1.0, 0.0, -0.0]), [127, -128, 0, 0]);
        assert_eq!(
            quantize(&[0.5 * step, -0.5 * step, 1.5 * step, -2.5 * step]),
            [1, -1, 2, -3]
        );
        assert_eq!(quantize(&[0.49 * step, -0.49 * step]), [0, 0]);
        assert_eq!(
            quantize(&[f32::MAX, f32::MIN, f32::INFINITY]),
            [127, -128, 127]
        );
        assert_eq!(quantize(&[f32::NEG_INFINITY, f32::NAN]), [-128, 0]);
    }

    proptest::proptest! {
        #[test]
        fn error_is_at_most_half_a_step(value in -1.0f32..=126.5 / 128.0) {
            let restored = f32::from(quantize(&[value])[0]) / 128.0;
            assert!((restored - value).abs() <= 0.5 / 128.0);
        }

        #[test]
        fn order_is_kept(a: f32, b: f32) {
            if a <= b {
                assert!(quantize(&[a])[0] <= quantize(&[b])[0]);
            }
        }
    }
}
