//! Quantisation of float activations at run time, for models with 8-bit weights only.

use crate::kernels::comparison::{maximum, minimum};
use crate::kernels::requantize::round_ties_even;
use crate::simd::Computation;

/// Quantises floats to bytes over their own range as XNNPACK does before convolutions and fully
/// connected layers; returns their scale and zero point.
///
/// ```text
/// factor     = 255 / (max(values, 0) - min(values, 0)),  scale = 1 / factor
/// zero_point = whichever end's is nearer: -128 - min * factor or 127 - max * factor
/// byte       = clamp(lrint(value * (1 / scale)) + zero_point, -128, 127) + 128
/// ```
///
/// All in float32. Source of the formula: XNNPACK, `xnn_f32_qd8_asymmetric_quantization_params`
/// and `f32-qs8-vcvt`.
pub(crate) struct QuantizeAsXnnpack<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) bytes: &'a mut [u8],
}

impl Computation for QuantizeAsXnnpack<'_> {
    /// Scale and zero point.
    type Results = (f32, i32);

    #[inline(always)]
    fn compute(self) -> (f32, i32) {
        let Self { values, bytes } = self;
        let (least, largest) = range(values);
        let factor = if least == largest { 1.0 } else { 255.0 / (largest - least) };
        let (low, high) = (least * factor, largest * factor);
        let zero_point =
            if (-128.0 + low) + (127.0 + high) > 0.0 { -128.0 - low } else { 127.0 - high };
        let zero_point = zero_point.clamp(-128.0, 127.0).round_ties_even();
        let scale = 1.0 / factor;
        let inverse = 1.0 / scale;
        // Clamping before rounding keeps the sum in the range that rounding by addition needs.
        let (lower, upper) = (-128.0 - zero_point, 127.0 - zero_point);
        let zero_point = zero_point as i32 + 128;
        for (byte, value) in bytes.iter_mut().zip(values) {
            let rounded = round_ties_even((value * inverse).max(lower).min(upper));
            *byte = (rounded + zero_point) as u8;
        }
        (scale, zero_point)
    }
}

/// Quantises floats to bytes over their own range as TensorFlow Lite's builtin kernels do before
/// depthwise convolutions; returns their scale and zero point.
///
/// ```text
/// scale = (max(values, 0) - min(values, 0)) / 255
/// byte = clamp(round(zero_point + value / scale), -128, 127) + 128
/// ```
///
/// Values round half away from zero. Source of the formula: TensorFlow Lite,
/// `AsymmetricQuantizeFloats`.
pub(crate) struct QuantizeAsTflite<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) bytes: &'a mut [u8],
}

impl Computation for QuantizeAsTflite<'_> {
    /// Scale and zero point.
    type Results = (f32, i32);

    #[inline(always)]
    fn compute(self) -> (f32, i32) {
        let Self { values, bytes } = self;
        const LEAST: f64 = -128.0;
        const LARGEST: f64 = 127.0;
        let (least, largest) = range(values);
        let (least, largest) = (f64::from(least), f64::from(largest));
        if least == largest {
            bytes.fill(128);
            return (1.0, 128);
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
        for (byte, value) in bytes.iter_mut().zip(values) {
            let rounded = round_half_away(zero_point + value * inverse);
            *byte = (rounded.clamp(-128, 127) + 128) as u8;
        }
        (scale, zero_point as i32 + 128)
    }
}

/// The nearest whole number of a value of magnitude below 512, that away from zero of two, and some
/// number of at least 512 of a larger one; zero of NaN. The compiler can vectorise it.
#[inline(always)]
fn round_half_away(value: f32) -> i32 {
    // What the number below a half makes whole, a half and more does as well, and less does not.
    const ALMOST_HALF: f32 = 0.5f32.next_down();
    let sum = if value.is_nan() { 0.0 } else { (value.abs() + ALMOST_HALF).min(513.0) };
    let nearest = round_ties_even(sum);
    let magnitude = nearest - i32::from(nearest as f32 > sum);
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The least and the largest of the values and zero; NaN is neither.
#[inline(always)]
fn range(values: &[f32]) -> (f32, f32) {
    // Several of each, so that none waits for the one before, and vectors hold them.
    const LANES: usize = 32;
    let (mut least, mut largest) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for ((least, largest), &value) in least.iter_mut().zip(&mut largest).zip(chunk) {
            *least = minimum(value, *least);
            *largest = maximum(value, *largest);
        }
    }
    (
        least
            .into_iter()
            .chain(rest.iter().copied())
            .fold(0.0, |least, value| minimum(value, least)),
        largest
            .into_iter()
            .chain(rest.iter().copied())
            .fold(0.0, |most, value| maximum(value, most)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, SimdLevel};

    type Quantize = fn(Isa, &[f32], &mut [u8]) -> (f32, i32);

    const BOTH: [Quantize; 2] = [
        |isa, values, bytes| isa.vectorize(QuantizeAsTflite { values, bytes }),
        |isa, values, bytes| isa.vectorize(QuantizeAsXnnpack { values, bytes }),
    ];

    #[test]
    fn halves_round_away_from_zero() {
        let mut cases = 0;
        for whole in -520i16..=520 {
            let half = f32::from(whole) + 0.5;
            for value in [half.next_down(), half, half.next_up(), f32::from(whole)] {
                let expected = if value.abs() < 512.0 { value.round() as i32 } else { 512 };
                let found = round_half_away(value);
                if value.abs() < 512.0 {
                    assert_eq!(found, expected, "{value}");
                } else {
                    assert!(found.abs() >= expected && found.is_negative() == (value < 0.0));
                }
                cases += 1;
            }
        }
        assert_eq!(cases, 1041 * 4);
        assert_eq!(round_half_away(f32::NAN), 0);
        assert!(round_half_away(f32::INFINITY) >= 512);
        assert!(round_half_away(f32::NEG_INFINITY) <= -512);
    }

    #[test]
    fn range_maps_to_all_bytes() {
        let values = [-1.0, 0.0, 1.0, 3.0];
        for quantize in BOTH {
            let mut bytes = [0; 4];
            let (scale, zero_point) = quantize(Isa::SCALAR, &values, &mut bytes);
            assert!((scale - 4.0 / 255.0).abs() < 1e-8, "{scale}");
            assert_eq!(zero_point, 64);
            assert_eq!(bytes, [0, 64, 128, 255]);
        }
    }

    #[test]
    fn constant_zero_stays_zero() {
        for quantize in BOTH {
            let mut bytes = [7; 3];
            let (scale, zero_point) = quantize(Isa::SCALAR, &[0.0; 3], &mut bytes);
            assert_eq!((scale, bytes), (1.0, [zero_point as u8; 3]));
        }
    }

    #[test]
    fn every_level_equals_scalar() {
        let mut seed = 5u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.3
        };
        let mut cases = 0;
        for level in SimdLevel::available() {
            for count in [0, 1, 31, 32, 33, 1000] {
                let mut values: Vec<f32> = (0..count).map(|_| noise()).collect();
                if let Some(value) = values.get_mut(7) {
                    *value = f32::NAN;
                }
                for quantize in BOTH {
                    let run = |isa| {
                        let mut bytes = vec![9; count];
                        (quantize(isa, &values, &mut bytes), bytes)
                    };
                    assert_eq!(run(Isa::new(level).unwrap()), run(Isa::SCALAR), "{level} {count}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, SimdLevel::available().len() * 6 * 2);
    }
}
