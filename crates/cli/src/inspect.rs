//! The command `inspect`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::ValueEnum;
use image_embedder::frame::FrameBuffer;
use image_embedder::inspect::{ModelSummary, TensorSummary};
use image_embedder::metadata::{
    AssociatedFiles, Content, ModelMetadata, ProcessUnit, TensorMetadata,
};
use image_embedder::{Error, ImageEmbedder, ImageEmbedderOptions};
use serde::Serialize;

use crate::arguments::{InspectArguments, LibraryArguments};
use crate::backend::BackendName;
use crate::embed::print_json;
use crate::failure::{Failure, chain};
use crate::load::{self, NamedModel};

/// Everything that is printed.
#[derive(Serialize)]
struct Report {
    model: String,
    bytes: usize,
    description: Option<String>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// Absent if the model has none.
    metadata: Option<Metadata>,
    /// Why metadata is there but cannot be read.
    metadata_error: Option<String>,
    associated_files: Vec<String>,
    /// Why the archive behind the model cannot be read.
    associated_files_error: Option<String>,
    operators: BTreeMap<String, usize>,
    backends: Vec<Verdict>,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    element_type: String,
    shape: Vec<i32>,
    scale: Option<f32>,
    zero_point: Option<i64>,
    #[serde(skip)]
    line: String,
}

#[derive(Serialize)]
pub(crate) struct Metadata {
    name: Option<String>,
    description: Option<String>,
    version: Option<String>,
    author: Option<String>,
    license: Option<String>,
    min_parser_version: Option<String>,
    inputs: Vec<DescribedTensor>,
    outputs: Vec<DescribedTensor>,
}

#[derive(Serialize)]
struct DescribedTensor {
    name: Option<String>,
    description: Option<String>,
    color_space: Option<String>,
    default_size: Option<String>,
    mean: Vec<f32>,
    std: Vec<f32>,
}

/// Whether a backend runs the model.
#[derive(Serialize)]
struct Verdict {
    name: String,
    runs: bool,
    /// Why not.
    reason: Option<String>,
}

/// Prints what a model file contains and which backends can run it.
pub(crate) fn run(arguments: &InspectArguments, output: &mut impl Write) -> Result<(), Failure> {
    let model = load::model(arguments.model.as_deref())?;
    let report = Report::new(&model, &arguments.library)?;
    if arguments.json { print_json(&report, output) } else { report.print(output) }
}

impl Report {
    fn new(model: &NamedModel, library: &LibraryArguments) -> Result<Self, Failure> {
        let summary = ModelSummary::from_model(&model.data)?;
        let (metadata, metadata_error) = match ModelMetadata::from_model(&model.data) {
            Ok(metadata) => (metadata.map(Metadata::new), None),
            Err(error) => (None, Some(chain(&error))),
        };
        let (associated_files, associated_files_error) = match AssociatedFiles::open(&model.data) {
            Ok(files) => (files.names().collect(), None),
            Err(error) => (Vec::new(), Some(chain(&error))),
        };
        Ok(Self {
            model: model.name.clone(),
            bytes: model.data.len(),
            description: summary.description,
            inputs: summary.inputs.iter().map(Tensor::new).collect(),
            outputs: summary.outputs.iter().map(Tensor::new).collect(),
            metadata,
            metadata_error,
            associated_files,
            associated_files_error,
            operators: summary.operators,
            backends: BackendName::value_variants()
                .iter()
                .map(|backend| Verdict::new(*backend, model, library))
                .collect(),
        })
    }

    fn print(&self, output: &mut impl Write) -> Result<(), Failure> {
        writeln!(output, "model: {}, {} bytes", self.model, self.bytes)?;
        if let Some(description) = &self.description {
            writeln!(output, "description: {description}")?;
        }
        for (title, tensors) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            writeln!(output, "{title}:")?;
            for tensor in tensors {
                writeln!(output, "  {}", tensor.line)?;
            }
        }
        match (&self.metadata, &self.metadata_error) {
            (Some(metadata), _) => metadata.print(output)?,
            (None, Some(error)) => writeln!(output, "metadata: unusable: {error}")?,
            (None, None) => writeln!(output, "metadata: none")?,
        }
        match &self.associated_files_error {
            Some(error) => writeln!(output, "associated files: unusable: {error}")?,
            None if self.associated_files.is_empty() => {
                writeln!(output, "associated files: none")?;
            }
            None => writeln!(output, "associated files: {}", self.associated_files.join(", "))?,
        }
        writeln!(output, "operators:")?;
        for (name, count) in &self.operators {
            writeln!(output, "  {count:>4} {name}")?;
        }
        writeln!(output, "backends:")?;
        for Verdict { name, reason, .. } in &self.backends {
            match reason {
                None => writeln!(output, "  {name}: runs the model")?,
                Some(reason) => writeln!(output, "  {name}: cannot: {reason}")?,
            }
        }
        Ok(())
    }
}

impl Tensor {
    fn new(tensor: &TensorSummary) -> Self {
        Self {
            name: tensor.name.clone(),
            element_type: tensor.element_type.clone(),
            shape: tensor.shape.clone(),
            scale: tensor.quantization.map(|(scale, _)| scale),
            zero_point: tensor.quantization.map(|(_, zero_point)| zero_point),
            line: tensor.to_string(),
        }
    }
}

impl Metadata {
    pub(crate) fn new(metadata: ModelMetadata) -> Self {
        let subgraph = metadata.subgraph.unwrap_or_default();
        let tensors =
            |tensors: Vec<TensorMetadata>| tensors.into_iter().map(DescribedTensor::new).collect();
        Self {
            name: metadata.name,
            description: metadata.description,
            version: metadata.version,
            author: metadata.author,
            license: metadata.license,
            min_parser_version: metadata.min_parser_version,
            inputs: tensors(subgraph.inputs),
            outputs: tensors(subgraph.outputs),
        }
    }

    pub(crate) fn print(&self, output: &mut impl Write) -> Result<(), Failure> {
        writeln!(output, "metadata:")?;
        let texts = [
            ("name", &self.name),
            ("description", &self.description),
            ("version", &self.version),
            ("author", &self.author),
            ("license", &self.license),
            ("min_parser_version", &self.min_parser_version),
        ];
        for (title, text) in texts {
            if let Some(text) = text {
                writeln!(output, "  {title}: {}", text.trim())?;
            }
        }
        for (title, tensors) in [("input", &self.inputs), ("output", &self.outputs)] {
            for tensor in tensors {
                writeln!(output, "  {title} {}", tensor.line())?;
            }
        }
        Ok(())
    }
}

impl DescribedTensor {
    fn new(tensor: TensorMetadata) -> Self {
        let image = match tensor.content {
            Content::Image(properties) => Some(properties),
            _ => None,
        };
        let normalization = tensor.process_units.into_iter().find_map(|unit| match unit {
            ProcessUnit::Normalization(options) => Some(options),
            _ => None,
        });
        let (mean, std) =
            normalization.map(|options| (options.mean, options.std)).unwrap_or_default();
        Self {
            name: tensor.name,
            description: tensor.description,
            color_space: image.map(|properties| properties.color_space.to_string()),
            default_size: image
                .and_then(|properties| properties.default_size)
                .map(|size| size.to_string()),
            mean,
            std,
        }
    }

    fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.color_space.clone());
        parts.extend(self.default_size.as_ref().map(|size| format!("default size {size}")));
        if !self.mean.is_empty() || !self.std.is_empty() {
            parts.push(format!("mean {:?}, std {:?}", self.mean, self.std));
        }
        parts.extend(self.description.as_ref().map(|text| text.trim().to_owned()));
        format!("{}: {}", self.name.as_deref().unwrap_or("unnamed"), parts.join("; "))
    }
}

impl Verdict {
    /// Embeds a gray frame to be sure.
    fn new(name: BackendName, model: &NamedModel, library: &LibraryArguments) -> Self {
        let backend = name.backend(library);
        let name = backend.name().to_owned();
        let options = ImageEmbedderOptions::with_backend(backend);
        let tried = || -> Result<(), Error> {
            let embedder = ImageEmbedder::from_bytes(model.data.clone(), options)?;
            let pixels = vec![128; 64 * 64 * 3];
            embedder.embed(&FrameBuffer::from_rgb(&pixels, 64, 64)?).map(|_| ())
        };
        let reason = tried().err().map(|error| chain(&error));
        Self { name, runs: reason.is_none(), reason }
    }
}
