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
//! value. By default ([`NumericMode::Strict`]) they too are the same bytes on every machine: sums
//! run in a fixed order with fused multiply-additions, and exponentials and their like are the
//! engine's own. Only the bits of a NaN are the processor's.
//!
//! # Threads
//!
//! A model has as many threads as it is compiled for. A run that is alone has all of them; runs of
//! several sessions at a time divide them among themselves. A step is computed in parts where that
//! takes less time, and results do not depend on the parts.
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
mod profile;
mod session;
mod simd;
mod slots;
mod threads;

pub use backend::NativeBackend;
pub use profile::{Peak, Profile, StepProfile};
pub use simd::{NumericMode, SimdLevel};

/// The name by which errors and users know this backend.
const NAME: &str = "native";
