//! tract behind the [`Backend`](image_embedder_backend::Backend) interface.
//!
//! [`TractBackend`] runs models in [tract](https://docs.rs/tract-tflite), a pure-Rust inference
//! engine, on every platform that Rust has and without a library to install. It is taken as it
//! is: it knows a part of TensorFlow Lite's operators, and what it does not know is refused when
//! the model is compiled.
//!
//! - Shapes are those of the model file; a dimension that the model leaves open stays as the file
//!   has it.
//! - An inference uses one thread, whatever
//!   [`CompileOptions`](image_embedder_backend::CompileOptions) ask for.
//! - 8-bit models are computed with tract's rounding, which is not TensorFlow Lite's.
//! - `MEAN` works on 32-bit floats only. tract-tflite 0.23.9 rounds it to whole numbers, which
//!   this crate corrects in the translated graph.
//!
//! tract checks much of a model with assertions. A panic inside it is caught and becomes
//! [`BackendError::Runtime`](image_embedder_backend::BackendError::Runtime); the program's panic
//! hook still sees it, and a program built with `panic = "abort"` ends.
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
mod description;
mod failure;
mod mean;
mod operators;
mod session;

pub use backend::TractBackend;

/// The name of the backend in options and errors.
const NAME: &str = "tract";
