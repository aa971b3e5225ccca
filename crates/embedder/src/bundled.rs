//! A model that is compiled in.

use image_embedder_backend::ModelData;

/// The file name of the [`bundled_model`].
pub const BUNDLED_MODEL_NAME: &str = "efficientnet_lite0_feature_vector_uint8.tflite";

/// TensorFlow Lite wants constant data at multiples of 16 bytes, counted from the file's start.
#[repr(C, align(16))]
struct Aligned<Bytes: ?Sized>(Bytes);

static MODEL: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../models/efficientnet_lite0_feature_vector_uint8.tflite"));

/// EfficientNet-Lite0 without its classifier, with 8-bit weights: 1280 numbers of what a photo
/// shows, from 224 x 224 pixels.
///
/// The weights are under the Apache License 2.0, trained on ImageNet; where they come from is said
/// in `models/README.md` of this crate.
pub fn bundled_model() -> ModelData {
    ModelData::from_static(&MODEL.0)
}
