//! The command `explain`.

use std::io::{self, Cursor, Write};
use std::path::Path;
use std::time::Duration;

use image::{ImageFormat, RgbImage};
use image_embedder::frame::FrameBuffer;
use image_embedder::preprocess::{PreprocessMode, PreprocessOptions, ResizePolicy};
use image_embedder::{
    EmbeddingResult, Explanation, ImageEmbedder, ImageEmbedderOptions, InputSpec, RegionOfInterest,
};

use crate::arguments::ExplainArguments;
use crate::compare;
use crate::failure::{Failure, chain};
use crate::load::{self, NamedModel};
use crate::metadata::save;
use crate::picture::Picture;

/// Every mode that the vector is computed in.
const MODES: [PreprocessMode; 3] =
    [PreprocessMode::TaskLibrary, PreprocessMode::MediaPipe, PreprocessMode::Quality];

/// Prints each stage between an image file and its embedding.
pub(crate) fn run(arguments: &ExplainArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (embedder, model) = load::embedder(&arguments.embedder)?;
    let (image, decode_ms) = load::image(&arguments.image, &arguments.embedder)?;
    let region = arguments.region.region();
    let frame = image.frame()?;
    let explanation = embedder.explain(&frame, region)?;
    load::warn_of_fallback(&embedder);
    if let Some(path) = &arguments.dump {
        dump(path, &explanation)?;
    }

    compare::describe(&embedder, &model, output)?;
    describe_image(arguments, &image, decode_ms, output)?;
    writeln!(output, "region:    {} of the stored image", explanation.region)?;
    let options = embedder.options();
    writeln!(output, "resize:    {}", geometry(&explanation, options.preprocess.resize_policy))?;
    writeln!(output, "tensor:    {}", tensor(embedder.input_spec(), &explanation))?;
    let timings = explanation.timings;
    writeln!(
        output,
        "time:      {} ms to prepare, {} ms to preprocess, {} ms for the model, {} ms to \
         postprocess",
        milliseconds(timings.prepare),
        milliseconds(timings.preprocess),
        milliseconds(timings.inference),
        milliseconds(timings.postprocess),
    )?;
    for mode in MODES.into_iter().filter(|mode| *mode != options.preprocess.mode) {
        let verdict = match other_mode(mode, options, &model, &frame, region) {
            Ok(other) => similarities(&explanation.result, &other),
            Err(error) => format!("cannot: {}", chain(&error)),
        };
        writeln!(output, "in mode {mode}: {verdict}")?;
    }
    if let Some(path) = &arguments.dump {
        let size = explanation.target_size;
        writeln!(output, "written:   {}, {}x{}", path.display(), size.width, size.height)?;
    }
    Ok(())
}

fn describe_image(
    arguments: &ExplainArguments,
    image: &Picture,
    decode_ms: f64,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let frame = image.frame()?;
    let colors = if frame.format().is_yuv() {
        format!(" ({})", arguments.embedder.yuv.color_space())
    } else {
        String::new()
    };
    writeln!(
        output,
        "decode:    {}, {}x{} {}{colors}, in {decode_ms:.1} ms",
        arguments.image.display(),
        frame.width(),
        frame.height(),
        frame.format(),
    )?;
    let orientation = frame.orientation();
    let (mut width, mut height) = (frame.width(), frame.height());
    if orientation.swaps_dimensions() {
        (width, height) = (height, width);
    }
    let ignored = if arguments.embedder.ignore_exif { ", Exif ignored" } else { "" };
    writeln!(output, "orient:    {orientation}{ignored}, upright {width}x{height}")?;
    Ok(())
}

/// How the upright region becomes the target.
fn geometry(explanation: &Explanation, policy: ResizePolicy) -> String {
    let Explanation { region, orientation, target_size, .. } = explanation;
    let (mut width, mut height) = (region.width, region.height);
    if orientation.swaps_dimensions() {
        (width, height) = (height, width);
    }
    let horizontal = f64::from(target_size.width) / f64::from(width);
    let vertical = f64::from(target_size.height) / f64::from(height);
    let how = match policy {
        ResizePolicy::Stretch => format!(
            "width times {horizontal:.4}, height times {vertical:.4}, aspect ratio times {:.4}",
            horizontal / vertical
        ),
        ResizePolicy::Letterbox { .. } => {
            format!("both times {:.4}, the rest bars", horizontal.min(vertical))
        }
        ResizePolicy::CenterCrop => {
            format!("both times {:.4}, the overhang cut off", horizontal.max(vertical))
        }
        other => other.to_string(),
    };
    format!("{width}x{height} to {}x{}, {policy}: {how}", target_size.width, target_size.height)
}

/// What the model's input holds.
fn tensor(input: &InputSpec, explanation: &Explanation) -> String {
    let (least, greatest) = explanation.input_range;
    let normalization = match &input.normalization {
        None => "pixels as they are".to_owned(),
        Some(options) => {
            format!("normalised with mean {:?}, std {:?}", options.mean, options.std)
        }
    };
    format!("{}, {normalization}, from {least} to {greatest}", input.dtype)
}

/// The result in another mode, all else being equal.
fn other_mode(
    mode: PreprocessMode,
    options: &ImageEmbedderOptions,
    model: &NamedModel,
    frame: &FrameBuffer<'_>,
    region: Option<RegionOfInterest>,
) -> Result<EmbeddingResult, image_embedder::Error> {
    let mut options = options.clone();
    let color_space = options.preprocess.yuv_color_space;
    // Only one of the modes knows more than stretching, and one knows no colour space but its own.
    options.preprocess = PreprocessOptions::with_mode(mode);
    if mode != PreprocessMode::TaskLibrary {
        options.preprocess.yuv_color_space = color_space;
    }
    let embedder = ImageEmbedder::from_bytes(model.data.clone(), options)?;
    match region {
        Some(region) => embedder.embed_region(frame, region),
        None => embedder.embed(frame),
    }
}

fn similarities(result: &EmbeddingResult, other: &EmbeddingResult) -> String {
    let similarities: Vec<String> = result
        .embeddings
        .iter()
        .map(|embedding| {
            // Another mode has another fingerprint, and this tells what it changes.
            let index = embedding.output_index;
            match result.cosine_similarity_ignoring_fingerprints(other, index) {
                Ok(similarity) => format!("{similarity:.6}"),
                Err(error) => chain(&error),
            }
        })
        .collect();
    format!("cosine similarity {}, fingerprint {}", similarities.join(" and "), other.fingerprint)
}

/// Writes the pixels that the model sees as a PNG picture.
fn dump(path: &Path, explanation: &Explanation) -> Result<(), Failure> {
    let failure = |source| Failure::WriteFile { path: path.display().to_string(), source };
    let size = explanation.target_size;
    let picture = RgbImage::from_raw(size.width, size.height, explanation.pixels.clone())
        .ok_or_else(|| {
            failure(io::Error::other("the pixels are not of the size they should be"))
        })?;
    let mut png = Cursor::new(Vec::new());
    picture
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| failure(io::Error::other(error)))?;
    save(path, png.get_ref())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}
