//! What a caller may ask of the TensorFlow Lite backend.

use std::path::PathBuf;

/// The environment variable that names the library file when no path is given in the options.
pub const LIBRARY_VARIABLE: &str = "IMAGE_EMBEDDER_TFLITE_LIBRARY";

/// Options of a [`TfliteBackend`](crate::TfliteBackend).
///
/// ```
/// use image_embedder_backend_tflite::{ExternalDelegate, TfliteOptions};
///
/// let mut options = TfliteOptions::default();
/// options.library_path = Some("/opt/tflite/libtensorflowlite_c.so".into());
/// assert!(options.xnnpack);
///
/// let coral = ExternalDelegate::new("libedgetpu.so.1").with_option("device", "usb");
/// options.delegates.push(coral);
/// options.fallback_on_compilation_error = true;
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
    /// Without them the backend adds no delegate of its own. A library that was built with XNNPACK
    /// as its own default may then still use it.
    pub xnnpack: bool,
    /// Delegates for other processors, each from a library of its own. In their order they take
    /// the operators that they can run, XNNPACK takes some of the rest, and the library's builtin
    /// kernels run what is left.
    pub delegates: Vec<ExternalDelegate>,
    /// Whether a model runs without [`delegates`](Self::delegates) if one of them cannot be made
    /// or refuses the model, instead of being refused.
    ///
    /// [`Backend::last_fallback`](image_embedder_backend::Backend::last_fallback) tells what
    /// happened.
    /// A delegate library that cannot be loaded is an error in any case.
    pub fallback_on_compilation_error: bool,
    /// Whether an inference in which [`delegates`](Self::delegates) fail is repeated without
    /// them, and the session goes on so, instead of failing.
    pub fallback_on_execution_error: bool,
}

impl Default for TfliteOptions {
    /// The library from wherever it is found, with XNNPACK, without other delegates.
    fn default() -> Self {
        Self {
            library_path: None,
            xnnpack: true,
            delegates: Vec::new(),
            fallback_on_compilation_error: false,
            fallback_on_execution_error: false,
        }
    }
}

/// A delegate in a shared library, by TensorFlow Lite's interface for external delegates: the
/// functions `tflite_plugin_create_delegate` and `tflite_plugin_destroy_delegate`.
///
/// Libraries for Coral, Arm NN, Ethos, QNN and others come in this form. Each session makes a
/// delegate of its own.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExternalDelegate {
    /// The library: a path, or a bare name for the system's loader.
    pub library_path: PathBuf,
    /// Names and values as the library's documentation has them, without zero bytes.
    pub options: Vec<(String, String)>,
}

impl ExternalDelegate {
    /// A delegate of that library, without options.
    pub fn new(library_path: impl Into<PathBuf>) -> Self {
        Self { library_path: library_path.into(), options: Vec::new() }
    }

    /// The same with one more option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((name.into(), value.into()));
        self
    }
}
