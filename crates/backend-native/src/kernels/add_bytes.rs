//! Sums of two byte tensors in fixed point.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::kernels::requantize::OutputRange;
use crate::simd::Isa;

/// The fixed-point arithmetic of a sum.
///
/// ```text
/// shift = 20 - exponent(max(a_scale, b_scale)),  multiplier = lrint(scale * 2^shift)
/// sum   = (2^(shift-1) + (a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier) >> shift
/// ```
///
/// Source of the formula: XNNPACK, `qs8-vadd`; scales are relative to the output's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddBytes {
    isa: Isa,
    bias: i32,
    a_multiplier: i32,
    b_multiplier: i32,
    shift: u32,
    range: OutputRange,
}

impl AddBytes {
    /// The sum of operands with the given relative scales and zero points, or `None` where
    /// XNNPACK has no such sum: a scale below 2^-10 or from 2^8 on.
    pub(crate) fn new(
        isa: Isa,
        (a_scale, a_zero): (f32, i32),
        (b_scale, b_zero): (f32, i32),
        range: OutputRange,
    ) -> Option<Self> {
        let in_range = |scale: f32| (2f32.powi(-10)..2f32.powi(8)).contains(&scale);
        if !in_range(a_scale) || !in_range(b_scale) {
            return None;
        }
        let exponent = (a_scale.max(b_scale).to_bits() >> 23).cast_signed() - 127;
        let shift = (20 - exponent).cast_unsigned();
        let multiplier = |scale: f32| {
            // Scaling by a power of two is exact.
            (scale * f32::from_bits((shift + 127) << 23)).round_ties_even() as i32
        };
        let (a_multiplier, b_multiplier) = (multiplier(a_scale), multiplier(b_scale));
        let bias = (1i32 << (shift - 1))
            .wrapping_sub(a_multiplier.wrapping_mul(a_zero))
            .wrapping_sub(b_multiplier.wrapping_mul(b_zero));
        Some(Self { isa, bias, a_multiplier, b_multiplier, shift, range })
    }

    /// Adds tensors of one length.
    pub(crate) fn add(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => avx2::add(token, self, a, b, output),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni(token) => avx512::add(token, self, a, b, output),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon(token) => neon::add(token, self, a, b, output),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod(token) => neon::add(token.neon, self, a, b, output),
            Isa::Scalar(_) => self.add_scalar(a, b, output),
        }
    }

    fn add_scalar(&self, a: &[u8], b: &[u8], output: &mut [u8]) {
        for ((result, &a), &b) in output.iter_mut().zip(a).zip(b) {
            let sum = self
                .bias
                .wrapping_add(i32::from(a).wrapping_mul(self.a_multiplier))
                .wrapping_add(i32::from(b).wrapping_mul(self.b_multiplier));
            *result = self.range.clamp(sum >> self.shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Activation;
    use crate::simd::SimdLevel;

    #[test]
    fn every_level_equals_scalar() {
        let a: Vec<u8> = (0..1000).map(|index| (index * 7 % 256) as u8).collect();
        let b: Vec<u8> = (0..1000).map(|index| (index * 13 % 251) as u8).collect();
        let mut cases = 0;
        for level in SimdLevel::available() {
            for (scales, zeros) in
                [((0.7, 0.4), (128, 3)), ((200.0, 0.01), (0, 255)), ((0.001, 0.002), (77, 128))]
            {
                for activation in [Activation::None, Activation::Relu6] {
                    let range = OutputRange::new(0.05, 120, -128, activation);
                    let isa = Isa::new(level).unwrap();
                    let sum = AddBytes::new(isa, (scales.0, zeros.0), (scales.1, zeros.1), range)
                        .unwrap();
                    for len in [0, 1, 15, 16, 17, 64, 1000] {
                        let (mut found, mut expected) = (vec![0; len], vec![0; len]);
                        sum.add(&a[..len], &b[..len], &mut found);
                        sum.add_scalar(&a[..len], &b[..len], &mut expected);
                        assert!(found == expected, "{level} {scales:?} {len}");
                        cases += 1;
                    }
                }
            }
        }
        assert_eq!(cases, SimdLevel::available().len() * 3 * 2 * 7);
    }
}
