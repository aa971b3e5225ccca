//! Options of an embedder.

use std::sync::Arc;

use image_embedder_backend::Backend;
use image_embedder_embedding::QuantizeMode;
use image_embedder_metadata::NormalizationOptions;
use image_embedder_preprocess::PreprocessOptions;

/// Options of an [`ImageEmbedder`](crate::ImageEmbedder).
///
/// ```
/// # #[cfg(feature = "native")] {
/// use image_embedder::ImageEmbedderOptions;
/// use image_embedder::embedding::QuantizeMode;
///
/// let mut options = ImageEmbedderOptions::default();
/// options.l2_normalize = true;
/// options.quantize = QuantizeMode::PerVector;
/// # }
/// ```
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ImageEmbedderOptions {
    /// What runs the model.
    pub backend: Arc<dyn Backend>,
    /// Whether feature vectors are scaled to length one. A vector of zeros stays as it is.
    pub l2_normalize: bool,
    /// Whether and how feature vectors are made smaller, after any shortening and normalisation.
    ///
    /// [`QuantizeMode::Fixed`] is the `quantize` of the TensorFlow Lite Task Library, and
    /// `true.into()` is the same.
    pub quantize: QuantizeMode,
    /// Keeps only that many elements at the start of each feature vector, at least one.
    ///
    /// It comes before normalisation: with [`l2_normalize`](Self::l2_normalize), the shortened
    /// vector has length one. It suits models that were trained for it.
    pub dimension: Option<usize>,
    /// Threads inside one inference, at least one. A backend without threads ignores it.
    pub num_threads: usize,
    /// How a frame becomes the pixels that the model takes.
    pub preprocess: PreprocessOptions,
    /// How pixels become the numbers that the model takes, instead of what its metadata says.
    ///
    /// Float models without metadata need it. An 8-bit input is then quantised with the scale and
    /// zero point of its tensor; without this option a uint8 input takes the pixels as they are.
    pub normalization: Option<NormalizationOptions>,
}

impl ImageEmbedderOptions {
    /// Options with the given backend and, for the rest, the defaults: one thread, feature
    /// vectors as the model gives them, preprocessing as in the TensorFlow Lite Task Library.
    pub fn with_backend(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            l2_normalize: false,
            quantize: QuantizeMode::None,
            dimension: None,
            num_threads: 1,
            preprocess: PreprocessOptions::default(),
            normalization: None,
        }
    }
}

#[cfg(feature = "native")]
impl Default for ImageEmbedderOptions {
    /// The native backend, one thread, feature vectors as the model gives them, preprocessing as
    /// in the TensorFlow Lite Task Library.
    fn default() -> Self {
        Self::with_backend(Arc::new(image_embedder_backend_native::NativeBackend::new()))
    }
}
