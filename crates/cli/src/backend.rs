//! The backends that `--backend` may name.

use std::sync::Arc;

use clap::ValueEnum;
use image_embedder::backend::{Backend, BackendError, CompileOptions, Model, ModelData};

use crate::arguments::LibraryArguments;

/// A backend by name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum BackendName {
    /// The pure-Rust engine.
    #[default]
    Native,
    /// The TensorFlow Lite C library.
    Tflite,
    /// LiteRT.
    Litert,
    /// The tract engine.
    Tract,
}

impl BackendName {
    /// The backend, or one that says how to build the program with it.
    pub(crate) fn backend(self, library: &LibraryArguments) -> Arc<dyn Backend> {
        match self {
            #[cfg(feature = "native")]
            Self::Native => Arc::new(library.native.backend()),
            #[cfg(feature = "tflite")]
            Self::Tflite => {
                use image_embedder::tflite::TfliteBackend;

                Arc::new(TfliteBackend::new(tflite_options(library)))
            }
            #[cfg(feature = "litert")]
            Self::Litert => {
                use image_embedder::litert::{LitertBackend, LitertOptions};

                let mut options = LitertOptions::default();
                options.library_path.clone_from(&library.litert_library);
                options.xnnpack = !library.no_xnnpack;
                Arc::new(LitertBackend::new(options))
            }
            #[cfg(feature = "tract")]
            Self::Tract => Arc::new(image_embedder::tract::TractBackend),
            #[allow(unreachable_patterns, reason = "with every feature no backend is left out")]
            left_out => {
                // Without the feature of the library its path has no reader.
                let _ = library;
                Arc::new(LeftOut(left_out))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Tflite => "tflite",
            Self::Litert => "litert",
            Self::Tract => "tract",
        }
    }
}

#[cfg(feature = "tflite")]
fn tflite_options(library: &LibraryArguments) -> image_embedder::tflite::TfliteOptions {
    use image_embedder::tflite::{ExternalDelegate, TfliteOptions};

    let arguments = &library.tflite;
    let mut options = TfliteOptions::default();
    options.library_path.clone_from(&arguments.tflite_library);
    options.xnnpack = !library.no_xnnpack;
    options.delegates.extend(arguments.delegate.as_ref().map(|library| {
        let mut delegate = ExternalDelegate::new(library);
        delegate.options.clone_from(&arguments.delegate_option);
        delegate
    }));
    options.fallback_on_compilation_error = arguments.delegate_fallback;
    options.fallback_on_execution_error = arguments.delegate_fallback;
    options
}

/// A backend that this program was built without.
#[derive(Debug)]
struct LeftOut(BackendName);

impl Backend for LeftOut {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn check(&self) -> Result<(), BackendError> {
        Err(self.unavailable())
    }

    fn compile(
        &self,
        _model: ModelData,
        _options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        Err(self.unavailable())
    }
}

impl LeftOut {
    fn unavailable(&self) -> BackendError {
        let name = self.0.name();
        BackendError::Unavailable {
            backend: name.to_owned(),
            reason: format!("this imgembed was built without it: build it with --features {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_says_how_to_get_it() {
        let error = LeftOut(BackendName::Tract).check().unwrap_err().to_string();
        assert!(error.contains("--features tract"), "{error}");
    }
}
