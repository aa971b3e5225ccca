//! Borrowed image memory whose sizes and strides have been checked.
//!
//! A [`FrameBuffer`] is a view of pixels that someone else owns: interleaved RGB or RGBA, gray,
//! or one of the four usual layouts of 8-bit YUV 4:2:0. Constructors check every size with
//! checked arithmetic, so a frame buffer that exists is in bounds and the layers above need not
//! look at lengths again. The crate allocates nothing and touches no pixel.
//!
//! ```
//! use image_embedder_frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
//!
//! let pixels = [0u8; 4 * 2 * 3];
//! let frame = FrameBuffer::from_rgb(&pixels, 4, 2)?.with_orientation(Orientation::RightTop);
//! assert_eq!(frame.format(), PixelFormat::Rgb);
//!
//! let region = BoundingBox::new(2, 0, 2, 2);
//! region.check(frame.width(), frame.height())?;
//! # Ok::<(), image_embedder_frame::FrameError>(())
//! ```
#![forbid(unsafe_code)]

mod buffer;
mod error;
mod format;
mod orientation;
mod plane;
mod region;

pub use buffer::FrameBuffer;
pub use error::FrameError;
pub use format::PixelFormat;
pub use orientation::Orientation;
pub use plane::Plane;
pub use region::BoundingBox;
