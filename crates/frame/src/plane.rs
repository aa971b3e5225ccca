//! One plane of an image.

use std::fmt;

use crate::FrameError;

/// Borrowed samples of one plane, top row first.
///
/// The sample of column `x` and row `y` begins at byte
/// `y * row_stride_bytes + x * pixel_stride_bytes`.
#[derive(Clone, Copy, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "the three numbers that describe a plane")]
pub struct Plane<'a> {
    /// The bytes, from the first sample on. The last row may be short of its padding.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub row_stride_bytes: usize,
    /// Bytes from one pixel to the next within a row.
    pub pixel_stride_bytes: usize,
}

impl<'a> Plane<'a> {
    /// A plane with the given strides.
    pub const fn new(data: &'a [u8], row_stride_bytes: usize, pixel_stride_bytes: usize) -> Self {
        Self { data, row_stride_bytes, pixel_stride_bytes }
    }

    /// Checks that `columns` x `rows` samples of `sample_bytes` bytes lie within the data.
    pub(crate) fn check(
        &self,
        index: usize,
        columns: u32,
        rows: u32,
        sample_bytes: usize,
    ) -> Result<(), FrameError> {
        let overflow = FrameError::SizeOverflow { width: columns, height: rows };
        let row = (columns as usize)
            .saturating_sub(1)
            .checked_mul(self.pixel_stride_bytes)
            .and_then(|bytes| bytes.checked_add(sample_bytes))
            .ok_or(overflow)?;
        if self.row_stride_bytes < row {
            return Err(FrameError::RowStride {
                plane: index,
                minimum: row,
                found: self.row_stride_bytes,
            });
        }
        let expected = (rows as usize)
            .saturating_sub(1)
            .checked_mul(self.row_stride_bytes)
            .and_then(|bytes| bytes.checked_add(row))
            .ok_or(overflow)?;
        if self.data.len() < expected {
            return Err(FrameError::PlaneLength {
                plane: index,
                minimum: expected,
                found: self.data.len(),
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Plane<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("bytes", &self.data.len())
            .field("row_stride_bytes", &self.row_stride_bytes)
            .field("pixel_stride_bytes", &self.pixel_stride_bytes)
            .finish()
    }
}
