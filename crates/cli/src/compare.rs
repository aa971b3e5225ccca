//! The command `compare`.

use std::io::Write;
use std::path::Path;

use image_embedder::{ImageEmbedder, cosine_similarity};

use crate::arguments::CompareArguments;
use crate::failure::Failure;
use crate::load::{self, Embedded, NamedModel};

/// Prints what was compared and, on the last line, how alike the first embeddings are.
pub(crate) fn run(arguments: &CompareArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (embedder, model) = load::embedder(&arguments.embedder)?;
    let left = load::embed(&embedder, &arguments.left, None, &arguments.embedder)?;
    let right = load::embed(&embedder, &arguments.right, None, &arguments.embedder)?;

    let mut similarities = Vec::new();
    for (u, v) in left.result.embeddings.iter().zip(&right.result.embeddings) {
        let similarity = cosine_similarity(&u.feature_vector, &v.feature_vector)
            .map_err(image_embedder::Error::from)?;
        similarities.push((u.head_name.as_deref().unwrap_or("unnamed"), similarity));
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

fn describe(
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
        "input:     {}x{} pixels as {}",
        side(input.width),
        side(input.height),
        input.dtype
    )?;
    let dimensions: Vec<String> =
        embedder.output_specs().iter().map(|output| output.dimension.to_string()).collect();
    writeln!(
        output,
        "embedding: {} elements{}{}",
        dimensions.join(" and "),
        if options.l2_normalize { ", length one" } else { "" },
        if options.quantize { ", quantised" } else { "" },
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
    writeln!(
        output,
        "image {label}:   {}, {}x{} {}, orientation {}, decoded in {decode_ms:.1} ms, embedded in \
         {embed_ms:.1} ms",
        path.display(),
        image.width(),
        image.height(),
        image.format(),
        image.orientation(),
    )?;
    Ok(())
}
