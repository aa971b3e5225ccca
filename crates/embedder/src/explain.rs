//! How an embedding comes about, stage by stage.

use std::time::Duration;

use image_embedder_frame::{BoundingBox, Orientation};
use image_embedder_metadata::ImageSize;

use crate::EmbeddingResult;

/// What [`ImageEmbedder::explain`](crate::ImageEmbedder::explain) tells about one embedding.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The pixels of the stored frame that were embedded.
    pub region: BoundingBox,
    /// How they were turned to be upright.
    pub orientation: Orientation,
    /// The size that they were resized to.
    pub target_size: ImageSize,
    /// The resized and upright pixels, before they are normalised: `height x width x 3` bytes, in
    /// the order red, green, blue.
    pub pixels: Vec<u8>,
    /// The least and the greatest element of the model's input, as a number of its type.
    pub input_range: (f64, f64),
    /// The time that each stage took.
    pub timings: StageTimings,
    /// The embedding itself.
    pub result: EmbeddingResult,
}

/// The time that each stage of an embedding took.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StageTimings {
    /// Buffers and resize tables; they are kept for the next frame of the same geometry.
    pub prepare: Duration,
    /// Crop, resize, conversion, orientation, normalisation.
    pub preprocess: Duration,
    /// The model.
    pub inference: Duration,
    /// From output tensors to feature vectors.
    pub postprocess: Duration,
}
