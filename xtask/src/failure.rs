//! Why a task stopped, as a sentence for the person who ran it.

use std::fmt::{self, Display};

/// A message that says what was attempted and what went wrong.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that reads `message`.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Says what was attempted when an outside error arrives.
pub(crate) trait Context<T> {
    /// Turns an error into a [`Failure`] that reads `<attempt>: <error>`.
    fn context(self, attempt: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, attempt: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("{}: {error}", attempt())))
    }
}
