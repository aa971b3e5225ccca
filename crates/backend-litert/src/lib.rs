//! LiteRT behind the [`Backend`](image_embedder_backend::Backend) interface.
//!
//! [`LitertBackend`] runs models in LiteRT, which TensorFlow Lite has become, by the C API of its
//! `CompiledModel`. The library is that of the Python wheel `ai-edge-litert` 2.3.0, `libLiteRt.so`,
//! which has no functions of the TensorFlow Lite C API: those are in `image-embedder-backend-tflite`.
//!
//! # The library is loaded at run time
//!
//! The crate links nothing: it opens `libLiteRt` when the first model is compiled (or at
//! [`check`](image_embedder_backend::Backend::check)). [`LitertOptions::library_path`] tells where
//! it is looked for. A loaded library stays loaded until the process ends, with one environment.
//!
//! The API has no version to ask for and has changed between releases: opening a model takes the
//! environment first in 2.3, and did not in 2.0. Take the release that is named above.
//!
//! # What the API does not allow
//!
//! - It names no operator that it lacks and gives no reason for a model that it refuses: errors
//!   carry a status, with words only once a model is compiled. The reasons are in its log, which
//!   goes to standard error and is silenced here. Custom operators, which it never has, are refused
//!   by name beforehand.
//! - It runs signatures, not graphs. A model without any is given one; of the others, one must
//!   have all inputs and outputs of the first subgraph.
//! - Outputs whose shape depends on values cannot be read: it tells shapes before a run.
//! - A tensor that is several outputs, or an input and an output, has one memory in a run. Here each
//!   is read and written as if it had its own.
//! - Sessions share the model file but not the weights that XNNPACK packs: each compiles its own.
//! - It has no external delegates by path; accelerators of its own (GPU, NPU) come as plug-ins that
//!   the wheel has for a few platforms, and are not used.
//!
//! # Models that nobody vouches for
//!
//! This crate verifies the structure of a model before the library sees it, and refuses a
//! `DEPTHWISE_CONV_2D` of two operands, as `image-embedder-backend-tflite` does: the kernels of
//! TensorFlow Lite read a bias that is not there. Whoever takes models from strangers should know
//! that the kernels are C++.
//!
//! # Output of the library
//!
//! It may write a notice to standard error when it first creates its XNNPACK delegate.
//!
//! # Example
//!
//! ```no_run
//! use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
//! use image_embedder_backend_litert::{LitertBackend, LitertOptions};
//!
//! let backend = LitertBackend::new(LitertOptions::default());
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
mod compiled;
mod graph;
mod library;
mod loaded_model;
mod options;
mod session;
mod status;
mod sys;

pub use backend::LitertBackend;
pub use options::{LIBRARY_VARIABLE, LitertOptions};

/// The name of the backend in options and errors.
const NAME: &str = "litert";
