//! From quantised tensor elements to real numbers.

/// The real values of unsigned 8-bit tensor elements.
///
/// ```text
/// real = scale * float(quantized - zero_point)
/// ```
///
/// The difference is an integer; the product is rounded once, to 32 bits. Source: TensorFlow Lite
/// 8-bit quantization specification.
pub fn dequantize_uint8(quantized: &[u8], scale: f32, zero_point: i32) -> Vec<f32> {
    quantized.iter().map(|&value| dequantize(value.into(), scale, zero_point)).collect()
}

/// The real values of signed 8-bit tensor elements; the formula is that of
/// [`dequantize_uint8`].
pub fn dequantize_int8(quantized: &[i8], scale: f32, zero_point: i32) -> Vec<f32> {
    quantized.iter().map(|&value| dequantize(value.into(), scale, zero_point)).collect()
}

fn dequantize(value: i64, scale: f32, zero_point: i32) -> f32 {
    // 64 bits hold the difference whatever zero point a model claims to have.
    scale * (value - i64::from(zero_point)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_elements_keep_their_sign() {
        assert_eq!(dequantize_int8(&[-128, 0, 127], 0.5, -128), [0.0, 64.0, 127.5]);
        assert_eq!(dequantize_uint8(&[0, 128, 255], 0.5, 128), [-64.0, 0.0, 63.5]);
    }

    #[test]
    fn hostile_zero_points_do_not_overflow() {
        assert_eq!(dequantize_uint8(&[255], 1.0, i32::MIN), [2_147_483_903_i64 as f32]);
        assert_eq!(dequantize_int8(&[-128], 1.0, i32::MAX), [-2_147_483_775_i64 as f32]);
    }
}
