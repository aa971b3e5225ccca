//! Agreement with the reference implementation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
use image_embedder_backend_tract::TractBackend;
use image_embedder_test_support::{model, reference};

/// The elements of a `.npy` file of bytes in C order.
fn npy_bytes(file: &[u8]) -> &[u8] {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\0");
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let (header, elements) = file[10..].split_at(header);
    let header = std::str::from_utf8(header).unwrap();
    assert!(header.contains("'|u1'") && header.contains("'fortran_order': False"), "{header}");
    elements
}

#[test]
#[ignore = "needs the reference folder; set IMAGE_EMBEDDER_REFERENCE"]
fn embedding_of_the_burger_points_the_same_way() {
    let pixels = std::fs::read(reference("spec/golden/decoded/burger-224.png.npy")).unwrap();
    let pixels = npy_bytes(&pixels);
    let mut compared = 0;
    for name in ["mobilenet_v1_0.25_224_quant", "mobilenet_v1_1.0_224_quant_embedding_extractor"] {
        let golden = reference(format!("spec/golden/embeddings__{name}.json"));
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let case = golden
            .as_array()
            .unwrap()
            .iter()
            .find(|case| {
                case["image"] == "burger-224.png"
                    && case["roi"].is_null()
                    && case["l2_normalize"] == false
                    && case["quantize"] == false
            })
            .unwrap();
        let expected: Vec<f64> =
            case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();

        let bytes = std::fs::read(model(&format!("{name}.tflite"))).unwrap();
        let compiled =
            TractBackend.compile(ModelData::from(bytes), &CompileOptions::default()).unwrap();
        let mut output = vec![0_u8; expected.len()];
        compiled
            .session()
            .unwrap()
            .run(&[TensorView::UInt8(pixels)], &mut [TensorViewMut::UInt8(&mut output)])
            .unwrap();
        let quantization = compiled.outputs()[0].quantization.unwrap();
        let found: Vec<f64> = output
            .iter()
            .map(|&byte| {
                f64::from(quantization.scale) * f64::from(i32::from(byte) - quantization.zero_point)
            })
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine =
            dot(&found, &expected) / (dot(&found, &found) * dot(&expected, &expected)).sqrt();
        assert!(cosine > 0.999_999, "{name}: {cosine}");
        compared += 1;
    }
    assert_eq!(compared, 2);
}
