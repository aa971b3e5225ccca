//! The Task Library's way: resize first, in the format of the frame.
//!
//! RGB and RGBA are resized, then oriented. YUV planes are resized, then oriented, then converted.
//! A region that already has the target's size is copied without any filter.

mod bilinear;
mod scaler;
mod slope;
mod three_eighths;
mod three_quarters;

use image_embedder_frame::{BoundingBox, FrameBuffer, PixelFormat};

use crate::convert::{rgb_from_gray, rgb_from_yuv420};
use crate::crop::{Samples, chroma_region};
use crate::memory::{Size, zeroed};
use crate::orient::orient;
use crate::{
    FrameGeometry, PreprocessError, PreprocessMode, PreprocessOptions, ResizePolicy, YuvColorSpace,
};

use scaler::{Family, Scaler};

/// The greatest width and height that the original's scaler takes.
const MAXIMUM_SOURCE: u32 = 32768;

/// The stages for one geometry and target.
#[derive(Debug)]
pub(crate) struct TaskLibrary {
    geometry: FrameGeometry,
    /// The size of the resized image before it is oriented.
    resized: Size,
    /// For the pixels, or the Y plane.
    scaler: Scaler,
    /// For the U plane and the V plane.
    chroma_scaler: Option<Scaler>,
    /// Resized planes, one after the other; empty if they are written where they belong.
    stored: Vec<u8>,
    /// Oriented planes, one after the other; empty if they need no orienting.
    upright: Vec<u8>,
}

impl TaskLibrary {
    pub(crate) fn new(
        geometry: FrameGeometry,
        target: Size,
        options: &PreprocessOptions,
    ) -> Result<Self, PreprocessError> {
        let mode = PreprocessMode::TaskLibrary;
        let resize_policy = options.resize_policy;
        if resize_policy != ResizePolicy::Stretch {
            return Err(PreprocessError::UnsupportedResizePolicy { mode, resize_policy });
        }
        let (expected, found) = (YuvColorSpace::default(), options.yuv_color_space);
        if found != expected {
            return Err(PreprocessError::UnsupportedYuvColorSpace { mode, expected, found });
        }
        let BoundingBox { width, height, .. } = geometry.region();
        let orientation = geometry.orientation();
        let source = Size::new(width, height);
        let resized = target.swapped_if(orientation.swaps_dimensions());
        if resized != source && width.max(height) > MAXIMUM_SOURCE {
            return Err(PreprocessError::RegionSize {
                mode,
                maximum: MAXIMUM_SOURCE,
                width,
                height,
            });
        }

        let format = geometry.format();
        let (family, pixel_stride, channels) = match format {
            PixelFormat::Rgb => (Family::Packed, 3, 3),
            PixelFormat::Rgba => (Family::Packed, 4, 3),
            _ => (Family::Planar, 1, 1),
        };
        let scaler = Scaler::new(family, source, resized, pixel_stride, channels)?;
        let chroma_scaler = if format.is_yuv() {
            let family =
                if format.has_interleaved_chroma() { Family::Interleaved } else { Family::Planar };
            // Two is the greatest pixel stride of chroma.
            Some(Scaler::new(family, source.chroma(), resized.chroma(), 2, 1)?)
        } else {
            None
        };

        let mut bytes = resized.bytes(channels)?;
        if format.is_yuv() {
            bytes = resized
                .chroma()
                .bytes(2)?
                .checked_add(bytes)
                .ok_or(PreprocessError::OutOfMemory { bytes: usize::MAX })?;
        }
        let is_packed = family == Family::Packed;
        let needs_orienting = orientation.exif() != 1;
        Ok(Self {
            geometry,
            resized,
            scaler,
            chroma_scaler,
            stored: zeroed(if is_packed && !needs_orienting { 0 } else { bytes })?,
            upright: zeroed(if is_packed || !needs_orienting { 0 } else { bytes })?,
        })
    }

    /// Runs all stages on a frame of the geometry.
    pub(crate) fn run(&mut self, frame: &FrameBuffer<'_>, rgb: &mut [u8]) {
        match *frame.planes() {
            [y, u, v] => {
                let region = self.geometry.region();
                let chroma = chroma_region(region);
                self.run_yuv(
                    Samples::of(&y, region),
                    Samples::of(&u, chroma),
                    Samples::of(&v, chroma),
                    rgb,
                );
            }
            [pixels, ..] => {
                let samples = Samples::of(&pixels, self.geometry.region());
                if self.geometry.format() == PixelFormat::Gray {
                    self.run_gray(samples, rgb);
                } else {
                    self.run_packed(samples, rgb);
                }
            }
            [] => {}
        }
    }

    fn run_packed(&mut self, pixels: Samples<'_>, rgb: &mut [u8]) {
        if self.stored.is_empty() {
            self.scaler.run_packed(pixels, rgb);
        } else {
            self.scaler.run_packed(pixels, &mut self.stored);
            orient::<3>(&self.stored, self.resized, self.geometry.orientation(), rgb);
        }
    }

    fn run_gray(&mut self, gray: Samples<'_>, rgb: &mut [u8]) {
        self.scaler.run_plane(gray, &mut self.stored);
        let upright = if self.upright.is_empty() {
            &self.stored
        } else {
            let orientation = self.geometry.orientation();
            orient::<1>(&self.stored, self.resized, orientation, &mut self.upright);
            &self.upright
        };
        rgb_from_gray(upright, rgb);
    }

    fn run_yuv(&mut self, y: Samples<'_>, u: Samples<'_>, v: Samples<'_>, rgb: &mut [u8]) {
        let orientation = self.geometry.orientation();
        let (luma, chroma) = (self.resized, self.resized.chroma());
        let luma_bytes = luma.width * luma.height;
        let chroma_bytes = chroma.width * chroma.height;

        let (stored_y, stored_chroma) = self.stored.split_at_mut(luma_bytes);
        let (stored_u, stored_v) = stored_chroma.split_at_mut(chroma_bytes);
        self.scaler.run_plane(y, stored_y);
        if let Some(scaler) = &mut self.chroma_scaler {
            scaler.run_plane(u, stored_u);
            scaler.run_plane(v, stored_v);
        }

        let width = luma.swapped_if(orientation.swaps_dimensions()).width;
        if self.upright.is_empty() {
            rgb_from_yuv420(stored_y, stored_u, stored_v, width, rgb);
            return;
        }
        let (y, upright_chroma) = self.upright.split_at_mut(luma_bytes);
        let (u, v) = upright_chroma.split_at_mut(chroma_bytes);
        // Each plane on its own: with an odd size chroma moves by a pixel of luma, as in the
        // original.
        orient::<1>(stored_y, luma, orientation, y);
        orient::<1>(stored_u, chroma, orientation, u);
        orient::<1>(stored_v, chroma, orientation, v);
        rgb_from_yuv420(y, u, v, width, rgb);
    }
}
