//! Arithmetic of feature vectors: dequantise, shorten, L2-normalise, quantise, compare.
//!
//! What the TensorFlow Lite Task Library has too (vectors of 32-bit floats, and of signed bytes in
//! steps of 1/128) gives the same bits on finite values: sums run from the first element to the
//! last in the stated precision, and nothing is fused or reordered.
//!
//! ```
//! use image_embedder_embedding::{FeatureVector, cosine_similarity, l2_normalize, quantize};
//!
//! let mut values = vec![3.0, 4.0];
//! l2_normalize(&mut values);
//! assert_eq!(values, [0.6, 0.8]);
//! assert_eq!(quantize(&values), [77, 102]);
//!
//! let u = FeatureVector::Float(vec![1.0, 0.0, 0.0, 0.0]);
//! let v = FeatureVector::Float(vec![0.5, 0.5, 0.5, 0.5]);
//! assert_eq!(cosine_similarity(&u, &v)?, 0.5);
//! # Ok::<(), image_embedder_embedding::EmbeddingError>(())
//! ```
#![forbid(unsafe_code)]

mod dequantize;
mod error;
mod feature_vector;
mod fingerprint;
mod normalize;
mod quantize;
mod similarity;

pub use dequantize::{dequantize_int8, dequantize_uint8};
pub use error::EmbeddingError;
pub use feature_vector::FeatureVector;
pub use fingerprint::Fingerprint;
pub use half::f16;
pub use normalize::{l2_normalize, truncate_normalized};
pub use quantize::{QuantizeMode, ScaledInt8, quantize, to_half};
pub use similarity::cosine_similarity;
