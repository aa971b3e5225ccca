//! A pure-Rust inference engine for TensorFlow Lite image models.
//!
//! [`NativeBackend`] implements the [`Backend`](image_embedder_backend::Backend) interface with
//! nothing installed. It runs the operators of image feature-vector models in float32, with
//! float16 or 8-bit weights, and fully quantised.
//!
//! # Numerics
//!
//! Quantised results are those of TensorFlow Lite with its XNNPACK delegate on x86-64, bit for
//! bit, on every machine: convolutions accumulate in 32-bit integers and requantise in float32,
//! additions use XNNPACK's fixed-point multipliers, and the operators that XNNPACK leaves to
//! TensorFlow Lite follow its builtin kernels. Float results agree to about 1e-6 of the largest
//! value; sums run in a fixed order, so they are the same on every run.
//!
//! # How a model becomes a plan
//!
//! ```text
//! bytes --graph--> Graph --plan--> Plan (steps over slots) --session--> results
//! ```
//!
//! [`graph`](self) reads and checks the flatbuffer, `plan` infers shapes, folds constants and
//! turns every remaining operator into a step with packed weights, and a session owns the slots
//! that the steps read and write. Signed 8-bit tensors are held as unsigned ones, 128 higher.

mod aligned;
mod backend;
mod fold;
mod graph;
mod kernels;
mod model;
mod operator;
mod ops;
mod parts;
mod plan;
mod session;
mod simd;
mod slots;
mod threads;

pub use backend::NativeBackend;
pub use simd::SimdLevel;

/// The name by which errors and users know this backend.
const NAME: &str = "native";
