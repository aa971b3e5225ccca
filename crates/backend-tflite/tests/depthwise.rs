//! A depthwise convolution without a bias, with which the library ends the process.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, Model, ModelData, TensorView, TensorViewMut,
};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_schema::tflite::{
    BufferT, BuiltinOperator, BuiltinOptionsT, DepthwiseConv2DOptionsT, ModelT, OperatorCodeT,
    OperatorT, SubGraphT, TensorT,
};
use image_embedder_test_support::tflite_library;

/// Floats `1 x 2 x 2 x 2`, each channel times its weight, from the given operands: image, filter and bias.
fn depthwise(operands: &[i32]) -> Vec<u8> {
    let tensor = |name: &str, shape: &[i32], buffer| TensorT {
        name: Some(name.to_owned()),
        shape: Some(shape.to_vec()),
        buffer,
        ..TensorT::default()
    };
    let buffer = |values: &[f32]| BufferT {
        data: Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        ..BufferT::default()
    };
    let code = BuiltinOperator::DepthwiseConv2d.raw();
    ModelT {
        version: 3,
        operator_codes: Some(vec![OperatorCodeT {
            deprecated_builtin_code: code as i8,
            builtin_code: code,
            ..OperatorCodeT::default()
        }]),
        subgraphs: Some(vec![SubGraphT {
            tensors: Some(vec![
                tensor("image", &[1, 2, 2, 2], 0),
                tensor("filter", &[1, 1, 1, 2], 1),
                tensor("bias", &[2], 2),
                tensor("product", &[1, 2, 2, 2], 0),
            ]),
            inputs: Some(vec![0]),
            outputs: Some(vec![3]),
            operators: Some(vec![OperatorT {
                inputs: Some(operands.to_vec()),
                outputs: Some(vec![3]),
                builtin_options: BuiltinOptionsT::DepthwiseConv2DOptions(DepthwiseConv2DOptionsT {
                    stride_w: 1,
                    stride_h: 1,
                    depth_multiplier: 1,
                    ..DepthwiseConv2DOptionsT::default()
                }),
                ..OperatorT::default()
            }]),
            ..SubGraphT::default()
        }]),
        buffers: Some(vec![BufferT::default(), buffer(&[2.0, 3.0]), buffer(&[10.0, 20.0])]),
        ..ModelT::default()
    }
    .to_bytes()
}

fn compile(bytes: Vec<u8>, xnnpack: bool) -> Result<Arc<dyn Model>, BackendError> {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    options.xnnpack = xnnpack;
    TfliteBackend::new(options).compile(ModelData::from(bytes), &CompileOptions::default())
}

#[test]
fn with_a_bias_it_runs() {
    let image = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0];
    let mut ran = 0;
    for xnnpack in [true, false] {
        let mut found = [0.0_f32; 8];
        compile(depthwise(&[0, 1, 2]), xnnpack)
            .unwrap()
            .session()
            .unwrap()
            .run(&[TensorView::Float32(&image)], &mut [TensorViewMut::Float32(&mut found)])
            .unwrap();
        assert_eq!(found, [12.0, 23.0, 14.0, 26.0, 16.0, 29.0, 18.0, 32.0]);
        ran += 1;
    }
    assert_eq!(ran, 2);
}

#[test]
fn without_a_bias_it_is_refused_by_name() {
    let mut refused = 0;
    for xnnpack in [true, false] {
        for operands in [&[0, 1][..], &[0], &[]] {
            let error = compile(depthwise(operands), xnnpack).unwrap_err();
            let operators = vec!["DEPTHWISE_CONV_2D without a bias".to_owned()];
            let expected =
                BackendError::UnsupportedOperators { backend: "tflite".to_owned(), operators };
            assert_eq!(error, expected, "{operands:?}");
            refused += 1;
        }
        // The library itself refuses one that is left out.
        let error = compile(depthwise(&[0, 1, -1]), xnnpack).unwrap_err();
        assert!(matches!(error, BackendError::Runtime { .. }), "{error:?}");
        refused += 1;
    }
    assert_eq!(refused, 8);
}
