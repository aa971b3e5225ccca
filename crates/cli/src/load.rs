//! Models, embedders and images from what the command line names.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use image_embedder::backend::ModelData;
use image_embedder::decode::DecodeOptions;
use image_embedder::embedding::QuantizeMode;
use image_embedder::metadata::NormalizationOptions;
use image_embedder::preprocess::PreprocessOptions;
use image_embedder::{
    BUNDLED_MODEL_NAME, EmbeddingResult, ImageEmbedder, ImageEmbedderOptions, RegionOfInterest,
    bundled_model,
};

use crate::arguments::{EmbedderArguments, QuantizeScale};
use crate::failure::{Failure, chain};
use crate::picture::Picture;

/// A model and how it is called.
#[derive(Debug)]
pub(crate) struct NamedModel {
    pub(crate) name: String,
    pub(crate) data: ModelData,
}

/// The model at `path`; without one, the bundled model.
pub(crate) fn model(path: Option<&Path>) -> Result<NamedModel, Failure> {
    let Some(path) = path else {
        let name = format!("{BUNDLED_MODEL_NAME} (bundled)");
        return Ok(NamedModel { name, data: bundled_model() });
    };
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok(NamedModel { name, data: bytes.into() }),
        Err(source) => Err(Failure::Model { path: name, source }),
    }
}

/// The embedder that the arguments describe, and the name of its model.
pub(crate) fn embedder(
    arguments: &EmbedderArguments,
) -> Result<(ImageEmbedder, NamedModel), Failure> {
    let model = model(arguments.model.as_deref())?;
    let embedder = ImageEmbedder::from_bytes(model.data.clone(), options(arguments))?;
    Ok((embedder, model))
}

/// The options that the arguments describe.
pub(crate) fn options(arguments: &EmbedderArguments) -> ImageEmbedderOptions {
    let backend = arguments.backend.backend(&arguments.library);
    let mut options = ImageEmbedderOptions::with_backend(backend);
    options.l2_normalize = arguments.l2_normalize;
    options.quantize = match (arguments.quantize, arguments.quantize_scale) {
        (true, QuantizeScale::Fixed) => QuantizeMode::Fixed,
        (true, QuantizeScale::PerVector) => QuantizeMode::PerVector,
        (false, _) if arguments.float16 => QuantizeMode::Float16,
        (false, _) => QuantizeMode::None,
    };
    options.dimension = arguments.dimension.map(Into::into);
    options.num_threads = arguments.threads.get();
    options.preprocess = PreprocessOptions::with_mode(arguments.mode.preprocess_mode());
    options.preprocess.resize_policy = arguments.resize.policy();
    options.preprocess.yuv_color_space = arguments.yuv.color_space();
    options.normalization = (!arguments.mean.is_empty())
        .then(|| NormalizationOptions { mean: arguments.mean.clone(), std: arguments.std.clone() });
    options
}

/// Decodes or reads an image, and tells how many milliseconds that took.
pub(crate) fn image(path: &Path, arguments: &EmbedderArguments) -> Result<(Picture, f64), Failure> {
    let mut options = DecodeOptions::default();
    options.ignore_exif = arguments.ignore_exif;
    options.allow_truncated = arguments.allow_truncated;
    let layout = arguments.raw.layout()?;
    let start = Instant::now();
    let image = Picture::open(path, layout.as_ref(), &options)?;
    Ok((image, milliseconds(start)))
}

/// An image with its embedding and what they cost.
#[derive(Debug)]
pub(crate) struct Embedded {
    pub(crate) image: Picture,
    pub(crate) result: EmbeddingResult,
    pub(crate) decode_ms: f64,
    pub(crate) embed_ms: f64,
}

/// Decodes and embeds an image, or a region of it.
pub(crate) fn embed(
    embedder: &ImageEmbedder,
    path: &Path,
    region: Option<RegionOfInterest>,
    arguments: &EmbedderArguments,
) -> Result<Embedded, Failure> {
    let (image, decode_ms) = image(path, arguments)?;
    let start = Instant::now();
    let frame = image.frame()?;
    let result = match region {
        Some(region) => embedder.embed_region(&frame, region)?,
        None => embedder.embed(&frame)?,
    };
    let embed_ms = milliseconds(start);
    Ok(Embedded { image, result, decode_ms, embed_ms })
}

/// Tells on standard error why the backend gave up its delegate, if it did.
pub(crate) fn warn_of_fallback(embedder: &ImageEmbedder) {
    if let Some(reason) = embedder.options().backend.last_fallback() {
        // With standard error closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "imgembed: warning: went on without the delegate: {}",
            chain(&reason)
        );
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
