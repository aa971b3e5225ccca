//! The embedder.

use std::path::Path;
use std::time::Instant;

use image_embedder_backend::{CompileOptions, Model, ModelData};
use image_embedder_embedding::Fingerprint;
use image_embedder_frame::FrameBuffer;
use image_embedder_metadata::{ImageInput, ImageSize, ModelMetadata};
use image_embedder_preprocess::{FrameGeometry, Plan, PreprocessMode, PreprocessOptions};
use image_embedder_schema::tflite::read_model;

use crate::explain::{Explanation, StageTimings};
use crate::fingerprint::fingerprint;
use crate::input::ModelInput;
use crate::pool::{Pool, Worker, resize_session};
use crate::{
    Embedding, EmbeddingResult, Error, ErrorKind, ImageEmbedderOptions, InputSpec, OutputSpec,
    RegionOfInterest, TfLiteSupportStatus, model_file,
};

/// The side at which a model of any input size is tried.
const TRIED_SIDE: u32 = 64;

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
    fingerprint: Fingerprint,
    pool: Pool,
}

impl ImageEmbedder {
    /// Creates an embedder from a model file, which is read into memory; [`model_file`] has other
    /// ways to get at a model.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the file cannot be read; else as
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_file(path: impl AsRef<Path>, options: ImageEmbedderOptions) -> Result<Self, Error> {
        Self::from_bytes(model_file::read(path)?, options)
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
        let bytes: ModelData = model.into();
        read_model(&bytes)?;
        let metadata = ModelMetadata::from_model(&bytes)?;
        let described =
            metadata.as_ref().map_or(Ok(ImageInput::default()), ModelMetadata::image_input)?;

        let compile_options = CompileOptions::with_num_threads(options.num_threads);
        let model =
            options.backend.compile(bytes.clone(), &compile_options).map_err(Error::compile)?;
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
            .map(|(index, output)| OutputSpec::new(output, index, name(index), options.dimension))
            .collect::<Result<Vec<_>, _>>()?;
        if input.is_open() && options.preprocess.mode != PreprocessMode::TaskLibrary {
            check_fixed_outputs(model.as_ref(), &input, &outputs)?;
        }
        let fingerprint =
            fingerprint(&bytes, &read_model(&bytes)?, &input.spec, &outputs, &options)?;

        let pool = Pool::new(model);
        pool.put_back(pool.worker(session)?);
        Ok(Self { input, outputs, metadata, options, fingerprint, pool })
    }

    /// Embeds a frame.
    ///
    /// # Errors
    ///
    /// As [`embed_region`](Self::embed_region).
    pub fn embed(&self, frame: &FrameBuffer<'_>) -> Result<EmbeddingResult, Error> {
        self.embed_geometry(frame, FrameGeometry::of(frame))
    }

    /// Embeds a region of a frame: a [`RegionOfInterest`], or a
    /// [`BoundingBox`](crate::frame::BoundingBox) that must lie within the frame.
    ///
    /// # Units
    ///
    /// The region is in terms of the stored frame, before its orientation is applied.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`] if the region is empty or not within the frame, or larger than the
    ///   preprocessing mode can resize.
    /// - [`ErrorKind::Unsupported`] if the preprocessing mode lacks the frame's orientation, or an
    ///   output grows with the region and the mode is not that of the Task Library.
    /// - [`ErrorKind::Resource`] if there is not enough memory.
    /// - [`ErrorKind::Cancelled`] if another thread called [`cancel`](Self::cancel).
    /// - [`ErrorKind::Backend`] if the backend fails.
    pub fn embed_region(
        &self,
        frame: &FrameBuffer<'_>,
        region: impl Into<RegionOfInterest>,
    ) -> Result<EmbeddingResult, Error> {
        self.embed_geometry(frame, region_geometry(frame, region.into())?)
    }

    /// Embeds several regions of a frame, one after the other; a region that fails does not stop
    /// the rest.
    ///
    /// ```
    /// # #[cfg(all(feature = "native", feature = "bundled-model"))] {
    /// use image_embedder::frame::FrameBuffer;
    /// use image_embedder::{
    ///     ImageEmbedder, ImageEmbedderOptions, RegionOfInterest, bundled_model,
    /// };
    ///
    /// let embedder = ImageEmbedder::from_bytes(bundled_model(), ImageEmbedderOptions::default())?;
    /// let pixels = vec![128; 64 * 48 * 3];
    /// let frame = FrameBuffer::from_rgb(&pixels, 64, 48)?;
    /// let left = RegionOfInterest::normalized(0.0, 0.0, 0.5, 1.0);
    /// let outside = RegionOfInterest::pixels(60, 0, 10, 10);
    /// let results = embedder.embed_regions(&frame, [left, outside]);
    /// assert!(results[0].is_ok() && results[1].is_err());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Each item as [`embed_region`](Self::embed_region).
    pub fn embed_regions(
        &self,
        frame: &FrameBuffer<'_>,
        regions: impl IntoIterator<Item = impl Into<RegionOfInterest>>,
    ) -> Vec<Result<EmbeddingResult, Error>> {
        regions.into_iter().map(|region| self.embed_region(frame, region)).collect()
    }

    /// Embeds a frame, or a region of it, and tells how.
    ///
    /// # Errors
    ///
    /// As [`embed_region`](Self::embed_region).
    pub fn explain(
        &self,
        frame: &FrameBuffer<'_>,
        region: Option<RegionOfInterest>,
    ) -> Result<Explanation, Error> {
        let geometry = match region {
            Some(region) => region_geometry(frame, region)?,
            None => FrameGeometry::of(frame),
        };
        let mut worker = self.pool.take(&geometry)?;
        let [prepare, preprocess, inference] =
            worker.run_timed(frame, geometry, &self.input, &self.options.preprocess)?;
        let start = Instant::now();
        let result = self.result(&worker)?;
        let postprocess = start.elapsed();
        let (pixels, target_size) = worker.pixels(frame)?;
        let input_range = worker.input_range();
        self.pool.put_back(worker);
        Ok(Explanation {
            region: geometry.region(),
            orientation: geometry.orientation(),
            target_size,
            pixels,
            input_range,
            timings: StageTimings { prepare, preprocess, inference, postprocess },
            result,
        })
    }

    /// Makes the inferences that other threads are running fail with [`ErrorKind::Cancelled`],
    /// without waiting for that.
    ///
    /// Calls that begin later are not affected, nor are those of a backend that cannot be
    /// stopped. How soon a call returns depends on the backend: between two operators, or at the
    /// end of the inference.
    pub fn cancel(&self) {
        self.pool.cancel();
    }

    /// What decides about the numbers of feature vectors, the frame aside. Two embedders with
    /// equal fingerprints give the same vectors for the same region of the same pixels.
    ///
    /// It is the first 128 bits of a SHA-256 over
    ///
    /// - the bytes of the model file, and with them its input size and quantisation;
    /// - the preprocessing: mode, resize policy with the colour of its bars, the colour space of YUV
    ///   frames, and the normalisation that is applied, be it from the metadata or the same from
    ///   the options;
    /// - the postprocessing: L2 normalisation, [`QuantizeMode`](crate::embedding::QuantizeMode),
    ///   and the number of elements of each output;
    /// - the [`Arithmetic`](crate::backend::Arithmetic) of the backend. Models that compute with
    ///   integers alone, quantising and dequantising aside, give the same bits on the backends
    ///   `native` and, on x86-64 with XNNPACK (its default), `tflite`, which share a fingerprint.
    ///   Otherwise each backend has its own, and so has each of its options that changes numbers.
    ///
    /// The number of threads, the instruction set, decoding, orientation and region are not part
    /// of it. Floats of one backend may differ in their last bits between instruction sets.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
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
        let result = self.result(&worker)?;
        self.pool.put_back(worker);
        Ok(result)
    }

    /// The feature vectors of a worker that has run.
    fn result(&self, worker: &Worker) -> Result<EmbeddingResult, Error> {
        let may_grow = self.options.preprocess.mode == PreprocessMode::TaskLibrary;
        let embeddings = self
            .outputs
            .iter()
            .zip(worker.outputs())
            .enumerate()
            .map(|(output_index, (output, buffer))| {
                if !may_grow && buffer.len() != output.model_dimension {
                    return Err(growing_output(output_index, output, buffer.len()));
                }
                let feature_vector = output.feature_vector(buffer, &self.options)?;
                Ok(Embedding { feature_vector, output_index, head_name: output.name.clone() })
            })
            .collect::<Result<_, Error>>()?;
        Ok(EmbeddingResult { embeddings, fingerprint: self.fingerprint })
    }
}

/// The geometry of a region, once it is in pixels.
fn region_geometry(
    frame: &FrameBuffer<'_>,
    region: RegionOfInterest,
) -> Result<FrameGeometry, Error> {
    let region = region.resolve(frame.width(), frame.height())?;
    Ok(FrameGeometry::of_region(frame, region)?)
}

/// Refuses a model of any input size whose outputs grow with it: a part of such an output is no
/// description of the image.
///
/// A model that does not take the tried size is checked with each frame instead.
fn check_fixed_outputs(
    model: &dyn Model,
    input: &ModelInput,
    outputs: &[OutputSpec],
) -> Result<(), Error> {
    let mut session = model.session().map_err(Error::session)?;
    let size = ImageSize {
        width: input.spec.width.unwrap_or(TRIED_SIDE),
        height: input.spec.height.unwrap_or(TRIED_SIDE),
    };
    if resize_session(session.as_mut(), size).is_err() {
        return Ok(());
    }
    for (index, (output, tensor)) in outputs.iter().zip(session.outputs()).enumerate() {
        let found = tensor.element_count().unwrap_or(usize::MAX);
        if found != output.model_dimension {
            return Err(growing_output(index, output, found));
        }
    }
    Ok(())
}

fn growing_output(index: usize, output: &OutputSpec, found: usize) -> Error {
    let expected = output.model_dimension;
    let message = format!(
        "not an embedder: output {index}: expected {expected} elements whatever the image's size, \
         found {found}: it grows with the image, of which only the mode of the Task Library \
         embeds the corner"
    );
    Error::new(ErrorKind::Unsupported, message)
        .with_status(TfLiteSupportStatus::InvalidOutputTensorDimensionsError)
}

/// Refuses options that no model could work with.
fn check_options(options: &ImageEmbedderOptions) -> Result<(), Error> {
    if options.num_threads == 0 {
        let message = "expected options.num_threads of at least 1, found 0";
        return Err(Error::new(ErrorKind::Input, message));
    }
    if options.dimension == Some(0) {
        let message = "expected options.dimension of at least 1, found 0";
        return Err(Error::new(ErrorKind::Input, message));
    }
    let PreprocessOptions { mode, resize_policy, yuv_color_space, .. } = options.preprocess;
    let frame = FrameBuffer::from_rgb(&[0; 3], 1, 1)?;
    Plan::new(FrameGeometry::of(&frame), 1, 1, &options.preprocess).map_err(|error| {
        let message = format!(
            "unusable options.preprocess (mode {mode}, {resize_policy}, YUV of {yuv_color_space})"
        );
        Error::because(ErrorKind::Unsupported, message, error)
    })?;
    Ok(())
}
