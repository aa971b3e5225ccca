//! The committed models, whole.

use std::fs;

use image_embedder_backend::{DType, TensorSpec};
use image_embedder_test_support::model;

use crate::random::Random;
use crate::{Case, Elements, Tensor};

/// The files, all of which take one `1 x 224 x 224 x 3` image of bytes.
const FILES: [&str; 2] =
    ["efficientnet_lite0_feature_vector_uint8.tflite", "mobilenet_v1_0.25_224_quant.tflite"];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    FILES
        .iter()
        .map(|file| {
            let model = fs::read(model(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let name = format!("model_{}", file.trim_end_matches(".tflite"));
            let image = picture(&name, &[1, 224, 224, 3], DType::UInt8, seed);
            Case { name, group: "bundled_models", model, inputs: vec![image] }
        })
        .collect()
}

/// A case for a model file, with a picture for each of its inputs, which are images of bytes or
/// floats.
///
/// # Panics
///
/// Panics if an input has elements of another type.
#[must_use]
pub fn for_model(name: &str, model: Vec<u8>, inputs: &[TensorSpec], seed: u64) -> Case {
    let inputs =
        inputs.iter().map(|input| picture(name, &input.shape(), input.dtype, seed)).collect();
    Case { name: name.to_owned(), group: "models", model, inputs }
}

/// Coarse waves with some noise: bytes, or floats from -1 to 1.
pub(super) fn picture(name: &str, shape: &[usize], dtype: DType, seed: u64) -> Tensor {
    let mut random = Random::new(name, seed);
    let [row_step, column_step] = [random.integer(1, 5), random.integer(1, 5)];
    let count = shape.iter().product::<usize>();
    let (width, channels) = match shape {
        [.., width, channels] => (*width, *channels),
        _ => (1, 1),
    };
    let bytes: Vec<u8> = (0..count)
        .map(|index| {
            let (row, column) = (index / (width * channels), index / channels % width);
            let wave = row * row / 97 * row_step as usize + column * column_step as usize;
            (wave + index % channels * 80 + random.integer(0, 15) as usize) as u8
        })
        .collect();
    let elements = match dtype {
        DType::UInt8 => Elements::UInt8(bytes),
        DType::Int8 => Elements::Int8(bytes.iter().map(|byte| (byte ^ 0x80) as i8).collect()),
        DType::Float32 => {
            Elements::Float32(bytes.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect())
        }
        _ => panic!("{name}: expected an image, found {dtype}"),
    };
    Tensor { shape: shape.to_vec(), elements }
}
