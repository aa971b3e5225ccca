//! Resizing, one module for each mode, each with its own order of the stages.

pub(crate) mod media_pipe;
pub(crate) mod quality;
pub(crate) mod task_library;
