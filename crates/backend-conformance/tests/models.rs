//! Whole models on every backend and in TensorFlow Lite, on the same pictures.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData};
use image_embedder_backend_conformance::{Elements, Tensor, Tolerance, cases, compare, execute};
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_backend_native::NativeBackend;
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::{litert_library, model, tflite_library};

fn tflite() -> TfliteBackend {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    let backend = TfliteBackend::new(options);
    assert!(backend.uses_xnnpack().unwrap());
    backend
}

fn litert() -> LitertBackend {
    let mut options = LitertOptions::default();
    options.library_path = Some(litert_library());
    LitertBackend::new(options)
}

/// The outputs of the model in TensorFlow Lite and on the backend, for a picture of the seed.
fn outputs(backend: &dyn Backend, file: &str, seed: u64) -> [Vec<Tensor>; 2] {
    let bytes = std::fs::read(model(file)).unwrap();
    let compiled = backend
        .compile(ModelData::from(bytes.clone()), &CompileOptions::default())
        .unwrap_or_else(|error| panic!("{file}: {error}"));
    let case = cases::for_model(file, bytes, compiled.inputs(), seed);
    let run = |backend: &dyn Backend| {
        execute(backend, &case).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    [run(&tflite()), run(backend)]
}

fn assert_alike(backend: &dyn Backend, file: &str, seed: u64) {
    let [expected, found] = outputs(backend, file, seed);
    if let Err(difference) = compare(&expected, &found, Tolerance::EXACT) {
        panic!("{file} on {}, seed {seed}: {difference}", backend.name());
    }
}

/// The cosine of the angle between the first outputs, which are floats.
fn cosine([expected, found]: [Vec<Tensor>; 2]) -> f64 {
    let (Elements::Float32(expected), Elements::Float32(found)) =
        (&expected[0].elements, &found[0].elements)
    else {
        panic!("expected floats");
    };
    assert_eq!(expected.len(), found.len());
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(expected, found) / (dot(expected, expected) * dot(found, found)).sqrt()
}

/// Every reference model that TensorFlow Lite runs and whose results do not hang on how floats are
/// rounded.
const REFERENCE_MODELS: [&str; 13] = [
    "deeplabv3.tflite",
    "dilated_conv.tflite",
    "efficientnet_lite0_feature_vector_f16.tflite",
    "efficientnet_lite0_feature_vector_f32.tflite",
    "efficientnet_lite0_feature_vector_int8.tflite",
    "efficientnet_lite0_feature_vector_uint8.tflite",
    "efficientnet_lite0_feature_vector_uint8_f32out.tflite",
    "mobilenet_v1_0.25_224_1_default_1.tflite",
    "mobilenet_v1_0.25_224_1_metadata_1.tflite",
    "mobilenet_v1_0.25_224_quant.tflite",
    "mobilenet_v1_0.25_224_quant_without_subgraph_metadata.tflite",
    "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite",
    "mobilenet_v2_1.0_224_quant.tflite",
];

/// Activations that are quantised at run time fall to other steps for the least difference, so
/// whole vectors are compared by their angle.
const DYNAMIC_RANGE_MODEL: &str = "efficientnet_lite0_feature_vector_dynamic.tflite";

fn assert_bundled_models_are_alike(backend: &dyn Backend) {
    let mut alike = 0;
    for file in
        ["efficientnet_lite0_feature_vector_uint8.tflite", "mobilenet_v1_0.25_224_quant.tflite"]
    {
        for seed in [2, 3, 4] {
            assert_alike(backend, file, seed);
            alike += 1;
        }
    }
    assert_eq!(alike, 6);
}

fn assert_reference_models_are_alike(backend: &dyn Backend) {
    let mut alike = 0;
    for file in REFERENCE_MODELS {
        assert_alike(backend, file, 5);
        alike += 1;
    }
    assert_eq!(alike, 13);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn bundled_models_are_alike_on_the_native_engine() {
    assert_bundled_models_are_alike(&NativeBackend::new());
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn bundled_models_are_alike_on_tract() {
    assert_bundled_models_are_alike(&TractBackend);
}

#[test]
#[ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"]
fn reference_models_are_alike_on_the_native_engine() {
    assert_reference_models_are_alike(&NativeBackend::new());
}

#[test]
#[ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"]
fn reference_models_are_alike_on_tract() {
    assert_reference_models_are_alike(&TractBackend);
}

#[test]
#[ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"]
fn the_dynamic_range_model_is_nearly_alike() {
    for backend in [&NativeBackend::new() as &dyn Backend, &TractBackend] {
        let cosine = cosine(outputs(backend, DYNAMIC_RANGE_MODEL, 5));
        assert!(cosine >= 0.999, "{}: {cosine}", backend.name());
    }
}

#[test]
#[ignore = "needs the reference models; set IMAGE_EMBEDDER_REFERENCE or fetch the models"]
fn edge_tpu_models_are_refused_by_name() {
    let bytes = std::fs::read(model("mobilenet_v1_0.25_128_quant_edgetpu.tflite")).unwrap();
    let backends: [&dyn Backend; 4] = [&NativeBackend::new(), &tflite(), &litert(), &TractBackend];
    let mut refused = 0;
    for backend in backends {
        let model = ModelData::from(bytes.clone());
        match backend.compile(model, &CompileOptions::default()) {
            Err(error @ BackendError::UnsupportedOperators { .. }) => {
                let text = error.to_string();
                assert!(text.contains("edgetpu-custom-op"), "{}: {text}", backend.name());
                refused += 1;
            }
            other => panic!("{}: {other:?}", backend.name()),
        }
    }
    assert_eq!(refused, 4);
}
