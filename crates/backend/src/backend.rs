//! The first stage: something that can compile models.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{Arithmetic, BackendError, CompileOptions, Model, ModelData};

/// An inference runtime that compiles model bytes into a [`Model`].
pub trait Backend: Debug + Send + Sync {
    /// The short lower-case name by which users choose the backend, such as `native`.
    fn name(&self) -> &str;

    /// Tells whether the backend can run on this machine.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] with the reason and, where a library is missing, every place
    /// that was searched.
    fn check(&self) -> Result<(), BackendError>;

    /// The arithmetic of the models that the backend has compiled; unless it says otherwise, its
    /// own, by its name.
    ///
    /// Whatever an option changes about results shows here.
    fn arithmetic(&self) -> Arithmetic {
        Arithmetic::own(self.name())
    }

    /// Why a model of this backend last went on another way than its options ask for, such as
    /// without a delegate; `None` if that has not happened or the backend has no other way.
    fn last_fallback(&self) -> Option<BackendError> {
        None
    }

    /// Compiles a TensorFlow Lite model.
    ///
    /// # Errors
    ///
    /// - [`BackendError::Unavailable`] if [`check`](Self::check) fails.
    /// - [`BackendError::InvalidModel`] if the bytes are not a well-formed model.
    /// - [`BackendError::UnsupportedOperators`] naming all operators that the backend cannot run.
    /// - [`BackendError::Runtime`] if the runtime refuses the model for a reason of its own.
    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError>;
}
