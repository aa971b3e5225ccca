//! The embedder.

use std::path::Path;

use image_embedder_backend::{CompileOptions, ModelData};
use image_embedder_frame::{BoundingBox, FrameBuffer};
use image_embedder_metadata::{ImageInput, ImageSize, ModelMetadata};
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessOptions};
use image_embedder_schema::tflite::read_model;

use crate::input::ModelInput;
use crate::pool::{Pool, Worker, resize_session};
use crate::{
    Embedding, EmbeddingResult, Error, ErrorKind, ImageEmbedderOptions, InputSpec, OutputSpec,
};

/// A model that turns images into feature vectors.
///
/// It is shared between threads by reference: each call takes a session of its own, so calls run
/// in parallel and their results do not depend on each other. Sessions, buffers and resize tables
/// are kept for the next call. After an error the embedder works as before.
///
/// ```
/// # #[cfg(all(feature = "native", feature = "bundled-model"))] {
/// use image_embedder::frame::FrameBuffer;
/// use image_embedder::{ImageEmbedder, ImageEmbedderOptions, bundled_model};
///
/// let embedder = ImageEmbedder::from_bytes(bundled_model(), ImageEmbedderOptions::default())?;
/// let pixels = vec![128; 64 * 48 * 3];
/// let result = embedder.embed(&FrameBuffer::from_rgb(&pixels, 64, 48)?)?;
/// assert_eq!(result.embeddings[0].feature_vector.len(), 1280);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ImageEmbedder {
    input: ModelInput,
    outputs: Vec<OutputSpec>,
    metadata: Option<ModelMetadata>,
    options: ImageEmbedderOptions,
    pool: Pool,
}

impl ImageEmbedder {
    /// Creates an embedder from a model file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the file cannot be read; else as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_file(path: impl AsRef<Path>, options: ImageEmbedderOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| {
            Error::from_io(format!("cannot read the model {}", path.display()), error)
        })?;
        Self::from_bytes(bytes, options)
    }

    /// Creates an embedder from the bytes of a model file.
    ///
    /// The whole structure of the file is verified before a backend sees it.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`] if an option cannot be used.
    /// - [`ErrorKind::Model`] if the model or its metadata is malformed.
    /// - [`ErrorKind::Unsupported`] if the model is not an image embedder, needs normalisation
    ///   that neither its metadata nor the options give, or has operators that the backend lacks.
    /// - [`ErrorKind::Backend`] if the backend is not available or fails.
    /// - [`ErrorKind::Resource`] if there is not enough memory.
    pub fn from_bytes(
        model: impl Into<ModelData>,
        options: ImageEmbedderOptions,
    ) -> Result<Self, Error> {
        check_options(&options)?;
        let model = model.into();
        read_model(&model)?;
        let metadata = ModelMetadata::from_model(&model)?;
        let described =
            metadata.as_ref().map_or(Ok(ImageInput::default()), ModelMetadata::image_input)?;

        let compile_options = CompileOptions::with_num_threads(options.num_threads);
        let model = options.backend.compile(model, &compile_options).map_err(Error::compile)?;
        let input = ModelInput::new(model.inputs(), described, options.normalization.as_ref())?;

        // Outputs are checked at the size that they will have, where that is known.
        let mut session = model.session().map_err(Error::session)?;
        if let (Some(width), Some(height)) = (input.spec.width, input.spec.height) {
            resize_session(session.as_mut(), ImageSize { width, height })?;
        }
        let outputs = session.outputs();
        if outputs.is_empty() {
            let message = "not an embedder: expected at least 1 output, found 0";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let name = |index| metadata.as_ref().and_then(|metadata| metadata.output_name(index));
        let outputs = outputs
            .iter()
            .enumerate()
            .map(|(index, output)| OutputSpec::new(output, index, name(index)))
            .collect::<Result<_, _>>()?;

        let pool = Pool::new(model);
        pool.put_back(Worker::new(session)?);
        Ok(Self { input, outputs, metadata, options, pool })
    }

    /// Embeds a frame.
    ///
    /// # Errors
    ///
    /// As [`embed_region`](Self::embed_region).
    pub fn embed(&self, frame: &FrameBuffer<'_>) -> Result<EmbeddingResult, Error> {
        self.embed_geometry(frame, FrameGeometry::of(frame))
    }

    /// Embeds a region of a frame.
    ///
    /// # Units
    ///
    /// The region is in pixels of the stored frame, before its orientation is applied. It is not
    /// clamped to the frame.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`] if the region is empty or not within the frame, or larger than the
    ///   preprocessing mode can resize.
    /// - [`ErrorKind::Unsupported`] if the preprocessing mode lacks the frame's orientation.
    /// - [`ErrorKind::Resource`] if there is not enough memory.
    /// - [`ErrorKind::Backend`] if the backend fails.
    pub fn embed_region(
        &self,
        frame: &FrameBuffer<'_>,
        region: &BoundingBox,
    ) -> Result<EmbeddingResult, Error> {
        self.embed_geometry(frame, FrameGeometry::of_region(frame, *region)?)
    }

    /// The number of elements of an output's feature vector; `None` if there is no such output.
    pub fn embedding_dimension(&self, output_index: usize) -> Option<usize> {
        self.outputs.get(output_index).map(|output| output.dimension)
    }

    /// The number of outputs, and of embeddings in a result; at least one.
    pub fn number_of_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// What the model's input takes.
    pub fn input_spec(&self) -> &InputSpec {
        &self.input.spec
    }

    /// What the model's outputs give, in model order.
    pub fn output_specs(&self) -> &[OutputSpec] {
        &self.outputs
    }

    /// What the model says of itself, if it carries metadata.
    pub fn metadata(&self) -> Option<&ModelMetadata> {
        self.metadata.as_ref()
    }

    /// The options that the embedder was created with.
    pub fn options(&self) -> &ImageEmbedderOptions {
        &self.options
    }

    fn embed_geometry(
        &self,
        frame: &FrameBuffer<'_>,
        geometry: FrameGeometry,
    ) -> Result<EmbeddingResult, Error> {
        let mut worker = self.pool.take(&geometry)?;
        worker.run(frame, geometry, &self.input, &self.options.preprocess)?;
        let embeddings = self
            .outputs
            .iter()
            .zip(worker.outputs())
            .enumerate()
            .map(|(output_index, (output, buffer))| {
                let feature_vector = output.feature_vector(buffer, &self.options)?;
                Ok(Embedding { feature_vector, output_index, head_name: output.name.clone() })
            })
            .collect::<Result<_, Error>>()?;
        self.pool.put_back(worker);
        Ok(EmbeddingResult { embeddings })
    }
}

/// Refuses options that no model could work with.
fn check_options(options: &ImageEmbedderOptions) -> Result<(), Error> {
    if options.num_threads == 0 {
        let message = "expected options.num_threads of at least 1, found 0";
        return Err(Error::new(ErrorKind::Input, message));
    }
    let PreprocessOptions { mode, resize_policy, .. } = options.preprocess;
    let frame = FrameBuffer::from_rgb(&[0; 3], 1, 1)?;
    Plan::new(FrameGeometry::of(&frame), 1, 1, &options.preprocess).map_err(|error| {
        let message = format!("unusable options.preprocess ({mode}, {resize_policy})");
        Error::because(ErrorKind::Unsupported, message, error)
    })?;
    Ok(())
}
