//! Changes to a model's metadata.

use image_embedder_schema::metadata::{
    AssociatedFileT, ContentPropertiesT, ImagePropertiesT, ImageSizeT, ModelMetadataT,
    NormalizationOptionsT, ProcessUnitOptionsT, ProcessUnitT, SubGraphMetadataT, TensorMetadataT,
    read_metadata,
};
use image_embedder_schema::tflite::read_model;

use crate::archive::{FileContent, append_files};
use crate::model::metadata_buffer;
use crate::parser_version::minimum_parser_version;
use crate::rewrite::{MAX_FILE_SIZE, replace_metadata};
use crate::{
    AssociatedFile, AssociatedFiles, ColorSpace, ImageSize, MetadataError, NormalizationOptions,
};

/// What to change in a model's metadata. `None` and empty lists keep what is there; an empty
/// text takes the text out.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataChanges {
    /// The model's name.
    pub name: Option<String>,
    /// What the model does.
    pub description: Option<String>,
    /// The model's own version.
    pub version: Option<String>,
    /// Who made the model.
    pub author: Option<String>,
    /// The licence of the model.
    pub license: Option<String>,
    /// Changes to the inputs, in model order; inputs behind the last are kept.
    pub inputs: Vec<TensorChanges>,
    /// Changes to the outputs, in model order; outputs behind the last are kept.
    pub outputs: Vec<TensorChanges>,
    /// Files of the whole model; each replaces one of the same name.
    pub files: Vec<NewFile>,
}

/// What to change in the metadata of one input or output.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorChanges {
    /// The tensor's name in the metadata; its name in the model stays.
    pub name: Option<String>,
    /// What it holds.
    pub description: Option<String>,
    /// The colours. Makes the tensor an image, whatever it was.
    pub color_space: Option<ColorSpace>,
    /// The size to use where the model leaves it open. Makes the tensor an image, whatever it was.
    pub default_size: Option<ImageSize>,
    /// The normalisation, in place of any that is there.
    pub normalization: Option<NormalizationOptions>,
    /// Files of the tensor, such as labels; each replaces one of the same name.
    pub files: Vec<NewFile>,
}

/// A file to put into the archive behind a model.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "both fields are all there is to a file")]
pub struct NewFile {
    /// What the metadata says of it.
    pub file: AssociatedFile,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The model with changed metadata, which is added if there is none.
///
/// Everything else is kept: all tables and data of the model, all metadata that the changes do
/// not name, and all associated files, stored without compression as the TensorFlow Lite Task
/// Library demands. `min_parser_version` becomes the version in which the newest part of the
/// metadata came into its schema.
///
/// A model whose tables are all known is written anew. Of any other the bytes stay as they are,
/// and a new root is put in front of them: each edit then adds the size of the metadata and four
/// bytes for each of the model's buffers. Metadata that is replaced is overwritten in both cases.
///
/// ```no_run
/// use image_embedder_metadata::{
///     MetadataChanges, NormalizationOptions, TensorChanges, edit_metadata,
/// };
///
/// let mut input = TensorChanges::default();
/// input.normalization = Some(NormalizationOptions::uniform(127.5, 127.5));
/// let mut changes = MetadataChanges::default();
/// changes.inputs = vec![input];
///
/// let model = std::fs::read("float.tflite")?;
/// std::fs::write("embedder.tflite", edit_metadata(&model, &changes)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// - Those of [`ModelMetadata::from_model`](crate::ModelMetadata::from_model) if what is there
///   cannot be read; [`strip_metadata`] takes it out.
/// - [`MetadataError::Unread`] if the metadata, or the root of the model, holds parts that would
///   be lost.
/// - [`MetadataError::Archive`], [`MetadataError::UnreadableFile`] or
///   [`MetadataError::FileTooLarge`] if the files that are there cannot be kept.
/// - [`MetadataError::TensorCount`] if there are changes for more tensors than the model has.
/// - The errors of [`NormalizationOptions::check_values`].
/// - [`MetadataError::UnwritableFile`] if a file has no name or one that ZIP cannot hold.
/// - [`MetadataError::DataOutside`] or [`MetadataError::ModelTooLarge`] if the model, before or
///   after, is above 2 GiB.
pub fn edit_metadata(model: &[u8], changes: &MetadataChanges) -> Result<Vec<u8>, MetadataError> {
    let mut metadata = match metadata_buffer(model)? {
        Some(bytes) => unpack(bytes)?,
        None => ModelMetadataT::default(),
    };
    let archive = AssociatedFiles::open(model)?;
    let mut files = archive.contents()?;
    changes.apply(model, &mut metadata)?;
    for new in changes.new_files() {
        put_file(&mut files, new)?;
    }
    write(model, Some(&archive), metadata, &files)
}

/// The model without metadata and without associated files.
///
/// Metadata that cannot be read is taken out all the same. A model that has neither metadata nor
/// files keeps its content. Bytes behind the model that are no archive are dropped if the model is
/// written anew, see [`edit_metadata`].
///
/// # Errors
///
/// - [`MetadataError::Model`] if the bytes are not a TensorFlow Lite model.
/// - [`MetadataError::Unread`] if the root of the model holds parts that would be lost.
/// - [`MetadataError::Archive`] if it cannot be found out where the archive behind a model starts
///   that cannot be written anew.
/// - [`MetadataError::DataOutside`] if the model is above 2 GiB.
pub fn strip_metadata(model: &[u8]) -> Result<Vec<u8>, MetadataError> {
    replace_metadata(model, None, None)
}

/// All of a metadata buffer.
pub(crate) fn unpack(bytes: &[u8]) -> Result<ModelMetadataT, MetadataError> {
    let metadata = read_metadata(bytes).map_err(|source| MetadataError::Metadata { source })?;
    let found = metadata.unread();
    if !found.is_empty() {
        return Err(MetadataError::Unread { found });
    }
    if metadata.subgraph_metadata().is_present() && metadata.subgraph_metadata().is_empty() {
        return Err(MetadataError::NoSubgraph);
    }
    Ok(metadata.unpack())
}

/// The model with this metadata, for which the parser version is computed, and these files.
pub(crate) fn write(
    model: &[u8],
    archive: Option<&AssociatedFiles<'_>>,
    mut metadata: ModelMetadataT,
    files: &[FileContent],
) -> Result<Vec<u8>, MetadataError> {
    metadata.min_parser_version = Some(minimum_parser_version(&metadata));
    let metadata = metadata.to_bytes();
    let added = files.iter().map(|file| file.content.len());
    let size = added.fold(model.len().saturating_add(metadata.len()), usize::saturating_add);
    if size > MAX_FILE_SIZE {
        return Err(MetadataError::ModelTooLarge { size, limit: MAX_FILE_SIZE });
    }
    append_files(replace_metadata(model, archive, Some(&metadata))?, files)
}

fn put_file(files: &mut Vec<FileContent>, new: &NewFile) -> Result<(), MetadataError> {
    let name = &new.file.name;
    if name.is_empty() || name.ends_with('/') {
        return Err(MetadataError::UnwritableFile {
            name: name.clone(),
            reason: "expected the name of a file".to_owned(),
        });
    }
    let file = FileContent { name: name.clone(), content: new.content.clone() };
    match files.iter_mut().find(|file| file.name == *name) {
        Some(old) => *old = file,
        None => files.push(file),
    }
    Ok(())
}

impl MetadataChanges {
    fn new_files(&self) -> impl Iterator<Item = &NewFile> {
        let tensors = self.inputs.iter().chain(&self.outputs);
        self.files.iter().chain(tensors.flat_map(|tensor| &tensor.files))
    }

    fn apply(&self, model: &[u8], metadata: &mut ModelMetadataT) -> Result<(), MetadataError> {
        set(&mut metadata.name, self.name.as_ref());
        set(&mut metadata.description, self.description.as_ref());
        set(&mut metadata.version, self.version.as_ref());
        set(&mut metadata.author, self.author.as_ref());
        set(&mut metadata.license, self.license.as_ref());
        list_files(&mut metadata.associated_files, &self.files);
        if self.inputs.is_empty() && self.outputs.is_empty() {
            return Ok(());
        }

        let model = read_model(model).map_err(|source| MetadataError::Model { source })?;
        let graph = model.subgraphs().first();
        let inputs = graph.map_or(0, |graph| graph.inputs().len());
        let outputs = graph.map_or(0, |graph| graph.outputs().len());
        let subgraphs = metadata.subgraph_metadata.get_or_insert_default();
        if subgraphs.is_empty() {
            subgraphs.push(SubGraphMetadataT::default());
        }
        if let Some(subgraph) = subgraphs.first_mut() {
            let tensors = &mut subgraph.input_tensor_metadata;
            apply_tensors("input", tensors, &self.inputs, inputs)?;
            let tensors = &mut subgraph.output_tensor_metadata;
            apply_tensors("output", tensors, &self.outputs, outputs)?;
        }
        Ok(())
    }
}

/// Readers match tensors with their metadata by index, so all get an entry.
fn apply_tensors(
    kind: &'static str,
    tensors: &mut Option<Vec<TensorMetadataT>>,
    changes: &[TensorChanges],
    count: usize,
) -> Result<(), MetadataError> {
    if changes.len() > count {
        return Err(MetadataError::TensorCount { kind, found: changes.len(), count });
    }
    let tensors = tensors.get_or_insert_default();
    if tensors.len() < count {
        tensors.resize_with(count, TensorMetadataT::default);
    }
    for (tensor, changes) in tensors.iter_mut().zip(changes) {
        changes.apply(tensor)?;
    }
    Ok(())
}

impl TensorChanges {
    fn apply(&self, tensor: &mut TensorMetadataT) -> Result<(), MetadataError> {
        set(&mut tensor.name, self.name.as_ref());
        set(&mut tensor.description, self.description.as_ref());
        list_files(&mut tensor.associated_files, &self.files);
        if self.color_space.is_some() || self.default_size.is_some() {
            let content = tensor.content.get_or_insert_default();
            let mut image = match &content.content_properties {
                ContentPropertiesT::ImageProperties(image) => image.clone(),
                _ => ImagePropertiesT::default(),
            };
            if let Some(color_space) = self.color_space {
                image.color_space = color_space.raw();
            }
            if let Some(ImageSize { width, height }) = self.default_size {
                image.default_size = Some(Box::new(ImageSizeT { width, height }));
            }
            content.content_properties = ContentPropertiesT::ImageProperties(image);
        }
        if let Some(normalization) = &self.normalization {
            normalization.check_values()?;
            set_normalization(tensor, normalization);
        }
        Ok(())
    }
}

/// Puts the normalisation where the first one was, or behind all other steps.
fn set_normalization(tensor: &mut TensorMetadataT, normalization: &NormalizationOptions) {
    let units = tensor.process_units.get_or_insert_default();
    let is_normalization =
        |unit: &ProcessUnitT| matches!(unit.options, ProcessUnitOptionsT::NormalizationOptions(_));
    let position = units.iter().position(is_normalization);
    units.retain(|unit| !is_normalization(unit));
    let unit = ProcessUnitT {
        options: ProcessUnitOptionsT::NormalizationOptions(NormalizationOptionsT {
            mean: Some(normalization.mean.clone()),
            std: Some(normalization.std.clone()),
        }),
    };
    units.insert(position.unwrap_or(units.len()), unit);
}

fn set(text: &mut Option<String>, new: Option<&String>) {
    if let Some(new) = new {
        *text = Some(new.clone()).filter(|text| !text.is_empty());
    }
}

fn list_files(files: &mut Option<Vec<AssociatedFileT>>, new: &[NewFile]) {
    for file in new.iter().map(|new| new.file.to_schema()) {
        let files = files.get_or_insert_default();
        match files.iter_mut().find(|old| old.name == file.name) {
            Some(old) => *old = file,
            None => files.push(file),
        }
    }
}
