//! Products and shifts of 32 bits that round half away from zero, as gemmlowp's.

/// Twice the product's upper half, rounded.
///
/// Source of the formula: gemmlowp, `SaturatingRoundingDoublingHighMul`.
#[inline]
pub(crate) fn rounding_high_product(a: i32, b: i32) -> i32 {
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    ((product + nudge) / (1 << 31)) as i32
}

/// The value divided by a power of two.
///
/// More than 31 bits, which C++ leaves open, are taken as processors take them: modulo 32, and
/// modulo 64 in the 64 bits of the mask. Source of the formula: gemmlowp, `RoundingDivideByPOT`.
#[inline]
pub(crate) fn rounding_shift_right(value: i32, bits: u32) -> i32 {
    let mask = (1i64.wrapping_shl(bits).wrapping_sub(1)) as i32;
    let threshold = (mask >> 1) + i32::from(value < 0);
    value.wrapping_shr(bits).wrapping_add(i32::from(value & mask > threshold))
}

/// The value times a power of two, or the nearest number that fits.
pub(crate) fn saturating_shift_left(value: i32, bits: u32) -> i32 {
    (i64::from(value) << bits).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
