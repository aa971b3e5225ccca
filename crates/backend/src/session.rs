//! The third stage: the state of one inference at a time.

use crate::{BackendError, Cancellation, TensorSpec, TensorView, TensorViewMut};

/// The mutable state of one inference at a time; one per thread.
pub trait Session: Send {
    /// The inputs as they are now: a dynamic dimension shows the size it was last resized to.
    fn inputs(&self) -> &[TensorSpec];

    /// The outputs as they are now.
    fn outputs(&self) -> &[TensorSpec];

    /// Gives a dynamic input another shape and lays the graph out anew.
    ///
    /// # Errors
    ///
    /// - [`BackendError::NoSuchTensor`] if there is no input `index`.
    /// - [`BackendError::ShapeMismatch`] if a fixed dimension would change.
    /// - [`BackendError::Runtime`] if the graph cannot take the shape. The session keeps the
    ///   shapes that it had.
    fn resize_input(&mut self, index: usize, shape: &[usize]) -> Result<(), BackendError>;

    /// Runs one inference: reads `inputs`, fills `outputs`, both in model order.
    ///
    /// # Errors
    ///
    /// - [`BackendError::TensorCount`], [`BackendError::DTypeMismatch`] or
    ///   [`BackendError::ByteSizeMismatch`] if a view does not fit its tensor.
    /// - [`BackendError::Cancelled`] if a [`cancellation`](Self::cancellation) stopped it.
    /// - [`BackendError::Runtime`] if the runtime fails.
    ///
    /// After an error the session still works; the content of `outputs` is unspecified.
    fn run(
        &mut self,
        inputs: &[TensorView<'_>],
        outputs: &mut [TensorViewMut<'_>],
    ) -> Result<(), BackendError>;

    /// A handle by which another thread stops this session's runs; `None` if the backend cannot.
    fn cancellation(&self) -> Option<Cancellation> {
        None
    }
}
