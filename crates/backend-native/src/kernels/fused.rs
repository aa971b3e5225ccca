//! Multiplication and addition with one rounding, on every machine.

/// `a * b + c`, rounded once: an instruction where the target is known to have one.
#[inline(always)]
pub(crate) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        in_double_precision(a, b, c)
    }
}

/// The same by way of doubles, without a branch, so that the compiler can vectorise it.
///
/// The product is exact there. The sum is rounded to odd, which keeps what the second rounding
/// needs to know.
///
/// Source of the method: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
/// algorithms using rounding to odd" (2008).
#[inline(always)]
fn in_double_precision(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let sum = product + c;
    // What the sum leaves out, exactly: Knuth's two-sum.
    let part = sum - product;
    let rest = (product - (sum - part)) + (c - part);
    let bits = sum.to_bits();
    // Infinities and NaN have no finite rest and stay as they are.
    let is_inexact = rest.abs() > 0.0 && rest.abs() < f64::INFINITY;
    let is_even = bits & 1 == 0;
    let is_below = (rest > 0.0) == (sum > 0.0);
    let odd = if is_below { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f64::from_bits(if is_inexact && is_even { odd } else { bits }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_as_the_instruction_does() {
        let mut seed = 1u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 32) as u32
        };
        let special = [0.0, -0.0, 1.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN];
        let mut cases = 0;
        for index in 0..2_000_000 {
            // Any bits, or factors whose product is near the sum's other term.
            let [mut a, b, mut c] = [noise(), noise(), noise()].map(f32::from_bits);
            if index % 2 == 0 {
                a = f32::from_bits(noise() % (1 << 24) + (120 << 23));
                c = -a * b * (1.0 + (noise() % 5) as f32 * 2f32.powi(-23));
            }
            if index % 97 == 0 {
                c = special[index % special.len()];
            }
            let (found, expected) = (in_double_precision(a, b, c), a.mul_add(b, c));
            let is_same = found.to_bits() == expected.to_bits();
            assert!(is_same || found.is_nan() && expected.is_nan(), "{a:e} * {b:e} + {c:e}");
            cases += 1;
        }
        assert_eq!(cases, 2_000_000);
    }
}
