//! Runs TensorFlow Lite models in [tract](https://github.com/sonos/tract), an inference engine in
//! pure Rust.
//!
//! tract runs on every platform that Rust has and without a library to install. It knows floats;
//! this crate reads the model file, builds tract's graph for it and keeps the arithmetic of
//! TensorFlow Lite:
//!
//! - 8-bit tensors are held as floats that count steps, which are whole numbers. Their products
//!   and sums are exact up to 2^24, and what becomes of them follows the formulas of XNNPACK and of
//!   TensorFlow Lite's builtin kernels, so results are those of TensorFlow Lite or, where a larger
//!   sum is rounded, one step beside them.
//! - Weights of 8 bits in float models, and those of 16-bit floats, are taken as TensorFlow Lite
//!   takes them.
//! - The graph is built for the shapes of the inputs; a session that is resized builds its own.
//! - An inference uses one thread, whatever
//!   [`CompileOptions`](image_embedder_backend::CompileOptions) ask for.
//! - What has no translation is refused by name when the model is compiled.
//!
//! tract checks much of a graph with assertions. A panic inside it is caught and becomes
//! [`BackendError::Runtime`](image_embedder_backend::BackendError::Runtime); the program's panic
//! hook still sees it, and a program built with `panic = "abort"` ends.
//!
//! ```text
//! bytes --model_file--> ModelFile --graph_builder + translate/--> tract's graph --backend--> Plan
//! ```
//!
//! # Example
//!
//! ```no_run
//! use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
//! use image_embedder_backend_tract::TractBackend;
//!
//! let bytes = std::fs::read("embedder.tflite")?;
//! let model = TractBackend.compile(ModelData::from(bytes), &CompileOptions::default())?;
//! let mut session = model.session()?;
//! let input = vec![0.0; 224 * 224 * 3];
//! let mut output = vec![0.0; 1024];
//! session.run(&[TensorView::Float32(&input)], &mut [TensorViewMut::Float32(&mut output)])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod backend;
mod broadcast;
mod failure;
mod graph_builder;
mod model_file;
mod operation;
mod session;
mod steps;
mod translate;

pub use backend::TractBackend;

/// The name of the backend in options and errors.
const NAME: &str = "tract";
