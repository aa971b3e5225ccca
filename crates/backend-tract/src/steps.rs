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

/// TensorFlow Lite's fixed-point multiplier of a positive real factor.
///
/// ```text
/// factor = multiplier * 2^(shift - 31), 2^30 <= multiplier < 2^31
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FixedPoint {
    pub(crate) multiplier: i32,
    pub(crate) shift: i32,
}

impl FixedPoint {
    /// Source of the formula: TensorFlow Lite, `QuantizeMultiplier`.
    pub(crate) fn new(factor: f64) -> Self {
        if factor <= 0.0 || !factor.is_finite() {
            return Self { multiplier: 0, shift: 0 };
        }
        let mut shift = factor.log2().floor() as i32 + 1;
        let mut fraction = factor / f64::from(shift).exp2();
        if fraction >= 1.0 {
            fraction /= 2.0;
            shift += 1;
        }
        let mut multiplier = (fraction * f64::from(1u32 << 31)).round() as i64;
        if multiplier == 1 << 31 {
            multiplier /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Self { multiplier: 0, shift: 0 };
        }
        Self { multiplier: multiplier as i32, shift: shift.min(31) }
    }

    /// The product, rounded twice as TensorFlow Lite does by default.
    ///
    /// Source of the formula: TensorFlow Lite, `MultiplyByQuantizedMultiplier` on top of gemmlowp's
    /// `SaturatingRoundingDoublingHighMul` and `RoundingDivideByPOT`.
    pub(crate) fn apply(self, value: i32) -> i32 {
        let (left, right) = (self.shift.max(0), (-self.shift).max(0));
        let product =
            i64::from(value.wrapping_shl(left.cast_unsigned())) * i64::from(self.multiplier);
        let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
        let high = ((product + nudge) / (1 << 31)) as i32;
        let mask = ((1i64 << right) - 1) as i32;
        let remainder = high & mask;
        let threshold = (mask >> 1) + i32::from(high < 0);
        (i64::from(high) >> right) as i32 + i32::from(remainder > threshold)
    }

    /// What [`apply`](Self::apply) makes of a shift to the right by more than 31 bits, which C++
    /// leaves open: processors take the number of bits modulo 32, and modulo 64 in the 64 bits of
    /// gemmlowp's mask.
    pub(crate) fn apply_beyond(self, value: i32) -> i32 {
        let high = rounding_high_product(value, self.multiplier);
        let bits = self.shift.wrapping_neg().cast_unsigned();
        let mask = (1i64.wrapping_shl(bits) - 1) as i32;
        let threshold = (mask >> 1) + i32::from(high < 0);
        high.wrapping_shr(bits).wrapping_add(i32::from(high & mask > threshold))
    }

    /// The product, halves rounded up twice.
    ///
    /// TensorFlow Lite's vector code rounds so, where its scalar code, which takes what is left
    /// over, does as [`apply`](Self::apply). Source of the formula: TensorFlow Lite,
    /// `MultiplyByQuantizedMultiplier4Rows`.
    pub(crate) fn apply_half_up(self, value: i32) -> i32 {
        let (left, right) = (self.shift.max(0), (-self.shift).max(0));
        let product =
            i64::from(value.wrapping_shl(left.cast_unsigned())) * i64::from(self.multiplier);
        let high = (product + (1 << 30)) >> 31;
        ((high + ((1 << right) >> 1)) >> right) as i32
    }

    /// The inverse of a number from one on: `inverse * 2^(-31 - shift)`; `None` below one.
    ///
    /// Source of the formula: TensorFlow Lite, `GetReciprocal` on top of gemmlowp's
    /// `one_over_one_plus_x_for_x_in_0_1`, three steps of Newton's method.
    pub(crate) fn reciprocal(number: i32) -> Option<(i32, i32)> {
        // 48/17 and -32/17 in units of 2^-29.
        const START: i32 = 1_515_870_810;
        const SLOPE: i32 = -1_010_580_540;
        if number < 1 {
            return None;
        }
        let zeros = number.leading_zeros();
        // From one to two, less one, in units of 2^-31.
        let fraction = (i64::from(number) << zeros) - (1 << 31);
        // The sum with one, halved.
        let half = ((fraction + i64::from(i32::MAX) + 1) / 2) as i32;
        let mut estimate = START.wrapping_add(rounding_high_product(half, SLOPE));
        for _ in 0..3 {
            let error = (1i32 << 29).wrapping_sub(rounding_high_product(half, estimate));
            let correction = saturating_shift_left(rounding_high_product(estimate, error), 2);
            estimate = estimate.wrapping_add(correction);
        }
        // Half of it, in units of 2^-31.
        let inverse = saturating_shift_left(estimate, 1);
        Some((inverse, 31 - zeros.cast_signed()))
    }

    /// The fixed-point multiplier of the inverse square root of a whole number, by Newton's method.
    ///
    /// Source of the formula: TensorFlow Lite, `GetInvSqrtQuantizedMultiplierExp`.
    pub(crate) fn inverse_square_root(mut input: i32) -> Self {
        if input <= 1 {
            return Self { multiplier: i32::MAX, shift: 0 };
        }
        // To between 2^27 and 2^29 by powers of four.
        let mut shift = 11;
        while input >= 1 << 29 {
            input /= 4;
            shift += 1;
        }
        let left = (input.leading_zeros().cast_signed() - 1) / 2 - 1;
        shift -= left;
        input <<= 2 * left;
        // In units of 2^-28: three integer bits.
        let half = rounding_shift_right(input >> 1, 1);
        let half_three = (1 << 28) + (1 << 27);
        let mut estimate: i32 = 1 << 28;
        for _ in 0..5 {
            let square = rounding_high_product(estimate, estimate);
            // Products of such numbers are in units of 2^-25.
            let cube = saturating_shift_left(rounding_high_product(square, estimate), 6);
            let next = rounding_high_product(half_three, estimate)
                .wrapping_sub(rounding_high_product(half, cube));
            estimate = saturating_shift_left(next, 3);
        }
        // The root of one half in units of 2^-31.
        let half_root = 1_518_500_250;
        let multiplier = rounding_high_product(estimate, half_root);
        if shift < 0 {
            Self { multiplier: multiplier << -shift, shift: 0 }
        } else {
            Self { multiplier, shift: -shift }
        }
    }
}

/// Twice the product's upper half, rounded.
fn rounding_high_product(a: i32, b: i32) -> i32 {
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

fn rounding_shift_right(value: i32, bits: u32) -> i32 {
    let mask = (1 << bits) - 1;
    let threshold = (mask >> 1) + i32::from(value < 0);
    (value >> bits) + i32::from(value & mask > threshold)
}

fn saturating_shift_left(value: i32, bits: u32) -> i32 {
    (i64::from(value) << bits).clamp(i32::MIN.into(), i32::MAX.into()) as i32
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
    fn fixed_point_multipliers() {
        assert_eq!(FixedPoint::new(1.0), FixedPoint { multiplier: 1 << 30, shift: 1 });
        assert_eq!(FixedPoint::new(0.75), FixedPoint { multiplier: 3 << 29, shift: 0 });
        assert_eq!(FixedPoint::new(0.3).apply(1000), 300);
        assert_eq!(FixedPoint::new(0.3).apply(-1000), -300);
        for (value, away, up) in [(2, 1, 1), (-2, -1, 0), (-6, -2, -1), (6, 2, 2), (8, 2, 2)] {
            assert_eq!(FixedPoint::new(0.25).apply(value), away, "{value}");
            assert_eq!(FixedPoint::new(0.25).apply_half_up(value), up, "{value}");
        }
    }

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

    #[test]
    fn inverse_square_roots_are_near() {
        for value in [2, 3, 10, 1000, 123_456, 1 << 30] {
            let FixedPoint { multiplier, shift } = FixedPoint::inverse_square_root(value);
            let found = f64::from(multiplier) / 2f64.powi(31) * 2f64.powi(shift);
            let expected = 1.0 / f64::from(value).sqrt();
            assert!((found / expected - 1.0).abs() < 1e-5, "{value}: {found}, {expected}");
        }
    }
}
