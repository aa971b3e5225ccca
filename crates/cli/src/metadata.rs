//! The command `metadata`: shows and writes what a model says of itself.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use image_embedder::metadata::{
    AssociatedFile, AssociatedFileKind, AssociatedFiles, ColorSpace, MetadataChanges,
    MetadataError, ModelMetadata, NewFile, NormalizationOptions, TensorChanges, TensorSelector,
    cut_at, cut_points, edit_metadata, strip_metadata,
};
use serde::Serialize;

use crate::embed::print_json;
use crate::failure::Failure;
use crate::inspect::Metadata;
use crate::load;

#[derive(Args, Debug)]
pub(crate) struct MetadataArguments {
    #[command(subcommand)]
    command: MetadataCommand,
}

#[derive(Debug, Subcommand)]
enum MetadataCommand {
    /// Print a model's metadata and files, and the tensors at which it could be cut.
    Show(ShowArguments),
    /// Write a model with metadata added or replaced; all other metadata is kept.
    Set(SetArguments),
    /// Write a model without metadata and files.
    Strip(StripArguments),
    /// Write a model that ends at an inner tensor: turn a classifier into an embedder.
    Cut(CutArguments),
}

#[derive(Args, Debug)]
struct ShowArguments {
    /// A TensorFlow Lite model; without it, the bundled one.
    model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct SetArguments {
    /// A TensorFlow Lite model.
    model: PathBuf,
    /// The file to write; may be the model itself.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    changes: Box<ChangeArguments>,
}

/// An empty text takes the text out.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct ChangeArguments {
    /// The mean of the input's pixels, 0 to 255: one, or one each for red, green and blue.
    #[arg(
        long,
        value_name = "a[,b,c]",
        value_delimiter = ',',
        allow_hyphen_values = true,
        requires = "std"
    )]
    mean: Vec<f32>,
    /// The standard deviation, as many as means: the model gets (pixel - mean) / std.
    #[arg(
        long,
        value_name = "a[,b,c]",
        value_delimiter = ',',
        allow_hyphen_values = true,
        requires = "mean"
    )]
    std: Vec<f32>,
    /// The colours of the input.
    #[arg(long, value_enum)]
    color_space: Option<ColorSpaceName>,
    /// The input's name.
    #[arg(long, value_name = "NAME")]
    input_name: Option<String>,
    /// An output's name; once for each output in order.
    #[arg(long, value_name = "NAME")]
    output_name: Vec<String>,
    /// The model's name.
    #[arg(long)]
    name: Option<String>,
    /// What the model does.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The model's own version.
    #[arg(long)]
    version: Option<String>,
    /// Who made the model.
    #[arg(long)]
    author: Option<String>,
    /// The licence of the model.
    #[arg(long)]
    license: Option<String>,
    /// A file to store behind the model; may be given again.
    #[arg(long, value_name = "PATH")]
    file: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ColorSpaceName {
    Rgb,
    Grayscale,
}

#[derive(Args, Debug)]
struct StripArguments {
    /// A TensorFlow Lite model.
    model: PathBuf,
    /// The file to write; may be the model itself.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct CutArguments {
    /// A TensorFlow Lite model.
    model: PathBuf,
    /// The tensor that becomes the output: its name or, as a number, its index.
    #[arg(long, value_name = "TENSOR")]
    at: String,
    /// The file to write; may be the model itself.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
}

/// Runs one of the commands below `metadata`.
pub(crate) fn run(arguments: &MetadataArguments, output: &mut impl Write) -> Result<(), Failure> {
    let (model, output) = match &arguments.command {
        MetadataCommand::Show(arguments) => return show(arguments, output),
        MetadataCommand::Set(SetArguments { model, output, changes }) => {
            let changes = changes.changes()?;
            (edit_metadata(&load::model(Some(model))?.data, &changes), output)
        }
        MetadataCommand::Strip(StripArguments { model, output }) => {
            (strip_metadata(&load::model(Some(model))?.data), output)
        }
        MetadataCommand::Cut(CutArguments { model, at, output }) => {
            let tensor = at.parse().map_or(TensorSelector::Name(at), TensorSelector::Index);
            (cut_at(&load::model(Some(model))?.data, tensor), output)
        }
    };
    save(output, &model.map_err(image_embedder::Error::from)?)
}

/// Everything that `show` prints.
#[derive(Serialize)]
struct Report {
    model: String,
    /// Absent if the model has none.
    metadata: Option<Metadata>,
    associated_files: Vec<String>,
    cut_points: Vec<CutPoint>,
}

#[derive(Serialize)]
struct CutPoint {
    index: usize,
    name: String,
    shape: Vec<i32>,
}

fn show(arguments: &ShowArguments, output: &mut impl Write) -> Result<(), Failure> {
    let model = load::model(arguments.model.as_deref())?;
    let report = Report::new(model.name, &model.data).map_err(image_embedder::Error::from)?;
    if arguments.json { print_json(&report, output) } else { report.print(output) }
}

impl Report {
    fn new(model: String, data: &[u8]) -> Result<Self, MetadataError> {
        let points = cut_points(data)?.into_iter();
        Ok(Self {
            model,
            metadata: ModelMetadata::from_model(data)?.map(Metadata::new),
            associated_files: AssociatedFiles::open(data)?.names().collect(),
            cut_points: points
                .map(|point| CutPoint { index: point.index, name: point.name, shape: point.shape })
                .collect(),
        })
    }

    fn print(&self, output: &mut impl Write) -> Result<(), Failure> {
        writeln!(output, "model: {}", self.model)?;
        match &self.metadata {
            Some(metadata) => metadata.print(output)?,
            None => writeln!(output, "metadata: none")?,
        }
        match self.associated_files.as_slice() {
            [] => writeln!(output, "associated files: none")?,
            files => writeln!(output, "associated files: {}", files.join(", "))?,
        }
        writeln!(output, "can be cut at:")?;
        for CutPoint { index, name, shape } in &self.cut_points {
            let shape: Vec<String> = shape.iter().map(i32::to_string).collect();
            writeln!(output, "  {index:>4} {name}: {}", shape.join("x"))?;
        }
        Ok(())
    }
}

impl ChangeArguments {
    fn changes(&self) -> Result<MetadataChanges, Failure> {
        let mut input = TensorChanges::default();
        input.name.clone_from(&self.input_name);
        input.color_space = self.color_space.map(|name| match name {
            ColorSpaceName::Rgb => ColorSpace::Rgb,
            ColorSpaceName::Grayscale => ColorSpace::Grayscale,
        });
        input.normalization = (!self.mean.is_empty())
            .then(|| NormalizationOptions { mean: self.mean.clone(), std: self.std.clone() });
        let mut changes = MetadataChanges::default();
        changes.name.clone_from(&self.name);
        changes.description.clone_from(&self.description);
        changes.version.clone_from(&self.version);
        changes.author.clone_from(&self.author);
        changes.license.clone_from(&self.license);
        if input != TensorChanges::default() {
            changes.inputs.push(input);
        }
        for name in &self.output_name {
            let mut output = TensorChanges::default();
            output.name = Some(name.clone());
            changes.outputs.push(output);
        }
        changes.files = self.file.iter().map(|path| new_file(path)).collect::<Result<_, _>>()?;
        Ok(changes)
    }
}

fn new_file(path: &Path) -> Result<NewFile, Failure> {
    let content = fs::read(path)
        .map_err(|source| Failure::ReadFile { path: path.display().to_string(), source })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(NewFile { file: AssociatedFile::new(name, AssociatedFileKind::Unknown), content })
}

/// Writes a file as a whole or not at all.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut partial = OsString::from(path);
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&partial);
        Failure::WriteFile { path: path.display().to_string(), source }
    })
}
