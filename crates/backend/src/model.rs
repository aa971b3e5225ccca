//! The second stage: a compiled model.

use std::fmt::Debug;

use crate::{BackendError, Session, TensorSpec};

/// A compiled model, shared between threads.
pub trait Model: Debug + Send + Sync {
    /// The model's inputs, in model order.
    fn inputs(&self) -> &[TensorSpec];

    /// The model's outputs, in model order.
    fn outputs(&self) -> &[TensorSpec];

    /// Opens a session: the mutable state of one inference at a time.
    ///
    /// Constant data is shared with the model and with its other sessions.
    ///
    /// # Errors
    ///
    /// [`BackendError::Runtime`] if the runtime cannot set up its state.
    fn session(&self) -> Result<Box<dyn Session>, BackendError>;
}
