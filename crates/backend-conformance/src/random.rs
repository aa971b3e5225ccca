//! A small generator of numbers that look random and are the same everywhere.

/// A generator whose sequence depends on nothing but its seed.
///
/// Source of the formula: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator for a named purpose under a seed.
    pub(crate) fn new(purpose: &str, seed: u64) -> Self {
        Self(fnv1a(purpose.as_bytes()) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A whole number from `least` to `largest`, both included.
    pub(crate) fn integer(&mut self, least: i32, largest: i32) -> i32 {
        let count = (i64::from(largest) - i64::from(least) + 1).cast_unsigned();
        // The remainder is below 2^32, so the sum is in range.
        (i64::from(least) + (self.bits() % count).cast_signed()) as i32
    }

    /// A float from `least` up to `largest`.
    pub(crate) fn float(&mut self, least: f32, largest: f32) -> f32 {
        // 24 bits are a float's whole precision, so the quotient is exact.
        let unit = (self.bits() >> 40) as f32 / (1u32 << 24) as f32;
        least + unit * (largest - least)
    }

    /// Floats from `-amplitude` up to `amplitude`.
    pub(crate) fn floats(&mut self, count: usize, amplitude: f32) -> Vec<f32> {
        (0..count).map(|_| self.float(-amplitude, amplitude)).collect()
    }
}

/// The 64-bit hash FNV-1a.
///
/// Source of the formula: Fowler, Noll and Vo.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_range_and_reach_both_ends() {
        let mut random = Random::new("range", 1);
        let values: Vec<i32> = (0..10_000).map(|_| random.integer(-3, 2)).collect();
        assert_eq!(values.iter().min(), Some(&-3));
        assert_eq!(values.iter().max(), Some(&2));
        let floats = random.floats(10_000, 2.0);
        assert!(floats.iter().all(|value| (-2.0..2.0).contains(value)));
        assert!(
            floats.iter().any(|&value| value < -1.9) && floats.iter().any(|&value| value > 1.9)
        );
    }

    #[test]
    fn purposes_and_seeds_differ() {
        let first = |purpose, seed| Random::new(purpose, seed).bits();
        assert_eq!(first("a", 1), first("a", 1));
        assert_ne!(first("a", 1), first("b", 1));
        assert_ne!(first("a", 1), first("a", 2));
    }

    #[test]
    fn hash_of_known_text() {
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
