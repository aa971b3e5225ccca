//! Summaries of model files.

use image_embedder::ErrorKind;
use image_embedder::inspect::ModelSummary;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

#[test]
fn tensors_and_operators() {
    let mut model = PassThrough::new(
        TensorKind::uint8(&[1, 1, 1, 3]),
        vec![TensorKind::float32(&[1, 3]), TensorKind::uint8(&[1, 3])],
    );
    model.input_signature = Some(vec![1, -1, -1, 3]);
    let summary = ModelSummary::from_model(&model.to_bytes()).unwrap();
    assert_eq!(summary.description.as_deref(), Some("pass-through"));
    assert_eq!(summary.inputs.len(), 1);
    assert_eq!(summary.inputs[0].to_string(), "input0: UINT8 1x?x?x3 (scale 1, zero point 0)");
    assert_eq!(summary.outputs[0].to_string(), "output0: FLOAT32 1x3");
    let operators: Vec<_> = summary.operators.into_iter().collect();
    assert_eq!(operators, [("CAST".to_owned(), 1), ("RESHAPE".to_owned(), 2)]);
}

#[test]
fn indices_that_lead_nowhere() {
    let mut model = PassThrough::default().model();
    model.subgraphs.as_mut().unwrap()[0].inputs = Some(vec![99]);
    let mut other = PassThrough::default().model();
    other.subgraphs.as_mut().unwrap()[0].operators.as_mut().unwrap()[0].opcode_index = 7;
    let mut empty = PassThrough::default().model();
    empty.subgraphs = None;
    for (model, part) in [(model, "found 99"), (other, "found 7"), (empty, "found none")] {
        let error = ModelSummary::from_model(&model.to_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains(part), "{error}");
    }
}
