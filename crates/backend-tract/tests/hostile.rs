//! Models that tract cannot take give the named error, and the next good call works.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{Backend, BackendError, CompileOptions, ModelData};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::model_builder::PassThrough;

fn compile(bytes: Vec<u8>) -> Result<(), BackendError> {
    TractBackend.compile(ModelData::from(bytes), &CompileOptions::default()).map(drop)
}

fn unsupported(operators: &[&str]) -> BackendError {
    BackendError::UnsupportedOperators {
        backend: "tract".to_owned(),
        operators: operators.iter().map(|&operator| operator.to_owned()).collect(),
    }
}

#[test]
fn broken_models_are_invalid() {
    let good = PassThrough::default().to_bytes();
    compile(good.clone()).unwrap();
    let mut cases = vec![Vec::new(), good[..7].to_vec(), vec![0; 4096]];
    cases.push([&good[..4], b"TFL2", &good[8..]].concat());
    cases.push([&0x7fff_ff00_u32.to_le_bytes()[..], &good[4..]].concat());
    cases.extend([8, 16, 100, good.len() / 2].map(|len| good[..len].to_vec()));
    let mut refused = 0;
    for (index, bytes) in cases.into_iter().enumerate() {
        match compile(bytes) {
            Err(BackendError::InvalidModel { reason }) => {
                assert!(!reason.is_empty(), "case {index}");
                refused += 1;
            }
            other => panic!("case {index}: expected an invalid model, found {other:?}"),
        }
    }
    assert_eq!(refused, 9);
    compile(good).unwrap();
}

#[test]
fn no_truncation_panics() {
    let good = PassThrough::default().to_bytes();
    let mut refused = 0;
    for len in 0..good.len() {
        refused += usize::from(compile(good[..len].to_vec()).is_err());
    }
    // What follows the last table is padding.
    assert!(refused > good.len() - 64, "{refused} of {}", good.len());
}

#[test]
fn all_missing_operators_are_named_at_once() {
    let mut model = PassThrough::default().model();
    let codes = model.operator_codes.as_mut().unwrap();
    codes[0].builtin_code = 32;
    codes[0].deprecated_builtin_code = 32;
    codes[0].custom_code = Some("My.Operator".to_owned());
    let mut second = codes[0].clone();
    (second.builtin_code, second.deprecated_builtin_code) = (7, 7);
    second.custom_code = None;
    let mut third = second.clone();
    (third.builtin_code, third.deprecated_builtin_code) = (9999, 127);
    codes.extend([second, third]);
    let graph = &mut model.subgraphs.as_mut().unwrap()[0];
    let operators = graph.operators.as_mut().unwrap();
    for index in [1, 2, 1] {
        let mut operator = operators[0].clone();
        operator.opcode_index = index;
        operators.push(operator);
    }
    assert_eq!(
        compile(model.to_bytes()).unwrap_err(),
        unsupported(&["CUSTOM My.Operator", "EMBEDDING_LOOKUP", "BUILTIN 9999"])
    );
}

#[test]
fn an_operator_code_out_of_range_is_invalid() {
    let mut model = PassThrough::default().model();
    let graph = &mut model.subgraphs.as_mut().unwrap()[0];
    graph.operators.as_mut().unwrap()[0].opcode_index = 7;
    assert_eq!(
        compile(model.to_bytes()).unwrap_err(),
        BackendError::InvalidModel {
            reason: "expected an operator code below 1, found 7".to_owned()
        }
    );
}

#[test]
fn a_tensor_index_out_of_range_is_invalid() {
    let mut model = PassThrough::default().model();
    model.subgraphs.as_mut().unwrap()[0].outputs = Some(vec![99]);
    let error = compile(model.to_bytes()).unwrap_err();
    assert!(matches!(error, BackendError::InvalidModel { .. }), "{error:?}");
}

#[test]
fn a_tensor_without_a_name_is_taken() {
    let mut model = PassThrough::default().model();
    let graph = &mut model.subgraphs.as_mut().unwrap()[0];
    graph.tensors.as_mut().unwrap()[0].name = None;
    compile(model.to_bytes()).unwrap();
}
