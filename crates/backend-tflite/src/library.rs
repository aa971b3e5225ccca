//! Finds and loads the TensorFlow Lite C library.

#![allow(unsafe_code, reason = "loading a library runs its code")]

use std::ffi::CStr;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use image_embedder_backend::{BackendError, MissingSymbol, library_places};
use libloading::Library;

use crate::NAME;
use crate::options::LIBRARY_VARIABLE;
use crate::sys::{CancellationFunctions, Functions, ReportingFunctions, XnnpackFunctions};

/// The library's file name on this platform.
const FILE_NAME: &str = if cfg!(windows) {
    "tensorflowlite_c.dll"
} else if cfg!(target_vendor = "apple") {
    "libtensorflowlite_c.dylib"
} else {
    "libtensorflowlite_c.so"
};

/// What to do when the library is missing.
const ADVICE: &str = "put the TensorFlow Lite C library there, name it in \
                      IMAGE_EMBEDDER_TFLITE_LIBRARY, or run: cargo xtask fetch tflite";

/// A loaded TensorFlow Lite C library.
pub(crate) struct TfliteLibrary {
    path: PathBuf,
    pub(crate) functions: Functions,
    pub(crate) reporting: Option<ReportingFunctions>,
    pub(crate) cancellation: Option<CancellationFunctions>,
    pub(crate) xnnpack: Option<XnnpackFunctions>,
}

impl TfliteLibrary {
    /// Loads the library from `explicit`, else from the place in the environment, else from the
    /// first usual place that has it.
    pub(crate) fn open(explicit: Option<&Path>) -> Result<Self, BackendError> {
        let places = library_places(explicit, LIBRARY_VARIABLE, FILE_NAME);
        let mut reason = String::from("TensorFlow Lite C library not found; searched");
        for place in places {
            match Self::load(&place) {
                Ok(library) => return Ok(library),
                Err(LoadError::Loader(error)) => {
                    // Writing to a string does not fail.
                    let _ = write!(reason, "\n  {}: {error}", place.display());
                }
                Err(LoadError::Symbol(missing)) => {
                    let _ = write!(
                        reason,
                        "\n  {}: symbol {} is missing: {}",
                        place.display(),
                        missing.symbol,
                        missing.reason
                    );
                }
            }
        }
        let _ = write!(reason, "\n{ADVICE}");
        Err(BackendError::Unavailable { backend: NAME.to_owned(), reason })
    }

    fn load(path: &Path) -> Result<Self, LoadError> {
        // SAFETY: the initialisers of a TensorFlow Lite library construct its C++ statics and ask
        // nothing of the caller. That the file is such a library is what its name, or the user
        // who chose it, says; there is no way to look inside without loading it.
        let library = unsafe { Library::new(path) }.map_err(LoadError::Loader)?;
        // SAFETY: as above; the library is never closed once this has succeeded.
        let functions = unsafe { Functions::load(&library) }.map_err(LoadError::Symbol)?;
        // SAFETY: as for the functions above.
        let reporting = unsafe { ReportingFunctions::load(&library) }.ok();
        // SAFETY: as for the functions above.
        let cancellation = unsafe { CancellationFunctions::load(&library) }.ok();
        // SAFETY: as for the functions above.
        let xnnpack = unsafe { XnnpackFunctions::load(&library) }.ok();
        // TensorFlow Lite registers thread-local destructors, and its threads may outlive the last
        // interpreter by a moment: closing the library would take their code away.
        std::mem::forget(library);
        Ok(Self { path: path.to_owned(), functions, reporting, cancellation, xnnpack })
    }

    /// Where the library was found: a path, or a bare name that the system's loader resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The library's version, such as `2.17.1`.
    pub(crate) fn version(&self) -> String {
        // SAFETY: the function takes nothing and returns a static string that ends in zero.
        let version = unsafe { CStr::from_ptr((self.functions.version)()) };
        version.to_string_lossy().into_owned()
    }
}

impl fmt::Debug for TfliteLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TfliteLibrary")
            .field("path", &self.path)
            .field("version", &self.version())
            .field("xnnpack", &self.xnnpack.is_some())
            .finish()
    }
}

/// Why one file could not be used.
enum LoadError {
    Loader(libloading::Error),
    Symbol(MissingSymbol),
}
