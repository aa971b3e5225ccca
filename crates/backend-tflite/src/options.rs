//! What a caller may ask of the TensorFlow Lite backend.

use std::path::PathBuf;

/// The environment variable that names the library file when no path is given in the options.
pub const LIBRARY_VARIABLE: &str = "IMAGE_EMBEDDER_TFLITE_LIBRARY";

/// Options of a [`TfliteBackend`](crate::TfliteBackend).
///
/// ```
/// use image_embedder_backend_tflite::TfliteOptions;
///
/// let mut options = TfliteOptions::default();
/// options.library_path = Some("/opt/tflite/libtensorflowlite_c.so".into());
/// assert!(options.xnnpack);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TfliteOptions {
    /// The library file. If given, no other place is searched.
    ///
    /// If `None`, the file in the environment variable [`LIBRARY_VARIABLE`] is taken, and only
    /// that if the variable is set and not empty; else the library's usual name
    /// (`libtensorflowlite_c.so`, `libtensorflowlite_c.dylib` or `tensorflowlite_c.dll`) is given
    /// to the system's loader, then looked for beside the running program, then in the usual
    /// library folders of the platform.
    pub library_path: Option<PathBuf>,
    /// Whether to ask for XNNPACK kernels where the library exports them.
    ///
    /// Without them the backend adds no delegate. A library that was built with XNNPACK as its
    /// own default may then still use it.
    pub xnnpack: bool,
}

impl Default for TfliteOptions {
    /// The library from wherever it is found, with XNNPACK.
    fn default() -> Self {
        Self { library_path: None, xnnpack: true }
    }
}
