//! What a caller may ask of a backend.

/// Options that every backend understands.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompileOptions {
    /// Threads inside one inference, at least one. A backend that has no threads ignores it.
    pub num_threads: usize,
}

impl CompileOptions {
    /// Options for the given number of threads inside one inference.
    pub const fn with_num_threads(num_threads: usize) -> Self {
        Self { num_threads }
    }
}

impl Default for CompileOptions {
    /// One thread.
    fn default() -> Self {
        Self::with_num_threads(1)
    }
}
