//! Quantisation of float activations at run time, for models with 8-bit weights only.

/// The scale of an image quantised by its own range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DynamicScale(pub(crate) f32);

/// Quantises floats to bytes over their own range, and takes their zero point off again.
///
/// ```text
/// scale = (max(values, 0) - min(values, 0)) / 255
/// centred = clamp(round(zero_point + value / scale), -128, 127) - zero_point
/// ```
///
/// Values round half away from zero. Source of the formula: TensorFlow Lite,
/// `AsymmetricQuantizeFloats`.
pub(crate) fn quantize_by_range(values: &[f32], centred: &mut [i16]) -> DynamicScale {
    const LEAST: f64 = -128.0;
    const LARGEST: f64 = 127.0;
    let least = f64::from(values.iter().copied().fold(0.0, f32::min));
    let largest = f64::from(values.iter().copied().fold(0.0, f32::max));
    if least == largest {
        centred.fill(0);
        return DynamicScale(1.0);
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
    for (centred, value) in centred.iter_mut().zip(values) {
        let shifted = zero_point + value * inverse;
        // Half away from zero; the sum is far below 2^23, where adding a half is exact enough to
        // tell the two sides apart, and the conversion cuts off the rest.
        let rounded = (shifted + 0.5f32.copysign(shifted)) as i32;
        *centred = (rounded.clamp(-128, 127) - zero_point as i32) as i16;
    }
    DynamicScale(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_maps_to_all_bytes() {
        let values = [-1.0, 0.0, 1.0, 3.0];
        let mut centred = [0; 4];
        let DynamicScale(scale) = quantize_by_range(&values, &mut centred);
        assert_eq!(scale, 4.0 / 255.0);
        assert_eq!(centred, [-64, 0, 64, 191]);
    }

    #[test]
    fn constant_zero_stays_zero() {
        let mut centred = [7; 3];
        assert_eq!(
            quantize_by_range(&[0.0; 3], &mut centred),
            DynamicScale(1.0)
        );
        assert_eq!(centred, [0; 3]);
    }
}
