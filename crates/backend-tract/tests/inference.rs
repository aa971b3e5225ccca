//! Models give the same numbers whoever runs them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, DType, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_tract::TractBackend;
use image_embedder_schema::tflite::{BuiltinOperator, BuiltinOptionsT, ReducerOptionsT};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

fn compile(bytes: Vec<u8>) -> Result<Arc<dyn Model>, BackendError> {
    TractBackend.compile(ModelData::from(bytes), &CompileOptions::default())
}

/// A classifier with 8-bit weights: `1 x 224 x 224 x 3` bytes to 1001 bytes.
fn classifier() -> Arc<dyn Model> {
    compile(std::fs::read(model("mobilenet_v1_0.25_224_quant.tflite")).unwrap()).unwrap()
}

/// A picture of coarse waves, the same everywhere.
fn picture() -> Vec<u8> {
    (0..224 * 224 * 3_u32)
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
    assert_eq!(TractBackend.name(), "tract");
    TractBackend.check().unwrap();
    let model = classifier();
    let [input] = model.inputs() else { panic!("{:?}", model.inputs()) };
    let [output] = model.outputs() else { panic!("{:?}", model.outputs()) };
    assert_eq!(input.to_string(), "input: UINT8 1x224x224x3");
    assert_eq!(input.quantization.unwrap().zero_point, 128);
    assert_eq!(output.dtype, DType::UInt8);
    assert_eq!(output.shape(), [1, 1001]);
    assert_eq!(output.quantization.unwrap().scale, 1.0 / 256.0);

    let mut session = model.session().unwrap();
    let scores = run(&mut *session, &picture());
    assert!(scores.iter().any(|&score| score > 0));
    assert_ne!(scores, run(&mut *session, &vec![0; 224 * 224 * 3]));
    assert_eq!(scores, run(&mut *session, &picture()));
}

#[test]
fn sessions_on_threads_agree() {
    let model = classifier();
    let input = picture();
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
fn a_run_is_stopped_and_the_session_goes_on() {
    let model = classifier();
    let mut session = model.session().unwrap();
    let cancellation = session.cancellation().unwrap();
    let input = picture();
    // Without a run under way it does nothing.
    cancellation.cancel();
    let expected = run(&mut *session, &input);
    let done = AtomicBool::new(false);
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cancellation.cancel();
                thread::yield_now();
            }
        });
        // The other thread may sleep through any one run, but not through all.
        let error = (0..1000).find_map(|_| {
            let mut output = vec![0; 1001];
            let mut outputs = [TensorViewMut::UInt8(&mut output)];
            session.run(&[TensorView::UInt8(&input)], &mut outputs).err()
        });
        done.store(true, Ordering::Relaxed);
        error
    });
    assert_eq!(error, Some(BackendError::Cancelled { backend: "tract".to_owned() }));
    assert_eq!(run(&mut *session, &input), expected);
    // It may outlive its session.
    drop(session);
    cancellation.cancel();
}

#[test]
fn every_element_type_passes_through() {
    let shape = [1, 2, 2, 3];
    let mut types = 0;

    let kind = TensorKind::uint8(&shape);
    let model = compile(PassThrough::new(kind.clone(), vec![kind]).to_bytes()).unwrap();
    let input: Vec<u8> = (0..12).map(|i| i * 23).collect();
    assert_eq!(run(&mut *model.session().unwrap(), &input), input);
    types += 1;

    let kind = TensorKind::int8(&shape, 0.5, -3);
    let model = compile(PassThrough::new(kind.clone(), vec![kind]).to_bytes()).unwrap();
    assert_eq!(model.inputs()[0].dtype, DType::Int8);
    assert_eq!(model.outputs()[0].quantization.unwrap().zero_point, -3);
    let input: Vec<i8> = (0..12_u8).map(|i| (i * 23) as i8).collect();
    let mut output = vec![0; 12];
    model
        .session()
        .unwrap()
        .run(&[TensorView::Int8(&input)], &mut [TensorViewMut::Int8(&mut output)])
        .unwrap();
    assert_eq!(output, input);
    types += 1;

    let kind = TensorKind::float32(&shape);
    let model = compile(PassThrough::new(kind.clone(), vec![kind]).to_bytes()).unwrap();
    assert_eq!(model.inputs()[0].quantization, None);
    let input: Vec<f32> = (0..12_u8).map(|i| f32::from(i) / 7.0 - 0.5).collect();
    let mut output = vec![0.0; 12];
    model
        .session()
        .unwrap()
        .run(&[TensorView::Float32(&input)], &mut [TensorViewMut::Float32(&mut output)])
        .unwrap();
    assert_eq!(output, input);
    types += 1;
    assert_eq!(types, 3);
}

/// A model that averages over rows and columns.
fn mean(input: TensorKind, output: TensorKind) -> Vec<u8> {
    // The builder's reshape has a tensor of sizes, which becomes the tensor of axes.
    let mut model = PassThrough::new(input, vec![output]).model();
    let codes = model.operator_codes.as_mut().unwrap();
    codes[0].builtin_code = BuiltinOperator::Mean.raw();
    codes[0].deprecated_builtin_code = i8::try_from(BuiltinOperator::Mean.raw()).unwrap();
    let graph = &mut model.subgraphs.as_mut().unwrap()[0];
    let operator = &mut graph.operators.as_mut().unwrap()[0];
    operator.builtin_options =
        BuiltinOptionsT::ReducerOptions(ReducerOptionsT { keep_dims: false });
    let axes = operator.inputs.as_ref().unwrap()[1] as usize;
    let axes = &graph.tensors.as_ref().unwrap()[axes];
    assert_eq!(axes.shape, Some(vec![2]));
    let axes = axes.buffer as usize;
    model.buffers.as_mut().unwrap()[axes].data = Some([1_i32, 2].map(i32::to_le_bytes).concat());
    model.to_bytes()
}

#[test]
fn means_of_floats_are_not_rounded() {
    let bytes = mean(TensorKind::float32(&[1, 2, 2, 3]), TensorKind::float32(&[1, 3]));
    let model = compile(bytes).unwrap();
    let input: Vec<f32> = (0..12_u8).map(|i| f32::from(i) / 8.0).collect();
    let mut output = [0.0; 3];
    model
        .session()
        .unwrap()
        .run(&[TensorView::Float32(&input)], &mut [TensorViewMut::Float32(&mut output)])
        .unwrap();
    // Channel 0 has 0, 3, 6 and 9 eighths.
    assert_eq!(output, [18.0 / 32.0, 22.0 / 32.0, 26.0 / 32.0]);
}

#[test]
fn means_of_bytes_are_rounded_once() {
    let kind = TensorKind::uint8(&[1, 2, 2, 3]);
    let model = compile(mean(kind, TensorKind::uint8(&[1, 3]))).unwrap();
    let input: Vec<u8> = (0..12).map(|i| i * 20).collect();
    // Channel 0 has 0, 60, 120 and 180.
    assert_eq!(run(&mut *model.session().unwrap(), &input), [90, 110, 130]);
}

#[test]
fn wrong_tensors_are_refused_and_the_session_goes_on() {
    let model = classifier();
    let mut session = model.session().unwrap();
    let input = picture();
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

    assert_eq!(
        session.resize_input(1, &[1]).unwrap_err(),
        BackendError::NoSuchTensor { index: 1, count: 1 }
    );
    refused += 1;

    let error = session.resize_input(0, &[1, 160, 160, 3]).unwrap_err();
    assert!(matches!(error, BackendError::ShapeMismatch { .. }), "{error:?}");
    refused += 1;

    session.resize_input(0, &[1, 224, 224, 3]).unwrap();
    assert_eq!(run(&mut *session, &input), expected);
    assert_eq!(refused, 6);
}
