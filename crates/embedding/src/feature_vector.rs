//! The vector that describes an image.

use half::f16;

use crate::ScaledInt8;

/// The elements of an embedding.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureVector {
    /// Real numbers.
    Float(Vec<f32>),
    /// Real numbers times 128, rounded and saturated to signed bytes.
    Quantized(Vec<i8>),
    /// Signed bytes with a scale of their own.
    Scaled(ScaledInt8),
    /// Real numbers, rounded to 16-bit floats.
    Half(Vec<f16>),
}

impl FeatureVector {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Quantized(values) => values.len(),
            Self::Scaled(scaled) => scaled.values.len(),
            Self::Half(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements if they are 32-bit floats.
    pub fn as_float(&self) -> Option<&[f32]> {
        match self {
            Self::Float(values) => Some(values),
            _ => None,
        }
    }

    /// The elements if they are signed bytes in steps of 1/128.
    pub fn as_quantized(&self) -> Option<&[i8]> {
        match self {
            Self::Quantized(values) => Some(values),
            _ => None,
        }
    }

    /// The elements and their scale if they are signed bytes with a scale of their own.
    pub fn as_scaled(&self) -> Option<&ScaledInt8> {
        match self {
            Self::Scaled(scaled) => Some(scaled),
            _ => None,
        }
    }

    /// The elements if they are 16-bit floats.
    pub fn as_half(&self) -> Option<&[f16]> {
        match self {
            Self::Half(values) => Some(values),
            _ => None,
        }
    }

    /// The real numbers that the elements stand for.
    ///
    /// ```text
    /// Float:     v[i]
    /// Quantized: q[i] / 128
    /// Scaled:    scale * q[i]
    /// Half:      v[i]
    /// ```
    ///
    /// Only the product of `Scaled` is rounded, to 32 bits.
    pub fn to_floats(&self) -> Vec<f32> {
        match self {
            Self::Float(values) => values.clone(),
            Self::Quantized(values) => {
                values.iter().map(|&value| f32::from(value) / 128.0).collect()
            }
            Self::Scaled(scaled) => scaled.dequantize(),
            Self::Half(values) => values.iter().map(|value| value.to_f32()).collect(),
        }
    }

    /// The kind of the elements: `float`, `quantized`, `scaled` or `float16`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Quantized(_) => "quantized",
            Self::Scaled(_) => "scaled",
            Self::Half(_) => "float16",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_accessor() {
        let scaled = ScaledInt8 { values: vec![127, -2], scale: 0.5 };
        let vectors = [
            (FeatureVector::Float(vec![0.5, -1.0]), "float", vec![0.5, -1.0]),
            (FeatureVector::Quantized(vec![127, -128]), "quantized", vec![127.0 / 128.0, -1.0]),
            (FeatureVector::Scaled(scaled), "scaled", vec![63.5, -1.0]),
            (
                FeatureVector::Half(vec![f16::from_f32(0.25), f16::NEG_ONE]),
                "float16",
                vec![0.25, -1.0],
            ),
        ];
        for (index, (vector, kind, floats)) in vectors.iter().enumerate() {
            assert_eq!(vector.kind(), *kind);
            assert_eq!(vector.len(), 2);
            assert!(!vector.is_empty());
            assert_eq!(vector.to_floats(), *floats);
            let accessors = [
                vector.as_float().is_some(),
                vector.as_quantized().is_some(),
                vector.as_scaled().is_some(),
                vector.as_half().is_some(),
            ];
            assert_eq!(accessors.iter().position(|&is_some| is_some), Some(index));
            assert_eq!(accessors.iter().filter(|&&is_some| is_some).count(), 1);
        }
    }
}
