//! Embeds a frame as a phone's camera gives it, in Android's format `YUV_420_888`: three planes with
//! padded rows, lying on its side, of which only the middle counts.
//!
//! ```text
//! cargo run --example camera_frame -- MODEL
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use image_embedder::frame::{FrameBuffer, Orientation, PixelFormat, Plane};
use image_embedder::preprocess::{
    PreprocessMode, PreprocessOptions, YuvColorSpace, YuvMatrix, YuvRange,
};
use image_embedder::{ImageEmbedder, ImageEmbedderOptions, RegionOfInterest};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Cameras pad rows to a multiple of what their hardware likes.
const ROW_STRIDE: usize = 704;

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1).ok_or("expected an argument: MODEL")?;
    let mut options = ImageEmbedderOptions::default();
    // Cameras use all levels of a byte. The vectors of the Task Library, which takes them for
    // limited range, come with the default options.
    options.preprocess = PreprocessOptions::with_mode(PreprocessMode::Quality);
    options.preprocess.yuv_color_space = YuvColorSpace::new(YuvMatrix::Bt601, YuvRange::Full);
    let embedder = ImageEmbedder::from_file(model, options)?;

    // What `Image.getPlanes()` would hand over: brightness, and two buffers of colour whose samples
    // lie two bytes apart. They are the same memory, one byte later in the second, and the last
    // row ends with its last sample.
    let y: Vec<u8> =
        (0..ROW_STRIDE * HEIGHT as usize).map(|i| (i % ROW_STRIDE / 3) as u8).collect();
    let chroma: Vec<u8> =
        (0..ROW_STRIDE * HEIGHT as usize / 2).map(|i| (i % 2 * 200) as u8).collect();
    let samples = ROW_STRIDE * (HEIGHT as usize / 2 - 1) + WIDTH as usize - 1;
    let (v_samples, u_samples) = (&chroma[..samples], &chroma[1..=samples]);
    let frame = FrameBuffer::from_yuv_planes(
        PixelFormat::Nv21,
        Plane::new(&y, ROW_STRIDE, 1),
        Plane::new(u_samples, ROW_STRIDE, 2),
        Plane::new(v_samples, ROW_STRIDE, 2),
        WIDTH,
        HEIGHT,
    )?;
    // The camera is mounted across.
    let frame = frame.with_orientation(Orientation::RightTop);

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
