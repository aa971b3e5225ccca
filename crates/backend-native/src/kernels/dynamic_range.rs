//! Quantisation of float activations at run time, for models with 8-bit weights only.

use crate::kernels::comparison::{maximum, minimum};
use crate::kernels::requantize::round_ties_even;

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
pub(crate) fn quantize_as_xnnpack(values: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    let least = values.iter().copied().fold(0.0, |least, value| minimum(value, least));
    let largest = values.iter().copied().fold(0.0, |most, value| maximum(value, most));
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
pub(crate) fn quantize_as_tflite(values: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    const LEAST: f64 = -128.0;
    const LARGEST: f64 = 127.0;
    let least = f64::from(values.iter().copied().fold(0.0, |least, value| minimum(value, least)));
    let largest = f64::from(values.iter().copied().fold(0.0, |most, value| maximum(value, most)));
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
        let shifted = zero_point + value * inverse;
        // Half away from zero; the sum is far below 2^23, where adding a half is exact enough to
        // tell the two sides apart, and the conversion cuts off the rest.
        let rounded = (shifted + 0.5f32.copysign(shifted)) as i32;
        *byte = (rounded.clamp(-128, 127) + 128) as u8;
    }
    (scale, zero_point as i32 + 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_maps_to_all_bytes() {
        let values = [-1.0, 0.0, 1.0, 3.0];
        for quantize in [quantize_as_tflite, quantize_as_xnnpack] {
            let mut bytes = [0; 4];
            let (scale, zero_point) = quantize(&values, &mut bytes);
            assert!((scale - 4.0 / 255.0).abs() < 1e-8, "{scale}");
            assert_eq!(zero_point, 64);
            assert_eq!(bytes, [0, 64, 128, 255]);
        }
    }

    #[test]
    fn constant_zero_stays_zero() {
        for quantize in [quantize_as_tflite, quantize_as_xnnpack] {
            let mut bytes = [7; 3];
            let (scale, zero_point) = quantize(&[0.0; 3], &mut bytes);
            assert_eq!((scale, bytes), (1.0, [zero_point as u8; 3]));
        }
    }
}
