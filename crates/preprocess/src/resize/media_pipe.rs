//! MediaPipe's way: a perspective warp of the rotated region, two taps an axis.
//!
//! For an output of `W x H` pixels and a region with centre `c` whose upright size is `w x h`:
//!
//! ```text
//! s(x, y) = c + R(-rotation) * ((x / W - 1/2) w, (y / H - 1/2) h)
//! X = rint(32 s.x)    Y = rint(32 s.y)
//! out = ((p00 (32 - ax) + p10 ax) (32 - ay) + (p01 (32 - ax) + p11 ax) ay + 512) >> 10
//! ```
//!
//! where `ax`, `ay` are the lower 5 bits of `X`, `Y`, the rest are indices, and indices outside
//! the frame are clamped to it. Source: behaviour of MediaPipe 1.2.2 (`ImageToTensorCalculator`
//! with OpenCV), which samples the top left corner of an output pixel rather than its centre.

use image_embedder_frame::{FrameBuffer, Orientation, PixelFormat, Plane};

use crate::convert::rgb_from_yuv_rounded;
use crate::memory::Size;
use crate::{FrameGeometry, PreprocessError, PreprocessMode, ResizePolicy};

/// The taps for one geometry and target.
#[derive(Debug)]
pub(crate) struct MediaPipe {
    /// Taps on the columns of the frame; one for each output column, or row if axes are swapped.
    x_taps: Vec<Tap>,
    /// Taps on the rows of the frame; one for each output row, or column if axes are swapped.
    y_taps: Vec<Tap>,
    /// Whether output columns run along rows of the frame.
    is_swapped: bool,
    output_width: usize,
}

/// Two neighbouring samples of an axis and the weight of the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Tap {
    first: usize,
    second: usize,
    /// 5 bits.
    fraction: u32,
}

impl MediaPipe {
    pub(crate) fn new(
        geometry: FrameGeometry,
        target: Size,
        resize_policy: ResizePolicy,
    ) -> Result<Self, PreprocessError> {
        let mode = PreprocessMode::MediaPipe;
        if resize_policy != ResizePolicy::Stretch {
            return Err(PreprocessError::UnsupportedResizePolicy {
                mode,
                resize_policy,
            });
        }
        let orientation = geometry.orientation();
        // Whether columns and rows of the frame are walked backwards.
        let (x_is_reversed, y_is_reversed) = match orientation {
            Orientation::TopLeft => (false, false),
            Orientation::BottomRight => (true, true),
            Orientation::RightTop => (false, true),
            Orientation::LeftBottom => (true, false),
            _ => return Err(PreprocessError::UnsupportedOrientation { mode, orientation }),
        };
        let region = geometry.region();
        let is_swapped = orientation.swaps_dimensions();
        let Size {
            width: x_count,
            height: y_count,
        } = target.swapped_if(is_swapped);
        Ok(Self {
            x_taps: taps(
                (region.origin_x, region.width),
                geometry.frame_width(),
                x_count,
                x_is_reversed,
            ),
            y_taps: taps(
                (region.origin_y, region.height),
                geometry.frame_height(),
                y_count,
                y_is_reversed,
            ),
            is_swapped,
            output_width: target.width,
        })
    }

    /// Warps a frame of the geometry.
    pub(crate) fn run(&self, frame: &FrameBuffer<'_>, rgb: &mut [u8]) {
        match *frame.planes() {
            [y, u, v] => self.warp(rgb, |column, row| {
                let luma = sample::<1>(&y, column, row);
                let u = sample::<1>(&u, column / 2, row / 2);
                let v = sample::<1>(&v, column / 2, row / 2);
                rgb_from_yuv_rounded(luma[0], u[0], v[0])
            }),
            [gray, ..] if frame.format() == PixelFormat::Gray => {
                self.warp(rgb, |column, row| [sample::<1>(&gray, column, row)[0]; 3]);
            }
            [packed, ..] => self.warp(rgb, |column, row| sample::<3>(&packed, column, row)),
            [] => {}
        }
    }

    fn warp(&self, rgb: &mut [u8], pixel: impl Fn(usize, usize) -> [u8; 3]) {
        for (y, row) in rgb.chunks_exact_mut(self.output_width * 3).enumerate() {
            for (x, output) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (x, y) = if self.is_swapped { (y, x) } else { (x, y) };
                let (x, y) = (self.x_taps[x], self.y_taps[y]);
                let upper = [pixel(x.first, y.first), pixel(x.second, y.first)];
                let lower = [pixel(x.first, y.second), pixel(x.second, y.second)];
                for channel in 0..3 {
                    let blend = |[left, right]: [[u8; 3]; 2]| {
                        u32::from(left[channel]) * (32 - x.fraction)
                            + u32::from(right[channel]) * x.fraction
                    };
                    let sum = blend(upper) * (32 - y.fraction) + blend(lower) * y.fraction;
                    output[channel] = ((sum + 512) >> 10) as u8;
                }
            }
        }
    }
}

/// The taps of `count` output samples over one axis of a region, `(origin, extent)`.
fn taps((origin, extent): (u32, u32), frame: u32, count: usize, is_reversed: bool) -> Vec<Tap> {
    let extent = f64::from(extent);
    let centre = f64::from(origin) + extent / 2.0;
    let last = i64::from(frame) - 1;
    let tap = |index: usize| {
        let offset = (index as f64 / count as f64 - 0.5) * extent;
        let position = if is_reversed {
            centre - offset
        } else {
            centre + offset
        };
        let fixed = (position * 32.0).round_ties_even() as i64;
        let index = fixed >> 5;
        Tap {
            first: index.clamp(0, last) as usize,
            second: (index + 1).clamp(0, last) as usize,
            fraction: (fixed & 31) as u32,
        }
    };
    (0..count).map(tap).collect()
}

fn sample<const C: usize>(plane: &Plane<'_>, column: usize, row: usize) -> [u8; C] {
    let start = row * plane.row_stride_bytes + column * plane.pixel_stride_bytes;
    let mut sample = [0; C];
    sample.copy_from_slice(&plane.data[start..start + C]);
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_at_the_corner_of_an_output_pixel() {
        let tap = |first, second, fraction| Tap {
            first,
            second,
            fraction,
        };
        assert_eq!(
            taps((0, 4), 4, 4, false),
            [0, 1, 2, 3].map(|i| tap(i, (i + 1).min(3), 0))
        );
        assert_eq!(taps((0, 3), 3, 2, false), [tap(0, 1, 0), tap(1, 2, 16)]);
        // Backwards the first sample lies past the last pixel.
        assert_eq!(taps((0, 2), 2, 2, true), [tap(1, 1, 0), tap(1, 1, 0)]);
    }
}
