//! Writes models whose embedding is their input, for other implementations to run.
//!
//! `pass_through_models FOLDER 24x16 …` writes `FOLDER/24x16.tflite`, which takes 24 columns and
//! 16 rows of RGB bytes, and so on.

use std::error::Error;
use std::path::Path;

use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("expected a folder and sizes such as 24x16")?;
    for size in arguments {
        let (width, height) = size.split_once('x').ok_or_else(|| format!("no size: {size}"))?;
        let (width, height): (i32, i32) = (width.parse()?, height.parse()?);
        let elements = width
            .checked_mul(height)
            .and_then(|pixels| pixels.checked_mul(3))
            .filter(|elements| *elements > 0)
            .ok_or_else(|| format!("no size: {size}"))?;
        let input = TensorKind::uint8(&[1, height, width, 3]);
        let output = TensorKind::uint8(&[1, elements]);
        let model = PassThrough::new(input, vec![output]).to_bytes();
        std::fs::write(Path::new(&folder).join(format!("{size}.tflite")), model)?;
    }
    Ok(())
}
