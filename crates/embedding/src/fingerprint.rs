//! What tells vectors that may be compared from those that may not.

use std::fmt;
use std::str::FromStr;

use crate::EmbeddingError;

/// Stands for everything that decided about the numbers of a feature vector, the image aside:
/// vectors may be compared if their fingerprints are equal.
///
/// A fingerprint is 128 bits; it is shown and parsed as 32 hexadecimal digits.
///
/// ```
/// use image_embedder_embedding::Fingerprint;
///
/// let fingerprint: Fingerprint = "000102030405060708090a0b0c0d0e0f".parse()?;
/// assert_eq!(fingerprint.to_bytes()[15], 15);
/// assert_eq!(fingerprint.to_string(), "000102030405060708090a0b0c0d0e0f");
/// # Ok::<(), image_embedder_embedding::EmbeddingError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint with these bytes, those of the digits from left to right.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the digits from left to right.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Checks that vectors of two fingerprints may be compared.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError::FingerprintMismatch`] if they differ.
    pub fn check(self, other: Self) -> Result<(), EmbeddingError> {
        if self == other {
            return Ok(());
        }
        Err(EmbeddingError::FingerprintMismatch { expected: self, found: other })
    }
}

impl fmt::Display for Fingerprint {
    /// As 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = EmbeddingError;

    /// Parses 32 hexadecimal digits of either case.
    ///
    /// # Errors
    ///
    /// - [`EmbeddingError::FingerprintDigit`] if there is a character that is no such digit.
    /// - [`EmbeddingError::FingerprintLength`] if there are more or fewer digits.
    fn from_str(text: &str) -> Result<Self, EmbeddingError> {
        let mut digits = 0;
        let mut number = 0u128;
        for (position, found) in text.chars().enumerate() {
            let Some(digit) = found.to_digit(16) else {
                return Err(EmbeddingError::FingerprintDigit { position, found });
            };
            number = number << 4 | u128::from(digit);
            digits += 1;
        }
        if digits != 32 {
            return Err(EmbeddingError::FingerprintLength { found: digits });
        }
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        let text = "00ff0123456789abcdefABCDEF987654";
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), text.to_ascii_lowercase());
        assert_eq!(fingerprint.to_bytes()[..3], [0, 255, 1]);
        assert_eq!(format!("{fingerprint:?}"), format!("Fingerprint({fingerprint})"));
        let wrong = [
            ("", EmbeddingError::FingerprintLength { found: 0 }),
            (&text[1..], EmbeddingError::FingerprintLength { found: 31 }),
            ("0123456789abcdef0123456789abcdef0", EmbeddingError::FingerprintLength { found: 33 }),
            (
                "0123456789abcdeg0123456789abcdef",
                EmbeddingError::FingerprintDigit { position: 15, found: 'g' },
            ),
            ("é", EmbeddingError::FingerprintDigit { position: 0, found: 'é' }),
            ("+1", EmbeddingError::FingerprintDigit { position: 0, found: '+' }),
        ];
        for (text, expected) in wrong {
            assert_eq!(text.parse::<Fingerprint>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn only_equals_may_be_compared() {
        let (a, b) = (Fingerprint::from_bytes([1; 16]), Fingerprint::from_bytes([2; 16]));
        assert_eq!(a.check(a), Ok(()));
        let error = a.check(b).unwrap_err();
        assert_eq!(error, EmbeddingError::FingerprintMismatch { expected: a, found: b });
        assert!(error.to_string().contains(&a.to_string()));
        assert!(error.to_string().contains(&b.to_string()));
    }

    proptest::proptest! {
        #[test]
        fn display_and_parse_are_inverse(bytes: [u8; 16]) {
            let fingerprint = Fingerprint::from_bytes(bytes);
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            assert_eq!(fingerprint.to_bytes(), bytes);
        }
    }
}
