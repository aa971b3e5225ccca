//! Bit-exact agreement with the TensorFlow Lite Task Library on recorded vectors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_embedder_embedding::{
    FeatureVector, cosine_similarity, dequantize_uint8, l2_normalize, quantize,
};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/embedding/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Numbers that are exact in 32 bits, so that parsing cannot change them.
fn floats(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn bytes(values: &Value) -> Vec<i8> {
    let byte = |value: &Value| i8::try_from(value.as_i64().unwrap()).unwrap();
    values.as_array().unwrap().iter().map(byte).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn dequantize_normalize_and_quantize_are_exact() {
    let golden = golden();
    let raw: Vec<u8> = (0..192).collect();
    let (mut float_cases, mut quantized_cases) = (0, 0);
    for case in golden["dequantize"].as_array().unwrap() {
        let scale = case["scale"].as_f64().unwrap() as f32;
        let zero_point = i32::try_from(case["zero_point"].as_i64().unwrap()).unwrap();
        let mut values = dequantize_uint8(&raw, scale, zero_point);
        if case["l2_normalize"].as_bool().unwrap() {
            l2_normalize(&mut values);
        }
        if case["quantize"].as_bool().unwrap() {
            assert_eq!(quantize(&values), bytes(&case["values"]), "scale {scale}");
            quantized_cases += 1;
        } else {
            let expected = floats(&case["values"]);
            assert_eq!(bits(&values), bits(&expected), "scale {scale}");
            float_cases += 1;
        }
    }
    assert_eq!((float_cases, quantized_cases), (12, 12));
}

#[test]
fn cosine_similarity_is_exact() {
    let golden = golden();
    let (mut float_cases, mut quantized_cases) = (0, 0);
    for case in golden["cosine"].as_array().unwrap() {
        let [u, v] = match case["kind"].as_str().unwrap() {
            "float" => {
                float_cases += 1;
                ["u", "v"].map(|name| FeatureVector::Float(floats(&case[name])))
            }
            "int8" => {
                quantized_cases += 1;
                ["u", "v"].map(|name| FeatureVector::Quantized(bytes(&case[name])))
            }
            kind => panic!("unknown kind {kind}"),
        };
        let expected: f64 = case["similarity"].as_str().unwrap().parse().unwrap();
        assert_eq!(cosine_similarity(&u, &v), Ok(expected));
    }
    assert_eq!((float_cases, quantized_cases), (5, 5));
}
