//! Inputs with open dimensions can be resized, and a failed resize changes nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Dimension, Model, ModelData, Session, TensorView,
    TensorViewMut,
};
use image_embedder_backend_litert::{LitertBackend, LitertOptions};
use image_embedder_schema::tflite::{SignatureDefT, TensorMapT};
use image_embedder_test_support::litert_library;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

fn compile(bytes: Vec<u8>) -> Result<Arc<dyn Model>, BackendError> {
    let mut options = LitertOptions::default();
    options.library_path = Some(litert_library());
    LitertBackend::new(options).compile(ModelData::from(bytes), &CompileOptions::default())
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
    compile(model.to_bytes()).unwrap()
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
fn a_shape_that_the_graph_cannot_take_changes_nothing() {
    let mut session = pass_through(1, 192).session().unwrap();
    for shape in [[1, 4, 4, 3], [1, usize::MAX, 8, 3]] {
        let error = session.resize_input(0, &shape).unwrap_err();
        assert!(matches!(error, BackendError::Runtime { .. }), "{error:?}");
        assert_eq!(session.inputs()[0].shape(), [1, 8, 8, 3]);
    }
    let input: Vec<f32> = (0..192_u8).map(f32::from).collect();
    assert_eq!(run(&mut *session, &input, 192), input);
    session.resize_input(0, &[1, 4, 16, 3]).unwrap();
    assert_eq!(run(&mut *session, &input, 192), input);
}

/// Two outputs, which the signature has in the other order.
#[test]
fn signatures_in_another_order_are_put_right() {
    let outputs = vec![TensorKind::float32(&[1, 192]), TensorKind::float32(&[1, 1, 192])];
    let mut model = PassThrough::new(TensorKind::float32(&[1, 8, 8, 3]), outputs).model();
    let graph = &model.subgraphs.as_ref().unwrap()[0];
    let map = |name: &str, tensor: i32| TensorMapT {
        name: Some(name.to_owned()),
        tensor_index: tensor as u32,
    };
    let input = graph.inputs.as_ref().unwrap()[0];
    let outputs = graph.outputs.clone().unwrap();
    let signature = |outputs: Vec<TensorMapT>| SignatureDefT {
        inputs: Some(vec![map("image", input)]),
        outputs: Some(outputs),
        signature_key: Some("serving_default".to_owned()),
        ..SignatureDefT::default()
    };
    let reversed = vec![map("second", outputs[1]), map("first", outputs[0])];
    model.signature_defs = Some(vec![signature(reversed)]);
    let compiled = compile(model.to_bytes()).unwrap();
    assert_eq!(compiled.outputs()[0].shape(), [1, 192]);
    assert_eq!(compiled.outputs()[1].shape(), [1, 1, 192]);
    let input: Vec<f32> = (0..192_u8).map(f32::from).collect();
    let (mut first, mut second) = ([0.0_f32; 192], [0.0_f32; 192]);
    let mut views = [TensorViewMut::Float32(&mut first), TensorViewMut::Float32(&mut second)];
    compiled.session().unwrap().run(&[TensorView::Float32(&input)], &mut views).unwrap();
    assert_eq!(first[..], input);
    assert_eq!(second[..], input);

    // LiteRT does not open a file with a signature that leaves an output out.
    model.signature_defs = Some(vec![signature(vec![map("first", outputs[0])])]);
    let error = compile(model.to_bytes()).unwrap_err();
    assert!(matches!(error, BackendError::InvalidModel { .. }), "{error:?}");
}
