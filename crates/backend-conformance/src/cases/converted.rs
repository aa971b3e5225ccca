//! The models in `fixtures/networks`: small networks of well-known architectures with random
//! weights, as TensorFlow converts them.

use std::fs;

use image_embedder_backend::DType;
use image_embedder_schema::tflite::{self, TensorType};
use image_embedder_test_support::fixture;

use super::bundled::picture;
use crate::Case;

/// How many there are.
const COUNT: usize = 54;

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let folder = fixture("networks");
    let list =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = list
        .map(|entry| entry.unwrap_or_else(|error| panic!("{error}")).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tflite"))
        .collect();
    files.sort();
    assert_eq!(files.len(), COUNT, "models in {}", folder.display());
    files
        .iter()
        .map(|path| {
            let model =
                fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("converted_{file}");
            let (shape, dtype) = input_of(&model)
                .unwrap_or_else(|| panic!("{}: expected one image input", path.display()));
            let image = picture(&name, &shape, dtype, seed);
            Case { name, group: "converted", model, inputs: vec![image] }
        })
        .collect()
}

/// The shape and type of the only input.
fn input_of(model: &[u8]) -> Option<(Vec<usize>, DType)> {
    let model = tflite::read_model(model).ok()?;
    let subgraph = model.subgraphs().first()?;
    let input = usize::try_from(subgraph.inputs().iter().next()?).ok()?;
    let tensor = subgraph.tensors().get(input)?;
    let shape: Option<Vec<usize>> =
        tensor.shape().iter().map(|size| usize::try_from(size).ok()).collect();
    let dtype = match TensorType::from_raw(tensor.type_())? {
        TensorType::Float32 => DType::Float32,
        TensorType::UInt8 => DType::UInt8,
        TensorType::Int8 => DType::Int8,
        _ => return None,
    };
    Some((shape?, dtype))
}
