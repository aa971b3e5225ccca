//! Finds and loads the TensorFlow Lite C library.

#![allow(unsafe_code, reason = "loading a library runs its code")]

use std::env;
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use image_embedder_backend::BackendError;
use libloading::Library;

use crate::options::LIBRARY_VARIABLE;
use crate::sys::{Functions, ReportingFunctions, SignatureFunctions, XnnpackFunctions};
use crate::{NAME, sys};

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
    pub(crate) signature: Option<SignatureFunctions>,
    pub(crate) xnnpack: Option<XnnpackFunctions>,
}

impl TfliteLibrary {
    /// Loads the library from `explicit`, else from the place in the environment, else from the
    /// first usual place that has it.
    pub(crate) fn open(explicit: Option<&Path>) -> Result<Self, BackendError> {
        let places = match explicit {
            Some(path) => vec![path.to_owned()],
            None => match env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()) {
                Some(path) => vec![PathBuf::from(path)],
                None => usual_places(),
            },
        };
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
        let signature = unsafe { SignatureFunctions::load(&library) }.ok();
        // SAFETY: as for the functions above.
        let xnnpack = unsafe { XnnpackFunctions::load(&library) }.ok();
        // TensorFlow Lite registers thread-local destructors, and its threads may outlive the last
        // interpreter by a moment: closing the library would take their code away.
        std::mem::forget(library);
        Ok(Self { path: path.to_owned(), functions, reporting, signature, xnnpack })
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
    Symbol(sys::MissingSymbol),
}

/// The places that are searched when nobody names one, in order.
fn usual_places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(FILE_NAME)];
    let beside_program = env::current_exe().ok().and_then(|program| {
        let folder = program.parent()?;
        Some(folder.join(FILE_NAME))
    });
    places.extend(beside_program);
    if cfg!(unix) {
        places.push(Path::new("/usr/local/lib").join(FILE_NAME));
        places.push(Path::new("/usr/lib").join(FILE_NAME));
    }
    if cfg!(target_vendor = "apple") {
        places.push(Path::new("/opt/homebrew/lib").join(FILE_NAME));
    }
    if cfg!(target_os = "linux") {
        places.push(Path::new("/usr/lib64").join(FILE_NAME));
        if let Some(tuple) = multiarch_tuple() {
            places.push(Path::new("/usr/lib").join(tuple).join(FILE_NAME));
        }
    }
    places
}

/// The folder name that Debian and its relatives give this architecture.
fn multiarch_tuple() -> Option<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Some("x86_64-linux-gnu"),
        "aarch64" => Some("aarch64-linux-gnu"),
        "arm" => Some("arm-linux-gnueabihf"),
        "riscv64" => Some("riscv64-linux-gnu"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_places_are_absolute_but_the_loader_name() {
        let places = usual_places();
        assert_eq!(places.first().map(PathBuf::as_path), Some(Path::new(FILE_NAME)));
        let absolute = places.iter().skip(1).filter(|place| place.is_absolute()).count();
        assert_eq!(absolute, places.len() - 1);
        assert!(absolute >= 1, "{places:?}");
    }
}
