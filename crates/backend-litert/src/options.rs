//! What a caller may ask of the LiteRT backend.

use std::path::PathBuf;

/// The environment variable that names the library file when no path is given in the options.
pub const LIBRARY_VARIABLE: &str = "IMAGE_EMBEDDER_LITERT_LIBRARY";

/// Options of a [`LitertBackend`](crate::LitertBackend).
///
/// ```
/// use image_embedder_backend_litert::LitertOptions;
///
/// let mut options = LitertOptions::default();
/// options.library_path = Some("/opt/litert/libLiteRt.so".into());
/// assert!(options.xnnpack);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LitertOptions {
    /// The library file. If given, no other place is searched.
    ///
    /// If `None`, the file in the environment variable [`LIBRARY_VARIABLE`] is taken, and only
    /// that if the variable is set and not empty; else the library's usual name (`libLiteRt.so`,
    /// `libLiteRt.dylib` or `libLiteRt.dll`) is given to the system's loader, then looked for
    /// beside the running program, then in the usual library folders of the platform.
    pub library_path: Option<PathBuf>,
    /// Whether XNNPACK runs what it can; else the builtin kernels run everything.
    pub xnnpack: bool,
}

impl Default for LitertOptions {
    /// The library from wherever it is found, with XNNPACK.
    fn default() -> Self {
        Self { library_path: None, xnnpack: true }
    }
}
