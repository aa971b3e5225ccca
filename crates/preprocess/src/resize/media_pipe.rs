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
//!
//! Axes are independent in this formula, so the taps of each are laid out once. MediaPipe's own
//! arithmetic differs from it where a position lies half-way between two 32nds of a pixel; those
//! output pixels are found by repeating that arithmetic, and sampled one by one.

mod projection;

use image_embedder_frame::{FrameBuffer, Orientation, PixelFormat, Plane};

use crate::convert::YuvToRgb;
use crate::memory::Size;
use crate::{FrameGeometry, PreprocessError, PreprocessMode, PreprocessOptions, ResizePolicy};

use projection::Projection;

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
    yuv_to_rgb: YuvToRgb,
    /// Pixels that are sampled elsewhere than their two taps say.
    exceptions: Vec<Exception>,
}

/// The position of one output pixel.
#[derive(Clone, Copy, Debug)]
struct Exception {
    /// Counted along the rows of the output.
    pixel: usize,
    x: Tap,
    y: Tap,
}

/// Two neighbouring samples of an axis and the weight of the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Tap {
    first: u32,
    second: u32,
    /// 5 bits.
    fraction: u32,
}

impl Tap {
    /// The tap at a position in 32nds of a sample, on an axis that ends with the sample `last`.
    fn at(position: i64, last: u32) -> Self {
        let index = position >> 5;
        let clamped = |index: i64| index.clamp(0, i64::from(last)) as u32;
        Self {
            first: clamped(index),
            second: clamped(index.saturating_add(1)),
            fraction: (position & 31) as u32,
        }
    }
}

impl MediaPipe {
    pub(crate) fn new(
        geometry: FrameGeometry,
        target: Size,
        options: &PreprocessOptions,
    ) -> Result<Self, PreprocessError> {
        let mode = PreprocessMode::MediaPipe;
        let resize_policy = options.resize_policy;
        if resize_policy != ResizePolicy::Stretch {
            return Err(PreprocessError::UnsupportedResizePolicy { mode, resize_policy });
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
        let Size { width: x_count, height: y_count } = target.swapped_if(is_swapped);
        let x_taps =
            taps((region.origin_x, region.width), geometry.frame_width(), x_count, x_is_reversed);
        let y_taps =
            taps((region.origin_y, region.height), geometry.frame_height(), y_count, y_is_reversed);
        let mut media_pipe = Self {
            x_taps,
            y_taps,
            is_swapped,
            output_width: target.width,
            yuv_to_rgb: YuvToRgb::new(options.yuv_color_space),
            exceptions: Vec::new(),
        };
        media_pipe.find_exceptions(geometry, target)?;
        Ok(media_pipe)
    }

    fn find_exceptions(
        &mut self,
        geometry: FrameGeometry,
        target: Size,
    ) -> Result<(), PreprocessError> {
        let projection = Projection::new(geometry, target);
        let last_x = geometry.frame_width() - 1;
        let last_y = geometry.frame_height() - 1;
        for row in 0..target.height {
            let position = projection.row(row);
            for column in 0..target.width {
                let (x, y) = position(column);
                let found = (Tap::at(x, last_x), Tap::at(y, last_y));
                if found != self.regular_taps(column, row) {
                    push(
                        &mut self.exceptions,
                        Exception { pixel: row * target.width + column, x: found.0, y: found.1 },
                    )?;
                }
            }
        }
        Ok(())
    }

    /// The taps of an output pixel on the columns and on the rows of the frame.
    fn regular_taps(&self, column: usize, row: usize) -> (Tap, Tap) {
        let (x, y) = if self.is_swapped { (row, column) } else { (column, row) };
        (self.x_taps[x], self.y_taps[y])
    }

    /// Warps a frame of the geometry.
    pub(crate) fn run(&self, frame: &FrameBuffer<'_>, rgb: &mut [u8]) {
        match *frame.planes() {
            [y, u, v] => self.warp(rgb, |column, row| {
                let luma = sample::<1>(&y, column, row);
                let u = sample::<1>(&u, column / 2, row / 2);
                let v = sample::<1>(&v, column / 2, row / 2);
                self.yuv_to_rgb.pixel(luma[0], u[0], v[0])
            }),
            [gray, ..] if frame.format() == PixelFormat::Gray => {
                self.warp(rgb, |column, row| [sample::<1>(&gray, column, row)[0]; 3]);
            }
            [packed, ..] => self.warp(rgb, |column, row| sample::<3>(&packed, column, row)),
            [] => {}
        }
    }

    fn warp(&self, rgb: &mut [u8], pixel: impl Fn(usize, usize) -> [u8; 3]) {
        for (row, output) in rgb.chunks_exact_mut(self.output_width * 3).enumerate() {
            for (column, output) in output.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let (x, y) = self.regular_taps(column, row);
                *output = blend(x, y, &pixel);
            }
        }
        let pixels = rgb.as_chunks_mut::<3>().0;
        for exception in &self.exceptions {
            pixels[exception.pixel] = blend(exception.x, exception.y, &pixel);
        }
    }
}

/// The four samples of two taps, weighted.
#[inline(always)]
fn blend(x: Tap, y: Tap, pixel: &impl Fn(usize, usize) -> [u8; 3]) -> [u8; 3] {
    let pixel = |x: u32, y: u32| pixel(x as usize, y as usize);
    let upper = [pixel(x.first, y.first), pixel(x.second, y.first)];
    let lower = [pixel(x.first, y.second), pixel(x.second, y.second)];
    let mut output = [0; 3];
    for (channel, output) in output.iter_mut().enumerate() {
        let columns = |[left, right]: [[u8; 3]; 2]| {
            u32::from(left[channel]) * (32 - x.fraction) + u32::from(right[channel]) * x.fraction
        };
        let sum = columns(upper) * (32 - y.fraction) + columns(lower) * y.fraction;
        *output = ((sum + 512) >> 10) as u8;
    }
    output
}

/// Appends an element.
///
/// # Errors
///
/// [`PreprocessError::OutOfMemory`].
fn push(exceptions: &mut Vec<Exception>, exception: Exception) -> Result<(), PreprocessError> {
    if exceptions.len() == exceptions.capacity() {
        let more = exceptions.len().max(64);
        exceptions.try_reserve(more).map_err(|_| PreprocessError::OutOfMemory {
            bytes: more.saturating_mul(size_of::<Exception>()),
        })?;
    }
    exceptions.push(exception);
    Ok(())
}

/// The taps of `count` output samples over one axis of a region, `(origin, extent)`.
fn taps((origin, extent): (u32, u32), frame: u32, count: usize, is_reversed: bool) -> Vec<Tap> {
    let extent = f64::from(extent);
    let centre = f64::from(origin) + extent / 2.0;
    let last = frame - 1;
    let tap = |index: usize| {
        let offset = (index as f64 / count as f64 - 0.5) * extent;
        let position = if is_reversed { centre - offset } else { centre + offset };
        Tap::at((position * 32.0).round_ties_even() as i64, last)
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
        let tap = |first, second, fraction| Tap { first, second, fraction };
        assert_eq!(taps((0, 4), 4, 4, false), [0, 1, 2, 3].map(|i| tap(i, (i + 1).min(3), 0)));
        assert_eq!(taps((0, 3), 3, 2, false), [tap(0, 1, 0), tap(1, 2, 16)]);
        // Backwards the first sample lies past the last pixel.
        assert_eq!(taps((0, 2), 2, 2, true), [tap(1, 1, 0), tap(1, 1, 0)]);
    }

    /// A plan for a whole frame.
    fn whole(frame: (u32, u32), target: (u32, u32), orientation: Orientation) -> MediaPipe {
        let pixels = vec![0; (frame.0 * frame.1) as usize];
        let frame = FrameBuffer::from_gray(&pixels, frame.0, frame.1).unwrap();
        let geometry = FrameGeometry::of(&frame.with_orientation(orientation));
        let target = Size::new(target.0, target.1);
        MediaPipe::new(geometry, target, &PreprocessOptions::default()).unwrap()
    }

    #[test]
    fn only_ties_are_exceptions() {
        let orientations = [
            Orientation::TopLeft,
            Orientation::BottomRight,
            Orientation::RightTop,
            Orientation::LeftBottom,
        ];
        let mut plans = 0;
        for orientation in orientations {
            // No position on a whole frame lies half-way unless 64 divides the size of the target.
            for frame in [(480, 325), (1, 1), (57, 90), (224, 224), (13, 640)] {
                assert!(whole(frame, (224, 224), orientation).exceptions.is_empty());
                plans += 1;
            }
        }
        assert_eq!(plans, 20);
        let ties = whole((87, 26), (64, 48), Orientation::BottomRight).exceptions;
        // Half the columns are ties, half of those round the other way.
        assert!((500..=1536).contains(&ties.len()), "{}", ties.len());
    }
}
