//! Why a command failed.

use std::error::Error;
use std::io;

use image_embedder::TfLiteSupportStatus;
#[cfg(feature = "native")]
use image_embedder::backend::BackendError;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The facade's error.
    Embedder(image_embedder::Error),
    /// The backend's error, where there is no embedder.
    #[cfg(feature = "native")]
    Backend(BackendError),
    /// The model file cannot be read.
    Model {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A raw frame, or a file to store behind a model, cannot be read.
    ReadFile {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The two values of `--raw` are not a format and a size.
    RawArguments,
    /// A file does not hold the raw frame that the arguments describe.
    RawFrame {
        /// Its path.
        path: String,
        /// What was expected and found.
        reason: String,
    },
    /// A file cannot be written.
    WriteFile {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Standard output cannot be written.
    Output(io::Error),
    /// A panic, which is a mistake in this program.
    Bug(String),
}

impl Failure {
    /// The message and those of all causes, on one line.
    pub(crate) fn chain(&self) -> String {
        let line = match self {
            Self::Embedder(error) => {
                let status = error.task_library_status();
                let advice = match status {
                    Some(TfLiteSupportStatus::MetadataMissingNormalizationOptionsError) => {
                        ", that is, give --mean and --std"
                    }
                    _ => "",
                };
                format!("{}{advice}", chain(error))
            }
            #[cfg(feature = "native")]
            Self::Backend(error) => chain(error),
            Self::Model { path, source } => format!("cannot read the model {path}: {source}"),
            Self::ReadFile { path, source } => format!("cannot read {path}: {source}"),
            Self::RawArguments => {
                "expected a format and then a size after --raw, as in --raw nv12 640x480".to_owned()
            }
            Self::RawFrame { path, reason } => format!("cannot use the raw frame {path}: {reason}"),
            Self::WriteFile { path, source } => format!("cannot write {path}: {source}"),
            Self::Output(error) => format!("cannot write the output: {error}"),
            Self::Bug(message) => format!("this is a bug in imgembed: {message}"),
        };
        one_line(&line)
    }
}

impl From<image_embedder::Error> for Failure {
    fn from(error: image_embedder::Error) -> Self {
        Self::Embedder(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Several lines as one: a runtime may list what it tried, and a file may be called anything.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("; ").replace(char::is_control, "\u{fffd}")
}

/// The message of an error and those of its sources on one line, joined by colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line = format!("{line}: {error}");
        source = error.source();
    }
    one_line(&line)
}
