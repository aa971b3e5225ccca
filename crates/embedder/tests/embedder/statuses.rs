//! Each refusal of a model with the status that the TensorFlow Lite Task Library gives it.

use std::sync::Arc;

use image_embedder::backend::{Backend, BackendError, CompileOptions, Model, ModelData};
use image_embedder::embedding::FeatureVector;
use image_embedder::frame::{BoundingBox, FrameBuffer};
use image_embedder::{
    Error, ImageEmbedder, ImageEmbedderOptions, TfLiteSupportStatus, cosine_similarity,
};
use image_embedder_schema::metadata::{
    ColorSpaceType, ContentPropertiesT, ContentT, FeaturePropertiesT, TensorMetadataT,
};
use image_embedder_schema::tflite::TensorType;
use image_embedder_test_support::model_builder::{
    PassThrough, TensorKind, image_tensor, metadata, normalization, normalized_rgb,
};

use crate::models::{create, options};

fn code(error: &Error) -> Option<i32> {
    error.task_library_status().map(TfLiteSupportStatus::code)
}

fn float() -> PassThrough {
    PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])])
}

fn output(kind: TensorKind) -> PassThrough {
    PassThrough { outputs: vec![kind], ..PassThrough::default() }
}

fn input(kind: TensorKind) -> PassThrough {
    PassThrough::new(kind, vec![TensorKind::uint8(&[1, 64])])
}

fn with_units(mean: &[f32], std: &[f32], count: usize) -> PassThrough {
    let units = vec![normalization(mean, std); count];
    let tensor = image_tensor(ColorSpaceType::Rgb, units);
    PassThrough::default().with_metadata(&metadata(vec![tensor], Vec::new()))
}

#[test]
fn models() {
    let feature = TensorMetadataT {
        content: Some(Box::new(ContentT {
            content_properties: ContentPropertiesT::FeatureProperties(FeaturePropertiesT {}),
            range: None,
        })),
        ..TensorMetadataT::default()
    };
    let two = vec![TensorMetadataT::default(), TensorMetadataT::default()];
    let gray = image_tensor(ColorSpaceType::Grayscale, Vec::new());
    let described = |tensors| PassThrough::default().with_metadata(&metadata(tensors, Vec::new()));
    let int32 =
        |shape: &[i32]| TensorKind { element: TensorType::Int32, ..TensorKind::float32(shape) };
    let wrong = PassThrough { metadata: Some(b"0123M002".to_vec()), ..PassThrough::default() };
    let cases = [
        ("metadata of another schema", wrong, Some(200)),
        ("no input metadata", described(Vec::new()), Some(300)),
        ("two input metadata", described(two), Some(300)),
        ("another content", described(vec![feature]), Some(209)),
        ("two normalisations", with_units(&[1.0], &[1.0], 2), Some(204)),
        ("uneven lengths", with_units(&[1.0, 2.0], &[1.0], 1), Some(204)),
        ("no values", with_units(&[], &[], 1), Some(204)),
        ("two values", with_units(&[1.0; 2], &[1.0; 2], 1), Some(204)),
        ("two inputs", PassThrough { input_count: 2, ..PassThrough::default() }, Some(300)),
        ("a flat input", input(TensorKind::uint8(&[1, 192])), Some(301)),
        ("an input of integers", input(int32(&[1, 8, 8, 3])), Some(302)),
        ("a gray input", described(vec![gray]), Some(2)),
        ("a batch", input(TensorKind::uint8(&[2, 8, 8, 3])), Some(301)),
        ("four channels", input(TensorKind::uint8(&[1, 8, 8, 4])), Some(301)),
        ("no normalisation", float(), Some(208)),
        ("no width", input(TensorKind::uint8(&[1, 8, 0, 3])), Some(301)),
        ("no height", input(TensorKind::uint8(&[1, 0, 8, 3])), Some(301)),
        ("a std of zero", float().with_metadata(&normalized_rgb(0.0, 0.0)), Some(1)),
        ("a map", output(TensorKind::uint8(&[1, 2, 1, 96])), Some(400)),
        ("an output of one dimension", output(TensorKind::uint8(&[192])), Some(400)),
        ("an output of three", output(TensorKind::uint8(&[1, 1, 192])), Some(400)),
        ("a batch of outputs", output(TensorKind::uint8(&[2, 96])), Some(400)),
        ("an output of integers", output(int32(&[1, 192])), Some(401)),
        // The original takes it, and gives zeros.
        (
            "no quantisation of the output",
            output(TensorKind { quantization: None, ..TensorKind::uint8(&[1, 192]) }),
            None,
        ),
    ];
    let count = cases.len();
    for (what, model, expected) in cases {
        let error = create(&model).unwrap_err();
        assert_eq!(code(&error), expected, "{what}: {error}");
    }
    assert_eq!(count, 24);
}

#[test]
fn files() {
    let error = ImageEmbedder::from_file("no/such/model.tflite", options()).unwrap_err();
    assert_eq!(code(&error), Some(100));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&ImageEmbedder::from_file(folder.path(), options()).unwrap_err()), Some(102));
    let whole = PassThrough::default().to_bytes();
    for bytes in [&b"abc"[..], b"garbage, not a model", &whole[..whole.len() / 2]] {
        let error = ImageEmbedder::from_bytes(bytes.to_vec(), options()).unwrap_err();
        assert_eq!(code(&error), Some(3));
    }
}

#[test]
fn frames_and_vectors() {
    let embedder = create(&PassThrough::default()).unwrap();
    let pixels = vec![0; 192];
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let error = embedder.embed_region(&frame, BoundingBox::new(1, 1, 8, 8)).unwrap_err();
    assert_eq!(code(&error), None);

    let (float, bytes) =
        (FeatureVector::Float(vec![0.1, 0.2]), FeatureVector::Quantized(vec![1, 2]));
    let none = FeatureVector::Float(Vec::new());
    let pairs = [
        (&bytes, &float),
        (&float, &FeatureVector::Float(vec![0.1])),
        (&none, &none),
        (&FeatureVector::Float(vec![0.0, 0.0]), &float),
    ];
    for (u, v) in pairs {
        assert_eq!(code(&cosine_similarity(u, v).unwrap_err().into()), Some(2));
    }
}

/// A backend that refuses every model.
#[derive(Debug)]
struct Refusing(BackendError);

impl Backend for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn check(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn compile(
        &self,
        _model: ModelData,
        _options: &CompileOptions,
    ) -> Result<Arc<dyn Model>, BackendError> {
        Err(self.0.clone())
    }
}

#[test]
fn operators() {
    let operators = |operators: &[&str]| BackendError::UnsupportedOperators {
        backend: "refusing".to_owned(),
        operators: operators.iter().map(|&operator| operator.to_owned()).collect(),
    };
    let runtime = BackendError::Runtime { backend: String::new(), message: String::new() };
    let cases = [
        (operators(&["SOFTMAX"]), Some(4)),
        (operators(&["SOFTMAX", "CUSTOM edgetpu-custom-op"]), Some(5)),
        (operators(&["custom operator edgetpu-custom-op"]), Some(5)),
        (BackendError::InvalidModel { reason: String::new() }, Some(1)),
        (runtime, Some(1)),
        (BackendError::Unavailable { backend: String::new(), reason: String::new() }, None),
    ];
    for (error, expected) in cases {
        let options = ImageEmbedderOptions::with_backend(Arc::new(Refusing(error.clone())));
        let found = ImageEmbedder::from_bytes(PassThrough::default().to_bytes(), options);
        assert_eq!(code(&found.unwrap_err()), expected, "{error}");
    }
}
