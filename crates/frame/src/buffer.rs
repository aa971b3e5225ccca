//! The checked view of an image.

use crate::{BoundingBox, FrameError, Orientation, PixelFormat, Plane};

/// A borrowed image: planes, size, format and orientation, checked to be in bounds.
///
/// The planes are kept in one canonical form whatever the caller's layout was: one plane for
/// RGB, RGBA and gray; for YUV always three, in the order Y, U, V, where interleaved chroma is
/// two planes with a pixel stride of two bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameBuffer<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    orientation: Orientation,
    planes: [Plane<'a>; 3],
}

const NO_PLANE: Plane<'static> = Plane::new(&[], 0, 0);

impl<'a> FrameBuffer<'a> {
    /// A frame from planes with any strides.
    ///
    /// # Shapes
    ///
    /// | Format | Planes |
    /// |---|---|
    /// | `Rgb`, `Rgba`, `Gray` | one; the pixel stride is the size of a pixel |
    /// | any YUV | one: Y rows, directly followed by the chroma rows (see below) |
    /// | `Nv12`, `Nv21` | two: Y, and chroma pairs with a pixel stride of two |
    /// | any YUV | three: Y, U, V for `Nv12` and `Yv21`; Y, V, U for `Nv21` and `Yv12` |
    ///
    /// With one plane the chroma begins at byte `row_stride * height`. For `Nv12` and `Nv21` its
    /// row stride is that of Y, or one more if that is odd and equal to the width; for `Yv12` and
    /// `Yv21` it is `(row_stride + 1) / 2`, and the second chroma plane follows after
    /// `(height + 1) / 2` rows.
    ///
    /// With three planes each chroma plane keeps its own row and pixel stride (one for separate
    /// samples, two for samples taken out of pairs), whatever the format's name says of
    /// interleaving: what Android calls `YUV_420_888` can be given as it is.
    ///
    /// # Errors
    ///
    /// - [`FrameError::EmptyFrame`] if `width` or `height` is zero.
    /// - [`FrameError::PlaneCount`] if the format has no layout with so many planes.
    /// - [`FrameError::PixelStride`] if a pixel stride is not one of those above.
    /// - [`FrameError::RowStride`] if a row stride is shorter than its row.
    /// - [`FrameError::PlaneLength`] if a plane has too few bytes; the last row may be short of
    ///   its padding.
    /// - [`FrameError::SizeOverflow`] if a size does not fit `usize`.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: &[Plane<'a>],
        orientation: Orientation,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::EmptyFrame { width, height });
        }
        let planes = if format.is_yuv() {
            yuv_planes(format, width, height, planes)
                .map_err(|error| of_whole_plane(error, planes))?
        } else {
            [packed_plane(format, width, height, planes)?, NO_PLANE, NO_PLANE]
        };
        Ok(Self { format, width, height, orientation, planes })
    }

    /// A frame in one contiguous buffer without any padding, upright as stored.
    ///
    /// The planes follow each other as in the format's name: for `Nv12` Y then U, V pairs, for
    /// `Yv12` Y, V, U, each chroma row having `(width + 1) / 2` samples.
    ///
    /// # Errors
    ///
    /// - [`FrameError::EmptyFrame`] if `width` or `height` is zero.
    /// - [`FrameError::SizeOverflow`] if the size does not fit `usize`.
    /// - [`FrameError::DataLength`] if `data` has not exactly the bytes of the frame.
    pub fn from_contiguous(
        format: PixelFormat,
        data: &'a [u8],
        width: u32,
        height: u32,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::EmptyFrame { width, height });
        }
        let overflow = FrameError::SizeOverflow { width, height };
        let expected = format.contiguous_size(width, height).ok_or(overflow)?;
        if data.len() != expected {
            return Err(FrameError::DataLength { format, expected, found: data.len() });
        }
        let pixel_stride = format.bytes_per_pixel();
        let row_stride = (width as usize).checked_mul(pixel_stride).ok_or(overflow)?;
        let plane = Plane::new(data, row_stride, pixel_stride);
        Self::new(format, width, height, &[plane], Orientation::TopLeft)
    }

    /// A frame of tight rows of red, green, blue bytes, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_rgb(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Rgb, data, width, height)
    }

    /// A frame of tight rows of red, green, blue, alpha bytes, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_rgba(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Rgba, data, width, height)
    }

    /// A frame of tight rows of gray bytes, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_gray(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Gray, data, width, height)
    }

    /// A contiguous NV12 frame, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_nv12(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Nv12, data, width, height)
    }

    /// A contiguous NV21 frame, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_nv21(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Nv21, data, width, height)
    }

    /// A contiguous YV12 frame, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_yv12(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Yv12, data, width, height)
    }

    /// A contiguous YV21 (I420) frame, upright as stored.
    ///
    /// # Errors
    ///
    /// As [`from_contiguous`](Self::from_contiguous).
    pub fn from_yv21(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::from_contiguous(PixelFormat::Yv21, data, width, height)
    }

    /// A YUV frame from the planes of Y, U and V, given by that name whatever order the format has,
    /// upright as stored.
    ///
    /// Each plane keeps its own strides. Of what Android calls `YUV_420_888`, with its three
    /// buffers and their row and pixel strides, the format is [`PixelFormat::Yv21`] if the pixel
    /// stride of chroma is one, and [`PixelFormat::Nv12`] or [`PixelFormat::Nv21`] if it is two.
    /// Reading does not depend on the format here; the exact arithmetic of a resize may.
    ///
    /// ```
    /// use image_embedder_frame::{FrameBuffer, PixelFormat, Plane};
    ///
    /// // 4x2 pixels in rows of 8 bytes, the chroma samples two bytes apart.
    /// let (y, u, v) = ([90; 12], [128; 3], [128; 3]);
    /// let (y, u, v) = (Plane::new(&y, 8, 1), Plane::new(&u, 8, 2), Plane::new(&v, 8, 2));
    /// let frame = FrameBuffer::from_yuv_planes(PixelFormat::Nv21, y, u, v, 4, 2)?;
    /// # Ok::<(), image_embedder_frame::FrameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`FrameError::PlaneCount`] if the format is not YUV.
    pub fn from_yuv_planes(
        format: PixelFormat,
        y: Plane<'a>,
        u: Plane<'a>,
        v: Plane<'a>,
        width: u32,
        height: u32,
    ) -> Result<Self, FrameError> {
        let planes = if format.has_v_first() { [y, v, u] } else { [y, u, v] };
        Self::new(format, width, height, &planes, Orientation::TopLeft)
    }

    /// The same pixels with another orientation.
    #[must_use]
    pub const fn with_orientation(mut self, orientation: Orientation) -> Self {
        self.orientation = orientation;
        self
    }

    /// How the pixels lie in memory.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width of the stored image in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height of the stored image in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// How the stored image is to be turned to be upright.
    pub const fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The box that covers the whole frame.
    pub const fn bounds(&self) -> BoundingBox {
        BoundingBox::whole(self.width, self.height)
    }

    /// The planes in canonical form: one, or for YUV three in the order Y, U, V.
    ///
    /// Chroma planes have `(width + 1) / 2` columns and `(height + 1) / 2` rows.
    pub fn planes(&self) -> &[Plane<'a>] {
        if self.format.is_yuv() { &self.planes } else { &self.planes[..1] }
    }
}

fn packed_plane<'a>(
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: &[Plane<'a>],
) -> Result<Plane<'a>, FrameError> {
    let &[plane] = planes else {
        return Err(FrameError::PlaneCount { format, expected: "1 plane", found: planes.len() });
    };
    let pixel = format.bytes_per_pixel();
    if plane.pixel_stride_bytes != pixel {
        let expected = match format {
            PixelFormat::Rgb => "3",
            PixelFormat::Rgba => "4",
            _ => "1",
        };
        return Err(FrameError::PixelStride {
            plane: 0,
            expected,
            found: plane.pixel_stride_bytes,
        });
    }
    plane.check(0, width, height, pixel)?;
    Ok(plane)
}

/// Checks YUV planes in any layout and returns them as Y, U, V.
fn yuv_planes<'a>(
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: &[Plane<'a>],
) -> Result<[Plane<'a>; 3], FrameError> {
    let interleaved = format.has_interleaved_chroma();
    let count = FrameError::PlaneCount {
        format,
        expected: if interleaved { "1, 2 or 3 planes" } else { "1 or 3 planes" },
        found: planes.len(),
    };
    let luma = planes.first().copied().ok_or(count)?;
    if luma.pixel_stride_bytes != 1 {
        let found = luma.pixel_stride_bytes;
        return Err(FrameError::PixelStride { plane: 0, expected: "1", found });
    }
    luma.check(0, width, height, 1)?;

    let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
    let [first, second] = match *planes {
        [_] if interleaved => {
            let stride = if luma.row_stride_bytes == width as usize {
                // An odd row would cut the last pair in two.
                luma.row_stride_bytes.next_multiple_of(2)
            } else {
                luma.row_stride_bytes
            };
            let chroma = Plane::new(chroma_of(luma, width, height)?, stride, 2);
            pair(0, chroma, columns, rows)?
        }
        [_] => {
            let stride = luma.row_stride_bytes.div_ceil(2);
            let data = chroma_of(luma, width, height)?;
            let overflow = FrameError::SizeOverflow { width, height };
            let offset = stride.checked_mul(rows as usize).ok_or(overflow)?;
            let (_, rest) = split_plane(0, data, offset)?;
            [Plane::new(data, stride, 1), Plane::new(rest, stride, 1)]
        }
        [_, chroma] if interleaved => {
            if chroma.pixel_stride_bytes != 2 {
                let found = chroma.pixel_stride_bytes;
                return Err(FrameError::PixelStride { plane: 1, expected: "2", found });
            }
            pair(1, chroma, columns, rows)?
        }
        [_, first, second] => [first, second],
        _ => return Err(count),
    };
    for (offset, plane) in [first, second].into_iter().enumerate() {
        // Errors name the plane as the caller gave it.
        let index = if planes.len() == 3 { offset + 1 } else { planes.len() - 1 };
        if !matches!(plane.pixel_stride_bytes, 1 | 2) {
            let found = plane.pixel_stride_bytes;
            return Err(FrameError::PixelStride { plane: index, expected: "1 or 2", found });
        }
        plane.check(index, columns, rows, 1)?;
    }
    Ok(if format.has_v_first() { [luma, second, first] } else { [luma, first, second] })
}

/// The bytes after the Y rows of a frame in a single plane.
fn chroma_of(luma: Plane<'_>, width: u32, height: u32) -> Result<&[u8], FrameError> {
    let offset = luma
        .row_stride_bytes
        .checked_mul(height as usize)
        .ok_or(FrameError::SizeOverflow { width, height })?;
    Ok(split_plane(0, luma.data, offset)?.1)
}

/// Takes a plane of chroma pairs apart into the plane of its first and that of its second bytes.
fn pair<'a>(
    index: usize,
    chroma: Plane<'a>,
    columns: u32,
    rows: u32,
) -> Result<[Plane<'a>; 2], FrameError> {
    chroma.check(index, columns, rows, 2)?;
    let (_, second) = split_plane(index, chroma.data, 1)?;
    Ok([chroma, Plane { data: second, ..chroma }])
}

/// Lets an error about the chroma part of a single plane speak of the whole plane.
fn of_whole_plane(error: FrameError, planes: &[Plane<'_>]) -> FrameError {
    match (error, planes) {
        (FrameError::PlaneLength { plane, minimum, found }, [whole]) => {
            let offset = whole.data.len().saturating_sub(found);
            let minimum = minimum.saturating_add(offset);
            FrameError::PlaneLength { plane, minimum, found: whole.data.len() }
        }
        _ => error,
    }
}

fn split_plane(index: usize, data: &[u8], offset: usize) -> Result<(&[u8], &[u8]), FrameError> {
    data.split_at_checked(offset).ok_or(FrameError::PlaneLength {
        plane: index,
        minimum: offset,
        found: data.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPRIGHT: Orientation = Orientation::TopLeft;

    fn build<'a>(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: &[Plane<'a>],
    ) -> Result<FrameBuffer<'a>, FrameError> {
        FrameBuffer::new(format, width, height, planes, UPRIGHT)
    }

    #[test]
    fn tight_buffers_must_have_their_exact_length() {
        for format in PixelFormat::ALL {
            let size = format.contiguous_size(5, 3).unwrap();
            let data = vec![0; size + 1];
            let frame = FrameBuffer::from_contiguous(format, &data[..size], 5, 3).unwrap();
            assert_eq!((frame.width(), frame.height()), (5, 3));
            assert_eq!(frame.planes().len(), if format.is_yuv() { 3 } else { 1 });
            for found in [0, size - 1, size + 1] {
                assert_eq!(
                    FrameBuffer::from_contiguous(format, &data[..found], 5, 3).unwrap_err(),
                    FrameError::DataLength { format, expected: size, found }
                );
            }
        }
    }

    #[test]
    fn frames_without_pixels_are_refused() {
        for format in PixelFormat::ALL {
            for (width, height) in [(0, 0), (0, 1), (1, 0)] {
                let expected = FrameError::EmptyFrame { width, height };
                let contiguous = FrameBuffer::from_contiguous(format, &[], width, height);
                assert_eq!(contiguous.unwrap_err(), expected);
                assert_eq!(build(format, width, height, &[]).unwrap_err(), expected);
            }
        }
    }

    #[test]
    fn last_row_may_be_short_of_its_padding() {
        let data = [0; 2 * 16 + 12];
        assert!(build(PixelFormat::Rgb, 4, 3, &[Plane::new(&data, 16, 3)]).is_ok());
        assert_eq!(
            build(PixelFormat::Rgb, 4, 3, &[Plane::new(&data[1..], 16, 3)]).unwrap_err(),
            FrameError::PlaneLength { plane: 0, minimum: 44, found: 43 }
        );
    }

    #[test]
    fn row_strides_must_hold_a_row() {
        let data = [0; 100];
        assert_eq!(
            build(PixelFormat::Rgba, 4, 3, &[Plane::new(&data, 15, 4)]).unwrap_err(),
            FrameError::RowStride { plane: 0, minimum: 16, found: 15 }
        );
        let planes = [Plane::new(&data, 5, 1), Plane::new(&data, 5, 2)];
        assert_eq!(
            build(PixelFormat::Nv12, 5, 3, &planes).unwrap_err(),
            FrameError::RowStride { plane: 1, minimum: 6, found: 5 }
        );
        let planes = [Plane::new(&data, 5, 1), Plane::new(&data, 3, 1), Plane::new(&data, 4, 2)];
        assert_eq!(
            build(PixelFormat::Yv12, 5, 3, &planes).unwrap_err(),
            FrameError::RowStride { plane: 2, minimum: 5, found: 4 }
        );
    }

    #[test]
    fn pixel_strides_must_fit_the_format() {
        let data = [0; 100];
        let plane = |stride| Plane::new(&data, 20, stride);
        let error =
            FrameBuffer::from_yuv_planes(PixelFormat::Rgb, plane(1), plane(1), plane(1), 2, 2);
        assert!(matches!(error, Err(FrameError::PlaneCount { found: 3, .. })));
        let refused = |format, planes: &[Plane<'_>], plane, expected, found| {
            assert_eq!(
                build(format, 2, 2, planes).unwrap_err(),
                FrameError::PixelStride { plane, expected, found }
            );
        };
        refused(PixelFormat::Rgb, &[plane(4)], 0, "3", 4);
        refused(PixelFormat::Rgba, &[plane(0)], 0, "4", 0);
        refused(PixelFormat::Gray, &[plane(2)], 0, "1", 2);
        refused(PixelFormat::Nv12, &[plane(2)], 0, "1", 2);
        refused(PixelFormat::Nv21, &[plane(1), plane(1)], 1, "2", 1);
        refused(PixelFormat::Yv21, &[plane(1), plane(0), plane(1)], 1, "1 or 2", 0);
        refused(PixelFormat::Nv21, &[plane(1), plane(1), plane(3)], 2, "1 or 2", 3);
    }

    #[test]
    fn plane_counts_must_fit_the_format() {
        let data = [0; 100];
        let planes = [Plane::new(&data, 20, 1); 4];
        let mut refused = 0;
        for format in PixelFormat::ALL {
            for found in 0..=4 {
                let error = build(format, 2, 2, &planes[..found]).err();
                let allowed: &[usize] = match format {
                    PixelFormat::Nv12 | PixelFormat::Nv21 => &[1, 2, 3],
                    PixelFormat::Yv12 | PixelFormat::Yv21 => &[1, 3],
                    _ => &[1],
                };
                let is_count =
                    matches!(error, Some(FrameError::PlaneCount { found: n, .. }) if n == found);
                assert_eq!(is_count, !allowed.contains(&found), "{format} with {found}: {error:?}");
                refused += usize::from(is_count);
            }
        }
        assert_eq!(refused, 3 * 4 + 2 * 2 + 2 * 3);
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        let huge = Plane::new(&[0; 4], usize::MAX, 1);
        assert!(matches!(
            build(PixelFormat::Gray, 4, 3, &[huge]),
            Err(FrameError::SizeOverflow { .. })
        ));
        assert!(matches!(
            build(PixelFormat::Yv12, 4, 1, &[Plane::new(&[0; 4], usize::MAX, 1)]),
            Err(FrameError::PlaneLength { .. })
        ));
        assert!(matches!(
            build(PixelFormat::Nv12, 4, 2, &[Plane::new(&[0; 9], usize::MAX / 2, 1)]),
            Err(FrameError::PlaneLength { .. })
        ));
        assert!(FrameBuffer::from_rgba(&[], u32::MAX, u32::MAX).is_err());
    }

    /// The sample of canonical plane `plane` at `(x, y)`.
    fn sample(frame: &FrameBuffer<'_>, plane: usize, x: usize, y: usize) -> u8 {
        let plane = frame.planes()[plane];
        plane.data[y * plane.row_stride_bytes + x * plane.pixel_stride_bytes]
    }

    #[test]
    fn every_layout_of_one_yuv_image_reads_alike() {
        // 3x3 pixels: Y counts from 0, U from 100, V from 200.
        let y: Vec<u8> = (0..9).collect();
        let (u, v): (Vec<u8>, Vec<u8>) = ((100..104).collect(), (200..204).collect());
        let uv: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [u, v]).collect();
        let vu: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [v, u]).collect();
        let nv12 = [&y[..], &uv].concat();
        let nv21 = [&y[..], &vu].concat();
        let yv12 = [&y[..], &v, &u].concat();
        let yv21 = [&y[..], &u, &v].concat();
        let y_plane = Plane::new(&y, 3, 1);
        let (u_plane, v_plane) = (Plane::new(&u, 2, 1), Plane::new(&v, 2, 1));
        let (u_of_pairs, v_of_pairs) = (Plane::new(&uv, 4, 2), Plane::new(&uv[1..], 4, 2));
        // Rows padded to four bytes in a single plane, as some cameras give them.
        let mut padded = Vec::new();
        for row in y.chunks(3) {
            padded.extend_from_slice(row);
            padded.push(99);
        }
        padded.extend_from_slice(&uv);

        let frames = [
            FrameBuffer::from_nv12(&nv12, 3, 3),
            FrameBuffer::from_nv21(&nv21, 3, 3),
            FrameBuffer::from_yv12(&yv12, 3, 3),
            FrameBuffer::from_yv21(&yv21, 3, 3),
            build(PixelFormat::Nv12, 3, 3, &[Plane::new(&padded, 4, 1)]),
            build(PixelFormat::Nv12, 3, 3, &[y_plane, u_of_pairs]),
            build(PixelFormat::Nv21, 3, 3, &[y_plane, Plane::new(&vu, 4, 2)]),
            build(PixelFormat::Nv12, 3, 3, &[y_plane, u_of_pairs, v_of_pairs]),
            build(PixelFormat::Nv12, 3, 3, &[y_plane, u_plane, v_plane]),
            build(PixelFormat::Nv21, 3, 3, &[y_plane, v_of_pairs, u_of_pairs]),
            build(PixelFormat::Yv12, 3, 3, &[y_plane, v_of_pairs, u_plane]),
            build(PixelFormat::Yv21, 3, 3, &[y_plane, u_plane, v_plane]),
            FrameBuffer::from_yuv_planes(PixelFormat::Nv12, y_plane, u_of_pairs, v_of_pairs, 3, 3),
            FrameBuffer::from_yuv_planes(PixelFormat::Nv21, y_plane, u_of_pairs, v_of_pairs, 3, 3),
            FrameBuffer::from_yuv_planes(PixelFormat::Yv12, y_plane, u_plane, v_plane, 3, 3),
            FrameBuffer::from_yuv_planes(PixelFormat::Yv21, y_plane, u_of_pairs, v_plane, 3, 3),
        ];
        assert_eq!(frames.len(), 16);
        for (index, frame) in frames.into_iter().enumerate() {
            let frame = frame.unwrap();
            for row in 0..3 {
                for column in 0..3 {
                    assert_eq!(sample(&frame, 0, column, row), y[row * 3 + column], "{index}");
                }
            }
            for row in 0..2 {
                for column in 0..2 {
                    assert_eq!(sample(&frame, 1, column, row), u[row * 2 + column], "{index}");
                    assert_eq!(sample(&frame, 2, column, row), v[row * 2 + column], "{index}");
                }
            }
        }
    }

    #[test]
    fn single_plane_chroma_must_be_complete() {
        // 4x4 pixels with rows of 6 bytes: 24 of Y, then 2 chroma rows.
        let data = [0; 24 + 6 + 4];
        assert!(build(PixelFormat::Nv12, 4, 4, &[Plane::new(&data, 6, 1)]).is_ok());
        assert_eq!(
            build(PixelFormat::Nv12, 4, 4, &[Plane::new(&data[..33], 6, 1)]).unwrap_err(),
            FrameError::PlaneLength { plane: 0, minimum: 34, found: 33 }
        );
        // Planar: chroma rows of 3 bytes, 2 x 3 of the first plane, 3 + 2 of the second.
        assert!(build(PixelFormat::Yv21, 4, 4, &[Plane::new(&data, 6, 1)]).is_err());
        let data = [0; 24 + 6 + 5];
        assert!(build(PixelFormat::Yv21, 4, 4, &[Plane::new(&data, 6, 1)]).is_ok());
        assert!(build(PixelFormat::Yv21, 4, 4, &[Plane::new(&data[..23], 6, 1)]).is_err());
    }

    proptest::proptest! {
        /// Whatever numbers come, a frame that exists can be read at its last sample.
        #[test]
        fn existing_frames_are_in_bounds(
            format in proptest::sample::select(&PixelFormat::ALL[..]),
            width in 0u32..9,
            height in 0u32..9,
            planes in proptest::collection::vec((0usize..200, 0usize..20, 0usize..5), 0..4),
        ) {
            let data = [0u8; 200];
            let planes: Vec<_> = planes
                .into_iter()
                .map(|(length, row, pixel)| Plane::new(&data[..length], row, pixel))
                .collect();
            if let Ok(frame) = build(format, width, height, &planes) {
                for (index, plane) in frame.planes().iter().enumerate() {
                    let (columns, rows) = if index == 0 {
                        (width, height)
                    } else {
                        (width.div_ceil(2), height.div_ceil(2))
                    };
                    let last = (rows as usize - 1) * plane.row_stride_bytes
                        + (columns as usize - 1) * plane.pixel_stride_bytes
                        + if index == 0 { format.bytes_per_pixel() } else { 1 };
                    assert!(last <= plane.data.len());
                }
            }
        }
    }
}
