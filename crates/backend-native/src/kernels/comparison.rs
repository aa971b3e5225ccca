//! The larger and the smaller of floats, as vector instructions choose them.
//!
//! Which zero and whether a NaN comes out of [`f32::max`] depends on the machine; here it does not.

/// `a` if it is larger, or else `b`: of zeros, or if one is NaN, `b`.
#[inline(always)]
pub(crate) fn maximum(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `a` if it is smaller, or else `b`: of zeros, or if one is NaN, `b`.
#[inline(always)]
pub(crate) fn minimum(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The value, or the bound of the range that it is beyond; of a NaN, the least.
#[inline(always)]
pub(crate) fn clamp(value: f32, (least, largest): (f32, f32)) -> f32 {
    minimum(maximum(value, least), largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_nan_are_the_bound() {
        assert_eq!(clamp(-0.0, (0.0, 6.0)).to_bits(), 0);
        assert_eq!(clamp(f32::NAN, (0.0, 6.0)).to_bits(), 0);
        assert_eq!((clamp(-1.0, (0.0, 6.0)), clamp(9.0, (0.0, 6.0))), (0.0, 6.0));
        assert_eq!(clamp(2.5, (f32::NEG_INFINITY, f32::INFINITY)), 2.5);
        assert_eq!((maximum(-0.0, 0.0).to_bits(), minimum(0.0, -0.0).to_bits()), (0, 1 << 31));
    }
}
