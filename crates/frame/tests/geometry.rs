//! Which geometries are frames: exactly those whose samples all lie in their planes.
//!
//! Planes here have exactly their bytes, so reading past one is an error of its own, which
//! `cargo xtask ci sanitizer` sees too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_embedder_frame::{FrameBuffer, FrameError, Orientation, PixelFormat, Plane};
use proptest::prelude::*;
use proptest::sample::select;

/// A plane without its bytes.
#[derive(Clone, Copy, Debug)]
struct Layout {
    length: usize,
    row_stride: usize,
    pixel_stride: usize,
}

impl Layout {
    /// Whether `columns` x `rows` samples of `bytes` bytes have rows that do not overlap and lie
    /// within `length` bytes.
    fn holds(self, columns: usize, rows: usize, bytes: usize) -> bool {
        let row = (columns - 1) * self.pixel_stride + bytes;
        self.row_stride >= row && self.length >= (rows - 1) * self.row_stride + row
    }
}

/// Whether the documentation of [`FrameBuffer::new`] allows the geometry; sizes are small.
fn is_valid(format: PixelFormat, width: usize, height: usize, planes: &[Layout]) -> bool {
    if width == 0 || height == 0 {
        return false;
    }
    let [first, rest @ ..] = planes else {
        return false;
    };
    if !format.is_yuv() {
        let bytes = format.bytes_per_pixel();
        return rest.is_empty() && first.pixel_stride == bytes && first.holds(width, height, bytes);
    }
    if first.pixel_stride != 1 || !first.holds(width, height, 1) {
        return false;
    }
    let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
    let is_interleaved = matches!(format, PixelFormat::Nv12 | PixelFormat::Nv21);
    match (rest, is_interleaved) {
        ([], true) => {
            let is_odd = first.row_stride == width && width % 2 == 1;
            let row_stride = first.row_stride + usize::from(is_odd);
            let offset = first.row_stride * height;
            let pairs = offset + (rows - 1) * row_stride + 2 * columns;
            first.length >= pairs
        }
        ([], false) => {
            let row_stride = first.row_stride.div_ceil(2);
            let offset = first.row_stride * height;
            let samples = offset + row_stride * rows + (rows - 1) * row_stride + columns;
            first.length >= samples
        }
        ([pairs], true) => pairs.pixel_stride == 2 && pairs.holds(columns, rows, 2),
        ([a, b], _) => [a, b]
            .iter()
            .all(|plane| matches!(plane.pixel_stride, 1 | 2) && plane.holds(columns, rows, 1)),
        _ => false,
    }
}

/// Every sample of a frame, read at the documented place.
fn read_all(frame: &FrameBuffer<'_>) -> usize {
    let mut read = 0;
    for (index, plane) in frame.planes().iter().enumerate() {
        let (columns, rows, bytes) = if index == 0 {
            (frame.width(), frame.height(), frame.format().bytes_per_pixel())
        } else {
            (frame.width().div_ceil(2), frame.height().div_ceil(2), 1)
        };
        for row in 0..rows as usize {
            for column in 0..columns as usize {
                let start = row * plane.row_stride_bytes + column * plane.pixel_stride_bytes;
                read += plane.data[start..start + bytes].len();
            }
        }
    }
    read
}

/// A geometry that is valid or nearly so.
fn geometries() -> impl Strategy<Value = (PixelFormat, u32, u32, Vec<Layout>)> {
    let size = prop_oneof![1 => Just(0u32), 30 => 1u32..8];
    let count =
        prop_oneof![1 => Just(0usize), 20 => Just(1), 12 => Just(2), 20 => Just(3), 1 => Just(4)];
    (select(&PixelFormat::ALL[..]), size.clone(), size, count).prop_flat_map(
        |(format, width, height, count)| {
            let plane = move |index: usize| {
                let (columns, rows, bytes) = if index == 0 {
                    (width, height, format.bytes_per_pixel())
                } else {
                    (width.div_ceil(2), height.div_ceil(2), if count == 2 { 2 } else { 1 })
                };
                let (columns, rows) = (columns as usize, rows as usize);
                let whole = index == 0 && count == 1 && format.is_yuv();
                let strides = (
                    prop_oneof![12 => Just(bytes), 1 => 0usize..5],
                    prop_oneof![1 => Just(-1isize), 8 => Just(0), 4 => 1isize..4],
                    prop_oneof![1 => -2isize..0, 6 => Just(0), 2 => 1isize..40],
                );
                strides.prop_map(move |(pixel_stride, row_change, length_change)| {
                    let row = columns.saturating_sub(1) * pixel_stride + bytes;
                    let row_stride = row.saturating_add_signed(row_change);
                    let luma = rows.saturating_sub(1) * row_stride + row;
                    let chroma = if whole {
                        let chroma_rows = rows.div_ceil(2);
                        (row_stride * (rows + chroma_rows) + chroma_rows).saturating_sub(luma)
                    } else {
                        0
                    };
                    let length = (luma + chroma).saturating_add_signed(length_change);
                    Layout { length, row_stride, pixel_stride }
                })
            };
            let planes: Vec<_> = (0..count).map(plane).collect();
            (Just(format), Just(width), Just(height), planes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn exactly_the_valid_geometries_are_frames((format, width, height, planes) in geometries()) {
        // Each plane in memory of exactly its length.
        let memory: Vec<Vec<u8>> = planes.iter().map(|plane| vec![7; plane.length]).collect();
        let views: Vec<Plane<'_>> = planes
            .iter()
            .zip(&memory)
            .map(|(plane, data)| Plane::new(data, plane.row_stride, plane.pixel_stride))
            .collect();
        let frame = FrameBuffer::new(format, width, height, &views, Orientation::TopLeft);
        let valid = is_valid(format, width as usize, height as usize, &planes);
        prop_assert_eq!(frame.is_ok(), valid, "{:?}", frame.err());
        if let Ok(frame) = frame {
            let pixels = (width * height) as usize;
            let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
            let expected = if format.is_yuv() {
                pixels + 2 * chroma
            } else {
                pixels * format.bytes_per_pixel()
            };
            prop_assert_eq!(read_all(&frame), expected);
        }
    }

    #[test]
    fn numbers_of_any_size_are_refused_or_in_bounds(
        format in select(&PixelFormat::ALL[..]),
        width: u32,
        height: u32,
        planes in proptest::collection::vec((0usize..64, any::<usize>(), any::<usize>()), 0..5),
    ) {
        let data = [7; 64];
        let views: Vec<Plane<'_>> = planes
            .iter()
            .map(|&(length, row, pixel)| Plane::new(&data[..length], row, pixel))
            .collect();
        if let Ok(frame) = FrameBuffer::new(format, width, height, &views, Orientation::TopLeft) {
            prop_assert!(read_all(&frame) > 0);
        }
        let contiguous = FrameBuffer::from_contiguous(format, &data, width, height);
        match contiguous {
            Ok(frame) => prop_assert!(read_all(&frame) >= 64),
            Err(error) => {
                let is_named = matches!(
                    error,
                    FrameError::EmptyFrame { .. }
                        | FrameError::DataLength { .. }
                        | FrameError::SizeOverflow { .. }
                );
                prop_assert!(is_named, "{}", error);
            }
        }
    }
}

#[test]
fn the_cases_are_of_both_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut valid = [0; PixelFormat::ALL.len()];
    let mut invalid = [0; PixelFormat::ALL.len()];
    for _ in 0..4000 {
        let (format, width, height, planes) = geometries().new_tree(&mut runner).unwrap().current();
        let index = PixelFormat::ALL.iter().position(|known| *known == format).unwrap();
        if is_valid(format, width as usize, height as usize, &planes) {
            valid[index] += 1;
        } else {
            invalid[index] += 1;
        }
    }
    assert!(valid.iter().chain(&invalid).all(|&count| count >= 40), "{valid:?} {invalid:?}");
}
