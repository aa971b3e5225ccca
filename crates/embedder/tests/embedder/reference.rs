//! Embeddings and similarities that tflite-support 0.4.4 computed, from the pixels that it decoded.

use std::collections::BTreeMap;
use std::fs;

use image_embedder::embedding::FeatureVector;
use image_embedder::frame::{BoundingBox, FrameBuffer, PixelFormat};
use image_embedder::{ImageEmbedder, ImageEmbedderOptions, cosine_similarity};
use image_embedder_test_support::{model, reference};
use serde_json::Value;

/// The pixels of a decoded image.
struct Pixels {
    data: Vec<u8>,
    width: u32,
    height: u32,
    format: PixelFormat,
}

impl Pixels {
    /// Reads an array of bytes in NumPy's format, version 1.0.
    fn read(name: &str) -> Self {
        let file = fs::read(reference(format!("spec/golden/decoded/{name}.npy"))).unwrap();
        let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
        let text = std::str::from_utf8(&file[10..10 + header]).unwrap();
        let shape = text.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
        let sizes: Vec<u32> =
            shape.split(',').filter_map(|size| size.trim().parse().ok()).collect();
        let format = match sizes[2] {
            3 => PixelFormat::Rgb,
            4 => PixelFormat::Rgba,
            channels => panic!("{name} has {channels} channels"),
        };
        Self { data: file[10 + header..].to_vec(), width: sizes[1], height: sizes[0], format }
    }

    fn frame(&self) -> FrameBuffer<'_> {
        FrameBuffer::from_contiguous(self.format, &self.data, self.width, self.height).unwrap()
    }
}

fn golden(file: &str) -> Value {
    let text = fs::read_to_string(reference(format!("spec/golden/{file}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compares every record of a model; floats may differ by `tolerance`.
fn check(name: &str, tolerance: f32) {
    let path = model(&format!("{name}.tflite"));
    let embedders = [(false, false), (true, false), (false, true), (true, true)].map(
        |(l2_normalize, quantize)| {
            let mut options = ImageEmbedderOptions::default();
            options.l2_normalize = l2_normalize;
            options.quantize = quantize.into();
            let embedder = ImageEmbedder::from_file(&path, options).unwrap();
            ((l2_normalize, quantize), embedder)
        },
    );
    let embedders = BTreeMap::from(embedders);
    let records = golden(&format!("embeddings__{name}"));
    let records = records.as_array().unwrap();
    let mut greatest = 0.0f32;
    let mut plain = BTreeMap::new();
    for record in records {
        let image = record["image"].as_str().unwrap();
        let pixels = Pixels::read(image);
        let flag = |name: &str| record[name].as_bool().unwrap();
        let options = (flag("l2_normalize"), flag("quantize"));
        let region = record["roi"].as_array().map(|region| {
            let number = |index: usize| u32::try_from(region[index].as_u64().unwrap()).unwrap();
            BoundingBox::new(number(0), number(1), number(2), number(3))
        });
        let embedder = &embedders[&options];
        let result = match &region {
            Some(region) => embedder.embed_region(&pixels.frame(), region).unwrap(),
            None => embedder.embed(&pixels.frame()).unwrap(),
        };
        let values = record["values"].as_array().unwrap();
        assert_eq!(result.feature_vector().len(), values.len());
        match result.feature_vector() {
            FeatureVector::Float(found) => {
                for (found, expected) in found.iter().zip(values) {
                    let expected = expected.as_f64().unwrap() as f32;
                    greatest = greatest.max((found - expected).abs());
                }
            }
            FeatureVector::Quantized(found) if tolerance == 0.0 => {
                let expected: Vec<i64> = values.iter().map(|v| v.as_i64().unwrap()).collect();
                let found: Vec<i64> = found.iter().map(|&value| value.into()).collect();
                assert_eq!(found, expected, "{image} {region:?}");
            }
            FeatureVector::Quantized(found) => {
                for (found, expected) in found.iter().zip(values) {
                    let expected = expected.as_i64().unwrap();
                    assert!((i64::from(*found) - expected).abs() <= 1, "{image} {region:?}");
                }
            }
            other => panic!("a feature vector of kind {}", other.kind()),
        }
        if options == (false, false) {
            let name = region.map_or(image.to_owned(), |r| {
                format!("{image}@{},{},{},{}", r.origin_x, r.origin_y, r.width, r.height)
            });
            plain.insert(name, result.feature_vector().clone());
        }
    }
    assert_eq!(records.len(), 124);
    assert!(greatest <= tolerance, "{name}: {greatest:e} is more than {tolerance:e}");
    check_similarities(name, &plain, f64::from(tolerance));
}

fn check_similarities(name: &str, plain: &BTreeMap<String, FeatureVector>, tolerance: f64) {
    let golden = golden(&format!("similarity__{name}"));
    let is_plain = |table: &&Value| table["l2_normalize"] == false && table["quantize"] == false;
    let table = golden.as_array().unwrap().iter().find(is_plain).unwrap();
    let names: Vec<&str> =
        table["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut compared = 0;
    for (row, left) in names.iter().enumerate() {
        for (column, right) in names.iter().enumerate() {
            let found = cosine_similarity(&plain[*left], &plain[*right]).unwrap();
            let expected = table["matrix"][row][column].as_f64().unwrap();
            let limit = tolerance.max(1e-9);
            assert!((found - expected).abs() <= limit, "{left} {right}: {found} {expected}");
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} pairs");
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE"]
fn quantized_classifier_is_exact() {
    check("mobilenet_v1_0.25_224_quant", 0.0);
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE"]
fn quantized_extractor_is_exact() {
    check("mobilenet_v1_1.0_224_quant_embedding_extractor", 0.0);
}

#[test]
#[ignore = "needs the reference data: set IMAGE_EMBEDDER_REFERENCE"]
fn float_classifier_is_near() {
    check("mobilenet_v1_0.25_224_1_metadata_1", 1e-5);
}
