//! The metadata of a whole model, and where it lies in the file.

use image_embedder_schema::metadata::{self as schema, METADATA_NAME, read_metadata};
use image_embedder_schema::tflite::{Buffer, read_model};

use crate::associated_file::associated_files;
use crate::tensor::owned;
use crate::{AssociatedFile, ImageInput, MetadataError, TensorMetadata};

/// What a model says of itself.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetadata {
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
    /// The least version of a metadata parser that understands everything here. It is reported
    /// but, as in the TensorFlow Lite Task Library, never a reason to refuse a model.
    pub min_parser_version: Option<String>,
    /// The files of the whole model.
    pub associated_files: Vec<AssociatedFile>,
    /// The inputs and outputs of the model's first subgraph; others are ignored.
    pub subgraph: Option<SubgraphMetadata>,
}

/// The inputs and outputs of a subgraph.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SubgraphMetadata {
    /// The subgraph's name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The inputs, in model order.
    pub inputs: Vec<TensorMetadata>,
    /// The outputs, in model order.
    pub outputs: Vec<TensorMetadata>,
    /// The files of the subgraph.
    pub associated_files: Vec<AssociatedFile>,
}

impl ModelMetadata {
    /// Reads the metadata of a model file; `None` if it carries none.
    ///
    /// The metadata is in the buffer of the first entry of the model's `metadata` that is named
    /// `TFLITE_METADATA`; other entries are ignored.
    ///
    /// # Errors
    ///
    /// - [`MetadataError::Model`] if the bytes are not a TensorFlow Lite model.
    /// - [`MetadataError::BufferIndex`], [`MetadataError::BufferWithoutData`] or
    ///   [`MetadataError::BufferRange`] if the entry leads nowhere.
    /// - [`MetadataError::Metadata`] if the buffer is not TFLite Metadata.
    /// - [`MetadataError::NoSubgraph`] if the list of subgraphs is there but empty.
    pub fn from_model(model: &[u8]) -> Result<Option<Self>, MetadataError> {
        metadata_buffer(model)?.map(Self::from_bytes).transpose()
    }

    /// Reads a metadata buffer on its own.
    ///
    /// # Errors
    ///
    /// - [`MetadataError::Metadata`] if the bytes are not TFLite Metadata.
    /// - [`MetadataError::NoSubgraph`] if the list of subgraphs is there but empty.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MetadataError> {
        let root = read_metadata(bytes).map_err(|source| MetadataError::Metadata { source })?;
        let subgraphs = root.subgraph_metadata();
        let subgraph = subgraphs.first();
        if subgraphs.is_present() && subgraph.is_none() {
            return Err(MetadataError::NoSubgraph);
        }
        Ok(Self {
            name: owned(root.name()),
            description: owned(root.description()),
            version: owned(root.version()),
            author: owned(root.author()),
            license: owned(root.license()),
            min_parser_version: owned(root.min_parser_version()),
            associated_files: associated_files(root.associated_files().iter()),
            subgraph: subgraph.map(|subgraph| SubgraphMetadata::from_schema(&subgraph)),
        })
    }

    /// What the metadata says of the model's one image input, checked.
    ///
    /// Metadata without a subgraph says nothing, which is no error.
    ///
    /// # Errors
    ///
    /// The first that applies of
    ///
    /// - [`MetadataError::InputCount`] if another number of inputs than one is described,
    /// - [`MetadataError::ContentKind`] if the input is described as something else than an image,
    /// - [`MetadataError::NormalizationCount`], [`MetadataError::NormalizationLengths`] or
    ///   [`MetadataError::NormalizationChannels`] if its normalisation is ambiguous.
    pub fn image_input(&self) -> Result<ImageInput, MetadataError> {
        let Some(subgraph) = &self.subgraph else {
            return Ok(ImageInput::default());
        };
        let [input] = subgraph.inputs.as_slice() else {
            return Err(MetadataError::InputCount { found: subgraph.inputs.len() });
        };
        let properties = input.image_properties()?;
        Ok(ImageInput {
            name: input.name.clone(),
            color_space: properties.map(|properties| properties.color_space),
            default_size: properties.and_then(|properties| properties.default_size),
            normalization: input.normalization_options()?.cloned(),
        })
    }

    /// The name of the output of that index, if the metadata names it.
    pub fn output_name(&self, index: usize) -> Option<&str> {
        self.subgraph.as_ref()?.outputs.get(index)?.name.as_deref()
    }
}

impl SubgraphMetadata {
    fn from_schema(subgraph: &schema::SubGraphMetadata<'_>) -> Self {
        let tensor = |tensor| TensorMetadata::from_schema(&tensor);
        Self {
            name: owned(subgraph.name()),
            description: owned(subgraph.description()),
            inputs: subgraph.input_tensor_metadata().iter().map(tensor).collect(),
            outputs: subgraph.output_tensor_metadata().iter().map(tensor).collect(),
            associated_files: associated_files(subgraph.associated_files().iter()),
        }
    }
}

/// The bytes that the first entry named [`METADATA_NAME`] leads to.
pub(crate) fn metadata_buffer(file: &[u8]) -> Result<Option<&[u8]>, MetadataError> {
    let model = read_model(file).map_err(|source| MetadataError::Model { source })?;
    let entry = model.metadata().iter().find(|entry| entry.name() == Some(METADATA_NAME));
    let Some(entry) = entry else {
        return Ok(None);
    };
    let index = entry.buffer();
    let buffers = model.buffers();
    let buffer = usize::try_from(index).ok().and_then(|index| buffers.get(index));
    let Some(buffer) = buffer else {
        return Err(MetadataError::BufferIndex { found: index, count: buffers.len() });
    };
    let bytes = buffer_bytes(file, &buffer)?;
    if bytes.is_empty() {
        return Err(MetadataError::BufferWithoutData { index });
    }
    Ok(Some(bytes))
}

/// A buffer's data: inside the flatbuffer or, in models above 2 GiB, behind it.
fn buffer_bytes<'a>(file: &'a [u8], buffer: &Buffer<'a>) -> Result<&'a [u8], MetadataError> {
    let (offset, size) = (buffer.offset(), buffer.size());
    // The converter writes an offset of 1 as a placeholder of buffers that stay inside.
    if !buffer.data().is_empty() || offset <= 1 {
        return Ok(buffer.data().bytes());
    }
    let range = || {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        file.get(start..end)
    };
    range().ok_or(MetadataError::BufferRange { offset, size, file_size: file.len() })
}
