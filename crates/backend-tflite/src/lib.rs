//! TensorFlow Lite behind the [`Backend`](image_embedder_backend::Backend) interface.
//!
//! [`TfliteBackend`] runs models in the TensorFlow Lite C library, the runtime that the models
//! were made for, with its XNNPACK kernels.
//!
//! # The library is loaded at run time
//!
//! The crate links nothing: it opens `libtensorflowlite_c` when the first model is compiled (or
//! at [`check`](image_embedder_backend::Backend::check)), so that a program which can use this
//! backend builds and starts on machines that lack the library, and the library may be any
//! version that exports the stable C API. [`TfliteOptions::library_path`] tells where it is
//! looked for.
//!
//! Building TensorFlow Lite along with the program is the alternative. The `tflite` crate
//! (0.9.8) does so; it is not the base of this crate because it compiles TensorFlow 1.15 with
//! libclang, takes about three minutes to build, and has no XNNPACK: it is 10 to 150 times
//! slower, for instance 108 ms against 9.9 ms for one inference of MobileNetV1 1.0 with 8-bit
//! weights on one x86-64 thread.
//!
//! A loaded library stays loaded until the process ends.
//!
//! # Models that nobody vouches for
//!
//! The library verifies the structure of a model before it reads it (2.17.1 does; early versions
//! do not), but not every number inside. This crate refuses whatever lacks the file identifier of
//! TensorFlow Lite and hands everything else over. Whoever takes models from strangers must verify
//! them first, as the `image-embedder` facade does, and should know that the kernels are C++.
//!
//! # Output of the library
//!
//! Errors carry TensorFlow Lite's own words. The library itself may write a notice to standard
//! error when it first creates its XNNPACK delegate; its C API has no switch for that.
//!
//! # Example
//!
//! ```no_run
//! use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
//! use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
//!
//! let backend = TfliteBackend::new(TfliteOptions::default());
//! let bytes = std::fs::read("embedder.tflite")?;
//! let model = backend.compile(ModelData::from(bytes), &CompileOptions::default())?;
//! let mut session = model.session()?;
//! let input = vec![0_u8; 224 * 224 * 3];
//! let mut output = vec![0_u8; 1024];
//! session.run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut output)])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod backend;
mod diagnostics;
mod interpreter;
mod library;
mod model_bytes;
mod options;
mod session;
mod sys;

pub use backend::TfliteBackend;
pub use options::{LIBRARY_VARIABLE, TfliteOptions};

/// The name of the backend in options and errors.
const NAME: &str = "tflite";
