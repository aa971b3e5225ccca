//! Embeds a frame as a phone's camera gives it: three planes of YUV with padded rows, lying on
//! its side, of which only the middle counts.
//!
//! ```text
//! cargo run --example camera_frame -- MODEL
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use image_embedder::frame::{FrameBuffer, Orientation, PixelFormat, Plane};
use image_embedder::{ImageEmbedder, ImageEmbedderOptions, RegionOfInterest};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Cameras pad rows to a multiple of what their hardware likes.
const ROW_STRIDE: usize = 704;

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1).ok_or("expected an argument: MODEL")?;
    let embedder = ImageEmbedder::from_file(model, ImageEmbedderOptions::default())?;

    // What a camera would hand over: brightness, and two planes of colour whose samples lie two
    // bytes apart.
    let y: Vec<u8> =
        (0..ROW_STRIDE * HEIGHT as usize).map(|i| (i % ROW_STRIDE / 3) as u8).collect();
    let chroma = vec![128u8; ROW_STRIDE * HEIGHT as usize / 2];
    let planes = [
        Plane::new(&y, ROW_STRIDE, 1),
        Plane::new(&chroma, ROW_STRIDE, 2),
        Plane::new(&chroma, ROW_STRIDE, 2),
    ];
    let orientation = Orientation::RightTop;
    let frame = FrameBuffer::new(PixelFormat::Yv21, WIDTH, HEIGHT, &planes, orientation)?;

    let middle = RegionOfInterest::normalized(0.25, 0.25, 0.5, 0.5);
    let result = embedder.embed_region(&frame, middle)?;
    writeln!(
        stdout(),
        "{} elements, fingerprint {}",
        result.feature_vector().len(),
        result.fingerprint
    )?;
    Ok(())
}
