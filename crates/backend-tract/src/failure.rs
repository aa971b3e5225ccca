//! Turns tract's errors and panics into typed errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image_embedder_backend::BackendError;
use tract_core::prelude::TractError;

use crate::NAME;

/// The most characters that are kept of one of tract's messages, which may dump whole tensors.
const MAX_MESSAGE: usize = 300;

/// Runs `work`, in which tract may panic.
///
/// Whatever `work` changes must be thrown away if it fails.
pub(crate) fn guarded<T>(
    action: &str,
    work: impl FnOnce() -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(runtime_error(format!("{action} panicked: {}", panic_text(panic.as_ref()))))
    })
}

/// One of tract's errors: what was going on, and the error with its causes, outermost first.
pub(crate) fn tract_error(action: &str, error: &TractError) -> BackendError {
    let causes: Vec<String> = error.chain().map(|cause| shortened(&cause.to_string())).collect();
    runtime_error(format!("{action} failed: {}", causes.join(": ")))
}

/// A failure of the runtime.
pub(crate) fn runtime_error(message: impl Into<String>) -> BackendError {
    BackendError::Runtime { backend: NAME.to_owned(), message: message.into() }
}

/// An error about the model's content.
pub(crate) fn invalid(reason: impl Into<String>) -> BackendError {
    BackendError::InvalidModel { reason: reason.into() }
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
        let error = TractError::msg("the cause").context("first\n  line");
        assert_eq!(
            tract_error("compiling", &error),
            runtime_error("compiling failed: first line: the cause")
        );
    }

    #[test]
    fn dumps_are_cut() {
        let dump = "0.125, ".repeat(1000);
        let short = shortened(&dump);
        assert!(short.ends_with(" …") && short.chars().count() <= MAX_MESSAGE + 2, "{short}");
    }
}
