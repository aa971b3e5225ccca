//! The models that are measured, and the pictures that they are given.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use image_embedder_backend::{DType, Dimension, TensorSpec};
use image_embedder_backend_conformance::{Case, cases};
use image_embedder_schema::tflite::{TensorType, read_model};
use image_embedder_test_support::{REFERENCE_VARIABLE, workspace_root};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The height and width of models that leave them open: those of most image models.
const OPEN_SIZE: usize = 224;

/// Where the fetched models lie, the bundled one, and the others that are committed.
const FOLDERS: [&str; 3] = [".cache/models", "crates/embedder/models", "fixtures/models"];

/// The pictures of the check and of the measurement.
const SEEDS: [u64; 2] = [11, 12];

/// In what numbers a model computes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every report tells all of them apart")]
pub enum Numbers {
    /// Activations and weights are bytes.
    Quantized,
    /// Activations are floats; weights are floats, of 32 or 16 bits.
    Float,
    /// Activations are floats that are quantised at run time; weights are bytes.
    DynamicRange,
}

impl Numbers {
    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quantized => "quantised",
            Self::Float => "float",
            Self::DynamicRange => "dynamic",
        }
    }

    /// Reads them off a model file.
    ///
    /// # Errors
    ///
    /// If the bytes are not a model with at least one subgraph and input.
    pub fn of(model: &[u8]) -> Result<Self> {
        let model = read_model(model)?;
        let graph = model.subgraphs().first().ok_or("no subgraph")?;
        let tensors = graph.tensors();
        let input = graph
            .inputs()
            .first()
            .and_then(|index| tensors.get(usize::try_from(index).ok()?))
            .ok_or("no inputs")?;
        if input.type_() != TensorType::Float32.raw() {
            return Ok(Self::Quantized);
        }
        let is_constant = |buffer: u32| {
            let index = usize::try_from(buffer).unwrap_or(usize::MAX);
            model.buffers().get(index).is_some_and(|buffer| !buffer.data().is_empty())
        };
        let bytes = [TensorType::Int8.raw(), TensorType::UInt8.raw()];
        let has_byte_weights = tensors
            .iter()
            .any(|tensor| bytes.contains(&tensor.type_()) && is_constant(tensor.buffer()));
        Ok(if has_byte_weights { Self::DynamicRange } else { Self::Float })
    }
}

/// A model file.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data of this package")]
pub struct ModelFile {
    /// The file's name without its suffix.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// In what it computes.
    pub numbers: Numbers,
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not a model.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let numbers =
            Numbers::of(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { name: stem(path), path: path.to_path_buf(), bytes, numbers })
    }

    /// The model with pictures for its inputs, of which each gives other ones.
    ///
    /// An open height or width is set to 224; other open dimensions keep their size.
    ///
    /// # Errors
    ///
    /// If an input is not made of floats or bytes.
    pub fn cases(&self, inputs: &[TensorSpec]) -> Result<Vec<Case>> {
        let mut inputs = inputs.to_vec();
        for input in &mut inputs {
            if !matches!(input.dtype, DType::Float32 | DType::UInt8 | DType::Int8) {
                return Err(format!("input {input} is not a picture").into());
            }
            let rank = input.dimensions.len();
            for (index, dimension) in input.dimensions.iter_mut().enumerate() {
                let is_size = rank == 4 && (index == 1 || index == 2);
                *dimension = Dimension::Fixed(match *dimension {
                    Dimension::Dynamic(_) if is_size => OPEN_SIZE,
                    other => other.size(),
                });
            }
        }
        let case = |&seed: &u64| cases::for_model(&self.name, self.bytes.clone(), &inputs, seed);
        Ok(SEEDS.iter().map(case).collect())
    }
}

/// The models that `wanted` names: folders stand for all models in them, other words for a model
/// by its file name. Nothing wanted stands for every model that is known.
///
/// Known are those in `models` of the folder that `IMAGE_EMBEDDER_REFERENCE` names; if it is not
/// set, those that `cargo xtask fetch models` brought and those that are committed.
///
/// # Errors
///
/// If a name is unknown, a folder has no model, or a file is not a model.
pub fn select(wanted: &[String], reference: Option<OsString>) -> Result<Vec<ModelFile>> {
    let known = match reference.filter(|folder| !folder.is_empty()) {
        Some(folder) => models_in(&[workspace_root().join(folder).join("models")]),
        None => models_in(&FOLDERS.map(|folder| workspace_root().join(folder))),
    };
    let mut chosen = BTreeMap::new();
    if wanted.is_empty() {
        chosen.clone_from(&known);
    }
    for word in wanted {
        let folder = Path::new(word);
        if folder.is_dir() {
            let found = models_in(&[folder.to_path_buf()]);
            if found.is_empty() {
                return Err(format!("there is no model in {}", folder.display()).into());
            }
            chosen.extend(found);
        } else {
            let name = word.trim_end_matches(".tflite");
            let (name, path) = known.get_key_value(name).ok_or_else(|| {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                format!("no model {word}; known: {}", names.join(", "))
            })?;
            chosen.insert(name.clone(), path.clone());
        }
    }
    if chosen.is_empty() {
        return Err(format!(
            "there is no model to measure; run `cargo xtask fetch models` or set \
             {REFERENCE_VARIABLE}"
        )
        .into());
    }
    chosen.values().map(|path| ModelFile::read(path)).collect()
}

/// The model files in the folders by name; the first folder that has a name wins.
fn models_in(folders: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "tflite") {
                found.entry(stem(&path)).or_insert(path);
            }
        }
    }
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use image_embedder_test_support::fixture;

    use super::*;

    const SMALL: &str = "mobilenet_v1_0.25_224_quant";

    fn names(models: &[ModelFile]) -> Vec<&str> {
        models.iter().map(|model| model.name.as_str()).collect()
    }

    #[test]
    fn models_are_chosen_by_name_and_by_folder() {
        let chosen = select(&[format!("{SMALL}.tflite")], None).unwrap();
        assert_eq!(names(&chosen), [SMALL]);
        assert_eq!(chosen[0].numbers, Numbers::Quantized);

        let folder = fixture("models").display().to_string();
        let chosen = select(&[folder, SMALL.to_owned()], None).unwrap();
        assert_eq!(names(&chosen).iter().filter(|name| **name == SMALL).count(), 1);
        let bundled = image_embedder::BUNDLED_MODEL_NAME.trim_end_matches(".tflite");
        let all = select(&[], None).unwrap();
        assert!(names(&all).contains(&SMALL) && names(&all).contains(&bundled), "{all:?}");
    }

    #[test]
    fn unknown_names_and_empty_folders_are_refused() {
        let error = select(&["novelty".to_owned()], None).unwrap_err().to_string();
        assert!(error.contains("no model novelty; known: "), "{error}");
        assert!(error.contains(SMALL), "{error}");
        let images = fixture("images").display().to_string();
        let error = select(&[images], None).unwrap_err().to_string();
        assert!(error.starts_with("there is no model in "), "{error}");
        assert!(names(&select(&[], Some("fixtures".into())).unwrap()).contains(&SMALL));
        let error = select(&[], Some("no_such_folder".into())).unwrap_err().to_string();
        assert!(error.contains("cargo xtask fetch models"), "{error}");
    }

    #[test]
    fn numbers_are_read_off_the_tensors() {
        let mut told = 0;
        for case in cases::all(1).iter().filter(|case| case.group == "conv_2d") {
            let numbers = case.name.trim_start_matches("conv_2d_");
            let expected = match numbers.split('_').next() {
                Some("f32" | "f16w") => Numbers::Float,
                Some("dynamic") => Numbers::DynamicRange,
                Some("u8" | "i8") => Numbers::Quantized,
                _ => panic!("{}", case.name),
            };
            assert_eq!(Numbers::of(&case.model).unwrap(), expected, "{}", case.name);
            told += 1;
        }
        assert!(told > 100, "{told}");
        assert!(Numbers::of(b"text").is_err());
    }

    #[test]
    fn open_dimensions_get_a_size() {
        let model = &select(&[SMALL.to_owned()], None).unwrap()[0];
        let dimensions = vec![
            Dimension::Dynamic(1),
            Dimension::Dynamic(1),
            Dimension::Dynamic(1),
            Dimension::Fixed(3),
        ];
        let spec = TensorSpec::new("image", DType::Float32, dimensions, None);
        let cases = model.cases(std::slice::from_ref(&spec)).unwrap();
        assert_eq!(cases.len(), SEEDS.len());
        assert_eq!(cases[0].inputs[0].shape, [1, 224, 224, 3]);
        assert_ne!(cases[0].inputs, cases[1].inputs);
        let integers = TensorSpec::new("count", DType::Int32, spec.dimensions, None);
        let error = model.cases(&[integers]).unwrap_err();
        assert!(error.to_string().contains("is not a picture"), "{error}");
    }
}
