//! The command `embed`.

use std::fmt::Display;
use std::io::Write;

use image_embedder::embedding::FeatureVector;
use serde::Serialize;

use crate::arguments::EmbedArguments;
use crate::failure::Failure;
use crate::load;

/// The result as JSON.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    backend: &'a str,
    /// The number of elements of the first embedding.
    dimension: usize,
    embeddings: Vec<Embedding<'a>>,
}

#[derive(Serialize)]
struct Embedding<'a> {
    output_index: usize,
    name: Option<&'a str>,
    values: Values<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values<'a> {
    Float(&'a [f32]),
    Quantized(&'a [i8]),
}

/// Prints the feature vectors of an image.
pub(crate) fn run(arguments: &EmbedArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (embedder, model) = load::embedder(&arguments.embedder)?;
    let region = arguments.region.as_ref();
    let embedded = load::embed(&embedder, &arguments.image, region, &arguments.embedder)?;
    let embeddings: Vec<_> = embedded
        .result
        .embeddings
        .iter()
        .map(|embedding| Embedding {
            output_index: embedding.output_index,
            name: embedding.head_name.as_deref(),
            values: values(&embedding.feature_vector),
        })
        .collect();
    if arguments.json {
        let report = Report {
            model: &model.name,
            backend: embedder.options().backend.name(),
            dimension: embedded.result.feature_vector().len(),
            embeddings,
        };
        return print_json(&report, output);
    }
    for embedding in &embeddings {
        match embedding.values {
            Values::Float(values) => print_line(values, output)?,
            Values::Quantized(values) => print_line(values, output)?,
        }
    }
    Ok(())
}

fn values(vector: &FeatureVector) -> Values<'_> {
    match vector.as_quantized() {
        Some(values) => Values::Quantized(values),
        None => Values::Float(vector.as_float().unwrap_or_default()),
    }
}

fn print_line<T: Display>(values: &[T], output: &mut impl Write) -> Result<(), Failure> {
    let line: Vec<String> = values.iter().map(ToString::to_string).collect();
    writeln!(output, "{}", line.join(" "))?;
    Ok(())
}

/// Prints indented JSON and the end of the line.
pub(crate) fn print_json(report: &impl Serialize, output: &mut impl Write) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report).map_err(std::io::Error::from)?;
    writeln!(output, "{json}")?;
    Ok(())
}
