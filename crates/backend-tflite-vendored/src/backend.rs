//! The backend and its compiled models.

use std::sync::{Arc, Mutex, PoisonError};

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};

use crate::NAME;
use crate::interpreter::{Interpreter, Side};
use crate::loaded_model::LoadedModel;
use crate::session::VendoredSession;

/// The backend that runs models in TensorFlow Lite 1.15, which is compiled into the program.
///
/// An inference uses at most 256 threads, however many [`CompileOptions`] ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct VendoredTfliteBackend(());

impl VendoredTfliteBackend {
    /// The backend. There is nothing to load: it is always available.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Backend for VendoredTfliteBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let loaded = Arc::new(LoadedModel::new(model.to_vec())?);
        // Kernels look at a model when an interpreter is made, so one is made here for its errors.
        let first = Interpreter::new(&loaded, options.num_threads)?;
        Ok(Arc::new(VendoredModel {
            inputs: first.specs(Side::Inputs)?,
            outputs: first.specs(Side::Outputs)?,
            loaded,
            num_threads: options.num_threads,
            first: Mutex::new(Some(first)),
        }))
    }
}

/// A model that TensorFlow Lite has opened.
#[derive(Debug)]
struct VendoredModel {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    loaded: Arc<LoadedModel>,
    num_threads: usize,
    /// The interpreter of the first session.
    first: Mutex<Option<Interpreter>>,
}

impl Model for VendoredModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let interpreter = match first {
            Some(interpreter) => interpreter,
            None => Interpreter::new(&self.loaded, self.num_threads)?,
        };
        let session =
            VendoredSession::new(Arc::clone(&self.loaded), self.num_threads, interpreter)?;
        Ok(Box::new(session))
    }
}
