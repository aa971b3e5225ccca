//! Turns images into feature vectors with TensorFlow Lite models, so that images can be compared
//! by what they show.
//!
//! ```text
//! image --FrameBuffer--> [crop, resize, orient, normalise] --> model --> feature vector
//! ```
//!
//! An [`ImageEmbedder`] holds a model and embeds frames from any number of threads. Here are two
//! photographs and how alike they are (features `image` and `bundled-model`; of a model of your own
//! make an embedder with [`ImageEmbedder::from_file`]):
//!
#![cfg_attr(all(feature = "native", feature = "image", feature = "bundled-model"), doc = "```")]
#![cfg_attr(
    not(all(feature = "native", feature = "image", feature = "bundled-model")),
    doc = "```ignore"
)]
//! # std::env::set_current_dir("../../fixtures")?;
//! use image_embedder::decode::{DecodeOptions, Image};
//! use image_embedder::{ImageEmbedder, ImageEmbedderOptions, bundled_model, cosine_similarity};
//!
//! let embedder = ImageEmbedder::from_bytes(bundled_model(), ImageEmbedderOptions::default())?;
//! let embed = |path: &str| {
//!     let image = Image::open(path, &DecodeOptions::default())?;
//!     embedder.embed(&image.frame()?)
//! };
//! let (left, right) = (embed("images/cat_left.jpg")?, embed("images/cat_right.jpg")?);
//! let similarity = cosine_similarity(left.feature_vector(), right.feature_vector())?;
//! println!("Cosine similarity: {similarity:.6}");
//! # assert!(similarity > 0.8, "{similarity}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go from here
//!
//! | Question | Answer |
//! |---|---|
//! | my pixels come from a camera or another library | [`frame::FrameBuffer`] borrows RGB, RGBA, gray and YUV memory with any strides |
//! | my YUV is BT.709, or of full range | [`preprocess::YuvColorSpace`] |
//! | my photo is rotated | [`frame::Orientation`]; [`decode`] reads it from Exif |
//! | only a part of the frame counts, or several | [`ImageEmbedder::embed_region`], [`ImageEmbedder::embed_regions`] |
//! | how pixels are resized | [`preprocess::PreprocessMode`] in [`ImageEmbedderOptions::preprocess`] |
//! | my float model has no metadata | [`ImageEmbedderOptions::normalization`] |
//! | shorter or smaller vectors | [`ImageEmbedderOptions::dimension`], [`ImageEmbedderOptions::quantize`] |
//! | may these two vectors be compared | [`ImageEmbedder::fingerprint`], [`EmbeddingResult::cosine_similarity`] |
//! | my model is inside another file, or large | [`model_file`] |
//! | why are these vectors as they are | [`ImageEmbedder::explain`] |
//! | another runtime | [`ImageEmbedderOptions::backend`], any [`backend::Backend`] |
//! | what a model says of itself | [`ImageEmbedder::metadata`], or [`metadata`] without an embedder |
//!
//! # Features
//!
//! | Feature | Adds | Default |
//! |---|---|---|
//! | `native` | [`native`], a pure-Rust engine, and the default of [`ImageEmbedderOptions`] | yes |
//! | `tflite` | `tflite`, the TensorFlow Lite C library, loaded at run time | no |
//! | `litert` | `litert`, LiteRT, loaded at run time | no |
//! | `tract` | `tract`, the tract engine | no |
//! | `image` | [`decode`], which reads image files | no |
//! | `bundled-model` | [`bundled_model`], a model compiled in | no |
//!
//! Without any of them the crate compiles and takes any backend that implements the traits of
//! [`backend`].
//!
//! # Which models
//!
//! One image input of shape `1 x height x width x 3`, in float32, float16, uint8 or int8, whose
//! height and width may be open; any number of outputs of shape `1 x N` or `1 x 1 x 1 x N` in those types. A
//! float input needs `NormalizationOptions`, in the model's metadata or in the options. Anything
//! else is refused when the embedder is created, with an [`Error`] that says what was expected
//! and what was found.
//!
//! # Coming from the TensorFlow Lite Task Library
//!
//! The default options give the vectors of tflite-support 0.4.4 on x86-64, for the same pixels.
//!
//! | There | Here |
//! |---|---|
//! | `ImageEmbedder::CreateFromOptions` | [`ImageEmbedder::from_file`], [`ImageEmbedder::from_bytes`] |
//! | `Embed(frame)`, `Embed(frame, roi)` | [`ImageEmbedder::embed`], [`ImageEmbedder::embed_region`] |
//! | `CosineSimilarity` | [`cosine_similarity`], or [`EmbeddingResult::cosine_similarity`], which checks fingerprints |
//! | `Cancel` | [`ImageEmbedder::cancel`], for all threads |
//! | `GetEmbeddingByIndex` | [`EmbeddingResult::embedding`], `None` if there is none |
//! | `GetEmbeddingDimension`, -1 if there is none | [`ImageEmbedder::embedding_dimension`], `None` |
//! | `GetNumberOfOutputLayers` | [`ImageEmbedder::number_of_outputs`] |
//! | `ImageEmbedderOptions::l2_normalize`, `quantize`, `num_threads` | the fields of [`ImageEmbedderOptions`]; `quantize` is [`QuantizeMode::Fixed`](embedding::QuantizeMode::Fixed) |
//! | `ExternalFile`: `file_name`, `file_content`, `file_descriptor_meta` | [`model_file`] |
//! | `CreateFromRgbRawBuffer` | [`FrameBuffer::from_rgb`](frame::FrameBuffer::from_rgb) |
//! | `CreateFromRgbaRawBuffer` | [`FrameBuffer::from_rgba`](frame::FrameBuffer::from_rgba) |
//! | `CreateFromGrayRawBuffer` | [`FrameBuffer::from_gray`](frame::FrameBuffer::from_gray) |
//! | `CreateFromRawBuffer` | [`FrameBuffer::from_contiguous`](frame::FrameBuffer::from_contiguous), and `from_nv12`, `from_nv21`, `from_yv12`, `from_yv21` |
//! | `CreateFromYuvRawBuffer` | [`FrameBuffer::from_yuv_planes`](frame::FrameBuffer::from_yuv_planes) |
//! | a plane with a row stride | [`FrameBuffer::new`](frame::FrameBuffer::new) with a [`Plane`](frame::Plane) each |
//! | `FrameBuffer::Orientation` | [`Orientation`](frame::Orientation), the same Exif numbers |
//! | `TfLiteSupportStatus` | [`Error::task_library_status`] |
//!
//! `examples/compare_images.rs` is the program of its guide; `examples/camera_frame.rs` embeds what
//! Android calls `YUV_420_888`.
#![deny(unsafe_code)]

pub use image_embedder_backend as backend;
pub use image_embedder_embedding as embedding;
pub use image_embedder_frame as frame;
pub use image_embedder_metadata as metadata;
pub use image_embedder_preprocess as preprocess;

#[cfg(feature = "litert")]
pub use image_embedder_backend_litert as litert;
#[cfg(feature = "native")]
pub use image_embedder_backend_native as native;
#[cfg(feature = "tflite")]
pub use image_embedder_backend_tflite as tflite;
#[cfg(feature = "tract")]
pub use image_embedder_backend_tract as tract;

#[cfg(feature = "bundled-model")]
mod bundled;
#[cfg(feature = "image")]
pub mod decode;
mod embedder;
mod error;
mod explain;
mod fingerprint;
mod input;
pub mod inspect;
pub mod model_file;
mod options;
mod output;
mod pool;
mod region;
mod result;
mod status;
mod tensor_buffer;

#[cfg(feature = "bundled-model")]
pub use bundled::{BUNDLED_MODEL_NAME, bundled_model};
pub use embedder::ImageEmbedder;
pub use error::{Error, ErrorKind};
pub use explain::{Explanation, StageTimings};
pub use image_embedder_embedding::cosine_similarity;
pub use input::InputSpec;
pub use options::ImageEmbedderOptions;
pub use output::OutputSpec;
pub use region::{OutOfBounds, RegionOfInterest};
pub use result::{Embedding, EmbeddingResult};
pub use status::TfLiteSupportStatus;
