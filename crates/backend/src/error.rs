//! What can go wrong between a model and its runtime.

use std::error::Error;
use std::fmt;

use crate::DType;

/// Why a backend could not compile or run a model.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum BackendError {
    /// The backend cannot run on this machine.
    Unavailable {
        /// The backend's name.
        backend: String,
        /// What is missing and where it was looked for.
        reason: String,
    },
    /// The bytes are not a well-formed model.
    InvalidModel {
        /// What was expected and what was found.
        reason: String,
    },
    /// The model uses operators that the backend does not have.
    UnsupportedOperators {
        /// The backend's name.
        backend: String,
        /// Every such operator once, with what about it is not supported.
        operators: Vec<String>,
    },
    /// There is no tensor of that index.
    NoSuchTensor {
        /// The index asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A run got another number of tensors than the model has.
    TensorCount {
        /// Which side: `inputs` or `outputs`.
        side: &'static str,
        /// How many the model has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A buffer has another element type than its tensor.
    DTypeMismatch {
        /// The tensor's name.
        tensor: String,
        /// The tensor's element type.
        expected: DType,
        /// The buffer's element type.
        found: DType,
    },
    /// A buffer has another size than its tensor.
    ByteSizeMismatch {
        /// The tensor's name.
        tensor: String,
        /// The tensor's size in bytes.
        expected: usize,
        /// The buffer's size in bytes.
        found: usize,
    },
    /// A shape does not fit a tensor.
    ShapeMismatch {
        /// The tensor's name.
        tensor: String,
        /// The tensor's shape, with `?` where it may change.
        expected: String,
        /// The shape given.
        found: Vec<usize>,
    },
    /// The run was stopped by a [`Cancellation`](crate::Cancellation).
    Cancelled {
        /// The backend's name.
        backend: String,
    },
    /// The runtime behind the backend failed.
    Runtime {
        /// The backend's name.
        backend: String,
        /// The runtime's own words.
        message: String,
    },
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { backend, reason } => {
                write!(f, "backend {backend} is not available: {reason}")
            }
            Self::InvalidModel { reason } => write!(f, "invalid model: {reason}"),
            Self::UnsupportedOperators { backend, operators } => {
                write!(f, "backend {backend} does not support: {}", operators.join(", "))
            }
            Self::NoSuchTensor { index, count } => {
                write!(f, "expected a tensor index below {count}, found {index}")
            }
            Self::TensorCount { side, expected, found } => {
                write!(f, "expected {expected} {side}, found {found}")
            }
            Self::DTypeMismatch { tensor, expected, found } => {
                write!(f, "tensor {tensor}: expected elements of type {expected}, found {found}")
            }
            Self::ByteSizeMismatch { tensor, expected, found } => {
                write!(f, "tensor {tensor}: expected {expected} bytes, found {found}")
            }
            Self::ShapeMismatch { tensor, expected, found } => {
                write!(f, "tensor {tensor}: expected shape {expected}, found {found:?}")
            }
            Self::Cancelled { backend } => write!(f, "backend {backend}: the run was cancelled"),
            Self::Runtime { backend, message } => write!(f, "backend {backend}: {message}"),
        }
    }
}

impl Error for BackendError {}
