//! The prepared way from frames of one geometry to model input.

use image_embedder_frame::FrameBuffer;

use crate::memory::{Size, zeroed};
use crate::resize::media_pipe::MediaPipe;
use crate::resize::quality::Quality;
use crate::resize::task_library::TaskLibrary;
use crate::{
    FrameGeometry, InputQuantization, LevelTable, Normalization, PreprocessError, PreprocessMode,
    PreprocessOptions,
};

/// The greatest width and height of a target.
const MAXIMUM_TARGET: u32 = 8192;

/// The way from frames of one geometry to the input of a model, with its tables and buffers.
///
/// Running a plan of the modes [`PreprocessMode::TaskLibrary`] and [`PreprocessMode::MediaPipe`]
/// allocates nothing. [`PreprocessMode::Quality`] leaves that to its resize library, which
/// allocates its filter tables anew.
#[derive(Debug)]
pub struct Plan {
    geometry: FrameGeometry,
    target_width: u32,
    target_height: u32,
    options: PreprocessOptions,
    resize: Resize,
    /// Where the RGB bytes lie before they become another type.
    rgb: Vec<u8>,
}

#[derive(Debug)]
enum Resize {
    TaskLibrary(Box<TaskLibrary>),
    MediaPipe(Box<MediaPipe>),
    Quality(Box<Quality>),
}

impl Plan {
    /// Prepares for frames of a geometry and a target size.
    ///
    /// # Units
    ///
    /// Pixels of the upright image, 1 to 8192 on each side.
    ///
    /// # Errors
    ///
    /// - [`PreprocessError::TargetSize`] if the target has no pixels or too many.
    /// - [`PreprocessError::RegionSize`] if the region is too large for the mode.
    /// - [`PreprocessError::UnsupportedOrientation`],
    ///   [`PreprocessError::UnsupportedResizePolicy`] or
    ///   [`PreprocessError::UnsupportedYuvColorSpace`] if the mode has no such thing.
    /// - [`PreprocessError::OutOfMemory`] if the buffers cannot be allocated.
    pub fn new(
        geometry: FrameGeometry,
        target_width: u32,
        target_height: u32,
        options: &PreprocessOptions,
    ) -> Result<Self, PreprocessError> {
        if !(1..=MAXIMUM_TARGET).contains(&target_width)
            || !(1..=MAXIMUM_TARGET).contains(&target_height)
        {
            return Err(PreprocessError::TargetSize {
                maximum: MAXIMUM_TARGET,
                width: target_width,
                height: target_height,
            });
        }
        let target = Size::new(target_width, target_height);
        let resize = match options.mode {
            PreprocessMode::TaskLibrary => {
                Resize::TaskLibrary(Box::new(TaskLibrary::new(geometry, target, options)?))
            }
            PreprocessMode::MediaPipe => {
                Resize::MediaPipe(Box::new(MediaPipe::new(geometry, target, options)?))
            }
            PreprocessMode::Quality => {
                Resize::Quality(Box::new(Quality::new(geometry, target, options)?))
            }
        };
        let rgb = zeroed(target.bytes(3)?)?;
        Ok(Self { geometry, target_width, target_height, options: *options, resize, rgb })
    }

    /// The geometry that frames must have.
    pub const fn geometry(&self) -> &FrameGeometry {
        &self.geometry
    }

    /// Width of the output in pixels.
    pub const fn target_width(&self) -> u32 {
        self.target_width
    }

    /// Height of the output in pixels.
    pub const fn target_height(&self) -> u32 {
        self.target_height
    }

    /// The options that the plan was made with.
    pub const fn options(&self) -> &PreprocessOptions {
        &self.options
    }

    /// Number of elements of an output: `target_height * target_width * 3`.
    pub fn output_len(&self) -> usize {
        self.rgb.len()
    }

    /// Writes the upright, resized region as RGB bytes.
    ///
    /// # Shapes
    ///
    /// `output` is `target_height x target_width x 3`, channels in the order red, green, blue.
    ///
    /// # Errors
    ///
    /// - [`PreprocessError::FrameMismatch`] if the frame's format, size or orientation is not the
    ///   plan's.
    /// - [`PreprocessError::OutputLength`] if `output` has the wrong length.
    /// - [`PreprocessError::OutOfMemory`] or [`PreprocessError::Resize`], in mode
    ///   [`PreprocessMode::Quality`] only.
    pub fn rgb_into(
        &mut self,
        frame: &FrameBuffer<'_>,
        output: &mut [u8],
    ) -> Result<(), PreprocessError> {
        self.check(frame, output.len())?;
        self.resize.run(frame, output)
    }

    /// Writes the upright, resized region as normalised floats.
    ///
    /// # Shapes
    ///
    /// As [`rgb_into`](Self::rgb_into).
    ///
    /// # Errors
    ///
    /// As [`rgb_into`](Self::rgb_into).
    pub fn normalized_into(
        &mut self,
        frame: &FrameBuffer<'_>,
        normalization: &Normalization,
        output: &mut [f32],
    ) -> Result<(), PreprocessError> {
        self.check(frame, output.len())?;
        self.resize.run(frame, &mut self.rgb)?;
        normalization.apply(&self.rgb, output)
    }

    /// Writes the upright, resized region as quantised signed bytes.
    ///
    /// # Shapes
    ///
    /// As [`rgb_into`](Self::rgb_into).
    ///
    /// # Errors
    ///
    /// As [`rgb_into`](Self::rgb_into).
    pub fn int8_into(
        &mut self,
        frame: &FrameBuffer<'_>,
        quantization: &InputQuantization,
        output: &mut [i8],
    ) -> Result<(), PreprocessError> {
        self.check(frame, output.len())?;
        self.resize.run(frame, &mut self.rgb)?;
        quantization.apply_int8(&self.rgb, output)
    }

    /// Writes the upright, resized region as quantised unsigned bytes.
    ///
    /// # Shapes
    ///
    /// As [`rgb_into`](Self::rgb_into).
    ///
    /// # Errors
    ///
    /// As [`rgb_into`](Self::rgb_into).
    pub fn uint8_into(
        &mut self,
        frame: &FrameBuffer<'_>,
        quantization: &InputQuantization,
        output: &mut [u8],
    ) -> Result<(), PreprocessError> {
        self.check(frame, output.len())?;
        self.resize.run(frame, &mut self.rgb)?;
        quantization.apply_uint8(&self.rgb, output)
    }

    /// Writes the upright, resized region as elements that a table gives for each level, such as
    /// 16-bit floats.
    ///
    /// # Shapes
    ///
    /// As [`rgb_into`](Self::rgb_into).
    ///
    /// # Errors
    ///
    /// As [`rgb_into`](Self::rgb_into).
    pub fn table_into<T: Copy>(
        &mut self,
        frame: &FrameBuffer<'_>,
        table: &LevelTable<T>,
        output: &mut [T],
    ) -> Result<(), PreprocessError> {
        self.check(frame, output.len())?;
        self.resize.run(frame, &mut self.rgb)?;
        table.apply(&self.rgb, output)
    }

    fn check(&self, frame: &FrameBuffer<'_>, output_len: usize) -> Result<(), PreprocessError> {
        if !self.geometry.matches(frame) {
            return Err(PreprocessError::FrameMismatch {
                expected: self.geometry,
                found: FrameGeometry::of(frame),
            });
        }
        if output_len != self.output_len() {
            return Err(PreprocessError::OutputLength {
                expected: self.output_len(),
                found: output_len,
            });
        }
        Ok(())
    }
}

impl Resize {
    fn run(&mut self, frame: &FrameBuffer<'_>, rgb: &mut [u8]) -> Result<(), PreprocessError> {
        match self {
            Self::TaskLibrary(task_library) => {
                task_library.run(frame, rgb);
                Ok(())
            }
            Self::MediaPipe(media_pipe) => {
                media_pipe.run(frame, rgb);
                Ok(())
            }
            Self::Quality(quality) => quality.run(frame, rgb),
        }
    }
}
