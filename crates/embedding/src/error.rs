//! Why two feature vectors cannot be compared.

use std::error::Error;
use std::fmt;

use crate::Fingerprint;

/// What is wrong with feature vectors.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EmbeddingError {
    /// The vectors are of different kinds.
    KindMismatch {
        /// The kind of the first vector, as [`FeatureVector::kind`](crate::FeatureVector::kind).
        expected: &'static str,
        /// The kind of the second vector.
        found: &'static str,
    },
    /// The vectors have different numbers of elements.
    SizeMismatch {
        /// The kind of both vectors, as [`FeatureVector::kind`](crate::FeatureVector::kind).
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
    /// The vectors come from different models or were made in different ways.
    FingerprintMismatch {
        /// The fingerprint of the first vector.
        expected: Fingerprint,
        /// The fingerprint of the second vector.
        found: Fingerprint,
    },
    /// A text has not as many digits as a fingerprint.
    FingerprintLength {
        /// The number of digits in the text.
        found: usize,
    },
    /// A text has a character that is no hexadecimal digit.
    FingerprintDigit {
        /// The characters before it.
        position: usize,
        /// The character.
        found: char,
    },
}

impl fmt::Display for EmbeddingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KindMismatch { expected, found } => {
                write!(
                    f,
                    "cannot compute cosine similarity between {expected} and {found} feature vectors"
                )
            }
            Self::SizeMismatch { kind, expected, found } => {
                write!(
                    f,
                    "cannot compute cosine similarity on {kind} feature vectors of different \
                     sizes ({expected} vs {found})"
                )
            }
            Self::Empty => f.write_str("cannot compute cosine similarity on empty feature vectors"),
            Self::ZeroNorm => {
                f.write_str("cannot compute cosine similarity on feature vector with 0 norm")
            }
            Self::FingerprintMismatch { expected, found } => {
                write!(
                    f,
                    "expected feature vectors of one fingerprint, found {expected} and {found}: \
                     they come from different models or options"
                )
            }
            Self::FingerprintLength { found } => {
                write!(f, "expected a fingerprint of 32 hexadecimal digits, found {found} digits")
            }
            Self::FingerprintDigit { position, found } => {
                write!(
                    f,
                    "expected a fingerprint of 32 hexadecimal digits, found {found:?} after \
                     {position} digits"
                )
            }
        }
    }
}

impl Error for EmbeddingError {}
