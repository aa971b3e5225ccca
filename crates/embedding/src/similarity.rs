//! Cosine similarity.

use crate::{EmbeddingError, FeatureVector};

/// The cosine of the angle between two feature vectors of one kind and size.
///
/// ```text
/// (sum of u[k] * v[k]) / sqrt((sum of u[k] * u[k]) * (sum of v[k] * v[k]))
/// ```
///
/// Products are 32-bit floats for float vectors and exact for all others; the sums are 64-bit
/// floats and run from the first element to the last. The scales of [`FeatureVector::Scaled`]
/// vectors cancel out and are not looked at. The result is not clamped: rounding may take it a
/// little outside [-1, 1]. Elements so large that a product overflows give NaN.
///
/// Whether the vectors come from one model is not looked at either: see
/// [`Fingerprint`](crate::Fingerprint).
///
/// # Errors
///
/// In this order:
///
/// - [`EmbeddingError::KindMismatch`] if the vectors are of different kinds.
/// - [`EmbeddingError::SizeMismatch`] if the numbers of elements differ.
/// - [`EmbeddingError::Empty`] if there are no elements.
/// - [`EmbeddingError::ZeroNorm`] if the squares of a vector add up to zero, be it that its
///   elements are so small that their products underflow.
pub fn cosine_similarity(u: &FeatureVector, v: &FeatureVector) -> Result<f64, EmbeddingError> {
    let kind = u.kind();
    match (u, v) {
        (FeatureVector::Float(left), FeatureVector::Float(right)) => {
            similarity(left, right, kind, |a, b| f64::from(a * b))
        }
        (FeatureVector::Quantized(left), FeatureVector::Quantized(right)) => {
            similarity(left, right, kind, bytes)
        }
        (FeatureVector::Scaled(left), FeatureVector::Scaled(right)) => {
            similarity(&left.values, &right.values, kind, bytes)
        }
        // 11 and 11 significant bits fit into the 24 of a 32-bit float.
        (FeatureVector::Half(left), FeatureVector::Half(right)) => {
            similarity(left, right, kind, |a, b| f64::from(a.to_f32() * b.to_f32()))
        }
        _ => Err(EmbeddingError::KindMismatch { expected: kind, found: v.kind() }),
    }
}

fn bytes(a: i8, b: i8) -> f64 {
    f64::from(i32::from(a) * i32::from(b))
}

fn similarity<T: Copy>(
    left: &[T],
    right: &[T],
    kind: &'static str,
    product: impl Fn(T, T) -> f64,
) -> Result<f64, EmbeddingError> {
    if left.len() != right.len() {
        return Err(EmbeddingError::SizeMismatch {
            kind,
            expected: left.len(),
            found: right.len(),
        });
    }
    if left.is_empty() {
        return Err(EmbeddingError::Empty);
    }
    let (mut dot, mut left_norm, mut right_norm) = (0.0f64, 0.0f64, 0.0f64);
    for (&a, &b) in left.iter().zip(right) {
        dot += product(a, b);
        left_norm += product(a, a);
        right_norm += product(b, b);
    }
    if left_norm <= 0.0 || right_norm <= 0.0 {
        return Err(EmbeddingError::ZeroNorm);
    }
    Ok(dot / (left_norm * right_norm).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{QuantizeMode, ScaledInt8};

    fn float(values: &[f32]) -> FeatureVector {
        FeatureVector::Float(values.to_vec())
    }

    fn quantized(values: &[i8]) -> FeatureVector {
        FeatureVector::Quantized(values.to_vec())
    }

    #[test]
    fn succeeds() {
        let u = float(&[1.0, 0.0, 0.0, 0.0]);
        assert_eq!(cosine_similarity(&u, &float(&[0.5; 4])), Ok(0.5));
        let u = quantized(&[127, 0, 0, 0]);
        assert_eq!(cosine_similarity(&u, &quantized(&[-128, 0, 0, 0])), Ok(-1.0));
    }

    #[test]
    fn kinds_must_agree() {
        let error = cosine_similarity(&quantized(&[1, 2]), &float(&[0.1, 0.2])).unwrap_err();
        let expected = EmbeddingError::KindMismatch { expected: "quantized", found: "float" };
        assert_eq!(error, expected);
        assert!(error.to_string().contains("quantized and float"));
        assert!(cosine_similarity(&float(&[0.1, 0.2]), &quantized(&[1, 2])).is_err());
    }

    #[test]
    fn kinds_of_every_mode_agree_with_themselves_alone() {
        let modes = [
            QuantizeMode::None,
            QuantizeMode::Fixed,
            QuantizeMode::PerVector,
            QuantizeMode::Float16,
        ];
        let mut refused = 0;
        for (i, left) in modes.iter().enumerate() {
            for (j, right) in modes.iter().enumerate() {
                let (u, v) = (left.apply(vec![0.5, 0.25]), right.apply(vec![0.5, 0.25]));
                match cosine_similarity(&u, &v) {
                    Ok(similarity) => assert!(i == j && (similarity - 1.0).abs() < 1e-12),
                    Err(error) => {
                        let (expected, found) = (u.kind(), v.kind());
                        assert_eq!(error, EmbeddingError::KindMismatch { expected, found });
                        refused += 1;
                    }
                }
            }
        }
        assert_eq!(refused, 12);
    }

    #[test]
    fn scales_cancel_out() {
        let scaled = |scale| FeatureVector::Scaled(ScaledInt8 { values: vec![3, -4], scale });
        let other = FeatureVector::Scaled(ScaledInt8 { values: vec![4, 3], scale: 1.0 });
        assert_eq!(cosine_similarity(&scaled(1e-30), &scaled(1e30)), Ok(1.0));
        assert_eq!(cosine_similarity(&scaled(5.0), &other), Ok(0.0));
    }

    #[test]
    fn sizes_must_agree() {
        let cases = [
            ("float", float(&[0.1]), float(&[0.1, 0.2])),
            ("quantized", quantized(&[1]), quantized(&[1, 2])),
        ];
        for (kind, u, v) in cases {
            let error = cosine_similarity(&u, &v).unwrap_err();
            assert_eq!(error, EmbeddingError::SizeMismatch { kind, expected: 1, found: 2 });
            assert!(error.to_string().ends_with("of different sizes (1 vs 2)"));
        }
    }

    #[test]
    fn empty_vectors_are_refused() {
        assert_eq!(cosine_similarity(&float(&[]), &float(&[])), Err(EmbeddingError::Empty));
        assert_eq!(cosine_similarity(&quantized(&[]), &quantized(&[])), Err(EmbeddingError::Empty));
    }

    #[test]
    fn zero_norms_are_refused() {
        let (zero, some) = (float(&[0.0, 0.0]), float(&[0.1, 0.2]));
        assert_eq!(cosine_similarity(&zero, &some), Err(EmbeddingError::ZeroNorm));
        assert_eq!(cosine_similarity(&some, &zero), Err(EmbeddingError::ZeroNorm));
        let (zero, some) = (quantized(&[0, 0]), quantized(&[1, 2]));
        assert_eq!(cosine_similarity(&zero, &some), Err(EmbeddingError::ZeroNorm));
        let tiny = float(&[1e-30, 1e-30]);
        assert_eq!(cosine_similarity(&tiny, &tiny), Err(EmbeddingError::ZeroNorm));
    }

    #[test]
    fn overflow_is_nan() {
        let huge = float(&[1e30, 1e30]);
        assert!(cosine_similarity(&huge, &huge).unwrap().is_nan());
        let nan = float(&[f32::NAN, 1.0]);
        assert!(cosine_similarity(&nan, &float(&[1.0, 1.0])).unwrap().is_nan());
    }

    /// Two vectors of one size, away from zero so that products stay normal numbers.
    fn pairs() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        let element = prop_oneof![-50.0f32..-0.01, 0.01f32..50.0];
        vec((element.clone(), element), 1..200).prop_map(|pairs| pairs.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn is_symmetric((u, v) in pairs()) {
            let (u, v) = (FeatureVector::Float(u), FeatureVector::Float(v));
            assert_eq!(cosine_similarity(&u, &v), cosine_similarity(&v, &u));
        }

        #[test]
        fn is_one_with_itself_and_minus_one_with_the_opposite((u, _) in pairs()) {
            let opposite = FeatureVector::Float(u.iter().map(|value| -value).collect());
            let u = FeatureVector::Float(u);
            assert!((cosine_similarity(&u, &u).unwrap() - 1.0).abs() < 1e-12);
            assert!((cosine_similarity(&u, &opposite).unwrap() + 1.0).abs() < 1e-12);
        }

        #[test]
        fn does_not_change_with_scale((u, v) in pairs(), exponent in -20i32..20) {
            // A power of two leaves every rounding as it is.
            let factor = 2.0f32.powi(exponent);
            let scaled = FeatureVector::Float(u.iter().map(|value| value * factor).collect());
            let (u, v) = (FeatureVector::Float(u), FeatureVector::Float(v));
            let (plain, scaled) = (cosine_similarity(&u, &v), cosine_similarity(&scaled, &v));
            assert!((plain.unwrap() - scaled.unwrap()).abs() < 1e-12);
        }

        #[test]
        fn stays_near_its_bounds((u, v) in pairs()) {
            let (u, v) = (FeatureVector::Float(u), FeatureVector::Float(v));
            assert!(cosine_similarity(&u, &v).unwrap().abs() <= 1.0 + 1e-6);
        }

        #[test]
        fn quantized_is_symmetric_and_one_with_itself(
            pairs in vec((1i8..=127, any::<i8>()), 1..200),
        ) {
            let (u, mut v): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            v[0] = v[0].max(1);
            let (u, v) = (FeatureVector::Quantized(u), FeatureVector::Quantized(v));
            assert_eq!(cosine_similarity(&u, &v), cosine_similarity(&v, &u));
            assert!((cosine_similarity(&u, &u).unwrap() - 1.0).abs() < 1e-15);
        }
    }
}
