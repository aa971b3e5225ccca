//! Broken models and libraries give the named error, and the next good call works.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData};
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_schema::tflite::{BuiltinOperator, OperatorCodeT};
use image_embedder_test_support::model_builder::PassThrough;
use image_embedder_test_support::{litert_library, model};

fn backend_at(path: impl Into<PathBuf>) -> LitertBackend {
    let mut options = LitertOptions::default();
    options.library_path = Some(path.into());
    LitertBackend::new(options)
}

fn compile(backend: &LitertBackend, bytes: Vec<u8>) -> Result<(), BackendError> {
    backend.compile(ModelData::from(bytes), &CompileOptions::default()).map(drop)
}

#[test]
fn broken_models_are_invalid() {
    let backend = backend_at(litert_library());
    let good = std::fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let mut cases = vec![
        Vec::new(),
        good[..7].to_vec(),
        [&good[..4], b"TFL2", &good[8..]].concat(),
        vec![0; 4096],
        b"\x1c\0\0\0TFL3".to_vec(),
    ];
    cases.extend([8, 16, 100, 1000, good.len() / 2].map(|len| good[..len].to_vec()));
    let mut no_tensor = PassThrough::default().model();
    no_tensor.subgraphs.as_mut().unwrap()[0].inputs = Some(vec![1000]);
    cases.push(no_tensor.to_bytes());
    let count = cases.len();
    let mut refused = 0;
    for bytes in cases {
        let error = compile(&backend, bytes).unwrap_err();
        let BackendError::InvalidModel { reason } = error else { panic!("{error:?}") };
        assert!(!reason.is_empty());
        refused += 1;
    }
    assert_eq!((refused, count), (11, 11));
    compile(&backend, good).unwrap();
}

/// The pass-through model with another operator in place of its own.
fn with_operator(code: BuiltinOperator, custom: Option<&str>) -> Vec<u8> {
    let mut model = PassThrough::default().model();
    model.operator_codes = Some(vec![OperatorCodeT {
        deprecated_builtin_code: i8::try_from(code.raw()).unwrap(),
        builtin_code: code.raw(),
        custom_code: custom.map(str::to_owned),
        ..OperatorCodeT::default()
    }]);
    model.to_bytes()
}

#[test]
fn operators_that_cannot_run_are_named() {
    let backend = backend_at(litert_library());
    let mut refused = 0;
    for (code, custom, name) in [
        (BuiltinOperator::Custom, Some("My.Op"), "custom operator My.Op"),
        (BuiltinOperator::DepthwiseConv2d, None, "DEPTHWISE_CONV_2D without a bias"),
    ] {
        let error = compile(&backend, with_operator(code, custom)).unwrap_err();
        let operators = vec![name.to_owned()];
        let backend = "litert".to_owned();
        assert_eq!(error, BackendError::UnsupportedOperators { backend, operators });
        refused += 1;
    }
    assert_eq!(refused, 2);
}

#[test]
fn an_operator_of_a_later_version_is_refused_with_a_status() {
    let backend = backend_at(litert_library());
    let mut model = PassThrough::default().model();
    model.operator_codes.as_mut().unwrap()[0].version = 99;
    let error = compile(&backend, model.to_bytes()).unwrap_err();
    let BackendError::Runtime { message, .. } = error else { panic!("{error:?}") };
    assert!(message.contains("failed with status"), "{message}");
}

#[test]
fn a_missing_library_names_the_place() {
    let path = std::env::temp_dir().join("no/libLiteRt.so");
    let backend = backend_at(&path);
    let good = PassThrough::default().to_bytes();
    for error in [backend.check().unwrap_err(), compile(&backend, good.clone()).unwrap_err()] {
        let BackendError::Unavailable { backend, reason } = error else { panic!("{error:?}") };
        assert_eq!(backend, "litert");
        assert!(reason.contains(&path.display().to_string()), "{reason}");
        assert!(reason.contains("cargo xtask fetch litert"), "{reason}");
        assert!(reason.contains("IMAGE_EMBEDDER_LITERT_LIBRARY"), "{reason}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_of_another_kind_is_refused_by_its_first_missing_symbol() {
    let error = backend_at("libc.so.6").check().unwrap_err();
    let BackendError::Unavailable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("libc.so.6: symbol LiteRtCreateEnvironment is missing"), "{reason}");
}
