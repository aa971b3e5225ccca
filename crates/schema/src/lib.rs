//! Verified readers and writers for the two flatbuffers of a TensorFlow Lite model file.
//!
//! - [`tflite`]: the model itself (identifier `TFL3`): tensors, operators, buffers.
//! - [`metadata`]: TFLite Metadata (identifier `M001`), which travels in a buffer of the model.
//!
//! Each table `T` has a borrowed view `T<'a>`, which only a verified root can hand out, and an
//! owned twin `TT` (the name that flatbuffers gives its object interface) that can be built by
//! hand, packed, and unpacked from a view.
//!
//! The crate takes bytes and returns data. Hostile bytes give a [`SchemaError`]; the work is
//! bounded by [`MAX_TABLES`], [`MAX_DEPTH`] and a small multiple of the file's size.
//!
//! ```
//! use image_embedder_schema::tflite::{ModelT, read_model};
//!
//! let bytes = ModelT { version: 3, description: Some("tiny".into()), ..ModelT::default() }.to_bytes();
//! let model = read_model(&bytes)?;
//! assert_eq!(model.description(), Some("tiny"));
//! # Ok::<(), image_embedder_schema::SchemaError>(())
//! ```

mod builtin_operator;
mod error;
mod list;
#[macro_use]
mod table;
pub mod metadata;
pub mod tflite;

pub use error::SchemaError;
pub use list::List;

/// The most tables that a flatbuffer may reach, counted with repetition.
pub const MAX_TABLES: usize = 1_000_000;

/// The deepest nesting of tables.
pub const MAX_DEPTH: usize = 64;
