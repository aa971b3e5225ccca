//! Whether a JPEG file is all there.
//!
//! The decoder fills what is missing at the end of a file with gray, and an embedding of that
//! would look like any other.

use crate::{Error, ErrorKind};

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// Checks that the segments of a JPEG file lead to its end marker.
pub(super) fn check_complete(bytes: &[u8]) -> Result<(), Error> {
    if reaches_end(bytes) {
        return Ok(());
    }
    let message = format!(
        "expected a JPEG image with an end marker, found one that ends early, after {} bytes",
        bytes.len()
    );
    Err(Error::new(ErrorKind::Input, message))
}

/// Follows the segments, and within scans the entropy-coded data, from marker to marker.
fn reaches_end(bytes: &[u8]) -> bool {
    // The start marker.
    let mut at = 2;
    loop {
        match bytes.get(at..) {
            // Fill bytes may precede a marker.
            Some([0xff, 0xff, ..]) => at += 1,
            Some([0xff, END_OF_IMAGE, ..]) => return true,
            // Markers without a length: stuffed bytes and restarts within scans, and the rest.
            Some([0xff, 0x00 | 0x01 | 0xd0..=0xd8, ..]) => at += 2,
            Some([0xff, marker, high, low, ..]) => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                at += 2 + length.max(2);
                if *marker == START_OF_SCAN {
                    at += scan_length(bytes.get(at..).unwrap_or_default());
                }
            }
            // Stray bytes between segments, which decoders skip.
            Some([other, _, ..]) if *other != 0xff => at += 1,
            _ => return false,
        }
    }
}

/// The number of bytes before the next marker that is not part of the scan.
fn scan_length(bytes: &[u8]) -> usize {
    bytes
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: &[u8] = &[0xff, 0xda, 0, 3, 9];

    fn file(parts: &[&[u8]]) -> Vec<u8> {
        [&[&[0xff, 0xd8][..]], parts].concat().concat()
    }

    #[test]
    fn the_end_marker_counts_only_outside_segments() {
        let thumbnail: &[u8] = &[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let data: &[u8] = &[1, 0xff, 0, 2, 0xff, 0xd0, 3, 0xff, 0xff];
        let end: &[u8] = &[0xff, 0xd9];
        assert!(reaches_end(&file(&[thumbnail, SCAN, data, end])));
        assert!(reaches_end(&file(&[SCAN, data, SCAN, data, end, b"trailing"])));
        let complete = file(&[thumbnail, SCAN, data, SCAN, data, end]);
        for length in 0..complete.len() {
            assert!(!reaches_end(&complete[..length]), "{length} of {}", complete.len());
        }
    }

    #[test]
    fn lengths_that_lie_end_the_search() {
        assert!(!reaches_end(&file(&[&[0xff, 0xe0, 0xff, 0xff, 0xff, 0xd9]])));
        assert!(!reaches_end(&file(&[&[0xff, 0xe0, 0, 0, 0]])));
    }
}
