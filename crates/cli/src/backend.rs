//! The backends that this program was built with.

use std::sync::Arc;

use clap::ValueEnum;
use image_embedder::backend::Backend;

use crate::arguments::LibraryArguments;

/// A backend by name; the first is the default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum BackendName {
    /// The pure-Rust engine.
    #[cfg(feature = "native")]
    #[default]
    Native,
    /// The TensorFlow Lite C library.
    #[cfg(feature = "tflite")]
    #[cfg_attr(not(feature = "native"), default)]
    Tflite,
    /// The tract engine.
    #[cfg(feature = "tract")]
    #[cfg_attr(not(any(feature = "native", feature = "tflite")), default)]
    Tract,
}

impl BackendName {
    pub(crate) fn backend(self, library: &LibraryArguments) -> Arc<dyn Backend> {
        match self {
            #[cfg(feature = "native")]
            Self::Native => Arc::new(image_embedder::native::NativeBackend::new()),
            #[cfg(feature = "tflite")]
            Self::Tflite => {
                use image_embedder::tflite::{TfliteBackend, TfliteOptions};

                let mut options = TfliteOptions::default();
                options.library_path.clone_from(&library.tflite_library);
                Arc::new(TfliteBackend::new(options))
            }
            #[cfg(feature = "tract")]
            Self::Tract => Arc::new(image_embedder::tract::TractBackend),
        }
    }
}
