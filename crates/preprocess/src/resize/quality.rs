//! An ordinary anti-aliased resize: resize in the format of the frame, convert, place, orient.

use std::fmt;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image_embedder_frame::{BoundingBox, FrameBuffer, PixelFormat, Plane};

use crate::convert::{YuvToRgb, rgb_from_gray, rgb_from_rgba, rgb_from_yuv444};
use crate::crop::Samples;
use crate::memory::{Size, grow, zeroed};
use crate::orient::orient;
use crate::{FrameGeometry, PreprocessError, PreprocessMode, PreprocessOptions, ResizePolicy};

/// The greatest width and height of a region, which bounds the resize library's own buffers.
const MAXIMUM_SOURCE: u32 = 65535;

/// The stages for one geometry and target.
pub(crate) struct Quality {
    geometry: FrameGeometry,
    /// The size of the image before it is oriented.
    canvas: Size,
    /// The part of the frame that is resized.
    source: Rectangle,
    /// The size that it is resized to, at most that of the canvas.
    content: Size,
    padding: [u8; 3],
    yuv_to_rgb: YuvToRgb,
    resizer: Resizer,
    /// Rows of a plane that the resize library cannot read in place.
    tight: Vec<u8>,
    /// Resized planes of frames that are not RGB.
    planes: Vec<u8>,
    /// Content as RGB; empty if it is written to the output at once.
    rgb: Vec<u8>,
    /// Content on its bars; empty if there are none.
    padded: Vec<u8>,
}

/// A rectangle in pixels of the stored frame, fractions included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rectangle {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Quality {
    pub(crate) fn new(
        geometry: FrameGeometry,
        target: Size,
        options: &PreprocessOptions,
    ) -> Result<Self, PreprocessError> {
        let policy = options.resize_policy;
        let BoundingBox { width, height, .. } = geometry.region();
        if width.max(height) > MAXIMUM_SOURCE {
            return Err(PreprocessError::RegionSize {
                mode: PreprocessMode::Quality,
                maximum: MAXIMUM_SOURCE,
                width,
                height,
            });
        }
        let is_upright = geometry.orientation().exif() == 1;
        let canvas = target.swapped_if(geometry.orientation().swaps_dimensions());
        let content = content_size(geometry.region(), canvas, policy);
        let is_padded = content != canvas;
        let plane_channels = match geometry.format() {
            PixelFormat::Rgb => 0,
            PixelFormat::Rgba => 4,
            PixelFormat::Gray => 1,
            _ => 3,
        };
        Ok(Self {
            geometry,
            canvas,
            source: source_rectangle(geometry.region(), canvas, policy),
            content,
            padding: match policy {
                ResizePolicy::Letterbox { padding } => padding,
                _ => [0; 3],
            },
            yuv_to_rgb: YuvToRgb::new(options.yuv_color_space),
            resizer: Resizer::new(),
            tight: Vec::new(),
            planes: zeroed(content.bytes(plane_channels)?)?,
            rgb: zeroed(if is_upright && !is_padded { 0 } else { content.bytes(3)? })?,
            padded: zeroed(if is_padded { canvas.bytes(3)? } else { 0 })?,
        })
    }

    /// Runs all stages on a frame of the geometry.
    pub(crate) fn run(
        &mut self,
        frame: &FrameBuffer<'_>,
        output: &mut [u8],
    ) -> Result<(), PreprocessError> {
        if self.rgb.is_empty() {
            return self.resize(frame, output);
        }
        let mut rgb = std::mem::take(&mut self.rgb);
        let result = self.resize(frame, &mut rgb);
        self.rgb = rgb;
        result?;

        let stored = if self.padded.is_empty() {
            &self.rgb
        } else {
            place(&self.rgb, self.content, self.padding, self.canvas, &mut self.padded);
            &self.padded
        };
        orient::<3>(stored, self.canvas, self.geometry.orientation(), output);
        Ok(())
    }

    /// Resizes the source to RGB of the content's size.
    fn resize(&mut self, frame: &FrameBuffer<'_>, rgb: &mut [u8]) -> Result<(), PreprocessError> {
        let region = self.geometry.region();
        let (source, content) = (self.source, self.content);
        let Self { resizer, tight, planes, yuv_to_rgb, .. } = self;
        match *frame.planes() {
            [y, u, v] => {
                // A chroma sample lies in the middle of its block of 2x2 pixels.
                let chroma = covering_chroma(region);
                let half = Rectangle {
                    left: source.left / 2.0,
                    top: source.top / 2.0,
                    width: source.width / 2.0,
                    height: source.height / 2.0,
                };
                let pixels = content.width * content.height;
                let (resized_y, resized_chroma) = planes.split_at_mut(pixels);
                let (resized_u, resized_v) = resized_chroma.split_at_mut(pixels);
                for (plane, region, source, output) in [
                    (&y, region, source, &mut *resized_y),
                    (&u, chroma, half, &mut *resized_u),
                    (&v, chroma, half, &mut *resized_v),
                ] {
                    resize::<U8, 1>(resizer, tight, plane, region, source, content, output)?;
                }
                rgb_from_yuv444(yuv_to_rgb, resized_y, resized_u, resized_v, rgb);
            }
            [gray, ..] if frame.format() == PixelFormat::Gray => {
                resize::<U8, 1>(resizer, tight, &gray, region, source, content, planes)?;
                rgb_from_gray(planes, rgb);
            }
            [rgba, ..] if frame.format() == PixelFormat::Rgba => {
                resize::<U8x4, 4>(resizer, tight, &rgba, region, source, content, planes)?;
                rgb_from_rgba(planes, rgb);
            }
            [packed, ..] => {
                resize::<U8x3, 3>(resizer, tight, &packed, region, source, content, rgb)?;
            }
            [] => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quality")
            .field("source", &self.source)
            .field("content", &self.content)
            .field("canvas", &self.canvas)
            .finish_non_exhaustive()
    }
}

/// The size of the resized source on a canvas.
fn content_size(region: BoundingBox, canvas: Size, policy: ResizePolicy) -> Size {
    if !matches!(policy, ResizePolicy::Letterbox { .. }) {
        return canvas;
    }
    let (width, height) = (u64::from(region.width), u64::from(region.height));
    let (canvas_width, canvas_height) = (canvas.width as u64, canvas.height as u64);
    // Rounded to the nearest; never more than the canvas, for the other side is the longer one.
    let scaled = |size: u64, numerator: u64, denominator: u64| {
        ((2 * size * numerator + denominator) / (2 * denominator)).max(1) as usize
    };
    if width * canvas_height >= height * canvas_width {
        Size { width: canvas.width, height: scaled(height, canvas_width, width) }
    } else {
        Size { width: scaled(width, canvas_height, height), height: canvas.height }
    }
}

/// The part of a region that is resized.
fn source_rectangle(region: BoundingBox, canvas: Size, policy: ResizePolicy) -> Rectangle {
    let (left, top) = (f64::from(region.origin_x), f64::from(region.origin_y));
    let (width, height) = (f64::from(region.width), f64::from(region.height));
    if policy != ResizePolicy::CenterCrop {
        return Rectangle { left, top, width, height };
    }
    let (canvas_width, canvas_height) = (canvas.width as f64, canvas.height as f64);
    if width * canvas_height > height * canvas_width {
        let cropped = height * canvas_width / canvas_height;
        Rectangle { left: left + (width - cropped) / 2.0, top, width: cropped, height }
    } else {
        let cropped = width * canvas_height / canvas_width;
        Rectangle { left, top: top + (height - cropped) / 2.0, width, height: cropped }
    }
}

/// The chroma samples that a region touches.
fn covering_chroma(region: BoundingBox) -> BoundingBox {
    let cover = |origin: u32, size: u32| {
        let first = origin / 2;
        (first, (origin + size).div_ceil(2) - first)
    };
    let (origin_x, width) = cover(region.origin_x, region.width);
    let (origin_y, height) = cover(region.origin_y, region.height);
    BoundingBox { origin_x, origin_y, width, height }
}

/// Resizes a part of a plane of `S`-byte pixels to tight rows, reading nothing outside `region`.
fn resize<P: PixelTrait + InnerPixel, const S: usize>(
    resizer: &mut Resizer,
    tight: &mut Vec<u8>,
    plane: &Plane<'_>,
    region: BoundingBox,
    source: Rectangle,
    target: Size,
    output: &mut [u8],
) -> Result<(), PreprocessError> {
    if let Some(view) = view_in_place::<P, S>(plane, region) {
        return resize_view(resizer, &view, region, source, target, output);
    }
    let size = Size::new(region.width, region.height);
    let bytes = size.bytes(S)?;
    grow(tight, bytes)?;
    let samples = Samples::of(plane, region);
    for (y, output) in tight[..bytes].chunks_exact_mut(size.width * S).enumerate() {
        let pixels = samples.row(y, S).chunks(plane.pixel_stride_bytes);
        for (output, pixel) in output.as_chunks_mut::<S>().0.iter_mut().zip(pixels) {
            output.copy_from_slice(&pixel[..S]);
        }
    }
    let BoundingBox { width, height, .. } = region;
    let image = TypedImageRef::<P>::from_buffer(width, height, &tight[..bytes]).map_err(refused)?;
    let view = TypedCroppedImage::new(image, 0, 0, width, height).map_err(refused)?;
    resize_view(resizer, &view, region, source, target, output)
}

/// A view of a region for the resize library, which knows of no strides: an image as wide as the
/// row stride, cropped. `None` if the plane cannot be seen so.
fn view_in_place<'a, P: InnerPixel, const S: usize>(
    plane: &Plane<'a>,
    region: BoundingBox,
) -> Option<TypedCroppedImage<'a, TypedImageRef<'a, P>>> {
    let stride = plane.row_stride_bytes;
    if plane.pixel_stride_bytes != S || !stride.is_multiple_of(S) {
        return None;
    }
    let width = u32::try_from(stride / S).ok()?;
    let start = stride.checked_mul(region.origin_y as usize)?;
    let bytes = stride.checked_mul(region.height as usize)?;
    let rows = plane.data.get(start..start.checked_add(bytes)?)?;
    let image = TypedImageRef::from_buffer(width, region.height, rows).ok()?;
    TypedCroppedImage::new(image, region.origin_x, 0, region.width, region.height).ok()
}

/// One type of view for all, because the resize library is compiled anew for each.
fn resize_view<P: PixelTrait + InnerPixel>(
    resizer: &mut Resizer,
    view: &TypedCroppedImage<'_, TypedImageRef<'_, P>>,
    region: BoundingBox,
    source: Rectangle,
    target: Size,
    output: &mut [u8],
) -> Result<(), PreprocessError> {
    let (width, height) = (target.width as u32, target.height as u32);
    let mut output = TypedImage::<P>::from_buffer(width, height, output).map_err(refused)?;
    // Rounding must not take the rectangle out of the region.
    let inside = |start: f64, size: f64, origin: u32, extent: u32| {
        let start = (start - f64::from(origin)).max(0.0);
        (start, size.min(f64::from(extent) - start))
    };
    let (left, width) = inside(source.left, source.width, region.origin_x, region.width);
    let (top, height) = inside(source.top, source.height, region.origin_y, region.height);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(left, top, width, height);
    resizer.resize_typed(view, &mut output, &options).map_err(refused)
}

fn refused(error: impl fmt::Display) -> PreprocessError {
    PreprocessError::Resize { message: error.to_string() }
}

/// Puts RGB content in the middle of a canvas with bars of one colour.
fn place(content: &[u8], size: Size, padding: [u8; 3], canvas: Size, output: &mut [u8]) {
    let (left, top) = ((canvas.width - size.width) / 2, (canvas.height - size.height) / 2);
    for pixel in output.as_chunks_mut::<3>().0 {
        *pixel = padding;
    }
    let rows = output.chunks_exact_mut(canvas.width * 3).skip(top);
    for (output, content) in rows.zip(content.chunks_exact(size.width * 3)) {
        output[left * 3..(left + size.width) * 3].copy_from_slice(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: BoundingBox = BoundingBox::new(10, 20, 400, 200);
    const TALL: BoundingBox = BoundingBox::new(10, 20, 30, 300);

    #[test]
    fn letterbox_keeps_the_aspect_ratio() {
        let policy = ResizePolicy::Letterbox { padding: [0; 3] };
        let size = |width, height| Size { width, height };
        assert_eq!(content_size(WIDE, size(224, 224), policy), size(224, 112));
        assert_eq!(content_size(TALL, size(224, 224), policy), size(22, 224));
        assert_eq!(content_size(BoundingBox::new(0, 0, 1000, 1), size(5, 5), policy), size(5, 1));
        assert_eq!(content_size(WIDE, size(7, 9), ResizePolicy::Stretch), size(7, 9));
    }

    #[test]
    fn center_crop_keeps_the_aspect_ratio() {
        let square = Size { width: 224, height: 224 };
        assert_eq!(
            source_rectangle(WIDE, square, ResizePolicy::CenterCrop),
            Rectangle { left: 110.0, top: 20.0, width: 200.0, height: 200.0 }
        );
        assert_eq!(
            source_rectangle(TALL, square, ResizePolicy::CenterCrop),
            Rectangle { left: 10.0, top: 155.0, width: 30.0, height: 30.0 }
        );
    }

    #[test]
    fn chroma_covers_the_region() {
        let cover = |origin, size| {
            let region = covering_chroma(BoundingBox::new(origin, 0, size, 1));
            (region.origin_x, region.width)
        };
        assert_eq!(cover(0, 4), (0, 2));
        assert_eq!(cover(1, 1), (0, 1));
        assert_eq!(cover(1, 2), (0, 2));
        assert_eq!(cover(2, 3), (1, 2));
    }
}
