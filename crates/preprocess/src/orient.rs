//! Orienting: turning and mirroring, which only moves pixels.

use image_embedder_frame::Orientation;

use crate::memory::Size;

/// Makes tight rows of `C`-byte pixels upright.
///
/// `size` is that of `stored`; `upright` has as many bytes.
pub(crate) fn orient<const C: usize>(
    stored: &[u8],
    size: Size,
    orientation: Orientation,
    upright: &mut [u8],
) {
    let Size { width, height } = size;
    let (last_column, last_row) = (width - 1, (height - 1) * width);
    let stride = width.cast_signed();
    // Index in `stored` of the first upright pixel, and the steps to the right and down.
    let (first, right, down) = match orientation {
        Orientation::TopLeft => (0, 1, stride),
        Orientation::TopRight => (last_column, -1, stride),
        Orientation::BottomRight => (last_row + last_column, -1, -stride),
        Orientation::BottomLeft => (last_row, 1, -stride),
        Orientation::LeftTop => (0, stride, 1),
        Orientation::RightTop => (last_row, -stride, 1),
        Orientation::RightBottom => (last_row + last_column, -stride, -1),
        Orientation::LeftBottom => (last_column, stride, -1),
    };
    let upright_width = if orientation.swaps_dimensions() { height } else { width };
    let (pixels, _) = stored.as_chunks::<C>();
    let mut row_start = first.cast_signed();
    for row in upright.chunks_exact_mut(upright_width * C) {
        let mut index = row_start;
        for pixel in row.as_chunks_mut::<C>().0 {
            *pixel = pixels[index.cast_unsigned()];
            index = index.wrapping_add(right);
        }
        row_start = row_start.wrapping_add(down);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_orientations_of_a_small_image() {
        // 1 2 3
        // 4 5 6
        let expected: [(Orientation, [u8; 6]); 8] = [
            (Orientation::TopLeft, [1, 2, 3, 4, 5, 6]),
            (Orientation::TopRight, [3, 2, 1, 6, 5, 4]),
            (Orientation::BottomRight, [6, 5, 4, 3, 2, 1]),
            (Orientation::BottomLeft, [4, 5, 6, 1, 2, 3]),
            (Orientation::LeftTop, [1, 4, 2, 5, 3, 6]),
            (Orientation::RightTop, [4, 1, 5, 2, 6, 3]),
            (Orientation::RightBottom, [6, 3, 5, 2, 4, 1]),
            (Orientation::LeftBottom, [3, 6, 2, 5, 1, 4]),
        ];
        for (orientation, expected) in expected {
            let mut upright = [0; 6];
            let size = Size { width: 3, height: 2 };
            orient::<1>(&[1, 2, 3, 4, 5, 6], size, orientation, &mut upright);
            assert_eq!(upright, expected, "{orientation}");
        }
    }
}
