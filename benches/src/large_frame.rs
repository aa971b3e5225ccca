//! The frame whose preprocessing is measured.

/// The frame: 8 megapixels of RGB.
pub const FRAME: (u32, u32) = (3264, 2448);

/// Width and height of the model.
pub const SIDE: u32 = 224;

/// The pixels of seed 0 in the recorded golden files, three bytes each.
///
/// Source of the mixing: the finaliser of MurmurHash3.
#[must_use]
pub fn pixels(width: u32, height: u32) -> Vec<u8> {
    let byte = |index: u32| {
        let mut x = index.wrapping_mul(0x9E37_79B1);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        ((x ^ (x >> 16)) >> 24) as u8
    };
    (0..width * height * 3).map(byte).collect()
}
