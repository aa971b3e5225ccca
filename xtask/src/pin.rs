//! The exact content a file must have before anything may use it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::failure::{Context, Failure};

/// The size and SHA-256 of a file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Pin {
    /// The length in bytes.
    pub(crate) size: u64,
    /// The SHA-256 in lower-case hexadecimal.
    pub(crate) sha256: String,
}

impl fmt::Display for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes with SHA-256 {}", self.size, self.sha256)
    }
}

impl Pin {
    /// The pin of `bytes`.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { size: bytes.len() as u64, sha256: hexadecimal(&Sha256::digest(bytes)) }
    }

    /// The pin of the file at `path`, read in pieces.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok(Self { size, sha256: hexadecimal(&hash.finalize()) });
            }
            size += count as u64;
            hash.update(&piece[..count]);
        }
    }

    /// Whether the file at `path` exists and has this content.
    pub(crate) fn matches_file(&self, path: &Path) -> bool {
        Self::of_file(path).is_ok_and(|found| found == *self)
    }

    /// Fails, naming `what`, unless `found` is this pin.
    pub(crate) fn check(&self, found: &Self, what: &str) -> Result<(), Failure> {
        if self == found {
            Ok(())
        } else {
            Err(Failure::new(format!("{what} is refused: expected {self}, found {found}")))
        }
    }
}

/// Makes verified `bytes` visible at `destination` in one step.
///
/// The bytes are written beside the destination first, so a reader sees the whole file or none.
pub(crate) fn publish(bytes: &[u8], destination: &Path) -> Result<(), Failure> {
    create_parent(destination)?;
    let mut temporary = destination.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, destination));
    if written.is_err() {
        // The first error is the one to report; a file that was never written cannot be removed.
        let _ = fs::remove_file(&temporary);
    }
    written.context(|| format!("cannot write {}", destination.display()))
}

/// Creates the folder that is to hold `destination`.
pub(crate) fn create_parent(destination: &Path) -> Result<(), Failure> {
    match destination.parent() {
        Some(folder) => fs::create_dir_all(folder)
            .context(|| format!("cannot create the folder {}", folder.display())),
        None => Ok(()),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn bytes_and_file_agree_with_the_published_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, b"abc").unwrap();
        let expected = Pin { size: 3, sha256: ABC.to_owned() };
        assert_eq!(Pin::of_bytes(b"abc"), expected);
        assert_eq!(Pin::of_file(&path).unwrap(), expected);
        assert!(expected.matches_file(&path));
        assert!(!expected.matches_file(&folder.path().join("absent")));
    }

    #[test]
    fn a_file_longer_than_one_piece_is_hashed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Pin::of_file(&path).unwrap(), Pin::of_bytes(&bytes));
    }

    #[test]
    fn a_mismatch_names_expected_and_found() {
        let failure =
            Pin::of_bytes(b"abc").check(&Pin::of_bytes(b"abcd"), "thing").unwrap_err().to_string();
        assert!(failure.starts_with("thing is refused: expected 3 bytes"), "{failure}");
        assert!(failure.contains(ABC), "{failure}");
        assert!(failure.contains("found 4 bytes"), "{failure}");
    }

    #[test]
    fn publishing_replaces_the_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("deep/er/file");
        publish(b"old", &destination).unwrap();
        publish(b"new", &destination).unwrap();
        assert_eq!(fs::read(&destination).unwrap(), b"new");
        assert_eq!(fs::read_dir(destination.parent().unwrap()).unwrap().count(), 1);
    }
}
