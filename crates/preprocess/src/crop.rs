//! Cropping: a region of a plane, without copying it.

use image_embedder_frame::{BoundingBox, Plane};

/// The samples of a region of a plane.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a> {
    data: &'a [u8],
    row_stride: usize,
    pixel_stride: usize,
    width: usize,
}

impl<'a> Samples<'a> {
    /// The region of a plane at full resolution. The region lies within the plane.
    pub(crate) fn of(plane: &Plane<'a>, region: BoundingBox) -> Self {
        let (x, y) = (region.origin_x as usize, region.origin_y as usize);
        let offset = y * plane.row_stride_bytes + x * plane.pixel_stride_bytes;
        Self {
            data: &plane.data[offset..],
            row_stride: plane.row_stride_bytes,
            pixel_stride: plane.pixel_stride_bytes,
            width: region.width as usize,
        }
    }

    /// Bytes from one pixel to the next.
    pub(crate) fn pixel_stride(&self) -> usize {
        self.pixel_stride
    }

    /// The bytes of a row, from its first sample to the last one, which has `channels` bytes.
    pub(crate) fn row(&self, y: usize, channels: usize) -> &'a [u8] {
        let start = y * self.row_stride;
        &self.data[start..start + (self.width - 1) * self.pixel_stride + channels]
    }
}

/// The part of a chroma plane that belongs to a region of the frame.
///
/// An odd origin is rounded down and an odd size up, so that at an odd origin the chroma shifts by
/// half a sample: what the original does.
pub(crate) fn chroma_region(region: BoundingBox) -> BoundingBox {
    BoundingBox {
        origin_x: region.origin_x / 2,
        origin_y: region.origin_y / 2,
        width: region.width.div_ceil(2),
        height: region.height.div_ceil(2),
    }
}
