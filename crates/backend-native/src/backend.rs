//! The entry point: compiling a model.

use std::sync::Arc;

use image_embedder_backend::{Backend, BackendError, CompileOptions, Model, ModelData};

use crate::graph::Graph;
use crate::model::NativeModel;
use crate::simd::{Isa, SimdLevel};
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
    level: Option<SimdLevel>,
}

impl NativeBackend {
    /// The engine with its defaults.
    pub const fn new() -> Self {
        Self { level: None }
    }

    /// The engine held to one instruction-set level, for tests and measurements.
    ///
    /// Compiling with it is an error where the processor lacks the level.
    pub const fn with_simd_level(level: SimdLevel) -> Self {
        Self { level: Some(level) }
    }

    fn isa(&self) -> Result<Isa, BackendError> {
        let level = self.level.unwrap_or_else(SimdLevel::detect);
        Isa::new(level).ok_or_else(|| BackendError::Unavailable {
            backend: NAME.to_owned(),
            reason: format!("this processor lacks the instructions of the level {level}"),
        })
    }
}

impl Backend for NativeBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<(), BackendError> {
        self.isa().map(|_| ())
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let isa = self.isa()?;
        let graph = Graph::read(&model)?;
        let unsupported = ops::unsupported(&graph);
        if !unsupported.is_empty() {
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: unsupported,
            });
        }
        Ok(Arc::new(NativeModel::new(graph, isa, options.num_threads)?))
    }
}
