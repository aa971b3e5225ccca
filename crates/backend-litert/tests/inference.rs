//! Models run in the real library and give the same numbers whoever runs them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::thread;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, DType, Dimension, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_test_support::{litert_library, model};

/// The embedder that the tests run: `1 x 224 x 224 x 3` bytes to 1280 bytes.
const EMBEDDER: &str = "efficientnet_lite0_feature_vector_uint8.tflite";

fn backend(xnnpack: bool) -> LitertBackend {
    let mut options = LitertOptions::default();
    options.library_path = Some(litert_library());
    options.xnnpack = xnnpack;
    LitertBackend::new(options)
}

fn embedder(num_threads: usize) -> Arc<dyn Model> {
    let bytes = std::fs::read(model(EMBEDDER)).unwrap();
    let options = CompileOptions::with_num_threads(num_threads);
    backend(true).compile(ModelData::from(bytes), &options).unwrap()
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
fn describes_tensors_and_runs() {
    let backend = backend(true);
    assert_eq!(backend.name(), "litert");
    backend.check().unwrap();
    assert_eq!(backend.library_path().unwrap(), litert_library());
    let model = embedder(1);
    let [input] = model.inputs() else { panic!("{:?}", model.inputs()) };
    let [output] = model.outputs() else { panic!("{:?}", model.outputs()) };
    assert_eq!(input.dtype, DType::UInt8);
    assert_eq!(input.shape(), [1, 224, 224, 3]);
    assert!(input.dimensions.iter().all(|d| matches!(d, Dimension::Fixed(_))));
    assert!(input.quantization.unwrap().scale > 0.0);
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
        let threads: Vec<_> =
            (0..2).map(|_| scope.spawn(|| run(&mut *model.session().unwrap(), &input))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn threads_and_the_address_of_the_model_do_not_change_the_numbers() {
    let input = picture(224 * 224 * 3);
    let one = run(&mut *embedder(1).session().unwrap(), &input);
    for num_threads in [0, 2, 3] {
        let several = run(&mut *embedder(num_threads).session().unwrap(), &input);
        assert_eq!(several, one, "{num_threads} threads");
    }
    let bytes = std::fs::read(model(EMBEDDER)).unwrap();
    let shifted: &'static [u8] = [&[0][..], &bytes].concat().leak();
    let data = ModelData::from_static(&shifted[1..]);
    let model = backend(true).compile(data, &CompileOptions::default()).unwrap();
    assert_eq!(run(&mut *model.session().unwrap(), &input), one);
}

#[test]
fn works_without_xnnpack() {
    let bytes = std::fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap();
    let input = picture(224 * 224 * 3);
    let outputs = [true, false].map(|xnnpack| {
        let data = ModelData::from(bytes.clone());
        let model = backend(xnnpack).compile(data, &CompileOptions::default()).unwrap();
        run(&mut *model.session().unwrap(), &input)
    });
    for output in &outputs {
        assert!(output.iter().any(|&score| score > 0));
    }
    assert_ne!(backend(true).arithmetic(), backend(false).arithmetic());
}

#[test]
fn wrong_tensors_are_refused_and_the_session_goes_on() {
    let model = embedder(1);
    let mut session = model.session().unwrap();
    let input = picture(224 * 224 * 3);
    let expected = run(&mut *session, &input);
    let mut output = vec![0_u8; 1280];
    let error = session.run(&[], &mut [TensorViewMut::UInt8(&mut output)]).unwrap_err();
    assert_eq!(error, BackendError::TensorCount { side: "inputs", expected: 1, found: 0 });
    let error = session
        .run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut output[1..])])
        .unwrap_err();
    assert!(
        matches!(error, BackendError::ByteSizeMismatch { expected: 1280, found: 1279, .. }),
        "{error:?}"
    );
    let error = session.resize_input(0, &[1, 160, 160, 3]).unwrap_err();
    assert!(matches!(error, BackendError::ShapeMismatch { .. }), "{error:?}");
    assert_eq!(run(&mut *session, &input), expected);
}

#[test]
fn a_run_is_stopped_and_the_session_goes_on() {
    let bytes = std::fs::read(model(EMBEDDER)).unwrap();
    let compiled =
        backend(false).compile(ModelData::from(bytes), &CompileOptions::default()).unwrap();
    let mut session = compiled.session().unwrap();
    let cancellation = session.cancellation().unwrap();
    let input = picture(224 * 224 * 3);
    cancellation.cancel();
    let expected = run(&mut *session, &input);
    let done = std::sync::atomic::AtomicBool::new(false);
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                cancellation.cancel();
                thread::yield_now();
            }
        });
        // The other thread may sleep through any one run, but not through all.
        let error = (0..1000).find_map(|_| {
            let mut output = vec![0; 1280];
            let mut outputs = [TensorViewMut::UInt8(&mut output)];
            session.run(&[TensorView::UInt8(&input)], &mut outputs).err()
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        error
    });
    assert_eq!(error, Some(BackendError::Cancelled { backend: "litert".to_owned() }));
    assert_eq!(run(&mut *session, &input), expected);
    drop(session);
    cancellation.cancel();
}
