//! Models run in TensorFlow Lite 1.15 and give the same numbers whoever runs them; what does not
//! fit is refused and leaves the session as it was.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, DType, Dimension, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_tflite_vendored::VendoredTfliteBackend;
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

/// The embedder that the tests run: `1 x 224 x 224 x 3` bytes to 1280 bytes.
const EMBEDDER: &str = "efficientnet_lite0_feature_vector_uint8.tflite";

/// A classifier of images as large.
const CLASSIFIER: &str = "mobilenet_v1_0.25_224_quant.tflite";

fn compile(file: &str, num_threads: usize) -> Arc<dyn Model> {
    let bytes = std::fs::read(model(file)).unwrap();
    let options = CompileOptions::with_num_threads(num_threads);
    VendoredTfliteBackend::new().compile(ModelData::from(bytes), &options).unwrap()
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
    let backend = VendoredTfliteBackend::new();
    assert_eq!(backend.name(), "tflite-vendored");
    backend.check().unwrap();

    let model = compile(EMBEDDER, 1);
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
    let distinct: BTreeSet<u8> = embedding.iter().copied().collect();
    assert!(distinct.len() > 16, "{distinct:?}");
    let other = run(&mut *session, &vec![0; 224 * 224 * 3]);
    assert_ne!(embedding, other);
    assert_eq!(run(&mut *session, &picture(224 * 224 * 3)), embedding);
}

#[test]
fn sessions_on_threads_agree() {
    let model = compile(CLASSIFIER, 1);
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
fn threads_do_not_change_the_numbers() {
    let input = picture(224 * 224 * 3);
    let one = run(&mut *compile(CLASSIFIER, 1).session().unwrap(), &input);
    let mut compared = 0;
    for num_threads in [0, 2, 3] {
        let several = run(&mut *compile(CLASSIFIER, num_threads).session().unwrap(), &input);
        assert_eq!(several, one, "{num_threads} threads");
        compared += 1;
    }
    assert_eq!(compared, 3);
}

#[test]
fn a_session_outlives_its_model_and_backend() {
    let mut session = compile(CLASSIFIER, 1).session().unwrap();
    assert_eq!(run(&mut *session, &picture(224 * 224 * 3)).len(), 1001);
}

#[test]
fn wrong_tensors_are_refused_and_the_session_goes_on() {
    let model = compile(CLASSIFIER, 1);
    let mut session = model.session().unwrap();
    let input = picture(224 * 224 * 3);
    let expected = run(&mut *session, &input);
    let mut output = vec![0_u8; 1001];
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

    let mut long = vec![0_u8; 1002];
    let error = session
        .run(&[TensorView::UInt8(&input)], &mut [TensorViewMut::UInt8(&mut long)])
        .unwrap_err();
    assert!(
        matches!(error, BackendError::ByteSizeMismatch { expected: 1001, found: 1002, .. }),
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

/// `1 x ? x ? x 3` floats to the same floats in `rows` of `columns`, of which -1 is what is left.
fn pass_through(rows: i32, columns: i32) -> Arc<dyn Model> {
    let builder = PassThrough {
        input_signature: Some(vec![1, -1, -1, 3]),
        ..PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), vec![TensorKind::float32(&[1, 192])])
    };
    let mut model = builder.model();
    let graph = &model.subgraphs.as_ref().unwrap()[0];
    let sizes = graph.operators.as_ref().unwrap()[0].inputs.as_ref().unwrap()[1] as usize;
    let buffer = graph.tensors.as_ref().unwrap()[sizes].buffer as usize;
    let sizes = [rows, columns].map(i32::to_le_bytes).concat();
    model.buffers.as_mut().unwrap()[buffer].data = Some(sizes);
    let options = CompileOptions::default();
    VendoredTfliteBackend::new().compile(ModelData::from(model.to_bytes()), &options).unwrap()
}

fn pass(session: &mut dyn Session, input: &[f32]) -> Vec<f32> {
    let mut output = vec![0.0; input.len()];
    session.run(&[TensorView::Float32(input)], &mut [TensorViewMut::Float32(&mut output)]).unwrap();
    output
}

#[test]
fn open_dimensions_are_dynamic_and_resizable() {
    let model = pass_through(1, -1);
    assert_eq!(
        model.inputs()[0].dimensions,
        [Dimension::Fixed(1), Dimension::Dynamic(8), Dimension::Dynamic(8), Dimension::Fixed(3)]
    );
    let mut session = model.session().unwrap();
    let mut sizes = 0;
    for (height, width) in [(8, 8), (2, 5), (16, 1), (8, 8)] {
        session.resize_input(0, &[1, height, width, 3]).unwrap();
        assert_eq!(session.inputs()[0].shape(), [1, height, width, 3]);
        assert_eq!(session.outputs()[0].shape(), [1, height * width * 3]);
        let input: Vec<f32> = (0..height * width * 3).map(|i| i as f32 / 4.0).collect();
        assert_eq!(pass(&mut *session, &input), input);
        sizes += 1;
    }
    assert_eq!(sizes, 4);
    assert_eq!(model.inputs()[0].shape(), [1, 8, 8, 3], "the model is as it was");
}

#[test]
fn a_shape_that_the_graph_cannot_take_changes_nothing() {
    let mut session = pass_through(1, 192).session().unwrap();
    let input: Vec<f32> = (0..192_u8).map(f32::from).collect();
    let mut refused = 0;
    for shape in [[1, 4, 4, 3], [1, usize::MAX, 8, 3], [1, 50_000, 50_000, 3]] {
        let error = session.resize_input(0, &shape).unwrap_err();
        assert!(matches!(error, BackendError::Runtime { .. }), "{error:?}");
        assert_eq!(session.inputs()[0].shape(), [1, 8, 8, 3]);
        assert_eq!(pass(&mut *session, &input), input);
        refused += 1;
    }
    assert_eq!(refused, 3);
    session.resize_input(0, &[1, 4, 16, 3]).unwrap();
    assert_eq!(pass(&mut *session, &input), input);
}
