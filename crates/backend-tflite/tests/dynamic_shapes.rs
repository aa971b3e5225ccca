//! Inputs with open dimensions can be resized, and a failed resize changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Dimension, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};
use image_embedder_test_support::{model, tflite_library};

fn compile(bytes: Vec<u8>) -> Arc<dyn Model> {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    TfliteBackend::new(options).compile(ModelData::from(bytes), &CompileOptions::default()).unwrap()
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
    compile(model.to_bytes())
}

fn run(session: &mut dyn Session, input: &[f32], output_len: usize) -> Vec<f32> {
    let mut output = vec![0.0; output_len];
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
        assert_eq!(run(&mut *session, &input, input.len()), input);
        sizes += 1;
    }
    assert_eq!(sizes, 4);
    assert_eq!(model.inputs()[0].shape(), [1, 8, 8, 3], "the model is as it was");
}

#[test]
fn fixed_dimensions_stay() {
    let mut session = pass_through(1, -1).session().unwrap();
    let mut refused = 0;
    for shape in [&[2, 8, 8, 3][..], &[1, 8, 8, 4], &[1, 8, 8], &[1, 0, 8, 3], &[]] {
        let error = session.resize_input(0, shape).unwrap_err();
        assert!(
            matches!(&error, BackendError::ShapeMismatch { expected, found, .. }
                if expected == "1x?x?x3" && found == shape),
            "{error:?}"
        );
        refused += 1;
    }
    assert_eq!(refused, 5);
}

#[test]
fn a_shape_that_the_graph_cannot_take_changes_nothing() {
    let mut session = pass_through(1, 192).session().unwrap();
    for shape in [[1, 4, 4, 3], [1, usize::MAX, 8, 3]] {
        let error = session.resize_input(0, &shape).unwrap_err();
        let BackendError::Runtime { message, .. } = error else { panic!("{error:?}") };
        assert!(!message.contains("gave no reason"), "{message}");
        assert_eq!(session.inputs()[0].shape(), [1, 8, 8, 3]);
    }
    let input: Vec<f32> = (0..192_u8).map(f32::from).collect();
    assert_eq!(run(&mut *session, &input, 192), input);
    session.resize_input(0, &[1, 4, 16, 3]).unwrap();
    assert_eq!(run(&mut *session, &input, 192), input);
}

#[test]
#[ignore = "needs dilated_conv.tflite; run: cargo xtask fetch models"]
fn a_network_takes_several_sizes() {
    let model = compile(std::fs::read(model("dilated_conv.tflite")).unwrap());
    assert_eq!(model.inputs()[0].dimensions.iter().filter(|d| d.is_dynamic()).count(), 3);
    let mut session = model.session().unwrap();
    let mut sizes = 0;
    for (height, width) in [(64, 48), (16, 16)] {
        session.resize_input(0, &[1, height, width, 3]).unwrap();
        let input: Vec<f32> = (0..height * width * 3).map(|i| (i % 251) as f32 / 251.0).collect();
        let len = height * width * 16;
        // It follows from values, which the library computes in a run only.
        assert_eq!(session.outputs()[0].shape(), [1, height, width, 16]);
        let error = session
            .run(&[TensorView::Float32(&input)], &mut [TensorViewMut::Float32(&mut [0.0; 3])])
            .unwrap_err();
        assert!(
            matches!(error, BackendError::ByteSizeMismatch { expected, found: 12, .. }
                if expected == len * 4),
            "{error:?}"
        );
        let output = run(&mut *session, &input, len);
        assert!(output.iter().any(|&value| value != 0.0));
        sizes += 1;
    }
    assert_eq!(sizes, 2);
}
