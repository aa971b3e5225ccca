//! The entry point: compiling a model.

use std::sync::Arc;

use image_embedder_backend::{Backend, BackendError, CompileOptions, Model, ModelData};

use crate::graph::Graph;
use crate::model::NativeModel;
use crate::{NAME, ops};

/// The pure-Rust engine; available everywhere.
///
/// ```
/// use image_embedder_backend::Backend;
/// use image_embedder_backend_native::NativeBackend;
///
/// assert!(NativeBackend::new().check().is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct NativeBackend {
    _private: (),
}

impl NativeBackend {
    /// The engine with its defaults.
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Backend for NativeBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn compile(
        &self,
        model: ModelData,
        _options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let graph = Graph::read(&model)?;
        let unsupported = ops::unsupported(&graph);
        if !unsupported.is_empty() {
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: unsupported,
            });
        }
        Ok(Arc::new(NativeModel::new(graph)?))
    }
}
