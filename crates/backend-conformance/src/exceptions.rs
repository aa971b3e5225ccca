//! What backends are known to do otherwise, where more than one test needs to know.

use crate::Exception;

/// What the native engine does otherwise than TensorFlow Lite.
pub const NATIVE: &[Exception] = &[
    Exception::refused(
        "batch_matmul_i8_*",
        "image models multiply 8-bit activations by weights only",
    ),
    Exception::refused("div_u8_same", "image models divide floats only"),
    Exception::refused("rsqrt_i8_sweep", "image models take roots of floats only"),
    Exception::refused("cast_*_to_i32", "whole numbers are known when a plan is made"),
    Exception::refused("cast_i32_to_*", "whole numbers are known when a plan is made"),
];
