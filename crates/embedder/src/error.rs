//! The one error of the facade.

use std::error::Error as StdError;
use std::fmt;

use image_embedder_backend::BackendError;
use image_embedder_embedding::EmbeddingError;
use image_embedder_frame::FrameError;
use image_embedder_metadata::{ImageSize, MetadataError};
use image_embedder_preprocess::PreprocessError;
use image_embedder_schema::SchemaError;

/// Whose fault an error is, and with it what can be done.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// What the caller passed: a path, an image, a frame, a region, an option.
    Input,
    /// The model file or its metadata is damaged or contradicts itself.
    Model,
    /// The model or the request is well-formed, but not one that can be served.
    Unsupported,
    /// Memory or a limit is exhausted.
    Resource,
    /// The runtime behind the backend is missing or failed.
    Backend,
    /// A mistake in this library or in a backend.
    Bug,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Model => "model",
            Self::Unsupported => "unsupported",
            Self::Resource => "resource",
            Self::Backend => "backend",
            Self::Bug => "bug",
        })
    }
}

/// Why an image could not be embedded or an embedder not be created.
///
/// [`Display`](fmt::Display) is one line that says what was expected and what was found;
/// [`source`](StdError::source) leads to the error beneath, which the line does not repeat.
///
/// After an error the embedder works as before.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Whose fault the error is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn because(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Box::new(source)) }
    }

    pub(crate) fn from_io(what: String, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::OutOfMemory => ErrorKind::Resource,
            _ => ErrorKind::Input,
        };
        Self::because(kind, what, error)
    }

    pub(crate) fn compile(error: BackendError) -> Self {
        let kind = match error {
            BackendError::InvalidModel { .. } => ErrorKind::Model,
            BackendError::UnsupportedOperators { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Backend,
        };
        Self::because(kind, "cannot compile the model", error)
    }

    pub(crate) fn session(error: BackendError) -> Self {
        Self::because(ErrorKind::Backend, "cannot open a session of the model", error)
    }

    pub(crate) fn resize(size: ImageSize, error: BackendError) -> Self {
        let message = format!("the model does not take an image of {size} pixels");
        Self::because(ErrorKind::Unsupported, message, error)
    }

    pub(crate) fn run(error: BackendError) -> Self {
        let kind = match error {
            BackendError::Runtime { .. } | BackendError::Unavailable { .. } => ErrorKind::Backend,
            _ => ErrorKind::Bug,
        };
        Self::because(kind, "cannot run the model", error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        Self::because(ErrorKind::Model, "not a valid TensorFlow Lite model", error)
    }
}

impl From<MetadataError> for Error {
    fn from(error: MetadataError) -> Self {
        let kind = match error {
            MetadataError::ColorSpace { .. }
            | MetadataError::InputCount { .. }
            | MetadataError::ContentKind { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Model,
        };
        Self::because(kind, "unusable model metadata", error)
    }
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        Self::because(ErrorKind::Input, "invalid frame or region", error)
    }
}

impl From<PreprocessError> for Error {
    fn from(error: PreprocessError) -> Self {
        let kind = match error {
            PreprocessError::Frame(error) => return error.into(),
            PreprocessError::TargetSize { .. } | PreprocessError::RegionSize { .. } => {
                ErrorKind::Input
            }
            PreprocessError::UnsupportedOrientation { .. }
            | PreprocessError::UnsupportedResizePolicy { .. } => ErrorKind::Unsupported,
            PreprocessError::ZeroStd { .. }
            | PreprocessError::NonFiniteNormalization { .. }
            | PreprocessError::QuantizationScale { .. } => ErrorKind::Model,
            PreprocessError::OutOfMemory { .. } => ErrorKind::Resource,
            _ => ErrorKind::Bug,
        };
        Self::because(kind, "cannot preprocess the frame", error)
    }
}

impl From<EmbeddingError> for Error {
    fn from(error: EmbeddingError) -> Self {
        Self::because(ErrorKind::Input, "the embeddings cannot be compared", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_does_not_repeat_the_source() {
        let found = *b"M002";
        let source = SchemaError::WrongIdentifier { expected: "M001", found };
        let error = Error::from(MetadataError::Metadata { source });
        let mut lines = Vec::new();
        let mut next: Option<&dyn StdError> = Some(&error);
        while let Some(error) = next {
            lines.push(error.to_string());
            next = error.source();
        }
        assert_eq!(
            lines,
            [
                "unusable model metadata",
                "invalid TFLite Metadata",
                "expected the file identifier M001, found M002",
            ]
        );
    }
}
