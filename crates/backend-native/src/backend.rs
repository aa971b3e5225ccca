//! The entry point: compiling a model.

use std::sync::Arc;

use image_embedder_backend::{Arithmetic, Backend, BackendError, CompileOptions, Model, ModelData};

use crate::graph::Graph;
use crate::model::NativeModel;
use crate::plan::Target;
use crate::simd::{Isa, NumericMode, SimdLevel};
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
    numeric_mode: NumericMode,
    shares_everything: bool,
}

impl NativeBackend {
    /// The engine with its defaults.
    pub const fn new() -> Self {
        Self { level: None, numeric_mode: NumericMode::Strict, shares_everything: false }
    }

    /// The engine held to one instruction-set level, for tests and measurements.
    ///
    /// Compiling with it is an error where the processor lacks the level.
    pub const fn with_simd_level(level: SimdLevel) -> Self {
        Self { level: Some(level), ..Self::new() }
    }

    /// The engine in the given mode.
    #[must_use]
    pub const fn numeric_mode(self, numeric_mode: NumericMode) -> Self {
        Self { numeric_mode, ..self }
    }

    /// The engine with every step divided between its threads, even where that costs more than it
    /// gains; for tests.
    #[must_use]
    pub const fn share_everything(self) -> Self {
        Self { shares_everything: true, ..self }
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

    fn arithmetic(&self) -> Arithmetic {
        let own = match self.numeric_mode {
            NumericMode::Strict => Arithmetic::own(NAME),
            NumericMode::Fast => Arithmetic::own(format!("{NAME} fast")),
        };
        own.with_integers(Arithmetic::XNNPACK_INTEGERS)
    }

    fn compile(
        &self,
        model: ModelData,
        options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        let target = Target {
            isa: self.isa()?.in_mode(self.numeric_mode),
            shares_everything: self.shares_everything,
        };
        let graph = Graph::read(&model)?;
        let unsupported = ops::unsupported(&graph);
        if !unsupported.is_empty() {
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: unsupported,
            });
        }
        Ok(Arc::new(NativeModel::new(graph, target, options.num_threads)?))
    }
}
