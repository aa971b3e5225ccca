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
//! version from 2.5 on, the system's own included. What later versions export is used where it is
//! there: reasons for refused models, stopping, and an XNNPACK delegate whose options tell their
//! size (2.17.1 does; without one the builtin kernels run). [`TfliteOptions::library_path`] tells where it is
//! looked for.
//!
//! Building TensorFlow Lite along with the program is the alternative, which
//! `image-embedder-backend-tflite-vendored` takes through the crate `tflite` (0.9.8). That compiles
//! TensorFlow 1.15 with libclang in some minutes and has no XNNPACK: it is 10 to 150 times slower,
//! for instance 108 ms against 9.9 ms for one inference of MobileNetV1 1.0 with 8-bit weights on
//! one x86-64 thread.
//!
//! A loaded library stays loaded until the process ends.
//!
//! # Models that nobody vouches for
//!
//! This crate verifies the structure of a model before the library sees it, and refuses a
//! `DEPTHWISE_CONV_2D` of two operands, whose kernels read a bias that is not there. The library
//! checks much of the numbers inside, but not all: whoever takes models from strangers should know
//! that the kernels are C++.
//!
//! # Delegates
//!
//! [`TfliteOptions::delegates`] names libraries with delegates for other processors (Coral, Arm
//! NN, QNN and whatever else comes as a TensorFlow Lite external delegate). If one cannot be made,
//! refuses the model or fails in a run, that is an error, unless the options allow to go on
//! without: [`TfliteOptions::fallback_on_compilation_error`] and
//! [`TfliteOptions::fallback_on_execution_error`], which have the meaning of the `FallbackSettings`
//! of the TensorFlow Lite Task Library. NNAPI and GPU delegates that are built into a library of
//! TensorFlow Lite rather than exported by one of their own cannot be named so.
//!
//! # Stopping a run
//!
//! [`Session::cancellation`](image_embedder_backend::Session::cancellation) stops a run between two
//! operators, from version 2.11 on. Operators that XNNPACK or another delegate has taken are one:
//! the run goes on to their end, and its result is dropped.
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
mod cancel;
mod delegate;
mod diagnostics;
mod fallback;
mod interpreter;
mod library;
mod loaded_model;
mod model_facts;
mod options;
mod report;
mod session;
mod sys;

pub use backend::TfliteBackend;
pub use options::{ExternalDelegate, LIBRARY_VARIABLE, TfliteOptions};

/// The name of the backend in options and errors.
const NAME: &str = "tflite";
