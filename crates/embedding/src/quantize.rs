//! Scalar quantisation of feature vectors.

use std::fmt;

use half::f16;

use crate::FeatureVector;

/// Quantises real numbers to signed bytes.
///
/// ```text
/// q = clamp(round(v * 128), -128, 127)
/// ```
///
/// Halves are rounded away from zero, values outside [-1, 1) saturate, and NaN becomes 0. The
/// scale suits vectors of length one. Source: TensorFlow Lite Task Library,
/// `embedding_postprocessor`.
pub fn quantize(values: &[f32]) -> Vec<i8> {
    // The conversion saturates, and takes NaN to zero.
    values.iter().map(|value| (value * 128.0).round() as i8).collect()
}

/// Signed bytes that share one scale.
///
/// ```text
/// real = scale * q
/// ```
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "values and a scale are all that it is")]
pub struct ScaledInt8 {
    /// The quantised values, from -127 to 127.
    pub values: Vec<i8>,
    /// The real number that a value of one stands for; positive and finite.
    pub scale: f32,
}

impl ScaledInt8 {
    /// Quantises real numbers of any magnitude.
    ///
    /// ```text
    /// scale = max(max of |v[k]| / 127, 2^-126)
    /// q     = clamp(round(v / scale), -127, 127)
    /// ```
    ///
    /// In 32-bit floats. The maximum is over the finite elements; infinities saturate and NaN
    /// becomes 0. Halves are rounded away from zero. Of finite elements each is restored to within
    /// half a scale, rounding aside, so the error is at most 1/254 of the greatest magnitude
    /// whatever the vector's length, and the vector needs no normalisation.
    ///
    /// ```
    /// use image_embedder_embedding::ScaledInt8;
    ///
    /// let scaled = ScaledInt8::quantize(&[254.0, -100.0, 1.0]);
    /// assert_eq!((scaled.values.as_slice(), scaled.scale), (&[127, -50, 1][..], 2.0));
    /// assert_eq!(scaled.dequantize(), [254.0, -100.0, 2.0]);
    /// ```
    pub fn quantize(values: &[f32]) -> Self {
        let greatest = values
            .iter()
            .map(|value| value.abs())
            .filter(|magnitude| magnitude.is_finite())
            .fold(0.0, f32::max);
        let scale = (greatest / 127.0).max(f32::MIN_POSITIVE);
        let quantize = |value: &f32| (value / scale).round().clamp(-127.0, 127.0) as i8;
        Self { values: values.iter().map(quantize).collect(), scale }
    }

    /// The real numbers that the values stand for.
    ///
    /// ```text
    /// real = scale * q
    /// ```
    ///
    /// The product is rounded once, to 32 bits, and saturates at the greatest finite number.
    pub fn dequantize(&self) -> Vec<f32> {
        let real = |&value: &i8| (self.scale * f32::from(value)).clamp(f32::MIN, f32::MAX);
        self.values.iter().map(real).collect()
    }
}

/// Rounds real numbers to 16-bit floats: to the nearest, ties to even.
///
/// Numbers of magnitude 65520 and above become infinite, and those of at most 2^-25 become zero;
/// between 2^-14 and 65504 the relative error is at most 2^-11. Source: IEEE 754, binary16.
pub fn to_half(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}

/// Whether and how feature vectors are made smaller.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum QuantizeMode {
    /// 32-bit floats, as the model gives them.
    #[default]
    None,
    /// Signed bytes in steps of 1/128: the TensorFlow Lite Task Library's `quantize`. See
    /// [`quantize`]. It suits vectors of length one.
    Fixed,
    /// Signed bytes with a scale for each vector. See [`ScaledInt8::quantize`]. It suits any
    /// vector, and loses several times less than [`Fixed`](Self::Fixed) for those whose elements
    /// are small.
    PerVector,
    /// 16-bit floats. See [`to_half`].
    Float16,
}

impl QuantizeMode {
    /// The vector of that kind.
    ///
    /// ```
    /// use image_embedder_embedding::QuantizeMode;
    ///
    /// let vector = QuantizeMode::Fixed.apply(vec![0.6, 0.8]);
    /// assert_eq!(vector.as_quantized(), Some(&[77, 102][..]));
    /// ```
    pub fn apply(self, values: Vec<f32>) -> FeatureVector {
        match self {
            Self::None => FeatureVector::Float(values),
            Self::Fixed => FeatureVector::Quantized(quantize(&values)),
            Self::PerVector => FeatureVector::Scaled(ScaledInt8::quantize(&values)),
            Self::Float16 => FeatureVector::Half(to_half(&values)),
        }
    }
}

impl From<bool> for QuantizeMode {
    /// The option `quantize` of the TensorFlow Lite Task Library: [`QuantizeMode::Fixed`] if it
    /// is set.
    fn from(quantize: bool) -> Self {
        if quantize { Self::Fixed } else { Self::None }
    }
}

impl fmt::Display for QuantizeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::PerVector => "per-vector",
            Self::Float16 => "float16",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::cosine_similarity;

    #[test]
    fn edges() {
        let step = 1.0 / 128.0;
        assert_eq!(quantize(&[1.0, -1.0, 0.0, -0.0]), [127, -128, 0, 0]);
        assert_eq!(quantize(&[0.5 * step, -0.5 * step, 1.5 * step, -2.5 * step]), [1, -1, 2, -3]);
        assert_eq!(quantize(&[0.49 * step, -0.49 * step]), [0, 0]);
        assert_eq!(quantize(&[f32::MAX, f32::MIN, f32::INFINITY]), [127, -128, 127]);
        assert_eq!(quantize(&[f32::NEG_INFINITY, f32::NAN]), [-128, 0]);
    }

    #[test]
    fn scaled_edges() {
        let zeros = ScaledInt8::quantize(&[0.0, -0.0]);
        assert_eq!((zeros.values.as_slice(), zeros.scale), (&[0, 0][..], f32::MIN_POSITIVE));
        assert_eq!(ScaledInt8::quantize(&[]).values, []);
        let odd = ScaledInt8::quantize(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 127.0, -1.5]);
        assert_eq!((odd.values.as_slice(), odd.scale), (&[0, 127, -127, 127, -2][..], 1.0));
        let huge = ScaledInt8::quantize(&[f32::MAX, f32::MIN]);
        assert_eq!(huge.values, [127, -127]);
        assert!(huge.dequantize().iter().all(|value| value.is_finite()));
        // Too small to have a scale of their own.
        assert_eq!(ScaledInt8::quantize(&[1e-45, -1e-45]).values, [0, 0]);
    }

    #[test]
    fn half_edges() {
        let values = to_half(&[1.0, 65504.0, 65519.0, 65520.0, -1e9, 2.0f32.powi(-25), 0.1]);
        let restored: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
        let nearest = 1638.0 / 16384.0;
        let (inf, minus_inf) = (f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!(restored, [1.0, 65504.0, 65504.0, inf, minus_inf, 0.0, nearest]);
        assert!(to_half(&[f32::NAN])[0].is_nan());
    }

    #[test]
    fn modes_give_their_kind() {
        let cases = [
            (QuantizeMode::None, "float", "none"),
            (QuantizeMode::Fixed, "quantized", "fixed"),
            (QuantizeMode::PerVector, "scaled", "per-vector"),
            (QuantizeMode::Float16, "float16", "float16"),
        ];
        for (mode, kind, name) in cases {
            let vector = mode.apply(vec![0.5, -0.25]);
            assert_eq!((vector.kind(), vector.len()), (kind, 2));
            assert_eq!(mode.to_string(), name);
        }
        assert_eq!(QuantizeMode::from(true), QuantizeMode::Fixed);
        assert_eq!(QuantizeMode::from(false), QuantizeMode::default());
    }

    proptest! {
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

        #[test]
        fn scaled_error_is_at_most_half_a_step(
            values in vec(-1.0f32..1.0, 1..300),
            exponent in -100i32..100,
        ) {
            let values: Vec<f32> =
                values.iter().map(|value| value * 2.0f32.powi(exponent)).collect();
            let scaled = ScaledInt8::quantize(&values);
            for (value, restored) in values.iter().zip(scaled.dequantize()) {
                let error = (f64::from(*value) - f64::from(restored)).abs();
                assert!(error <= 0.5001 * f64::from(scaled.scale), "{value} as {restored}");
            }
        }

        #[test]
        fn scaled_order_is_kept(values in vec(any::<f32>(), 2..50)) {
            let scaled = ScaledInt8::quantize(&values);
            for (a, qa) in values.iter().zip(&scaled.values) {
                for (b, qb) in values.iter().zip(&scaled.values) {
                    if a <= b {
                        assert!(qa <= qb, "{a} as {qa}, {b} as {qb}");
                    }
                }
            }
        }

        #[test]
        fn half_error_is_at_most_half_a_unit(value in 6.2e-5f32..65504.0) {
            let restored = to_half(&[value])[0].to_f32();
            assert!((f64::from(restored) / f64::from(value) - 1.0).abs() <= 2.0f64.powi(-11));
        }

        #[test]
        fn similarity_survives_every_mode(
            mut pairs in vec((-1.0f32..1.0, -1.0f32..1.0), 8..300),
        ) {
            pairs[0] = (2.0, 1.0);
            let (mut u, mut v): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            crate::l2_normalize(&mut u);
            crate::l2_normalize(&mut v);
            let similarity = |mode: QuantizeMode| {
                cosine_similarity(&mode.apply(u.clone()), &mode.apply(v.clone())).unwrap()
            };
            let exact = similarity(QuantizeMode::None);
            assert!((similarity(QuantizeMode::Float16) - exact).abs() < 2e-3);
            assert!((similarity(QuantizeMode::PerVector) - exact).abs() < 0.15);
        }
    }
}
