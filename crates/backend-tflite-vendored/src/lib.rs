//! TensorFlow Lite, built from source, behind the
//! [`Backend`](image_embedder_backend::Backend) interface.
//!
//! For places where no TensorFlow Lite library is to be had and the models must run in TensorFlow
//! Lite itself: the `tflite` crate (0.9.8) compiles TensorFlow 1.15 into the program. Building it
//! needs `make`, a C++ compiler, libclang and several minutes, which is why this package is a
//! workspace of its own; `cargo xtask ci vendored` builds and tests it.
//!
//! # Old and slow
//!
//! TensorFlow 1.15 is of 2019. It has no XNNPACK: MobileNetV1 1.0 with 8-bit weights takes 108 ms
//! where TensorFlow Lite 2.17 takes 9.9 ms, on one x86-64 thread. It rounds 8-bit results
//! otherwise than XNNPACK, mostly by no more than one step, and it lacks operators, element types
//! and options that later converters write; `tests/conformance.rs` lists what. Nothing in this
//! workspace chooses it by default. Prefer the native engine, or `image-embedder-backend-tflite`
//! with a shared library.
//!
//! # What is refused
//!
//! TensorFlow 1.15 does not look at much of a model before it runs it. This crate verifies the
//! structure of the file, and refuses by name the operators, versions and options that TensorFlow
//! 1.15 does not have, or of which it is known that they end the process or read memory that is not
//! theirs, and some that give wrong numbers in silence ([`BackendError::UnsupportedOperators`]). It
//! does not find everything: whoever takes models from strangers should know that the kernels are
//! C++.
//!
//! These are known to give wrong numbers and are not refused:
//!
//! - `LEAKY_RELU` of bytes, which keeps the slope of the first model that the process runs;
//! - `MEAN` of signed bytes over other than height and width, or over those of several images
//!   without keeping the dimensions;
//! - `MUL` of bytes whose inputs broadcast in turn, as 1x4x1x8 and 1x1x5x1 do;
//! - `PAD` and `PADV2` of signed bytes in less than four dimensions;
//! - `QUANTIZE` of floats that are more than 2³¹ of its steps from zero, which wraps around.
//!
//! What a kernel itself refuses is a [`BackendError::Runtime`]. TensorFlow Lite writes its reason
//! to standard error; the `tflite` crate has no way to catch it.
//!
//! # Sessions
//!
//! The sessions of a model share its bytes. A session that is resized has a copy of the model with
//! other input shapes, because the `tflite` crate cannot resize. A run cannot be stopped.
//!
//! # Example
//!
//! An embedder takes the backend by value:
//!
//! ```
//! use std::sync::Arc;
//!
//! use image_embedder::{ImageEmbedder, ImageEmbedderOptions, bundled_model};
//! use image_embedder_backend_tflite_vendored::VendoredTfliteBackend;
//!
//! let backend = Arc::new(VendoredTfliteBackend::new());
//! let embedder =
//!     ImageEmbedder::from_bytes(bundled_model(), ImageEmbedderOptions::with_backend(backend))?;
//! assert_eq!(embedder.number_of_outputs(), 1);
//! # Ok::<(), image_embedder::Error>(())
//! ```
//!
//! [`BackendError::UnsupportedOperators`]: image_embedder_backend::BackendError::UnsupportedOperators
//! [`BackendError::Runtime`]: image_embedder_backend::BackendError::Runtime

#![forbid(unsafe_code)]

mod backend;
mod interpreter;
mod loaded_model;
mod model_file;
mod operators;
mod session;

pub use backend::VendoredTfliteBackend;

/// The name of the backend in options and errors.
const NAME: &str = "tflite-vendored";
