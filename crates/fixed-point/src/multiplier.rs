//! Real factors in fixed point.

use crate::high_product::{rounding_high_product, rounding_shift_right, saturating_shift_left};

/// TensorFlow Lite's fixed-point multiplier of a real factor.
///
/// ```text
/// factor = multiplier * 2^(shift - 31), 2^30 <= multiplier < 2^31
/// ```
///
/// ```
/// use image_embedder_fixed_point::FixedPoint;
///
/// assert_eq!(FixedPoint::new(0.3).apply(-1000), -300);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "both parts make up the number")]
pub struct FixedPoint {
    /// The factor in units of `2^(shift - 31)`.
    pub multiplier: i32,
    /// How many bits to the left a product is shifted; to the right if negative.
    pub shift: i32,
}

impl FixedPoint {
    /// The nearest multiplier of a positive factor; zero for others, and for factors below 2^-32.
    ///
    /// Source of the formula: TensorFlow Lite, `QuantizeMultiplier`.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        const ZERO: FixedPoint = FixedPoint { multiplier: 0, shift: 0 };
        if factor <= 0.0 || !factor.is_finite() {
            return ZERO;
        }
        // The fraction from one half to one, and the power of two before it. What is too small to
        // be written so is too small to matter.
        let exponent = (factor.to_bits() >> 52) as i32;
        let fraction = f64::from_bits(factor.to_bits() & ((1 << 52) - 1) | 1022 << 52);
        let mut shift = exponent - 1022;
        let mut multiplier = (fraction * f64::from(1u32 << 31)).round() as i64;
        if multiplier == 1 << 31 {
            multiplier /= 2;
            shift += 1;
        }
        if shift < -31 { ZERO } else { Self { multiplier: multiplier as i32, shift } }
    }

    /// The product, rounded twice as TensorFlow Lite does by default.
    ///
    /// Source of the formula: TensorFlow Lite, `MultiplyByQuantizedMultiplier` on top of gemmlowp's
    /// `SaturatingRoundingDoublingHighMul` and `RoundingDivideByPOT`.
    #[inline]
    #[must_use]
    pub fn apply(self, value: i32) -> i32 {
        let (left, right) = (self.shift.max(0), self.shift.min(0).unsigned_abs());
        let shifted = value.wrapping_shl(left.cast_unsigned());
        rounding_shift_right(rounding_high_product(shifted, self.multiplier), right)
    }

    /// The product, halves rounded up twice.
    ///
    /// TensorFlow Lite's vector code rounds so, where its scalar code, which takes what is left
    /// over, does as [`apply`](Self::apply). Source of the formula: TensorFlow Lite,
    /// `MultiplyByQuantizedMultiplier4Rows`.
    #[inline]
    #[must_use]
    pub fn apply_half_up(self, value: i32) -> i32 {
        let (left, right) = (self.shift.max(0), self.shift.min(0).unsigned_abs());
        let product =
            i64::from(value.wrapping_shl(left.cast_unsigned())) * i64::from(self.multiplier);
        let high = (product + (1 << 30)) >> 31;
        ((high + ((1i64 << right) >> 1)) >> right) as i32
    }

    /// The factor times a power of two.
    #[must_use]
    pub const fn shifted(self, bits: i32) -> Self {
        Self { multiplier: self.multiplier, shift: self.shift.saturating_add(bits) }
    }

    /// The quotient of two whole numbers times this factor; `None` if the divisor is zero.
    ///
    /// Source of the formula: TensorFlow Lite's builtin `Div` of unsigned bytes, `GetReciprocal`, on
    /// top of gemmlowp's `one_over_one_plus_x_for_x_in_0_1`.
    #[must_use]
    pub fn divide(self, dividend: i32, divisor: i32) -> Option<i32> {
        if divisor == 0 {
            return None;
        }
        let (inverse, inverse_shift) = reciprocal(divisor.unsigned_abs());
        // As far to the left as the dividend fits: leading bits that repeat the sign.
        let repeated = if dividend < 0 { !dividend } else { dividend };
        let headroom = repeated.leading_zeros().cast_signed() - 1;
        let inverse = if divisor < 0 { -inverse } else { inverse };
        let quotient = Self { multiplier: inverse, shift: headroom }.apply(dividend);
        Some(self.shifted(-inverse_shift - headroom).apply(quotient))
    }

    /// The multiplier of the inverse square root of a whole number, by Newton's method.
    ///
    /// Source of the formula: TensorFlow Lite, `GetInvSqrtQuantizedMultiplierExp`.
    #[must_use]
    pub fn inverse_square_root(mut input: i32) -> Self {
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

/// The inverse of a whole number above zero: a fraction of `2^31`, and how many bits to the right
/// it is to be shifted.
fn reciprocal(value: u32) -> (i32, i32) {
    // 48/17 and -32/17 in units of 2^-29.
    const START: i32 = 1_515_870_810;
    const SLOPE: i32 = -1_010_580_540;
    let headroom = value.leading_zeros();
    // From one to two, less one, in units of 2^-31.
    let fraction = (i64::from(value) << headroom) - (1 << 31);
    // Half of the sum of one and the fraction.
    let half = ((fraction + i64::from(i32::MAX) + 1) / 2) as i32;
    let mut estimate = START.wrapping_add(rounding_high_product(half, SLOPE));
    for _ in 0..3 {
        let rest = (1i32 << 29).wrapping_sub(rounding_high_product(half, estimate));
        let correction = saturating_shift_left(rounding_high_product(estimate, rest), 2);
        estimate = estimate.wrapping_add(correction);
    }
    // Half of it, in units of 2^-31.
    (saturating_shift_left(estimate, 1), 31 - headroom.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_are_normalised() {
        assert_eq!(FixedPoint::new(1.0), FixedPoint { multiplier: 1 << 30, shift: 1 });
        assert_eq!(FixedPoint::new(0.75), FixedPoint { multiplier: 3 << 29, shift: 0 });
        assert_eq!(FixedPoint::new(1.0).apply(77), 77);
        for nothing in [0.0, -1.0, f64::INFINITY, f64::NAN, 1e-12, f64::MIN_POSITIVE / 2.0] {
            assert_eq!(FixedPoint::new(nothing).apply(1 << 20), 0, "{nothing}");
        }
    }

    #[test]
    fn halves_round_away_from_zero_or_up() {
        assert_eq!(FixedPoint::new(0.3).apply(1000), 300);
        assert_eq!(FixedPoint::new(0.3).apply(-1000), -300);
        for (value, away, up) in [(2, 1, 1), (-2, -1, 0), (-6, -2, -1), (6, 2, 2), (8, 2, 2)] {
            assert_eq!(FixedPoint::new(0.25).apply(value), away, "{value}");
            assert_eq!(FixedPoint::new(0.25).apply_half_up(value), up, "{value}");
        }
    }

    #[test]
    fn quotients_are_near() {
        let mut divided = 0;
        for dividend in [-255, -100, -3, 7, 200] {
            for divisor in [-200, -7, -1, 1, 2, 3, 100, 255] {
                let found = FixedPoint::new(1000.0).divide(dividend, divisor).unwrap();
                let expected = 1000.0 * f64::from(dividend) / f64::from(divisor);
                assert!(
                    (f64::from(found) - expected).abs() < 1.0,
                    "{dividend} / {divisor}: {found}"
                );
                divided += 1;
            }
        }
        assert_eq!(divided, 40);
        assert_eq!(FixedPoint::new(1.0).divide(1, 0), None);
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
