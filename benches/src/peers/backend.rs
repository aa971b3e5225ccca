//! Peers that are backends of this workspace and run in this process.

use std::sync::Arc;

use image_embedder_backend::Backend;
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{litert_library, tflite_library};

use super::{Entrant, Peer, Side};
use crate::Result;
use crate::agreement::Rule;
use crate::model::{ModelFile, Numbers};
use crate::running::{Running, compile};

/// A backend with what it must have in common with the native engine.
#[derive(Debug)]
pub struct BackendPeer {
    name: &'static str,
    version: String,
    backend: Arc<dyn Backend>,
    rule: fn(Numbers) -> Rule,
}

impl BackendPeer {
    /// The TensorFlow Lite C library with XNNPACK.
    ///
    /// # Errors
    ///
    /// If the library cannot be loaded or lacks XNNPACK.
    pub fn tflite() -> Result<Self> {
        let mut options = TfliteOptions::default();
        options.library_path = Some(tflite_library());
        let backend = TfliteBackend::new(options);
        if !backend.uses_xnnpack()? {
            return Err("expected a TensorFlow Lite library with XNNPACK, found one without".into());
        }
        Ok(Self {
            name: "tflite",
            version: format!("TensorFlow Lite {} with XNNPACK", backend.version()?),
            backend: Arc::new(backend),
            rule: same_kernels,
        })
    }

    /// LiteRT's library with XNNPACK.
    ///
    /// # Errors
    ///
    /// If the library cannot be loaded.
    pub fn litert() -> Result<Self> {
        let mut options = LitertOptions::default();
        options.library_path = Some(litert_library());
        let backend = LitertBackend::new(options);
        backend.check()?;
        Ok(Self {
            name: "litert",
            version: "LiteRT 2.3 with XNNPACK".to_owned(),
            backend: Arc::new(backend),
            rule: same_kernels,
        })
    }

    /// tract.
    #[cfg(feature = "tract")]
    #[must_use]
    pub fn tract() -> Self {
        Self {
            name: "tract",
            version: "tract".to_owned(),
            backend: Arc::new(image_embedder_backend_tract::TractBackend),
            rule: |numbers| match numbers {
                Numbers::Float => Rule::Cosine(0.999_999),
                Numbers::Quantized | Numbers::DynamicRange => Rule::Cosine(0.9995),
            },
        }
    }

    /// The backend, for measurements other than of inferences.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }
}

/// What XNNPACK has in common with the native engine.
fn same_kernels(numbers: Numbers) -> Rule {
    match numbers {
        Numbers::Quantized => Rule::Equal,
        Numbers::Float => Rule::WithinOfLargest(1e-5),
        // A rounding of a sum moves whole steps of activations that are quantised later.
        Numbers::DynamicRange => Rule::Cosine(0.9995),
    }
}

impl Peer for BackendPeer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn side(&self) -> Side {
        Side::Tensors
    }

    fn rule(&self, numbers: Numbers) -> Rule {
        (self.rule)(numbers)
    }

    fn enter(&mut self, model: &ModelFile, threads: usize) -> Result<Box<dyn Entrant + '_>> {
        let model = compile(self.backend.as_ref(), model.bytes.clone(), threads)?;
        Ok(Box::new(Running::new(model.as_ref())?))
    }
}
