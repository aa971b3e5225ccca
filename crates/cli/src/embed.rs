//! The command `embed`.

use std::fmt::Display;
use std::io::Write;

use image_embedder::embedding::{FeatureVector, ScaledInt8};
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
    /// Vectors of equal fingerprints may be compared.
    fingerprint: String,
    embeddings: Vec<Embedding<'a>>,
}

#[derive(Serialize)]
struct Embedding<'a> {
    output_index: usize,
    name: Option<&'a str>,
    /// `float`, `quantized`, `scaled` or `float16`.
    kind: &'static str,
    /// What a value of one stands for, if the vector has a scale of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    values: Values<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values<'a> {
    Float(Vec<f32>),
    Bytes(&'a [i8]),
}

/// Prints the feature vectors of an image.
pub(crate) fn run(arguments: &EmbedArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (embedder, model) = load::embedder(&arguments.embedder)?;
    let region = arguments.region.region();
    let embedded = load::embed(&embedder, &arguments.image, region, &arguments.embedder)?;
    load::warn_of_fallback(&embedder);
    let embeddings: Vec<_> = embedded
        .result
        .embeddings
        .iter()
        .map(|embedding| Embedding {
            output_index: embedding.output_index,
            name: embedding.head_name.as_deref(),
            kind: embedding.feature_vector.kind(),
            scale: embedding.feature_vector.as_scaled().map(|scaled| scaled.scale),
            values: values(&embedding.feature_vector),
        })
        .collect();
    if arguments.json {
        let report = Report {
            model: &model.name,
            backend: embedder.options().backend.name(),
            dimension: embedded.result.feature_vector().len(),
            fingerprint: embedded.result.fingerprint.to_string(),
            embeddings,
        };
        return print_json(&report, output);
    }
    for embedding in &embeddings {
        match &embedding.values {
            Values::Float(values) => print_line(values, output)?,
            Values::Bytes(values) => print_line(values, output)?,
        }
    }
    Ok(())
}

fn values(vector: &FeatureVector) -> Values<'_> {
    match vector {
        FeatureVector::Quantized(values) | FeatureVector::Scaled(ScaledInt8 { values, .. }) => {
            Values::Bytes(values)
        }
        // The floats of the other kinds.
        other => Values::Float(other.to_floats()),
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
