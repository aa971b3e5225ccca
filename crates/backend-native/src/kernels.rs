//! Arithmetic on slices: what steps do, apart from shapes and operands.

pub(crate) mod add_bytes;
pub(crate) mod comparison;
pub(crate) mod depthwise_bytes;
pub(crate) mod depthwise_f32;
pub(crate) mod dynamic_range;
pub(crate) mod elementary;
pub(crate) mod fused;
pub(crate) mod matrix_bytes;
pub(crate) mod matrix_f32;
pub(crate) mod panels;
pub(crate) mod requantize;
