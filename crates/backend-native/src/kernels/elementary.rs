//! Exponentials and their like, the same bits on every machine.
//!
//! The functions of the system's C library differ in their last bits from one system to the next.
//! Those here are sums and products in a fixed order. The ones that run over whole tensors have no
//! branches, so that the compiler can vectorise them; the others go through double precision.

/// log2(e), and ln(2) in two parts of which the first has few bits.
const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Adding and subtracting this rounds a float of magnitude below 2^22 to a whole number.
const ROUNDING: f32 = 12_582_912.0;

/// Where the exponential leaves the range of floats.
const LEAST: f32 = -104.0;
const LARGEST: f32 = 89.0;

/// Splits `x` into `n` and `r` with `x = n * ln(2) + r`, and returns `n` and `exp(r) - 1`.
///
/// Source of the coefficients: Cephes, `expf`.
#[inline(always)]
fn reduce(x: f32) -> (f32, f32) {
    let n = (x * LOG2_E + ROUNDING) - ROUNDING;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = sum * r + coefficient;
    }
    (n, sum * (r * r) + r)
}

/// 2 to the power of a whole number from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23).cast_unsigned())
}

/// The exponential, to about one unit in the last place.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // The order of the comparisons lets NaN through.
    let bounded = if x < LEAST { LEAST } else { x };
    let bounded = if bounded > LARGEST { LARGEST } else { bounded };
    let (n, rest) = reduce(bounded);
    // In two factors, as the power itself may lie beyond the range.
    let n = n as i32;
    let half = n >> 1;
    (1.0 + rest) * power_of_two(half) * power_of_two(n - half)
}

/// The exponential less one of a number that is not above zero, exact near zero as well.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    // Below it the result is -1 to the last digit.
    let bounded = if x < -40.0 { -40.0 } else { x };
    let (n, rest) = reduce(bounded);
    let power = power_of_two(n as i32);
    rest * power + (power - 1.0)
}

/// The hyperbolic tangent.
///
/// ```text
/// tanh(|x|) = -e / (2 + e), e = exp(-2 |x|) - 1
/// ```
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let e = exp_m1(-2.0 * x.abs());
    (-e / (2.0 + e)).copysign(x)
}

/// The logistic function, from the side where the exponential stays small.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    let e = exp(-x.abs());
    let tail = e / (1.0 + e);
    if x.is_sign_negative() { tail } else { 1.0 - tail }
}

/// The natural logarithm.
pub(crate) fn ln(x: f32) -> f32 {
    libm::log(f64::from(x)) as f32
}

/// `x` to the power of `y`.
pub(crate) fn pow(x: f32, y: f32) -> f32 {
    libm::pow(f64::from(x), f64::from(y)) as f32
}

/// Functions for tables, where every bit counts and time does not: rounded from double precision.
pub(crate) mod precise {
    /// The exponential.
    pub(crate) fn exp(x: f32) -> f32 {
        libm::exp(f64::from(x)) as f32
    }

    /// The exponential less one.
    pub(crate) fn exp_m1(x: f32) -> f32 {
        libm::expm1(f64::from(x)) as f32
    }

    /// The hyperbolic tangent.
    pub(crate) fn tanh(x: f32) -> f32 {
        libm::tanh(f64::from(x)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance from the truth in units in the last place, over many arguments.
    fn worst(function: fn(f32) -> f32, truth: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        const COUNT: u32 = 200_000;
        (0..=COUNT).fold(0.0f64, |worst, index| {
            let x = from + (to - from) * (index as f32 / COUNT as f32);
            let expected = truth(f64::from(x));
            let unit = (expected.abs() * 2f64.powi(-23)).max(f64::from(f32::from_bits(1)));
            worst.max((f64::from(function(x)) - expected).abs() / unit)
        })
    }

    #[test]
    fn functions_are_exact_to_a_few_units_in_the_last_place() {
        let logistic_truth = |x: f64| 1.0 / (1.0 + libm::exp(-x));
        for (name, function, truth, from, to, most) in [
            ("exp", exp as fn(f32) -> f32, libm::exp as fn(f64) -> f64, -103.0, 88.7, 2.0),
            ("exp_m1", exp_m1, libm::expm1, -50.0, 0.0, 2.0),
            ("exp_m1", exp_m1, libm::expm1, -0.01, 0.0, 2.0),
            ("tanh", tanh, libm::tanh, -12.0, 12.0, 4.0),
            ("tanh", tanh, libm::tanh, -1e-3, 1e-3, 4.0),
            ("logistic", logistic, logistic_truth, -80.0, 30.0, 4.0),
        ] {
            let found = worst(function, truth, from, to);
            assert!(found <= most, "{name} from {from} to {to}: {found} units");
        }
    }

    #[test]
    fn ends_of_the_range_are_right() {
        assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (0.0, f32::INFINITY));
        assert_eq!((exp(-200.0), exp(0.0), exp(1e30)), (0.0, 1.0, f32::INFINITY));
        assert_eq!((exp_m1(f32::NEG_INFINITY), exp_m1(0.0)), (-1.0, 0.0));
        assert_eq!((tanh(f32::INFINITY), tanh(-1e9)), (1.0, -1.0));
        assert_eq!((logistic(f32::INFINITY), logistic(f32::NEG_INFINITY)), (1.0, 0.0));
        assert_eq!((logistic(0.0), tanh(-0.0).to_bits()), (0.5, (-0.0f32).to_bits()));
        assert!([exp, exp_m1, tanh, logistic].iter().all(|function| function(f32::NAN).is_nan()));
    }
}
