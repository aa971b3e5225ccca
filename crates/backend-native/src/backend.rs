//! The entry point: compiling a model.

use std::sync::Arc;

use image_embedder_backend::{Arithmetic, Backend, BackendError, CompileOptions, Model, ModelData};

use crate::graph::Graph;
use crate::model::NativeModel;
use crate::plan::Target;
use crate::profile::Profile;
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

    /// Times every step of a model, as the median of `runs` runs (at least one) on inputs of noise.
    ///
    /// ```no_run
    /// use image_embedder_backend::{CompileOptions, ModelData};
    /// use image_embedder_backend_native::NativeBackend;
    ///
    /// let model = ModelData::from(std::fs::read("model.tflite")?);
    /// let profile = NativeBackend::new().profile(model, &CompileOptions::default(), 50)?;
    /// for step in &profile.steps {
    ///     println!("{} {:?}: {:?}", step.operator, step.output_shape, step.time);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`compile`](Backend::compile), and [`BackendError::Runtime`] if a step fails.
    pub fn profile(
        &self,
        model: ModelData,
        options: &CompileOptions,
        runs: usize,
    ) -> Result<Profile, BackendError> {
        let model = self.compile_natively(&model, options)?;
        Profile::new(&model, self.simd_level(), self.isa()?, runs)
    }

    /// The instruction-set level that models are compiled for.
    pub fn simd_level(&self) -> SimdLevel {
        self.level.unwrap_or_else(SimdLevel::detect)
    }

    fn isa(&self) -> Result<Isa, BackendError> {
        let level = self.simd_level();
        Isa::new(level).ok_or_else(|| BackendError::Unavailable {
            backend: NAME.to_owned(),
            reason: format!("this processor lacks the instructions of the level {level}"),
        })
    }

    fn compile_natively(
        &self,
        model: &ModelData,
        options: &CompileOptions,
    ) -> Result<NativeModel, BackendError> {
        let target = Target {
            isa: self.isa()?.in_mode(self.numeric_mode),
            shares_everything: self.shares_everything,
        };
        let graph = Graph::read(model)?;
        let unsupported = ops::unsupported(&graph);
        if !unsupported.is_empty() {
            return Err(BackendError::UnsupportedOperators {
                backend: NAME.to_owned(),
                operators: unsupported,
            });
        }
        NativeModel::new(graph, target, options.num_threads)
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
        Ok(Arc::new(self.compile_natively(&model, options)?))
    }
}
