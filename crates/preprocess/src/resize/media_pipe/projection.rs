//! Where MediaPipe samples a frame, with every rounding of its arithmetic.
//!
//! The formula of the parent module is what MediaPipe means. What it computes is a perspective
//! projection: the corners of the rotated region in 32-bit floats, eight linear equations and the
//! inverse of a matrix in 64-bit floats, and a division for each pixel. Where the formula's
//! position lies half-way between two 32nds of a pixel, the errors of all that decide which of
//! the two is taken. Source: behaviour of MediaPipe 1.2.2 on x86-64 (OpenCV 5.1).

use image_embedder_frame::{BoundingBox, Orientation};

use crate::FrameGeometry;
use crate::memory::Size;

/// Positions of output pixels in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection {
    /// Homogeneous coordinates of the frame from those of the output, row by row.
    matrix: [f64; 9],
    /// Positions are computed relative to the first column of a block of so many columns.
    block_width: usize,
}

impl Projection {
    /// The projection for a geometry with one of the four orientations that do not mirror.
    pub(super) fn new(geometry: FrameGeometry, target: Size) -> Self {
        let (width, height) = (target.width as f32, target.height as f32);
        let targets = [[0.0, height], [0.0, 0.0], [width, 0.0], [width, height]];
        let block_height = target.height.min(16);
        Self {
            matrix: inverse(projection(corners(geometry), targets)),
            block_width: target.width.min(1024 / block_height),
        }
    }

    /// The positions in a row of the output, in 32nds of a pixel of the frame.
    pub(super) fn row(self, y: usize) -> impl Fn(usize) -> (i64, i64) {
        let m = self.matrix;
        let y = y as f64;
        move |x| {
            let first = (x / self.block_width * self.block_width) as f64;
            let offset = (x % self.block_width) as f64;
            let [at_x, at_y, at_w] =
                [0, 3, 6].map(|row| m[row] * first + m[row + 1] * y + m[row + 2]);
            let scale = 32.0 / (at_w + m[6] * offset);
            let fixed = |value: f64| value.round_ties_even() as i64;
            (fixed((at_x + m[0] * offset) * scale), fixed((at_y + m[3] * offset) * scale))
        }
    }
}

/// The corners of the region in the frame that become the lower left, upper left, upper right and
/// lower right corner of the output.
fn corners(geometry: FrameGeometry) -> [[f32; 2]; 4] {
    let BoundingBox { origin_x, origin_y, width, height } = geometry.region();
    let frame_width = geometry.frame_width() as f32;
    let frame_height = geometry.frame_height() as f32;
    // The region reaches MediaPipe as fractions of the frame.
    let fractions = |origin: u32, extent: u32, frame: f32| {
        let (first, last) = (origin as f32 / frame, (origin + extent) as f32 / frame);
        ((first + last) / 2.0, last - first)
    };
    let (center_x, mut width) = fractions(origin_x, width, frame_width);
    let (center_y, mut height) = fractions(origin_y, height, frame_height);
    if geometry.orientation().swaps_dimensions() {
        (width, height) = (height * frame_height / frame_width, width * frame_width / frame_height);
    }
    let (x, y) = (center_x * frame_width, center_y * frame_height);
    let (width, height) = (width * frame_width, height * frame_height);

    // Half the sine and cosine of 0, -90, -180 and -270 degrees in radians of 64 bits, which are
    // not quite multiples of a right angle.
    let (a, b): (f32, f32) = match geometry.orientation() {
        Orientation::RightTop => (-0.5, 3.061_617e-17),
        Orientation::BottomRight => (-6.123_234e-17, -0.5),
        Orientation::LeftBottom => (0.5, -9.184_851e-17),
        _ => (-0.0, 0.5),
    };
    [
        [x - a * height - b * width, y + b * height - a * width],
        [x + a * height - b * width, y - b * height - a * width],
        [x + a * height + b * width, y - b * height + a * width],
        [x - a * height + b * width, y + b * height + a * width],
    ]
}

/// The matrix, row by row, that takes four points to four others; its last element is one.
///
/// ```text
/// u = (m0 x + m1 y + m2) / (m6 x + m7 y + 1)
/// v = (m3 x + m4 y + m5) / (m6 x + m7 y + 1)
/// ```
///
/// Gaussian elimination of these eight equations with the greatest element of a column as pivot.
fn projection(from: [[f32; 2]; 4], to: [[f32; 2]; 4]) -> [f64; 9] {
    // Eight coefficients and the right side.
    let mut equations = [[0.0f64; 9]; 8];
    for (index, ([x, y], [u, v])) in from.into_iter().zip(to).enumerate() {
        let (one, zero) = (1.0, 0.0);
        let row = [x, y, one, zero, zero, zero, -x * u, -y * u, u];
        equations[index] = row.map(f64::from);
        let row = [zero, zero, zero, x, y, one, -x * v, -y * v, v];
        equations[index + 4] = row.map(f64::from);
    }
    for column in 0..8 {
        let mut pivot = column;
        for row in column + 1..8 {
            if equations[row][column].abs() > equations[pivot][column].abs() {
                pivot = row;
            }
        }
        equations.swap(column, pivot);
        let pivot = equations[column];
        let negative_reciprocal = -1.0 / pivot[column];
        for equation in &mut equations[column + 1..] {
            let factor = equation[column] * negative_reciprocal;
            for index in column + 1..9 {
                equation[index] += factor * pivot[index];
            }
        }
    }
    let mut solution = [0.0; 9];
    solution[8] = 1.0;
    for row in (0..8).rev() {
        let mut sum = equations[row][8];
        for column in row + 1..8 {
            sum -= equations[row][column] * solution[column];
        }
        solution[row] = sum / equations[row][row];
    }
    solution
}

/// The inverse of a 3x3 matrix: its adjugate, times the reciprocal of its determinant.
fn inverse(m: [f64; 9]) -> [f64; 9] {
    let minor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[b] - m[c] * m[d];
    let determinant =
        m[0] * minor(4, 8, 5, 7) - m[1] * minor(3, 8, 5, 6) + m[2] * minor(3, 7, 4, 6);
    let reciprocal = 1.0 / determinant;
    [
        minor(4, 8, 5, 7),
        minor(2, 7, 1, 8),
        minor(1, 5, 2, 4),
        minor(5, 6, 3, 8),
        minor(0, 8, 2, 6),
        minor(2, 3, 0, 5),
        minor(3, 7, 4, 6),
        minor(1, 6, 0, 7),
        minor(0, 4, 1, 3),
    ]
    .map(|cofactor| cofactor * reciprocal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_the_identity() {
        let m = [2.0, 0.5, 3.0, -1.0, 4.0, 7.0, 0.01, 0.02, 1.0];
        let n = inverse(m);
        for row in 0..3 {
            for column in 0..3 {
                let sum: f64 = (0..3).map(|k| m[row * 3 + k] * n[k * 3 + column]).sum();
                let expected = f64::from(u8::from(row == column));
                assert!((sum - expected).abs() < 1e-12, "{row} {column} {sum}");
            }
        }
    }

    #[test]
    fn four_points_go_where_they_are_sent() {
        let from = [[1.0, 9.0], [2.0, 1.0], [8.0, 2.0], [7.0, 7.5]];
        let to = [[0.0, 4.0], [0.0, 0.0], [4.0, 0.0], [4.0, 4.0]];
        let m = projection(from, to);
        for ([x, y], [u, v]) in from.into_iter().zip(to) {
            let at = |row: usize| m[row] * f64::from(x) + m[row + 1] * f64::from(y) + m[row + 2];
            assert!((at(0) / at(6) - f64::from(u)).abs() < 1e-6);
            assert!((at(3) / at(6) - f64::from(v)).abs() < 1e-6);
        }
    }
}
