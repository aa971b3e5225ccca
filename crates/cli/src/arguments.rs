//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use image_embedder::frame::BoundingBox;

use crate::backend::BackendName;
use crate::metadata::MetadataArguments;

/// Embeds and compares images with TensorFlow Lite models.
#[derive(Debug, Parser)]
#[command(name = "imgembed", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print how alike two images are, from -1 to 1.
    Compare(CompareArguments),
    /// Print the feature vector of an image.
    Embed(EmbedArguments),
    /// Print what a model file contains and which backends can run it.
    Inspect(InspectArguments),
    /// Show or change a model's metadata.
    Metadata(MetadataArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CompareArguments {
    /// An image: JPEG, PNG, WebP, BMP, GIF or TIFF.
    #[arg(value_name = "A")]
    pub(crate) left: PathBuf,
    /// Another image.
    #[arg(value_name = "B")]
    pub(crate) right: PathBuf,
    #[command(flatten)]
    pub(crate) embedder: EmbedderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct EmbedArguments {
    /// An image: JPEG, PNG, WebP, BMP, GIF or TIFF.
    pub(crate) image: PathBuf,
    /// Print JSON instead of one line of numbers for each output of the model.
    #[arg(long)]
    pub(crate) json: bool,
    /// Embed only this part of the stored image, in pixels.
    #[arg(long, value_name = "x,y,w,h", value_parser = region)]
    pub(crate) region: Option<BoundingBox>,
    #[command(flatten)]
    pub(crate) embedder: EmbedderArguments,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    pub(crate) model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

/// What `compare` and `embed` have in common.
#[derive(Args, Debug)]
pub(crate) struct EmbedderArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// What runs the model.
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub(crate) backend: BackendName,
    /// Scale feature vectors to length one.
    #[arg(long)]
    pub(crate) l2_normalize: bool,
    /// Quantise feature vectors to signed bytes.
    #[arg(long)]
    pub(crate) quantize: bool,
    /// Threads inside one inference.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) threads: NonZeroUsize,
    /// Take images as they are stored, whatever their Exif orientation.
    #[arg(long)]
    pub(crate) ignore_exif: bool,
    #[command(flatten)]
    pub(crate) library: LibraryArguments,
}

#[derive(Args, Debug)]
pub(crate) struct LibraryArguments {
    /// The TensorFlow Lite C library for the backend tflite.
    #[cfg(feature = "tflite")]
    #[arg(long, value_name = "PATH")]
    pub(crate) tflite_library: Option<PathBuf>,
}

fn region(text: &str) -> Result<BoundingBox, String> {
    let numbers: Result<Vec<u32>, _> =
        text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.as_deref() {
        Ok(&[x, y, width, height]) => Ok(BoundingBox::new(x, y, width, height)),
        _ => Err("expected four whole numbers, as in 0,0,320,240".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn regions() {
        assert_eq!(region("1,2,3,4"), Ok(BoundingBox::new(1, 2, 3, 4)));
        assert_eq!(region("1, 2, 3, 4"), Ok(BoundingBox::new(1, 2, 3, 4)));
        for wrong in
            ["", "1,2,3", "1,2,3,4,5", "-1,0,1,1", "a,b,c,d", "1.5,0,1,1", "4294967296,0,1,1"]
        {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
