//! Stopping an interpreter that runs on another thread.

#![allow(unsafe_code, reason = "a foreign function is called here")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::sys;

/// Where a session's present run can be stopped.
#[derive(Debug, Default)]
pub(crate) struct Canceller(Mutex<Option<Running>>);

/// A run that is under way.
struct Running {
    interpreter: NonNull<sys::Interpreter>,
    /// `None` where the library cannot stop: the run then goes to its end, for nothing.
    cancel: Option<unsafe extern "C" fn(*const sys::Interpreter) -> sys::Status>,
    cancelled: bool,
}

// SAFETY: `TfLiteInterpreterCancel`, the one function that is called through the address, may be
// called from any thread.
unsafe impl Send for Running {}

impl Canceller {
    /// Says that the interpreter is about to run; it must live until [`finish`](Self::finish).
    pub(crate) fn start(
        &self,
        interpreter: NonNull<sys::Interpreter>,
        cancel: Option<unsafe extern "C" fn(*const sys::Interpreter) -> sys::Status>,
    ) {
        let running = Running { interpreter, cancel, cancelled: false };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// Says that the run has ended, and tells whether somebody stopped it.
    pub(crate) fn finish(&self) -> bool {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        running.is_some_and(|running| running.cancelled)
    }

    /// Stops the run that is under way, if there is one.
    pub(crate) fn cancel(&self) {
        // The lock keeps the run from finishing, and with it the interpreter alive.
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &mut *running {
            running.cancelled = true;
            if let Some(cancel) = running.cancel {
                // SAFETY: the interpreter is alive until `finish`. A failure, which the library
                // reports, leaves the run as it is; its result is dropped all the same.
                unsafe { cancel(running.interpreter.as_ptr()) };
            }
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}
