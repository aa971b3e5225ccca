//! A library that exports no more than TensorFlow Lite 2.5 does.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Dimension, ModelData, TensorView, TensorViewMut,
};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};
use image_embedder_test_support::{shared_library, tflite_library, workspace_root};

#[test]
fn the_functions_of_version_2_5_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let source = workspace_root().join("crates/backend-tflite/tests/old_library.c");
    let real = tflite_library();
    let library = shared_library(&source, &[("LIBRARY", real.to_str().unwrap())], folder.path());
    let mut options = TfliteOptions::default();
    options.library_path = Some(library);
    let backend = TfliteBackend::new(options);
    assert_eq!(backend.version().unwrap(), "2.5.0");
    assert!(!backend.uses_xnnpack().unwrap());
    assert_ne!(backend.arithmetic().integer, "quantised");

    let open = PassThrough {
        input_signature: Some(vec![1, -1, 8, 3]),
        ..PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])])
    };
    let compile = |bytes| backend.compile(ModelData::new(bytes), &CompileOptions::default());
    let model = compile(open.to_bytes()).unwrap();
    assert_eq!(model.inputs()[0].dimensions[1], Dimension::Dynamic(8));
    let mut session = model.session().unwrap();
    let input: Vec<f32> = (0..192_u8).map(f32::from).collect();
    let mut output = vec![0.0; 192];
    session
        .run(&[TensorView::Float32(&input)], &mut [TensorViewMut::Float32(&mut output)])
        .unwrap();
    assert_eq!(output, input);
    let error = session.resize_input(0, &[1, 4, 8, 3]).unwrap_err();
    let BackendError::Runtime { message, .. } = error else { panic!("{error:?}") };
    assert!(message.contains("RESHAPE"), "{message}");
    // Nothing stops a run, and nothing breaks by trying.
    session.cancellation().unwrap().cancel();
    drop(session);

    let error = compile(b"\x10\0\0\0TFL3".to_vec()).unwrap_err();
    assert!(matches!(error, BackendError::InvalidModel { .. }), "{error:?}");
}
