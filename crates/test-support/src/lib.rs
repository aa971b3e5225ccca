//! Where this workspace's tests find their data.
//!
//! Three kinds of files, three lookups, and none of them ever skips: a test whose data is missing
//! panics with the command that brings it.
//!
//! | Data | Kept in | Lookup |
//! | --- | --- | --- |
//! | committed fixtures | `fixtures/` | [`fixture`] |
//! | models too large to commit | `.cache/models/`, filled by `cargo xtask fetch models` | [`model`] |
//! | what the reference implementation computed | the folder named by [`REFERENCE_VARIABLE`] | [`reference()`] |
#![forbid(unsafe_code)]

mod c_compiler;
mod foreign_libraries;
mod lookup;
pub mod model_builder;
mod program;

pub use c_compiler::shared_library;
pub use foreign_libraries::{litert_library, tflite_library};
pub use lookup::{REFERENCE_VARIABLE, fixture, model, reference, workspace_root};
pub use program::program;
