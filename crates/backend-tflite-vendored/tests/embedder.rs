//! The facade takes the backend by value.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use image_embedder::backend::Backend;
use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::embedding::FeatureVector;
use image_embedder::native::NativeBackend;
use image_embedder::{ImageEmbedder, ImageEmbedderOptions, bundled_model, cosine_similarity};
use image_embedder_backend_tflite_vendored::VendoredTfliteBackend;
use image_embedder_test_support::fixture;

/// The feature vectors of two photographs of one cat, by the bundled model.
fn vectors(backend: Arc<dyn Backend>) -> [FeatureVector; 2] {
    let options = ImageEmbedderOptions::with_backend(backend);
    let embedder = ImageEmbedder::from_bytes(bundled_model(), options).unwrap();
    ["images/cat_left.jpg", "images/cat_right.jpg"].map(|path| {
        let image = Image::open(fixture(path), &DecodeOptions::default()).unwrap();
        embedder.embed(&image.frame().unwrap()).unwrap().feature_vector().clone()
    })
}

#[test]
fn two_photographs_are_as_alike_as_on_the_native_engine() {
    let vendored = vectors(Arc::new(VendoredTfliteBackend::new()));
    let native = vectors(Arc::new(NativeBackend::new()));
    let similarity = |[left, right]: &[FeatureVector; 2]| cosine_similarity(left, right).unwrap();
    let (found, expected) = (similarity(&vendored), similarity(&native));
    assert!((found - expected).abs() < 0.005, "expected {expected:.6}, found {found:.6}");
    for (found, expected) in vendored.iter().zip(&native) {
        let alike = cosine_similarity(found, expected).unwrap();
        assert!(alike > 0.99, "{alike:.6}");
    }
}
