//! The backend and its compiled models.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};

use crate::NAME;
use crate::interpreter::{Interpreter, InterpreterSettings, LoadedModel, Side};
use crate::library::TfliteLibrary;
use crate::options::TfliteOptions;
use crate::session::TfliteSession;

/// The backend that runs models in the TensorFlow Lite C library.
///
/// The library is loaded when it is first needed; if that fails, the next call tries again.
///
/// An inference uses at most 256 threads, however many
/// [`CompileOptions`] ask for.
#[derive(Debug)]
pub struct TfliteBackend {
    options: TfliteOptions,
    library: Mutex<Option<Arc<TfliteLibrary>>>,
}

impl TfliteBackend {
    /// A backend with the given options; does not load the library yet.
    pub fn new(options: TfliteOptions) -> Self {
        Self { options, library: Mutex::new(None) }
    }

    /// The version of the library, such as `2.17.1`.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the library cannot be loaded.
    pub fn version(&self) -> Result<String, BackendError> {
        Ok(self.library()?.version())
    }

    /// The library in use: a path, or a bare file name that the system's loader resolved.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the library cannot be loaded.
    pub fn library_path(&self) -> Result<PathBuf, BackendError> {
        Ok(self.library()?.path().to_owned())
    }

    /// Whether models run with an XNNPACK delegate: the options ask for it and the library
    /// exports it.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the library cannot be loaded.
    pub fn uses_xnnpack(&self) -> Result<bool, BackendError> {
        Ok(self.options.xnnpack && self.library()?.xnnpack.is_some())
    }

    fn library(&self) -> Result<Arc<TfliteLibrary>, BackendError> {
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*library {
            return Ok(Arc::clone(library));
        }
        let loaded = Arc::new(TfliteLibrary::open(self.options.library_path.as_deref())?);
        *library = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl Backend for TfliteBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        self.library().map(drop)
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let settings =
            InterpreterSettings { num_threads: options.num_threads, xnnpack: self.options.xnnpack };
        let loaded = Arc::new(LoadedModel::new(self.library()?, model)?);
        // Operators are looked up by interpreters only, so one is made here for its errors.
        let first = Interpreter::new(Arc::clone(&loaded), settings, &[])?;
        Ok(Arc::new(TfliteModel {
            inputs: first.specs(Side::Inputs)?,
            outputs: first.specs(Side::Outputs)?,
            loaded,
            settings,
            first: Mutex::new(Some(first)),
        }))
    }
}

/// A model that the library has opened.
#[derive(Debug)]
struct TfliteModel {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    loaded: Arc<LoadedModel>,
    settings: InterpreterSettings,
    /// The interpreter of the first session.
    first: Mutex<Option<Interpreter>>,
}

impl Model for TfliteModel {
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
            None => Interpreter::new(Arc::clone(&self.loaded), self.settings, &[])?,
        };
        Ok(Box::new(TfliteSession::new(Arc::clone(&self.loaded), self.settings, interpreter)?))
    }
}
