//! What every inference backend must compute: cases, the results they must have, and a runner.
//!
//! Swapping backends changes speed, not results. Each [`Case`] is a small model with its inputs,
//! built here from a seed; the results that it must have are those of TensorFlow Lite with XNNPACK,
//! frozen into `fixtures/golden/conformance` so that the suite runs without that library. A
//! backend's test calls [`run`] with the [`Exception`]s that it is known to make, and the runner
//! fails for every other difference and for every exception that has become untrue.
//!
//! ```text
//! cases::all(seed) --TensorFlow Lite--> Golden --freeze--> fixtures/golden/conformance
//!        |                                 |
//!        +------------- run(backend) ------+--> Report
//! ```
//!
//! Cases have names of the form `<operator>_<numbers>_<variant>`, where the numbers are `f32`;
//! `f16w` (binary16 weights); `dynamic` and `dynamic_pc` (floats with 8-bit weights, scaled per
//! tensor or per channel); `u8`; `i8` and `i8_pc` (all 8-bit, weights scaled per tensor or per
//! channel).
//!
//! After a change of the cases: `cargo run -p image-embedder-backend-conformance --bin freeze`.
#![forbid(unsafe_code)]

mod case;
pub mod cases;
mod compare;
mod execute;
pub mod golden;
mod graph;
mod layers;
mod random;
mod runner;

pub use case::{Case, Elements, Tensor};
pub use compare::{Tolerance, compare};
pub use execute::execute;
pub use golden::Golden;
pub use random::fnv1a;
pub use runner::{Exception, Expectation, Report, run};

/// The seed of the frozen cases.
pub const FROZEN_SEED: u64 = 1;
