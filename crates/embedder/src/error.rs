//! The one error of the facade.

use std::error::Error as StdError;
use std::fmt;

use image_embedder_backend::BackendError;
use image_embedder_embedding::EmbeddingError;
use image_embedder_frame::FrameError;
use image_embedder_metadata::{ImageSize, MetadataError};
use image_embedder_preprocess::PreprocessError;
use image_embedder_schema::SchemaError;

use crate::TfLiteSupportStatus;

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
    /// The call was stopped with [`ImageEmbedder::cancel`](crate::ImageEmbedder::cancel).
    Cancelled,
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
            Self::Cancelled => "cancelled",
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
    status: Option<TfLiteSupportStatus>,
}

impl Error {
    /// Whose fault the error is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The status that the TensorFlow Lite Task Library has for the same error, for those who
    /// port code that looks at it.
    ///
    /// `None` if the original has no status there: frames, regions and image files are refused
    /// without one, and what it does not check or does not have cannot fail.
    ///
    /// ```
    /// # #[cfg(feature = "native")] {
    /// use image_embedder::{ImageEmbedder, ImageEmbedderOptions, TfLiteSupportStatus};
    ///
    /// let error = ImageEmbedder::from_file("none.tflite", ImageEmbedderOptions::default());
    /// let status = error.unwrap_err().task_library_status();
    /// assert_eq!(status, Some(TfLiteSupportStatus::FileNotFoundError));
    /// assert_eq!(status.map(TfLiteSupportStatus::code), Some(100));
    /// # }
    /// ```
    pub fn task_library_status(&self) -> Option<TfLiteSupportStatus> {
        self.status
    }

    #[must_use]
    pub(crate) fn with_status(mut self, status: impl Into<Option<TfLiteSupportStatus>>) -> Self {
        self.status = status.into();
        self
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, status: None }
    }

    pub(crate) fn because(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Box::new(source)), status: None }
    }

    pub(crate) fn from_io(what: String, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::OutOfMemory => ErrorKind::Resource,
            _ => ErrorKind::Input,
        };
        Self::because(kind, what, error)
    }

    /// A model file that cannot be read; `name` is its path or what stands for it.
    pub(crate) fn model_file(name: &str, error: std::io::Error) -> Self {
        let status = match error.kind() {
            std::io::ErrorKind::NotFound => TfLiteSupportStatus::FileNotFoundError,
            std::io::ErrorKind::PermissionDenied => TfLiteSupportStatus::FilePermissionDeniedError,
            _ => TfLiteSupportStatus::FileReadError,
        };
        Self::from_io(format!("cannot read the model {name}"), error).with_status(status)
    }

    pub(crate) fn compile(error: BackendError) -> Self {
        let (kind, status) = match &error {
            BackendError::InvalidModel { .. } => {
                (ErrorKind::Model, Some(TfLiteSupportStatus::Error))
            }
            BackendError::UnsupportedOperators { operators, .. } => {
                (ErrorKind::Unsupported, Some(operators_status(operators)))
            }
            BackendError::Unavailable { .. } => (ErrorKind::Backend, None),
            _ => (ErrorKind::Backend, Some(TfLiteSupportStatus::Error)),
        };
        Self::because(kind, "cannot compile the model", error).with_status(status)
    }

    pub(crate) fn session(error: BackendError) -> Self {
        Self::because(ErrorKind::Backend, "cannot open a session of the model", error)
            .with_status(TfLiteSupportStatus::Error)
    }

    pub(crate) fn resize(size: ImageSize, error: BackendError) -> Self {
        let message = format!("the model does not take an image of {size} pixels");
        Self::because(ErrorKind::Unsupported, message, error)
            .with_status(TfLiteSupportStatus::Error)
    }

    pub(crate) fn run(error: BackendError) -> Self {
        let kind = match error {
            // The original has the code of cancelled calls for them, and no number.
            BackendError::Cancelled { .. } => {
                return Self::because(ErrorKind::Cancelled, "the inference was cancelled", error);
            }
            BackendError::Runtime { .. } | BackendError::Unavailable { .. } => ErrorKind::Backend,
            _ => ErrorKind::Bug,
        };
        Self::because(kind, "cannot run the model", error).with_status(TfLiteSupportStatus::Error)
    }
}

/// The original looks custom operators up before it misses builtin ones.
fn operators_status(operators: &[String]) -> TfLiteSupportStatus {
    let is_custom = |operator: &String| operator.to_ascii_lowercase().starts_with("custom");
    if operators.iter().any(is_custom) {
        TfLiteSupportStatus::UnsupportedCustomOp
    } else {
        TfLiteSupportStatus::UnsupportedBuiltinOp
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
            .with_status(TfLiteSupportStatus::InvalidFlatBufferError)
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
        let status = metadata_status(&error);
        Self::because(kind, "unusable model metadata", error).with_status(status)
    }
}

/// The original verifies no metadata: it has no status for what is merely malformed.
fn metadata_status(error: &MetadataError) -> Option<TfLiteSupportStatus> {
    Some(match error {
        MetadataError::Model { .. } => TfLiteSupportStatus::InvalidFlatBufferError,
        MetadataError::Metadata { source: SchemaError::WrongIdentifier { .. } } => {
            TfLiteSupportStatus::MetadataInvalidSchemaVersionError
        }
        MetadataError::InputCount { .. } => TfLiteSupportStatus::InvalidNumInputTensorsError,
        MetadataError::ContentKind { .. } => {
            TfLiteSupportStatus::MetadataInvalidContentPropertiesError
        }
        MetadataError::NormalizationCount { .. }
        | MetadataError::NormalizationLengths { .. }
        | MetadataError::NormalizationChannels { .. } => {
            TfLiteSupportStatus::MetadataInvalidProcessUnitsError
        }
        MetadataError::NormalizationStd { .. } => TfLiteSupportStatus::Error,
        MetadataError::ColorSpace { .. } => TfLiteSupportStatus::InvalidArgumentError,
        MetadataError::FileNotFound { .. } => {
            TfLiteSupportStatus::MetadataAssociatedFileNotFoundError
        }
        MetadataError::Archive { .. } | MetadataError::UnreadableFile { .. } => {
            TfLiteSupportStatus::MetadataAssociatedFileZipError
        }
        _ => return None,
    })
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
            | PreprocessError::UnsupportedResizePolicy { .. }
            | PreprocessError::UnsupportedYuvColorSpace { .. } => ErrorKind::Unsupported,
            PreprocessError::ZeroStd { .. }
            | PreprocessError::NonFiniteNormalization { .. }
            | PreprocessError::QuantizationScale { .. } => ErrorKind::Model,
            PreprocessError::OutOfMemory { .. } => ErrorKind::Resource,
            _ => ErrorKind::Bug,
        };
        let status = match error {
            PreprocessError::ZeroStd { .. } => Some(TfLiteSupportStatus::Error),
            _ => None,
        };
        Self::because(kind, "cannot preprocess the frame", error).with_status(status)
    }
}

impl From<EmbeddingError> for Error {
    fn from(error: EmbeddingError) -> Self {
        let status = match error {
            EmbeddingError::KindMismatch { .. }
            | EmbeddingError::SizeMismatch { .. }
            | EmbeddingError::Empty
            | EmbeddingError::ZeroNorm => Some(TfLiteSupportStatus::InvalidArgumentError),
            _ => None,
        };
        Self::because(ErrorKind::Input, "the embeddings cannot be compared", error)
            .with_status(status)
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
