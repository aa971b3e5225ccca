//! From 32-bit accumulators back to 8-bit values.

use crate::operator::Activation;

/// Adding this to a float of magnitude below 2^22 leaves its value, rounded half to even, in the
/// low bits of the sum.
const ROUNDING: f32 = 12_582_912.0;

/// The bits of [`ROUNDING`] as a whole number.
const ROUNDING_BITS: i32 = 0x4B40_0000;

/// The nearest whole number of a value of magnitude below 2^22, the even one of two.
#[inline(always)]
pub(crate) fn round_ties_even(value: f32) -> i32 {
    (value + ROUNDING).to_bits().cast_signed() - ROUNDING_BITS
}

/// Whether every accumulator times its scale fits a 32-bit number, so that it need not be clamped
/// before it is rounded to one.
#[cfg(target_arch = "x86_64")]
pub(crate) fn products_fit(scales: &[f32]) -> bool {
    scales.iter().all(|&scale| scale < 1.0)
}

/// The output side of a requantisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OutputRange {
    zero_point: i32,
    /// The least and the largest result, less the zero point.
    least: f32,
    largest: f32,
}

impl OutputRange {
    /// The range of bytes that an activation leaves, for held (unsigned) zero points.
    ///
    /// The bounds are quantised as XNNPACK does it: `lrint(clamp(bound / scale + zero_point))` in
    /// the model's own type, whose values are `byte_offset` above the held ones.
    pub(crate) fn new(
        scale: f32,
        zero_point: i32,
        byte_offset: i32,
        activation: Activation,
    ) -> Self {
        let (least, largest) = activation.range();
        let quantize = |bound: f32| {
            let offset = byte_offset as f32;
            let own = bound / scale + (zero_point + byte_offset) as f32;
            own.clamp(offset, 255.0 + offset).round_ties_even() - offset
        };
        Self {
            zero_point,
            least: quantize(least) - zero_point as f32,
            largest: quantize(largest) - zero_point as f32,
        }
    }

    /// The accumulator times the scale, clamped, rounded half to even, on the zero point.
    ///
    /// Source of the formula: XNNPACK's `fp32` requantisation.
    #[inline(always)]
    pub(crate) fn requantize(&self, accumulator: i32, scale: f32) -> u8 {
        self.quantize(accumulator as f32 * scale)
    }

    /// A real value in units of the output's scale, clamped, rounded half to even, on the zero
    /// point.
    #[inline(always)]
    pub(crate) fn quantize(&self, value: f32) -> u8 {
        let clamped = value.max(self.least).min(self.largest);
        let rounded = round_ties_even(clamped);
        // The clamp has brought the sum into the range of a byte.
        (rounded + self.zero_point) as u8
    }

    /// The least and the largest result, less the zero point, and the zero point.
    #[inline(always)]
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(dead_code, reason = "only vector kernels take a range apart")
    )]
    pub(crate) fn parts(&self) -> (f32, f32, i32) {
        (self.least, self.largest, self.zero_point)
    }

    /// The least and the largest result.
    #[inline(always)]
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "only vector kernels take a range apart")
    )]
    pub(crate) fn bytes(&self) -> (u8, u8) {
        let byte = |bound: f32| (bound as i32 + self.zero_point) as u8;
        (byte(self.least), byte(self.largest))
    }

    /// A whole number relative to the zero point, clamped, on the zero point.
    #[inline(always)]
    pub(crate) fn clamp(&self, value: i32) -> u8 {
        let clamped = value.max(self.least as i32).min(self.largest as i32);
        (clamped + self.zero_point) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even_and_clamps() {
        let range = OutputRange::new(1.0, 128, -128, Activation::None);
        for (value, expected) in [
            (0.5, 128),
            (1.5, 130),
            (2.5, 130),
            (-0.5, 128),
            (-1.5, 126),
            (300.0, 255),
            (-300.0, 0),
        ] {
            assert_eq!(range.quantize(value), expected, "{value}");
        }
    }

    #[test]
    fn activations_bound_the_result() {
        let relu6 = OutputRange::new(0.5, 0, -128, Activation::Relu6);
        assert_eq!(relu6.quantize(-5.0), 0);
        assert_eq!(relu6.quantize(200.0), 12);
        let unsigned = OutputRange::new(0.5, 100, 0, Activation::Relu6);
        assert_eq!(unsigned.quantize(200.0), 112);
        assert_eq!(unsigned.clamp(-5), 100);
    }
}
