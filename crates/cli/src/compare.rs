//! The command `compare`.

use std::io::Write;
use std::path::Path;

use image_embedder::ImageEmbedder;
use image_embedder::embedding::QuantizeMode;

use crate::arguments::CompareArguments;
use crate::failure::Failure;
use crate::load::{self, Embedded, NamedModel};

/// Prints what was compared and, on the last line, how alike the first embeddings are.
pub(crate) fn run(arguments: &CompareArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (embedder, model) = load::embedder(&arguments.embedder)?;
    let left = load::embed(&embedder, &arguments.left, None, &arguments.embedder)?;
    let right = load::embed(&embedder, &arguments.right, None, &arguments.embedder)?;
    load::warn_of_fallback(&embedder);

    let mut similarities = Vec::new();
    for embedding in &left.result.embeddings {
        let similarity = left.result.cosine_similarity(&right.result, embedding.output_index)?;
        similarities.push((embedding.head_name.as_deref().unwrap_or("unnamed"), similarity));
    }

    describe(&embedder, &model, output)?;
    describe_image("A", &arguments.left, &left, output)?;
    describe_image("B", &arguments.right, &right, output)?;
    for (index, (name, similarity)) in similarities.iter().enumerate().skip(1) {
        writeln!(output, "output {index}:  {name}, cosine similarity {similarity:.6}")?;
    }
    if let Some((_, similarity)) = similarities.first() {
        writeln!(output, "Cosine similarity: {similarity:.6}")?;
    }
    Ok(())
}

pub(crate) fn describe(
    embedder: &ImageEmbedder,
    model: &NamedModel,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let options = embedder.options();
    let input = embedder.input_spec();
    let side = |size: Option<u32>| size.map_or("?".to_owned(), |size| size.to_string());
    writeln!(output, "model:     {}, {} bytes", model.name, model.data.len())?;
    writeln!(output, "backend:   {}, threads {}", options.backend.name(), options.num_threads)?;
    writeln!(
        output,
        "input:     {}x{} pixels as {}, mode {}, {}",
        side(input.width),
        side(input.height),
        input.dtype,
        options.preprocess.mode,
        options.preprocess.resize_policy,
    )?;
    let dimensions: Vec<String> =
        embedder.output_specs().iter().map(|output| output.dimension.to_string()).collect();
    writeln!(
        output,
        "embedding: {} elements{}{}, fingerprint {}",
        dimensions.join(" and "),
        if options.l2_normalize { ", length one" } else { "" },
        match options.quantize {
            QuantizeMode::None => String::new(),
            QuantizeMode::Fixed => ", quantised".to_owned(),
            other => format!(", quantised {other}"),
        },
        embedder.fingerprint(),
    )?;
    Ok(())
}

fn describe_image(
    label: &str,
    path: &Path,
    embedded: &Embedded,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let Embedded { image, decode_ms, embed_ms, .. } = embedded;
    let frame = image.frame()?;
    writeln!(
        output,
        "image {label}:   {}, {}x{} {}, orientation {}, decoded in {decode_ms:.1} ms, embedded in \
         {embed_ms:.1} ms",
        path.display(),
        frame.width(),
        frame.height(),
        frame.format(),
        frame.orientation(),
    )?;
    Ok(())
}
