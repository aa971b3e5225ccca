//! Shorter and smaller feature vectors.

use image_embedder::embedding::FeatureVector;
use image_embedder::embedding::{QuantizeMode, ScaledInt8, l2_normalize, quantize, to_half};
use image_embedder::frame::FrameBuffer;
use image_embedder::{ErrorKind, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

use crate::models::options;

fn embed(options: ImageEmbedderOptions) -> FeatureVector {
    let embedder = ImageEmbedder::from_bytes(PassThrough::default().to_bytes(), options).unwrap();
    let pixels: Vec<u8> = (0..192).rev().collect();
    let result = embedder.embed(&FrameBuffer::from_rgb(&pixels, 8, 8).unwrap()).unwrap();
    assert_eq!(embedder.embedding_dimension(0), Some(result.feature_vector().len()));
    result.feature_vector().clone()
}

/// The model's own numbers.
fn raw() -> Vec<f32> {
    (0..192u8).rev().map(f32::from).collect()
}

#[test]
fn every_mode_follows_normalisation() {
    let mut unit = raw();
    l2_normalize(&mut unit);
    let mut cases = 0;
    for (l2_normalize, values) in [(false, raw()), (true, unit)] {
        let expected = [
            (QuantizeMode::None, FeatureVector::Float(values.clone())),
            (QuantizeMode::Fixed, FeatureVector::Quantized(quantize(&values))),
            (QuantizeMode::PerVector, FeatureVector::Scaled(ScaledInt8::quantize(&values))),
            (QuantizeMode::Float16, FeatureVector::Half(to_half(&values))),
        ];
        for (mode, expected) in expected {
            let mut options = options();
            options.l2_normalize = l2_normalize;
            options.quantize = mode;
            assert_eq!(embed(options), expected);
            cases += 1;
        }
    }
    assert_eq!(cases, 8);
}

#[test]
fn shortened_vectors_are_normalised_anew() {
    let mut short = options();
    short.dimension = Some(10);
    assert_eq!(embed(short.clone()), FeatureVector::Float(raw()[..10].to_vec()));
    short.l2_normalize = true;
    let mut expected = raw()[..10].to_vec();
    l2_normalize(&mut expected);
    assert_eq!(embed(short.clone()), FeatureVector::Float(expected.clone()));
    short.quantize = QuantizeMode::Fixed;
    assert_eq!(embed(short), FeatureVector::Quantized(quantize(&expected)));
}

#[test]
fn dimensions_that_cannot_be() {
    let two = PassThrough {
        outputs: vec![TensorKind::uint8(&[1, 192]), TensorKind::uint8(&[1, 50])],
        ..PassThrough::default()
    };
    for (dimension, part) in [
        (0, "options.dimension of at least 1, found 0"),
        (51, "at most 50, the size of output 1, found 51"),
        (193, "at most 192, the size of output 0, found 193"),
    ] {
        let mut options = options();
        options.dimension = Some(dimension);
        let error = ImageEmbedder::from_bytes(two.to_bytes(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(part), "{error}");
    }
    let mut options = options();
    options.dimension = Some(50);
    let embedder = ImageEmbedder::from_bytes(two.to_bytes(), options).unwrap();
    assert_eq!(embedder.embedding_dimension(0), Some(50));
    assert_eq!(embedder.output_specs()[0].model_dimension, 192);
    assert_eq!(embedder.embedding_dimension(2), None);
}
