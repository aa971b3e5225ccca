//! Turns tract's errors and panics into typed errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image_embedder_backend::BackendError;
use tract_tflite::prelude::TractError;

use crate::NAME;

/// The most characters that are kept of one of tract's messages, which may dump whole tensors.
const MAX_MESSAGE: usize = 300;

/// Runs `work`, in which tract may panic.
///
/// Whatever `work` changes must be thrown away if it fails.
pub(crate) fn guarded<T>(
    action: &str,
    work: impl FnOnce() -> Result<T, TractError>,
) -> Result<T, BackendError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(runtime_error(&format!("{action} failed: {}", text(&error)))),
        Err(panic) => {
            Err(runtime_error(&format!("{action} panicked: {}", panic_text(panic.as_ref()))))
        }
    }
}

/// A failure of the runtime.
pub(crate) fn runtime_error(message: &str) -> BackendError {
    BackendError::Runtime { backend: NAME.to_owned(), message: message.to_owned() }
}

/// The error and its causes, outermost first.
pub(crate) fn text(error: &TractError) -> String {
    let messages: Vec<String> = error.chain().map(|cause| shortened(&cause.to_string())).collect();
    messages.join(": ")
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shortened(message.unwrap_or("no message"))
}

/// The message on one line and not longer than fits.
fn shortened(message: &str) -> String {
    let mut short = String::new();
    let mut count = 0;
    for word in message.split_whitespace() {
        count += word.chars().count() + 1;
        if count > MAX_MESSAGE {
            short.push_str(" …");
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        let error = guarded::<()>("compiling", || panic!("no {}", "luck")).unwrap_err();
        assert_eq!(error, runtime_error("compiling panicked: no luck"));
    }

    #[test]
    fn errors_keep_their_causes() {
        let error = guarded::<()>("compiling", || {
            Err(TractError::msg("the cause").context("first\n  line"))
        });
        assert_eq!(error.unwrap_err(), runtime_error("compiling failed: first line: the cause"));
    }

    #[test]
    fn dumps_are_cut() {
        let dump = "0.125, ".repeat(1000);
        let short = shortened(&dump);
        assert!(short.ends_with(" …") && short.chars().count() <= MAX_MESSAGE + 2, "{short}");
    }
}
