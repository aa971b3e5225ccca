//! The backend and its compiled models.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use image_embedder_backend::{
    Arithmetic, Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};

use crate::NAME;
use crate::delegate::DelegateLibrary;
use crate::fallback::Fallback;
use crate::interpreter::{Interpreter, InterpreterSettings, Side};
use crate::library::TfliteLibrary;
use crate::loaded_model::LoadedModel;
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
    fallback: Arc<Fallback>,
}

impl TfliteBackend {
    /// A backend with the given options; does not load the library yet.
    pub fn new(options: TfliteOptions) -> Self {
        let fallback = Arc::new(Fallback::new(
            options.fallback_on_compilation_error,
            options.fallback_on_execution_error,
        ));
        Self { options, library: Mutex::new(None), fallback }
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

    fn delegates(&self) -> Result<Arc<[DelegateLibrary]>, BackendError> {
        self.options.delegates.iter().map(DelegateLibrary::open).collect()
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
        self.delegates()?;
        self.library().map(drop)
    }

    /// With delegates it is the name of their libraries, with their options; where models may go
    /// on without them, the numbers may be others than the name says.
    fn arithmetic(&self) -> Arithmetic {
        let xnnpack = self.uses_xnnpack().unwrap_or(self.options.xnnpack);
        let mut name = NAME.to_owned();
        if !xnnpack {
            name.push_str(" without xnnpack");
        }
        for delegate in &self.options.delegates {
            let file = delegate.library_path.file_name().unwrap_or_default();
            name = format!("{name} with {:?} {:?}", file, delegate.options);
        }
        let own = Arithmetic::own(name);
        // On other processors XNNPACK rounds otherwise.
        if xnnpack && self.options.delegates.is_empty() && cfg!(target_arch = "x86_64") {
            return own.with_integers(Arithmetic::XNNPACK_INTEGERS);
        }
        own
    }

    fn last_fallback(&self) -> Option<BackendError> {
        self.fallback.last()
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let mut settings = InterpreterSettings {
            num_threads: options.num_threads,
            xnnpack: self.options.xnnpack,
            delegates: self.delegates()?,
            fallback: Arc::clone(&self.fallback),
        };
        let loaded = Arc::new(LoadedModel::new(self.library()?, model)?);
        // Operators are looked up by interpreters only, so one is made here for its errors.
        let first = Interpreter::new(&loaded, &mut settings, &[])?;
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
        let mut settings = self.settings.clone();
        let interpreter = match first {
            Some(interpreter) => interpreter,
            None => Interpreter::new(&self.loaded, &mut settings, &[])?,
        };
        Ok(Box::new(TfliteSession::new(Arc::clone(&self.loaded), settings, interpreter)?))
    }
}
