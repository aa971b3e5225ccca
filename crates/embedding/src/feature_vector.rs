//! The vector that describes an image.

/// The elements of an embedding.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureVector {
    /// Real numbers.
    Float(Vec<f32>),
    /// Real numbers times 128, rounded and saturated to signed bytes.
    Quantized(Vec<i8>),
}

impl FeatureVector {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Quantized(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements if they are real numbers.
    pub fn as_float(&self) -> Option<&[f32]> {
        match self {
            Self::Float(values) => Some(values),
            Self::Quantized(_) => None,
        }
    }

    /// The elements if they are signed bytes.
    pub fn as_quantized(&self) -> Option<&[i8]> {
        match self {
            Self::Quantized(values) => Some(values),
            Self::Float(_) => None,
        }
    }

    /// The kind of the elements: `float` or `quantized`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Quantized(_) => "quantized",
        }
    }
}
