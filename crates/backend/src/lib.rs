//! The interface between an image embedder and whatever runs its model.
//!
//! Three stages, each a trait: a [`Backend`] compiles model bytes into a [`Model`], which is
//! shared between threads; a model opens a [`Session`], one per thread, which runs inferences in
//! buffers that the caller owns. All three are object-safe, so a backend is a value that is
//! chosen at run time, and none of them names a type of a particular runtime.
//!
//! ```text
//! Backend --compile(ModelData)--> Model (Send + Sync) --session()--> Session (Send)
//! ```
//!
//! Elements of 16-bit floats are [`half::f16`], which is exported here so that a user of this
//! crate need not depend on `half`.
//!
//! The crate knows tensors and nothing of images, files or the network.
#![forbid(unsafe_code)]

mod arithmetic;
mod backend;
mod cancellation;
mod check;
mod dtype;
mod error;
mod foreign_functions;
mod library_places;
mod model;
mod model_data;
mod options;
mod quantization;
mod session;
mod tensor;

pub use arithmetic::Arithmetic;
pub use backend::Backend;
pub use cancellation::{Cancellation, CancellationFlag};
pub use check::{check_count, check_inputs, check_outputs, resized_shapes};
pub use dtype::DType;
pub use error::BackendError;
pub use foreign_functions::MissingSymbol;
pub use half::f16;
pub use library_places::library_places;
pub use model::Model;
pub use model_data::ModelData;
pub use options::CompileOptions;
pub use quantization::Quantization;
pub use session::Session;
pub use tensor::{Dimension, TensorSpec, TensorView, TensorViewMut};
