//! The arithmetic of 8-bit tensors, which are held as floats that count steps from zero.
//!
//! ```text
//! held = byte - zero_point,  real = scale * held
//! ```
//!
//! All held values are whole numbers that a float represents exactly, and so are sums of products
//! of them up to 2^24.

/// How a result is bounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Activation {
    None,
    Relu,
    ReluN1To1,
    Relu6,
}

impl Activation {
    /// The least and the largest real result.
    pub(crate) fn range(self) -> (f32, f32) {
        match self {
            Self::None => (f32::NEG_INFINITY, f32::INFINITY),
            Self::Relu => (0.0, f32::INFINITY),
            Self::ReluN1To1 => (-1.0, 1.0),
            Self::Relu6 => (0.0, 6.0),
        }
    }
}

/// The quantisation of a tensor of bytes by one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) scale: f32,
    /// The byte that stands for zero, in the model's own type.
    pub(crate) zero_point: i32,
    /// The least byte: -128 or 0.
    pub(crate) least: i32,
}

impl Steps {
    pub(crate) fn is_signed(&self) -> bool {
        self.least != 0
    }

    /// The held values that an activation leaves.
    ///
    /// The bounds are quantised as XNNPACK does it: `lrint(clamp(bound / scale + zero_point))`.
    pub(crate) fn range(&self, activation: Activation) -> StepRange {
        let (least, largest) = activation.range();
        let zero_point = self.zero_point as f32;
        let (lowest, highest) = (self.least as f32, (self.least + 255) as f32);
        let bound = |real: f32| {
            let byte = real / self.scale + zero_point;
            byte.max(lowest).min(highest).round_ties_even() - zero_point
        };
        StepRange { least: bound(least), largest: bound(largest) }
    }

    /// All held values.
    pub(crate) fn whole(&self) -> StepRange {
        self.range(Activation::None)
    }

    /// Every byte as it is held, from the least.
    pub(crate) fn all(&self) -> impl Iterator<Item = i32> + use<> {
        let first = self.least - self.zero_point;
        first..first + 256
    }
}

/// The least and the largest held value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepRange {
    pub(crate) least: f32,
    pub(crate) largest: f32,
}

impl StepRange {
    /// A real value in units of the scale, clamped and rounded half to even.
    ///
    /// Source of the formula: XNNPACK's `fp32` requantisation.
    pub(crate) fn round(self, value: f32) -> f32 {
        round_ties_even(value.max(self.least).min(self.largest))
    }

    /// A whole number, clamped.
    pub(crate) fn clamp(self, value: i32) -> f32 {
        (value as f32).max(self.least).min(self.largest)
    }
}

/// Rounds half to even; exact below 2^22 in magnitude.
///
/// Adding a number whose unit in the last place is one rounds as the sum must be rounded, and
/// vectorises without instructions that a processor may lack.
pub(crate) fn round_ties_even(value: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    (value + MAGIC) - MAGIC
}

/// Floats in steps of their own range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RangeRounding {
    /// As XNNPACK does before convolutions and fully connected layers.
    ///
    /// ```text
    /// factor     = 255 / (max(values, 0) - min(values, 0)),  scale = 1 / factor
    /// zero_point = whichever end's is nearer: -128 - min * factor or 127 - max * factor
    /// byte       = clamp(lrint(value * (1 / scale)) + zero_point, -128, 127)
    /// ```
    ///
    /// All in float32. Source of the formula: XNNPACK, `xnn_f32_qd8_asymmetric_quantization_params`
    /// and `f32-qs8-vcvt`.
    Xnnpack,
    /// As TensorFlow Lite's builtin kernels do before depthwise convolutions.
    ///
    /// ```text
    /// scale = (max(values, 0) - min(values, 0)) / 255
    /// byte = clamp(round(zero_point + value / scale), -128, 127)
    /// ```
    ///
    /// Values round half away from zero. Source of the formula: TensorFlow Lite,
    /// `AsymmetricQuantizeFloats`.
    TensorFlowLite,
}

impl RangeRounding {
    /// Replaces floats by held bytes and returns their scale.
    pub(crate) fn quantize(self, values: &mut [f32]) -> f32 {
        let least = values.iter().copied().fold(0.0, f32::min);
        let largest = values.iter().copied().fold(0.0, f32::max);
        match self {
            Self::Xnnpack => quantize_as_xnnpack(values, least, largest),
            Self::TensorFlowLite => quantize_as_tflite(values, least.into(), largest.into()),
        }
    }
}

fn quantize_as_xnnpack(values: &mut [f32], least: f32, largest: f32) -> f32 {
    let factor = if least == largest { 1.0 } else { 255.0 / (largest - least) };
    let (low, high) = (least * factor, largest * factor);
    let zero_point =
        if (-128.0 + low) + (127.0 + high) > 0.0 { -128.0 - low } else { 127.0 - high };
    let zero_point = zero_point.clamp(-128.0, 127.0).round_ties_even();
    let scale = 1.0 / factor;
    let inverse = 1.0 / scale;
    let range = StepRange { least: -128.0 - zero_point, largest: 127.0 - zero_point };
    for value in values {
        *value = range.round(*value * inverse);
    }
    scale
}

fn quantize_as_tflite(values: &mut [f32], least: f64, largest: f64) -> f32 {
    const LEAST: f64 = -128.0;
    const LARGEST: f64 = 127.0;
    if least == largest {
        values.fill(0.0);
        return 1.0;
    }
    let scale = (largest - least) / (LARGEST - LEAST);
    let (below, above) = (least / scale, largest / scale);
    let zero_point = if LEAST.abs() + below.abs() < LARGEST.abs() + above.abs() {
        LEAST - below
    } else {
        LARGEST - above
    };
    let zero_point = zero_point.clamp(LEAST, LARGEST).round() as f32;
    let scale = scale as f32;
    let inverse = 1.0 / scale;
    for value in values {
        let shifted = zero_point + *value * inverse;
        // Half away from zero; the sum is far below 2^23, where adding a half is exact enough to
        // tell the two sides apart, and the conversion cuts off the rest.
        let rounded = (shifted + 0.5f32.copysign(shifted)) as i32;
        *value = rounded.clamp(-128, 127) as f32 - zero_point;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_bound_the_result() {
        let signed = Steps { scale: 0.5, zero_point: -128, least: -128 };
        assert_eq!(signed.range(Activation::Relu6), StepRange { least: 0.0, largest: 12.0 });
        let unsigned = Steps { scale: 0.5, zero_point: 100, least: 0 };
        assert_eq!(unsigned.whole(), StepRange { least: -100.0, largest: 155.0 });
        assert_eq!(unsigned.whole().round(2.5), 2.0);
        assert_eq!(unsigned.whole().round(1e9), 155.0);
        assert_eq!(unsigned.whole().clamp(-1000), -100.0);
    }

    #[test]
    fn a_range_fills_all_bytes() {
        for rounding in [RangeRounding::Xnnpack, RangeRounding::TensorFlowLite] {
            let mut values = [-1.0, 0.0, 1.0, 3.0];
            let scale = rounding.quantize(&mut values);
            assert!((scale - 4.0 / 255.0).abs() < 1e-8, "{scale}");
            assert_eq!(values, [-64.0, 0.0, 64.0, 191.0]);
            let mut zeros = [0.0; 3];
            assert_eq!(rounding.quantize(&mut zeros), 1.0);
            assert_eq!(zeros, [0.0; 3]);
        }
    }
}
