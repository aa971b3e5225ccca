//! Delegates: XNNPACK's, which the library exports, and those of other libraries.

#![allow(unsafe_code, reason = "foreign functions are called here")]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::path::PathBuf;
use std::ptr::NonNull;

use image_embedder_backend::{BackendError, MissingSymbol};
use libloading::Library;

use crate::library::TfliteLibrary;
use crate::options::ExternalDelegate;
use crate::sys::DelegateFunctions;
use crate::{NAME, diagnostics, sys};

/// A delegate of an interpreter, which it must outlive.
pub(crate) struct Delegate {
    raw: NonNull<sys::Delegate>,
    delete: unsafe extern "C" fn(*mut sys::Delegate),
}

impl Delegate {
    /// An XNNPACK delegate with the given number of threads; `None` if the library does not
    /// export it.
    pub(crate) fn xnnpack(
        library: &TfliteLibrary,
        num_threads: i32,
    ) -> Result<Option<Self>, BackendError> {
        let Some(functions) = &library.xnnpack else {
            return Ok(None);
        };
        // SAFETY: the function takes nothing; `XnnpackOptions` says why its result fits.
        let mut options = unsafe { (functions.options_default)() };
        options.num_threads = num_threads;
        // SAFETY: the options are the library's own but for the number of threads.
        let raw = unsafe { (functions.create)(&options) };
        let Some(raw) = NonNull::new(raw) else {
            return Err(diagnostics::runtime_error("creating an XNNPACK delegate", ""));
        };
        let delegate = Self { raw, delete: functions.delete };
        // SAFETY: the delegate is alive.
        let options = unsafe { (functions.options_of)(raw.as_ptr()) };
        // SAFETY: if not null, the address is of the delegate's options, which begin with this.
        let found = unsafe { options.as_ref() };
        if found != Some(&num_threads) {
            let text = format!("expected options for {num_threads} threads, found {found:?}");
            return Err(diagnostics::runtime_error("creating an XNNPACK delegate", &text));
        }
        Ok(Some(delegate))
    }

    /// The library's delegate, alive as long as this.
    pub(crate) fn as_ptr(&self) -> *mut sys::Delegate {
        self.raw.as_ptr()
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        // SAFETY: the delegate is this owner's, and the interpreter that used it is gone.
        unsafe { (self.delete)(self.raw.as_ptr()) };
    }
}

/// A loaded library that makes delegates, with the options to make them with.
pub(crate) struct DelegateLibrary {
    path: PathBuf,
    functions: DelegateFunctions,
    /// The names and the values of the options.
    options: [Vec<CString>; 2],
}

impl DelegateLibrary {
    /// Loads the library and checks the options.
    pub(crate) fn open(delegate: &ExternalDelegate) -> Result<Self, BackendError> {
        let path = &delegate.library_path;
        let unavailable = |reason: String| BackendError::Unavailable {
            backend: NAME.to_owned(),
            reason: format!("delegate library {}: {reason}", path.display()),
        };
        let mut options = [Vec::new(), Vec::new()];
        for (name, value) in &delegate.options {
            for (texts, text) in options.iter_mut().zip([name, value]) {
                texts.push(CString::new(text.as_str()).map_err(|_| {
                    unavailable(format!(
                        "option {}: expected text without zero bytes",
                        name.escape_default()
                    ))
                })?);
            }
        }
        // SAFETY: the initialisers of a delegate library ask nothing of the caller. That the file
        // is such a library is what the user who named it says.
        let library =
            unsafe { Library::new(path) }.map_err(|error| unavailable(error.to_string()))?;
        // SAFETY: as above; the library is never closed once this has succeeded.
        let functions = unsafe { DelegateFunctions::load(&library) }.map_err(
            |MissingSymbol { symbol, reason }| {
                unavailable(format!("symbol {symbol} is missing: {reason}"))
            },
        )?;
        // Drivers behind delegates keep threads and thread-local destructors.
        std::mem::forget(library);
        Ok(Self { path: path.clone(), functions, options })
    }

    /// Makes a delegate with the options.
    pub(crate) fn delegate(&self) -> Result<Delegate, BackendError> {
        let [names, values] = self.options.each_ref().map(|texts| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).collect()
        });
        REPORTED.take();
        // SAFETY: both arrays have as many C strings as the call says, and they outlive it.
        let raw = unsafe {
            (self.functions.create)(names.as_ptr(), values.as_ptr(), names.len(), report)
        };
        let text = REPORTED.take();
        match NonNull::new(raw) {
            Some(raw) => Ok(Delegate { raw, delete: self.functions.destroy }),
            None => {
                let action = format!("creating the delegate of {}", self.path.display());
                Err(diagnostics::runtime_error(&action, &text))
            }
        }
    }
}

impl fmt::Debug for DelegateLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegateLibrary")
            .field("path", &self.path)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// What a library reports while it makes a delegate; its callback carries no address.
    static REPORTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The callback for errors of a delegate library.
///
/// # Safety
///
/// `message` is null or a C string.
unsafe extern "C" fn report(message: *const c_char) {
    if message.is_null() {
        return;
    }
    // SAFETY: the caller promises a C string.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    // A thread that is ending has no place to keep it.
    let _ = REPORTED.try_with(|text| {
        let mut text = text.borrow_mut();
        text.push_str(message.trim_end());
        text.push('\n');
    });
}
