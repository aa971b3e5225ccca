//! Why bytes are not the flatbuffer that was expected.

use std::error::Error;
use std::fmt;

use flatbuffers::InvalidFlatbuffer;

/// Why bytes are not the flatbuffer that was expected.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum SchemaError {
    /// Fewer bytes than the header of a flatbuffer.
    TooShort {
        /// The least number of bytes.
        expected: usize,
        /// The number of bytes given.
        found: usize,
    },
    /// The file identifier in bytes 4 to 8 is another one.
    WrongIdentifier {
        /// The identifier of the format.
        expected: &'static str,
        /// The bytes in its place.
        found: [u8; 4],
    },
    /// An offset, length or string inside the flatbuffer is out of bounds or malformed.
    Malformed {
        /// Which of the two formats.
        format: &'static str,
        /// The verifier's finding.
        source: InvalidFlatbuffer,
    },
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { expected, found } => {
                write!(f, "expected at least {expected} bytes, found {found}")
            }
            Self::WrongIdentifier { expected, found } => {
                write!(f, "expected the file identifier {expected}, found ")?;
                found.escape_ascii().fmt(f)
            }
            Self::Malformed { format, .. } => write!(f, "malformed or truncated {format}"),
        }
    }
}

impl Error for SchemaError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed { source, .. } => Some(source),
            _ => None,
        }
    }
}
