//! What the library says while it works, caught where it says it.

#![allow(unsafe_code, reason = "the library calls back with C's variable arguments")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys;

/// The most text that is kept of what the library reports, in bytes.
const MAX_REPORT: usize = 1 << 16;

/// What the library reports while it works for one owner.
#[derive(Debug, Default)]
pub(crate) struct Report(Mutex<String>);

impl Report {
    fn add(&self, message: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + message.len() < MAX_REPORT {
            text.push_str(message.trim_end());
            text.push('\n');
        }
    }

    /// All messages since the last call, one a line.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The address by which [`report`] finds this report.
    pub(crate) fn user_data(self: &Arc<Self>) -> *mut c_void {
        Arc::as_ptr(self).cast_mut().cast()
    }
}

/// The callback behind every error reporter.
///
/// # Safety
///
/// `user_data` comes from [`Report::user_data`] and the report is alive; `format` and `arguments`
/// are those of a `vprintf` call.
pub(crate) unsafe extern "C" fn report(
    user_data: *mut c_void,
    format: *const c_char,
    arguments: sys::VaList,
) {
    // SAFETY: the caller promises that this is a live report; it is only ever shared.
    let report = unsafe { &*user_data.cast_const().cast::<Report>() };
    // SAFETY: the caller promises that the two belong together.
    let message = unsafe { formatted(format, arguments) };
    report.add(&message);
}

/// The message of a `vprintf` call, up to 4095 bytes.
///
/// # Safety
///
/// `format` is a C string and `arguments` the `va_list` for it, not yet read from.
#[cfg(all(unix, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
unsafe fn formatted(format: *const c_char, arguments: sys::VaList) -> String {
    let mut buffer = [0_u8; 4096];
    // SAFETY: the size is the buffer's, the rest is the caller's promise, and on these
    // architectures a `va_list` parameter is one word, as the type says.
    let length = unsafe {
        sys::vsnprintf(buffer.as_mut_ptr().cast::<c_char>(), buffer.len(), format, arguments)
    };
    if length < 0 {
        // SAFETY: the caller promises a C string.
        return unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned();
    }
    let message = CStr::from_bytes_until_nul(&buffer).unwrap_or_default();
    message.to_string_lossy().into_owned()
}

/// The bare format string of a `vprintf` call, where the shape of a `va_list` is not known.
///
/// # Safety
///
/// `format` is a C string.
#[cfg(not(all(unix, any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm"))))]
unsafe fn formatted(format: *const c_char, _arguments: sys::VaList) -> String {
    // SAFETY: the caller promises a C string.
    unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned()
}
