//! Running on the processor where a delegate fails.

use std::sync::{Mutex, PoisonError};

use image_embedder_backend::BackendError;

/// When delegates are given up, and why that last happened.
#[derive(Debug)]
pub(crate) struct Fallback {
    /// Whether to go on without delegates that cannot be made or refuse the model.
    pub(crate) on_compilation_error: bool,
    /// Whether to go on without delegates that fail in a run.
    pub(crate) on_execution_error: bool,
    last: Mutex<Option<BackendError>>,
}

impl Fallback {
    pub(crate) fn new(on_compilation_error: bool, on_execution_error: bool) -> Self {
        Self { on_compilation_error, on_execution_error, last: Mutex::new(None) }
    }

    /// Keeps the error that a delegate was given up for.
    pub(crate) fn record(&self, error: BackendError) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error of the last time, if there was one.
    pub(crate) fn last(&self) -> Option<BackendError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
