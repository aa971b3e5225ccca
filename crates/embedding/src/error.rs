//! Why two feature vectors cannot be compared.

use std::error::Error;
use std::fmt;

/// What is wrong with feature vectors.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EmbeddingError {
    /// One vector is quantised, the other is not.
    KindMismatch {
        /// The kind of the first vector, `float` or `quantized`.
        expected: &'static str,
        /// The kind of the second vector.
        found: &'static str,
    },
    /// The vectors have different numbers of elements.
    SizeMismatch {
        /// The kind of both vectors, `float` or `quantized`.
        kind: &'static str,
        /// The number of elements of the first vector.
        expected: usize,
        /// The number of elements of the second vector.
        found: usize,
    },
    /// The vectors have no elements.
    Empty,
    /// A vector has no direction, for its squares add up to zero.
    ZeroNorm,
}

impl fmt::Display for EmbeddingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot compute cosine similarity ")?;
        match self {
            Self::KindMismatch { expected, found } => {
                write!(f, "between {expected} and {found} feature vectors")
            }
            Self::SizeMismatch {
                kind,
                expected,
                found,
            } => {
                write!(
                    f,
                    "on {kind} feature vectors of different sizes ({expected} vs {found})"
                )
            }
            Self::Empty => f.write_str("on empty feature vectors"),
            Self::ZeroNorm => f.write_str("on feature vector with 0 norm"),
        }
    }
}

impl Error for EmbeddingError {}
