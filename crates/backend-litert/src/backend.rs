//! The backend and its opened models.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use image_embedder_backend::{
    Arithmetic, Backend, BackendError, CompileOptions, Model, ModelData, Session, TensorSpec,
};

use crate::NAME;
use crate::compiled::Settings;
use crate::library::LitertLibrary;
use crate::loaded_model::LoadedModel;
use crate::options::LitertOptions;
use crate::session::LitertSession;

/// The backend that runs models in LiteRT, on the processor.
///
/// The library is loaded when it is first needed; if that fails, the next call tries again.
///
/// An inference uses at most 256 threads, however many [`CompileOptions`] ask for.
#[derive(Debug)]
pub struct LitertBackend {
    options: LitertOptions,
    library: Mutex<Option<Arc<LitertLibrary>>>,
}

impl LitertBackend {
    /// A backend with the given options; does not load the library yet.
    pub fn new(options: LitertOptions) -> Self {
        Self { options, library: Mutex::new(None) }
    }

    /// The library in use: a path, or a bare file name that the system's loader resolved.
    ///
    /// # Errors
    ///
    /// [`BackendError::Unavailable`] if the library cannot be loaded.
    pub fn library_path(&self) -> Result<PathBuf, BackendError> {
        Ok(self.library()?.path().to_owned())
    }

    fn library(&self) -> Result<Arc<LitertLibrary>, BackendError> {
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*library {
            return Ok(Arc::clone(library));
        }
        let loaded = Arc::new(LitertLibrary::open(self.options.library_path.as_deref())?);
        *library = Some(Arc::clone(&loaded));
        Ok(loaded)
    }
}

impl Backend for LitertBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        self.library().map(drop)
    }

    fn arithmetic(&self) -> Arithmetic {
        match self.options.xnnpack {
            true => Arithmetic::own(NAME),
            false => Arithmetic::own(format!("{NAME} without xnnpack")),
        }
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let settings = Settings { num_threads: options.num_threads, xnnpack: self.options.xnnpack };
        let loaded = Arc::new(LoadedModel::new(self.library()?, model)?);
        // A model is looked at closely when it is compiled only, so that is done here once.
        let first = LitertSession::new(Arc::clone(&loaded), settings)?;
        Ok(Arc::new(LitertModel {
            inputs: first.inputs().to_vec(),
            outputs: first.outputs().to_vec(),
            loaded,
            settings,
            first: Mutex::new(Some(first)),
        }))
    }
}

/// A model that the library has opened.
#[derive(Debug)]
struct LitertModel {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    loaded: Arc<LoadedModel>,
    settings: Settings,
    /// The first session.
    first: Mutex<Option<LitertSession>>,
}

impl Model for LitertModel {
    fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    fn session(&self) -> Result<Box<dyn Session>, BackendError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(match first {
            Some(session) => session,
            None => LitertSession::new(Arc::clone(&self.loaded), self.settings)?,
        }))
    }
}
