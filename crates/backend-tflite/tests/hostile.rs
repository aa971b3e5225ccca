//! Broken models and libraries give the named error, and the next good call works.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{model, tflite_library};

fn backend_at(path: impl Into<std::path::PathBuf>) -> TfliteBackend {
    let mut options = TfliteOptions::default();
    options.library_path = Some(path.into());
    TfliteBackend::new(options)
}

fn compile(backend: &TfliteBackend, bytes: Vec<u8>) -> Result<(), BackendError> {
    backend.compile(ModelData::from(bytes), &CompileOptions::default()).map(drop)
}

fn good_model() -> Vec<u8> {
    std::fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap()
}

#[test]
fn broken_models_are_invalid() {
    let backend = backend_at(tflite_library());
    let good = good_model();
    let mut cases: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    cases.insert("empty".into(), Vec::new());
    cases.insert("seven bytes".into(), good[..7].to_vec());
    cases.insert("another identifier".into(), [&good[..4], b"TFL2", &good[8..]].concat());
    cases.insert("zeros".into(), vec![0; 4096]);
    cases.insert("identifier only".into(), b"\x1c\0\0\0TFL3".to_vec());
    cases.insert("garbage".into(), {
        let mut bytes: Vec<u8> =
            (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        bytes[4..8].copy_from_slice(b"TFL3");
        bytes
    });
    cases.insert("root beyond the end".into(), {
        let mut bytes = good.clone();
        bytes[..4].copy_from_slice(&0x7fff_ff00_u32.to_le_bytes());
        bytes
    });
    for len in [8, 16, 100, 1000, good.len() / 2, good.len() * 9 / 10] {
        cases.insert(format!("first {len} bytes"), good[..len].to_vec());
    }

    let mut refused = 0;
    for (case, bytes) in cases {
        match compile(&backend, bytes) {
            Err(BackendError::InvalidModel { reason }) => {
                assert!(!reason.is_empty(), "{case}");
                assert!(!reason.contains("gave no reason"), "{case}: {reason}");
                refused += 1;
            }
            other => panic!("{case}: expected an invalid model, found {other:?}"),
        }
    }
    assert_eq!(refused, 13);
    compile(&backend, good).unwrap();
}

/// Reads a little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> i64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes[at..at + N]);
    i64::from_le_bytes(wide)
}

/// Where field `index` of the flatbuffers table at `table` lies, unless it is left out.
fn field(bytes: &[u8], table: usize, index: usize) -> Option<usize> {
    let offset = number::<4>(bytes, table) as u32 as i32;
    let vtable = (table as i64 - i64::from(offset)) as usize;
    let offset = number::<2>(bytes, vtable + 4 + 2 * index) as usize;
    (offset != 0).then_some(table + offset)
}

/// Follows the offset at `at`.
fn follow(bytes: &[u8], at: usize) -> usize {
    at + number::<4>(bytes, at) as usize
}

/// The model with every operator of `code` given the version 99.
fn with_future_operator(mut bytes: Vec<u8>, code: u8) -> Vec<u8> {
    let root = follow(&bytes, 0);
    // Model.operator_codes is field 1; OperatorCode has the old builtin code in field 0 and the
    // version in field 2.
    let codes = follow(&bytes, field(&bytes, root, 1).unwrap());
    let mut changed = 0;
    for index in 0..number::<4>(&bytes, codes) as usize {
        let entry = follow(&bytes, codes + 4 + 4 * index);
        if field(&bytes, entry, 0).is_some_and(|at| bytes[at] == code) {
            let version = field(&bytes, entry, 2).unwrap();
            bytes[version..version + 4].copy_from_slice(&99_i32.to_le_bytes());
            changed += 1;
        }
    }
    assert_eq!(changed, 1, "the model has one code {code}");
    bytes
}

#[test]
fn operators_of_a_later_version_are_named() {
    const DEPTHWISE_CONV_2D: u8 = 4;
    let backend = backend_at(tflite_library());
    let bytes = std::fs::read(model("efficientnet_lite0_feature_vector_uint8.tflite")).unwrap();
    let error = compile(&backend, with_future_operator(bytes, DEPTHWISE_CONV_2D)).unwrap_err();
    assert_eq!(
        error,
        BackendError::UnsupportedOperators {
            backend: "tflite".to_owned(),
            operators: vec!["DEPTHWISE_CONV_2D version 99".to_owned()],
        }
    );
    compile(&backend, good_model()).unwrap();
}

#[test]
#[ignore = "needs a model for the Edge TPU; run: cargo xtask fetch models"]
fn custom_operators_are_named() {
    let backend = backend_at(tflite_library());
    let bytes = std::fs::read(model("mobilenet_v1_0.25_128_quant_edgetpu.tflite")).unwrap();
    assert_eq!(
        compile(&backend, bytes).unwrap_err(),
        BackendError::UnsupportedOperators {
            backend: "tflite".to_owned(),
            operators: vec!["custom operator edgetpu-custom-op".to_owned()],
        }
    );
}

#[test]
fn a_missing_library_names_the_place() {
    let path = std::env::temp_dir().join("no-such-folder").join("libtensorflowlite_c.so");
    let backend = backend_at(&path);
    for error in [backend.check().unwrap_err(), compile(&backend, good_model()).unwrap_err()] {
        let BackendError::Unavailable { backend, reason } = error else { panic!("{error:?}") };
        assert_eq!(backend, "tflite");
        assert!(reason.contains(&path.display().to_string()), "{reason}");
        assert!(reason.contains("cargo xtask fetch tflite"), "{reason}");
        assert!(reason.contains("IMAGE_EMBEDDER_TFLITE_LIBRARY"), "{reason}");
    }
}

#[test]
fn a_file_that_is_no_library_is_refused_with_the_loaders_reason() {
    let path = model("mobilenet_v1_0.25_224_quant.tflite");
    let error = backend_at(&path).check().unwrap_err();
    let BackendError::Unavailable { reason, .. } = error else { panic!("{error:?}") };
    let line = reason.lines().find(|line| line.contains(&path.display().to_string())).unwrap();
    let why = line.split_once(".tflite: ").unwrap().1;
    assert!(!why.is_empty(), "{reason}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_of_another_kind_is_refused_by_its_first_missing_symbol() {
    let error = backend_at("libc.so.6").check().unwrap_err();
    let BackendError::Unavailable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("libc.so.6: symbol TfLiteVersion is missing"), "{reason}");
}
