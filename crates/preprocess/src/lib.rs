//! From a frame to the pixels that a model takes: crop, resize, convert, orient, normalise.
//!
//! A [`Plan`] is built once for a [`FrameGeometry`] and a target size; it holds every table and
//! buffer that running needs. What the pixels become is chosen by [`PreprocessMode`]: the exact
//! bytes of the TensorFlow Lite Task Library, or of MediaPipe, or an ordinary anti-aliased resize.
//!
//! ```
//! use image_embedder_frame::FrameBuffer;
//! use image_embedder_preprocess::{FrameGeometry, Normalization, Plan, PreprocessOptions};
//!
//! let pixels = vec![200u8; 64 * 48 * 3];
//! let frame = FrameBuffer::from_rgb(&pixels, 64, 48)?;
//!
//! let geometry = FrameGeometry::of(&frame);
//! let mut plan = Plan::new(geometry, 24, 24, &PreprocessOptions::default())?;
//!
//! let mut rgb = vec![0u8; plan.output_len()];
//! plan.rgb_into(&frame, &mut rgb)?;
//!
//! let mut tensor = vec![0f32; plan.output_len()];
//! plan.normalized_into(&frame, &Normalization::uniform(127.5, 127.5)?, &mut tensor)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod color;
mod convert;
mod crop;
mod error;
mod geometry;
mod memory;
mod normalize;
mod options;
mod orient;
mod plan;
mod quantize;
mod resize;

pub use color::{YuvColorSpace, YuvMatrix, YuvRange};
pub use error::PreprocessError;
pub use geometry::FrameGeometry;
pub use normalize::Normalization;
pub use options::{PreprocessMode, PreprocessOptions, ResizePolicy};
pub use plan::Plan;
pub use quantize::{InputQuantization, LevelTable};
