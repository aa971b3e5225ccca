//! Finds and loads LiteRT's library.

#![allow(unsafe_code, reason = "loading a library runs its code")]

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image_embedder_backend::{BackendError, MissingSymbol, library_places};
use libloading::Library;

use crate::options::LIBRARY_VARIABLE;
use crate::status::check;
use crate::sys::{EnvironmentOption, Functions};
use crate::{NAME, sys};

/// The library's file name on this platform.
const FILE_NAME: &str = if cfg!(windows) {
    "libLiteRt.dll"
} else if cfg!(target_vendor = "apple") {
    "libLiteRt.dylib"
} else {
    "libLiteRt.so"
};

/// What to do when the library is missing.
const ADVICE: &str = "put LiteRT's library there, name it in IMAGE_EMBEDDER_LITERT_LIBRARY, or \
                      run: cargo xtask fetch litert";

/// A loaded library with its environment, both of which stay until the process ends.
pub(crate) struct LitertLibrary {
    path: PathBuf,
    pub(crate) functions: Functions,
    environment: NonNull<sys::Environment>,
    /// Held while models are made, compiled and taken down.
    making: Mutex<()>,
}

// SAFETY: an environment has no tie to the thread that made it; what changes it is called with
// the lock held.
unsafe impl Send for LitertLibrary {}
// SAFETY: as above.
unsafe impl Sync for LitertLibrary {}

impl LitertLibrary {
    /// Loads the library from the first place that has it, and makes an environment.
    pub(crate) fn open(explicit: Option<&Path>) -> Result<Self, BackendError> {
        let mut reason = String::from("LiteRT library not found; searched");
        for place in library_places(explicit, LIBRARY_VARIABLE, FILE_NAME) {
            let words = match Self::load(&place) {
                Ok(functions) => return Self::with_environment(place, functions),
                Err(words) => words,
            };
            // Writing to a string does not fail.
            let _ = write!(reason, "\n  {}: {words}", place.display());
        }
        let _ = write!(reason, "\n{ADVICE}");
        Err(BackendError::Unavailable { backend: NAME.to_owned(), reason })
    }

    fn load(path: &Path) -> Result<Functions, String> {
        // SAFETY: the initialisers of a LiteRT library construct its C++ statics and ask nothing
        // of the caller. That the file is such a library is what its name, or the user who chose
        // it, says; there is no way to look inside without loading it.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        // SAFETY: as above; the library is never closed once this has succeeded.
        let functions =
            unsafe { Functions::load(&library) }.map_err(|MissingSymbol { symbol, reason }| {
                format!("symbol {symbol} is missing: {reason}")
            })?;
        // Its threads and thread-local destructors may outlive the last model by a moment.
        std::mem::forget(library);
        Ok(functions)
    }

    fn with_environment(path: PathBuf, functions: Functions) -> Result<Self, BackendError> {
        let options = [
            EnvironmentOption::integer(sys::AUTO_REGISTER_ACCELERATORS, sys::CPU.into()),
            EnvironmentOption::integer(sys::MIN_LOGGER_SEVERITY, sys::SILENT),
        ];
        let mut environment = ptr::null_mut();
        // SAFETY: there are as many options as the call says; the pointer is to a local.
        let status = unsafe {
            (functions.create_environment)(options.len() as i32, options.as_ptr(), &mut environment)
        };
        check("creating an environment", status, String::new)?;
        match NonNull::new(environment) {
            Some(environment) => Ok(Self { path, functions, environment, making: Mutex::new(()) }),
            None => Err(crate::status::failure("creating an environment gave none")),
        }
    }

    /// Where the library was found: a path, or a bare name that the system's loader resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The environment of everything that this library makes.
    pub(crate) fn environment(&self) -> *mut sys::Environment {
        self.environment.as_ptr()
    }

    /// The right to make, compile or take down a model.
    pub(crate) fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LitertLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LitertLibrary").field("path", &self.path).finish_non_exhaustive()
    }
}
