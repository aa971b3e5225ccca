//! Hard swish in 16 bits.

use crate::FixedPoint;

/// Hard swish of bytes in 16-bit fixed point.
///
/// Source of the formula: TensorFlow Lite's builtin `HardSwish`, as XNNPACK has none for bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HardSwish {
    output: (i16, i32),
    reluish: (i16, i32),
}

impl HardSwish {
    /// Inputs are widened by this many bits.
    const SHIFT: u32 = 7;

    /// The function between these scales; `None` if results would have to be shifted to the left,
    /// which the original does not do.
    #[must_use]
    pub fn new(input_scale: f32, output_scale: f32) -> Option<Self> {
        let narrowed = |factor: f32| {
            let FixedPoint { multiplier, shift } = FixedPoint::new(f64::from(factor));
            // To 16 bits, rounding half up and saturating.
            let narrowed = (multiplier.saturating_add(1 << 15) >> 16).min(i32::from(i16::MAX));
            (narrowed as i16, shift)
        };
        let widened_scale = input_scale / (1 << Self::SHIFT) as f32;
        let output = narrowed(widened_scale / output_scale);
        let reluish = narrowed(widened_scale / (3.0 / 32768.0));
        (output.1 <= 0).then_some(Self { output, reluish })
    }

    /// The result of a byte less its zero point, less the result's zero point.
    #[must_use]
    pub fn apply(self, steps: i32) -> i32 {
        let widened = saturate(steps << Self::SHIFT);
        let preshifted = rounding_high_product(widened, self.output.0);
        let (multiplier, shift) = self.reluish;
        let mut reluish = widened;
        if shift > 0 {
            reluish = saturating_shift_left(reluish, shift - 1);
        }
        reluish = rounding_high_product(reluish, multiplier);
        if shift > 0 {
            reluish = saturating_shift_left(reluish, 1);
        }
        if shift < 0 {
            reluish = rounding_shift_right(reluish, -shift);
        }
        // From -1 to 1 to 0 to 1.
        let gate = (i32::from(reluish) + (1 << 15)) >> 1;
        let high = saturate(gate * i32::from(preshifted) / (1 << 15));
        i32::from(rounding_shift_right(high, -self.output.1))
    }
}

fn saturate(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

fn saturating_shift_left(value: i16, bits: i32) -> i16 {
    let factor = 1i64.checked_shl(bits.cast_unsigned()).unwrap_or(i64::MAX);
    let shifted = i64::from(value).saturating_mul(factor);
    shifted.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Twice the product's upper half, rounded half away from zero.
fn rounding_high_product(a: i16, b: i16) -> i16 {
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    saturate((product + nudge) / (1 << 15))
}

/// Rounded half away from zero.
fn rounding_shift_right(value: i16, bits: i32) -> i16 {
    if bits > 15 {
        return 0;
    }
    let value = i32::from(value);
    let mask = (1 << bits) - 1;
    let threshold = (mask >> 1) + i32::from(value < 0);
    ((value >> bits) + i32::from(value & mask > threshold)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_near_floats() {
        let hard_swish = HardSwish::new(8.0 / 255.0, 5.0 / 255.0).unwrap();
        for steps in -128..128 {
            let value = steps as f32 * 8.0 / 255.0;
            let expected = value * (value + 3.0).clamp(0.0, 6.0) / 6.0 * 255.0 / 5.0;
            let found = hard_swish.apply(steps) as f32;
            assert!((found - expected).abs() <= 1.0, "{steps}: {found}, {expected}");
        }
        assert_eq!(HardSwish::new(1.0, 1e-9), None);
    }
}
