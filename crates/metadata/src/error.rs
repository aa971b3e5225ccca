//! Why metadata cannot be read or does not describe an image embedder.

use std::error::Error;
use std::fmt;

use image_embedder_schema::SchemaError;

use crate::ColorSpace;

/// Why metadata cannot be read or does not describe an image embedder.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataError {
    /// The bytes are not a TensorFlow Lite model.
    Model {
        /// The finding.
        source: SchemaError,
    },
    /// The metadata buffer is not TFLite Metadata.
    Metadata {
        /// The finding.
        source: SchemaError,
    },
    /// The metadata entry names a buffer that the model does not have.
    BufferIndex {
        /// The index in the entry.
        found: u32,
        /// How many buffers the model has.
        count: usize,
    },
    /// The metadata entry names a buffer without data.
    BufferWithoutData {
        /// The buffer's index.
        index: u32,
    },
    /// The metadata buffer lies outside the file.
    BufferRange {
        /// Where the buffer starts, in bytes from the start of the file.
        offset: u64,
        /// The buffer's size in bytes.
        size: u64,
        /// The file's size in bytes.
        file_size: usize,
    },
    /// The list of subgraph metadata is there but empty.
    NoSubgraph,
    /// The metadata describes another number of inputs than one.
    InputCount {
        /// How many inputs it describes.
        found: usize,
    },
    /// The input is described as something else than an image.
    ContentKind {
        /// The tensor's name in the metadata.
        tensor: String,
        /// The kind of content that was found.
        found: &'static str,
    },
    /// The input has several normalisations.
    NormalizationCount {
        /// The tensor's name in the metadata.
        tensor: String,
        /// How many there are.
        found: usize,
    },
    /// A normalisation has not as many means as standard deviations.
    NormalizationLengths {
        /// The number of means.
        mean: usize,
        /// The number of standard deviations.
        std: usize,
    },
    /// A normalisation has neither one value nor one for each of three channels.
    NormalizationChannels {
        /// The number of means and of standard deviations.
        found: usize,
    },
    /// A standard deviation is so small that dividing by it is meaningless, or not finite.
    NormalizationStd {
        /// The index of the value.
        channel: usize,
        /// The value.
        found: f32,
    },
    /// A mean is not finite.
    NormalizationMean {
        /// The index of the value.
        channel: usize,
        /// The value.
        found: f32,
    },
    /// The input image has other colours than red, green and blue.
    ColorSpace {
        /// The colours in the metadata.
        found: ColorSpace,
    },
    /// The ZIP archive behind the model is damaged.
    Archive {
        /// The finding.
        reason: String,
    },
    /// The archive has no file of that name.
    FileNotFound {
        /// The name asked for.
        name: String,
        /// The names of the files in the archive.
        found: Vec<String>,
    },
    /// A file of the archive is larger than allowed.
    FileTooLarge {
        /// The file's name.
        name: String,
        /// The most bytes that a file may have.
        limit: u64,
    },
    /// A file of the archive is damaged, encrypted or compressed in an unknown way.
    UnreadableFile {
        /// The file's name.
        name: String,
        /// The finding.
        reason: String,
    },
    /// A file cannot be put into the archive.
    UnwritableFile {
        /// The file's name.
        name: String,
        /// The finding.
        reason: String,
    },
    /// The model or its metadata holds parts that this crate does not read, so that writing it
    /// anew would lose them.
    Unread {
        /// The paths of those parts.
        found: Vec<String>,
    },
    /// The model is above 2 GiB and keeps data behind the flatbuffer, so that nothing in it can
    /// be moved.
    DataOutside {
        /// Where such data lies, in bytes from the start of the file.
        offset: u64,
    },
    /// The model is too large to be written.
    ModelTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The most bytes that it may have.
        limit: usize,
    },
    /// The changes name an input or output that the model does not have.
    TensorCount {
        /// `input` or `output`.
        kind: &'static str,
        /// The number of tensors that the changes describe.
        found: usize,
        /// The number that the model has.
        count: usize,
    },
    /// The model has no tensor of that name or index.
    TensorNotFound {
        /// The name or index asked for.
        tensor: String,
        /// Names that look like it, best first.
        near: Vec<String>,
        /// How many tensors the model has.
        count: usize,
    },
    /// Several tensors have that name.
    TensorAmbiguous {
        /// The name asked for.
        tensor: String,
        /// Their indices.
        found: Vec<usize>,
    },
    /// No operator computes the tensor: it is an input or a constant.
    TensorNotComputed {
        /// The tensor's name.
        tensor: String,
    },
    /// The tensor depends on no input of the model.
    TensorWithoutInput {
        /// The tensor's name.
        tensor: String,
    },
    /// A part of the model refers to another that is not there.
    Reference {
        /// What is referred to.
        kind: &'static str,
        /// The index in the reference.
        found: i64,
        /// How many there are.
        count: usize,
    },
}

/// How many names a message lists.
const LISTED: usize = 5;

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    let listed = names.get(..LISTED).unwrap_or(names).join(", ");
    match names.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("{listed} and {more} more"),
        _ => listed,
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model { .. } => f.write_str("not a valid TensorFlow Lite model"),
            Self::Metadata { .. } => f.write_str("invalid TFLite Metadata"),
            Self::BufferIndex { found, count } => {
                write!(f, "TFLite Metadata: expected a buffer index below {count}, found {found}")
            }
            Self::BufferWithoutData { index } => {
                write!(f, "TFLite Metadata: expected data in buffer {index}, found none")
            }
            Self::BufferRange { offset, size, file_size } => write!(
                f,
                "TFLite Metadata: expected a buffer within the file's {file_size} bytes, found \
                 {size} bytes at offset {offset}"
            ),
            Self::NoSubgraph => f.write_str(
                "TFLite Metadata: expected at least one subgraph in subgraph_metadata, found 0",
            ),
            Self::InputCount { found } => write!(
                f,
                "TFLite Metadata: expected input_tensor_metadata of 1 tensor, found {found}"
            ),
            Self::ContentKind { tensor, found } => {
                write!(f, "metadata of tensor {tensor}: expected ImageProperties, found {found}")
            }
            Self::NormalizationCount { tensor, found } => write!(
                f,
                "metadata of tensor {tensor}: expected at most 1 NormalizationOptions, found \
                 {found}"
            ),
            Self::NormalizationLengths { mean, std } => write!(
                f,
                "NormalizationOptions: expected as many std as mean values, found {mean} mean and \
                 {std} std"
            ),
            Self::NormalizationChannels { found } => write!(
                f,
                "NormalizationOptions: expected 1 or 3 mean and std values, found {found}"
            ),
            Self::NormalizationStd { channel, found } => write!(
                f,
                "NormalizationOptions: expected a finite std other than 0 for channel {channel}, \
                 found {found}"
            ),
            Self::NormalizationMean { channel, found } => write!(
                f,
                "NormalizationOptions: expected a finite mean for channel {channel}, found {found}"
            ),
            Self::ColorSpace { found } => {
                write!(f, "ImageProperties: expected color space RGB, found {found}")
            }
            Self::Archive { reason } => {
                write!(f, "expected an intact ZIP archive behind the model: {reason}")
            }
            Self::FileNotFound { name, found } if found.is_empty() => {
                write!(f, "expected an associated file {name}, found no associated files")
            }
            Self::FileNotFound { name, found } => {
                write!(f, "expected an associated file {name}, found {}", found.join(", "))
            }
            Self::FileTooLarge { name, limit } => {
                write!(f, "associated file {name}: expected at most {limit} bytes, found more")
            }
            Self::UnreadableFile { name, reason } => {
                write!(f, "associated file {name} cannot be read: {reason}")
            }
            Self::UnwritableFile { name, reason } => {
                write!(f, "associated file {name} cannot be written: {reason}")
            }
            Self::Unread { found } => write!(
                f,
                "expected only parts of the TensorFlow Lite schema that can be written back, \
                 found {}",
                list(found)
            ),
            Self::DataOutside { offset } => write!(
                f,
                "expected a model with all data in its flatbuffer, found data at offset {offset}"
            ),
            Self::ModelTooLarge { size, limit } => {
                write!(f, "expected a model of at most {limit} bytes, found {size}")
            }
            Self::TensorCount { kind, found, count } => {
                write!(f, "expected changes of at most {count} {kind} tensors, found {found}")
            }
            Self::TensorNotFound { tensor, near, count } if near.is_empty() => {
                write!(f, "expected one of the model's {count} tensors, found {tensor}")
            }
            Self::TensorNotFound { tensor, near, count } => write!(
                f,
                "expected one of the model's {count} tensors, such as {}; found {tensor}",
                list(near)
            ),
            Self::TensorAmbiguous { tensor, found } => {
                let found: Vec<String> = found.iter().map(usize::to_string).collect();
                write!(f, "expected one tensor {tensor}, found those of index {}", list(&found))
            }
            Self::TensorNotComputed { tensor } => write!(
                f,
                "expected a tensor that an operator computes, found the input or constant {tensor}"
            ),
            Self::TensorWithoutInput { tensor } => write!(
                f,
                "expected a tensor that depends on an input, found {tensor}, which does not"
            ),
            Self::Reference { kind, found, count } => {
                write!(f, "malformed model: expected a {kind} index below {count}, found {found}")
            }
        }
    }
}

impl Error for MetadataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Model { source } | Self::Metadata { source } => Some(source),
            _ => None,
        }
    }
}
