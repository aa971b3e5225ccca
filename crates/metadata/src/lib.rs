//! TFLite Metadata as plain structs: what a model says of itself, of its input and its outputs.
//!
//! [`ModelMetadata::from_model`] takes the bytes of a model file and returns owned data;
//! [`ModelMetadata::image_input`] condenses it into what an image embedder must know of its input.
//! [`AssociatedFiles`] reads the ZIP archive behind a model, and only when asked to.
//!
//! The other way, [`edit_metadata`] adds metadata and files to a model or replaces them,
//! [`strip_metadata`] takes them out, and [`cut_at`] ends a model at an inner tensor, which makes
//! an embedder of a classifier.
//!
//! The crate takes bytes and returns data: it opens no files and knows no pixels. Hostile bytes
//! give a [`MetadataError`], with work and memory bounded by the size of the model and by the
//! limit on one associated file.
//!
//! ```no_run
//! use image_embedder_metadata::{AssociatedFiles, ModelMetadata};
//!
//! let model = std::fs::read("embedder.tflite")?;
//! if let Some(metadata) = ModelMetadata::from_model(&model)? {
//!     let input = metadata.image_input()?;
//!     println!("normalisation: {:?}", input.normalization);
//! }
//! for name in AssociatedFiles::open(&model)?.names() {
//!     println!("{name}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod archive;
mod associated_file;
mod cut;
mod edit;
mod error;
mod image_input;
mod model;
mod normalization;
mod parser_version;
mod rewrite;
mod tensor;

pub use archive::AssociatedFiles;
pub use associated_file::{AssociatedFile, AssociatedFileKind};
pub use cut::{CutPoint, TensorSelector, cut_at, cut_points};
pub use edit::{MetadataChanges, NewFile, TensorChanges, edit_metadata, strip_metadata};
pub use error::MetadataError;
pub use image_input::ImageInput;
pub use model::{ModelMetadata, SubgraphMetadata};
pub use normalization::NormalizationOptions;
pub use tensor::{
    ColorSpace, Content, ImageProperties, ImageSize, ProcessUnit, Stats, TensorMetadata,
};
