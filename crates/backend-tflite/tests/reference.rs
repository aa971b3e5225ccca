//! Bit-exact agreement with the reference implementation, which runs the same kernels.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend::{Backend, CompileOptions, ModelData, TensorView, TensorViewMut};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{model, reference, tflite_library};

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
fn embedding_of_the_burger_is_bit_exact() {
    let name = "mobilenet_v1_1.0_224_quant_embedding_extractor";
    let golden = std::fs::read(reference(format!("spec/golden/embeddings__{name}.json"))).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
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
    let expected: Vec<f32> =
        case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    assert_eq!(expected.len(), 1024);

    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    let backend = TfliteBackend::new(options);
    assert!(backend.uses_xnnpack().unwrap());
    let bytes = std::fs::read(model(&format!("{name}.tflite"))).unwrap();
    let compiled = backend.compile(ModelData::from(bytes), &CompileOptions::default()).unwrap();
    let pixels = std::fs::read(reference("spec/golden/decoded/burger-224.png.npy")).unwrap();
    let pixels = npy_bytes(&pixels);
    let mut output = vec![0_u8; 1024];
    compiled
        .session()
        .unwrap()
        .run(&[TensorView::UInt8(pixels)], &mut [TensorViewMut::UInt8(&mut output)])
        .unwrap();

    let quantization = compiled.outputs()[0].quantization.unwrap();
    let mut exact = 0;
    for (index, (&byte, expected)) in output.iter().zip(&expected).enumerate() {
        let found = quantization.scale * (i32::from(byte) - quantization.zero_point) as f32;
        assert_eq!(found.to_bits(), expected.to_bits(), "value {index}");
        exact += 1;
    }
    assert_eq!(exact, 1024);
}
