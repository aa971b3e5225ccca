//! Loads a model, embeds two images and prints how alike they are.
//!
//! ```text
//! cargo run --example compare_images --features image -- MODEL A.jpg B.jpg
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::{EmbeddingResult, ImageEmbedder, ImageEmbedderOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, left, right] = arguments.as_slice() else {
        return Err("expected three arguments: MODEL A.jpg B.jpg".into());
    };

    let mut options = ImageEmbedderOptions::default();
    options.l2_normalize = true;
    let embedder = ImageEmbedder::from_file(model, options)?;

    let embed = |path: &str| -> Result<EmbeddingResult, Box<dyn Error>> {
        let image = Image::open(path, &DecodeOptions::default())?;
        Ok(embedder.embed(&image.frame()?)?)
    };
    let (left, right) = (embed(left)?, embed(right)?);

    let similarity = left.cosine_similarity(&right, 0)?;
    writeln!(stdout(), "Cosine similarity: {similarity:.6}")?;
    Ok(())
}
