//! The affine quantisation of a tensor.

/// Per-tensor affine quantisation.
///
/// ```text
/// real = scale * (quantized - zero_point)
/// ```
///
/// Source: TensorFlow Lite 8-bit quantization specification.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// The real step between two neighbouring quantised values.
    pub scale: f32,
    /// The quantised value that stands for zero.
    pub zero_point: i32,
}

impl Quantization {
    /// A quantisation of the given scale and zero point.
    pub const fn new(scale: f32, zero_point: i32) -> Self {
        Self { scale, zero_point }
    }
}
