//! Quantisation of float activations at run time, for models with 8-bit weights only.

/// Quantises floats to bytes over their own range; returns their scale and zero point.
///
/// ```text
/// scale = (max(values, 0) - min(values, 0)) / 255
/// byte = clamp(round(zero_point + value / scale), -128, 127) + 128
/// ```
///
/// Values round half away from zero. Source of the formula: TensorFlow Lite,
/// `AsymmetricQuantizeFloats`.
pub(crate) fn quantize_by_range(values: &[f32], bytes: &mut [u8]) -> (f32, i32) {
    const LEAST: f64 = -128.0;
    const LARGEST: f64 = 127.0;
    let least = f64::from(values.iter().copied().fold(0.0, f32::min));
    let largest = f64::from(values.iter().copied().fold(0.0, f32::max));
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
        let mut bytes = [0; 4];
        assert_eq!(quantize_by_range(&values, &mut bytes), (4.0 / 255.0, 64));
        assert_eq!(bytes, [0, 64, 128, 255]);
    }

    #[test]
    fn constant_zero_stays_zero() {
        let mut bytes = [7; 3];
        assert_eq!(quantize_by_range(&[0.0; 3], &mut bytes), (1.0, 128));
        assert_eq!(bytes, [128; 3]);
    }
}
