//! The fixed-point arithmetic of TensorFlow Lite's 8-bit operators, bit for bit.
//!
//! A [`FixedPoint`] stands for a real factor that whole numbers are multiplied by; [`HardSwish`] is
//! an operator that computes in 16 bits throughout.
#![forbid(unsafe_code)]

mod hard_swish;
mod high_product;
mod multiplier;

pub use hard_swish::HardSwish;
pub use multiplier::FixedPoint;
