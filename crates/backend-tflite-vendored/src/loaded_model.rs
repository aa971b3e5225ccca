//! A model that TensorFlow Lite has opened.

use std::fmt;
use std::sync::Arc;

use image_embedder_backend::BackendError;
use tflite::FlatBufferModel;
use tflite::ops::builtin::BuiltinOpResolver;

use crate::NAME;
use crate::model_file::ModelFile;

/// The alignment that converters give to the buffers inside a model file, in bytes.
const ALIGNMENT: usize = 16;

/// A model that TensorFlow Lite has opened, with the bytes it reads from.
pub(crate) struct LoadedModel {
    pub(crate) model: FlatBufferModel,
    pub(crate) resolver: Arc<BuiltinOpResolver>,
    pub(crate) file: ModelFile,
}

impl LoadedModel {
    /// Verifies and opens a model.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, BackendError> {
        let file = ModelFile::read(&bytes)?;
        // Allocators align to this what is not tiny; kernels need it of the weights.
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(BackendError::Runtime {
                backend: NAME.to_owned(),
                message: format!(
                    "expected the allocator to give a multiple of {ALIGNMENT}, found {:p}",
                    bytes.as_ptr()
                ),
            });
        }
        let model = FlatBufferModel::build_from_buffer(bytes)
            .map_err(|error| BackendError::InvalidModel { reason: error.to_string() })?;
        Ok(Self { model, resolver: Arc::new(BuiltinOpResolver::default()), file })
    }

    /// The same model with inputs of other shapes.
    pub(crate) fn resized(&self, shapes: &[Vec<usize>]) -> Result<Self, BackendError> {
        Self::new(self.file.resized(self.model.buffer(), shapes)?)
    }
}

impl fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModel")
            .field("bytes", &self.model.buffer().len())
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
