//! Models run in the real library and give the same numbers whoever runs them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::thread;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, DType, Dimension, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{model, tflite_library};

/// The embedder that the tests run: `1 x 224 x 224 x 3` bytes to 1280 bytes.
const EMBEDDER: &str = "efficientnet_lite0_feature_vector_uint8.tflite";

fn backend() -> TfliteBackend {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    TfliteBackend::new(options)
}

fn embedder(num_threads: usize) -> Arc<dyn Model> {
    let bytes = std::fs::read(model(EMBEDDER)).unwrap();
    let options = CompileOptions::with_num_threads(num_threads);
    backend().compile(ModelData::from(bytes), &options).unwrap()
}

/// A picture of coarse waves in `len` bytes, the same everywhere.
fn picture(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|index| {
            let (row, column) = (index / (224 * 3), index / 3 % 224);
            (row * row / 97 + column * 3 + index % 3 * 80) as u8
        })
        .collect()
}

fn run(session: &mut dyn Session, input: &[u8]) -> Vec<u8> {
    let mut output = vec![0; session.outputs()[0].byte_size().unwrap()];
    session.run(&[TensorView::UInt8(input)], &mut [TensorViewMut::UInt8(&mut output)]).unwrap();
    output
}

#[test]
fn tells_version_and_place() {
    let backend = backend();
    assert_eq!(backend.name(), "tflite");
    backend.check().unwrap();
    let version = backend.version().unwrap();
    let major = version.split('.').next().unwrap().parse::<u32>().unwrap();
    assert!(major >= 1, "{version}");
    assert_eq!(backend.library_path().unwrap(), tflite_library());
    assert!(format!("{backend:?}").contains(&version));
}

#[test]
fn describes_tensors_and_runs() {
    let model = embedder(1);
    let [input] = model.inputs() else { panic!("{:?}", model.inputs()) };
    let [output] = model.outputs() else { panic!("{:?}", model.outputs()) };
    assert_eq!(input.dtype, DType::UInt8);
    assert_eq!(input.shape(), [1, 224, 224, 3]);
    assert!(input.dimensions.iter().all(|d| matches!(d, Dimension::Fixed(_))));
    assert!(input.quantization.unwrap().scale > 0.0);
    assert!(!input.name.is_empty());
    assert_eq!(output.dtype, DType::UInt8);
    assert_eq!(output.shape().last(), Some(&1280));
    assert!(output.quantization.unwrap().scale > 0.0);

    let mut session = model.session().unwrap();
    let embedding = run(&mut *session, &picture(224 * 224 * 3));
    let distinct: std::collections::BTreeSet<u8> = embedding.iter().copied().collect();
    assert!(distinct.len() > 16, "{distinct:?}");
    let other = run(&mut *session, &vec![0; 224 * 224 * 3]);
    assert_ne!(embedding, other);
    assert_eq!(run(&mut *session, &picture(224 * 224 * 3)), embedding);
}

#[test]
fn sessions_on_threads_agree() {
    let model = embedder(1);
    let input = picture(224 * 224 * 3);
    let expected = run(&mut *model.session().unwrap(), &input);
    let found: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mut session = model.session().unwrap();
                let input = &input;
                scope.spawn(move || run(&mut *session, input))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn a_session_outlives_its_model_and_backend() {
    let input = picture(224 * 224 * 3);
    let mut session = {
        let model = embedder(1);
        model.session().unwrap()
    };
    assert_eq!(run(&mut *session, &input).len(), 1280);
}

#[test]
fn threads_do_not_change_the_numbers() {
    let input = picture(224 * 224 * 3);
    let one = run(&mut *embedder(1).session().unwrap(), &input);
    for num_threads in [0, 2, 3] {
        let several = run(&mut *embedder(num_threads).session().unwrap(), &input);
        assert_eq!(several, one, "{num_threads} threads");
    }
}

#[test]
fn bytes_at_any_address_are_taken() {
    let bytes = std::fs::read(model(EMBEDDER)).unwrap();
    let input = picture(224 * 224 * 3);
    let expected = run(&mut *embedder(1).session().unwrap(), &input);
    let mut shifted = vec![0; bytes.len() + 1];
    shifted[1..].copy_from_slice(&bytes);
    let shifted: &'static [u8] = shifted.leak();
    let model = backend()
        .compile(ModelData::from_static(&shifted[1..]), &CompileOptions::default())
        .unwrap();
    assert_eq!(run(&mut *model.session().unwrap(), &input), expected);
}

#[test]
fn works_without_xnnpack() {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    options.xnnpack = false;
    let backend = TfliteBackend::new(options);
    assert!(!backend.uses_xnnpack().unwrap());
    let bytes = std::fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let compiled = backend.compile(ModelData::from(bytes), &CompileOptions::default()).unwrap();
    let output = run(&mut *compiled.session().unwrap(), &picture(224 * 224 * 3));
    assert!(output.iter().any(|&score| score > 0));
}

#[test]
fn wrong_tensors_are_refused_and_the_session_goes_on() {
    let model = embedder(1);
    let mut session = model.session().unwrap();
    let input = picture(224 * 224 * 3);
    let expected = run(&mut *session, &input);
    let mut output = vec![0_u8; 1280];
    let mut refused = 0;

    let error = session.run(&[], &mut [TensorViewMut::UInt8(&mut output)]).unwrap_err();
    assert_eq!(error, BackendError::TensorCount { side: "inputs", expected: 1, found: 0 });
    refused += 1;

    let error = session.run(&[TensorView::UInt8(&input)], &mut []).unwrap_err();
    assert_eq!(error, BackendError::TensorCount { side: "outputs", expected: 1, found: 0 });
    refused += 1;

    let short = [TensorView::UInt8(&input[1..])];
    let error = session.run(&short, &mut [TensorViewMut::UInt8(&mut output)]).unwrap_err();
    assert!(
        matches!(error, BackendError::ByteSizeMismatch { expected: 150528, found: 150527, .. }),
        "{error:?}"
    );
    refused += 1;

    let floats = vec![0.0; 224 * 224 * 3];
    let floats = [TensorView::Float32(&floats)];
    let error = session.run(&floats, &mut [TensorViewMut::UInt8(&mut output)]).unwrap_err();
    assert!(
        matches!(
            error,
            BackendError::DTypeMismatch { expected: DType::UInt8, found: DType::Float32, .. }
        ),
        "{error:?}"
    );
    refused += 1;

    let mut long = vec![0_u8; 1281];
    let error = session
        .run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut long)])
        .unwrap_err();
    assert!(
        matches!(error, BackendError::ByteSizeMismatch { expected: 1280, found: 1281, .. }),
        "{error:?}"
    );
    refused += 1;

    assert_eq!(
        session.resize_input(1, &[1]).unwrap_err(),
        BackendError::NoSuchTensor { index: 1, count: 1 }
    );
    refused += 1;

    let error = session.resize_input(0, &[1, 160, 160, 3]).unwrap_err();
    assert!(
        matches!(&error, BackendError::ShapeMismatch { expected, found, .. }
            if expected == "1x224x224x3" && *found == [1, 160, 160, 3]),
        "{error:?}"
    );
    refused += 1;

    session.resize_input(0, &[1, 224, 224, 3]).unwrap();
    assert_eq!(run(&mut *session, &input), expected);
    assert_eq!(refused, 7);
}
