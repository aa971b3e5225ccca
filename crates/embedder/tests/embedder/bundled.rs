//! The bundled model with real photos.

use std::thread;

use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::frame::BoundingBox;
use image_embedder::{
    EmbeddingResult, ImageEmbedder, ImageEmbedderOptions, bundled_model, cosine_similarity,
};
use image_embedder_test_support::fixture;

fn embedder() -> ImageEmbedder {
    ImageEmbedder::from_bytes(bundled_model(), ImageEmbedderOptions::default()).unwrap()
}

fn image(name: &str) -> Image {
    Image::open(fixture(format!("images/{name}")), &DecodeOptions::default()).unwrap()
}

fn embed(embedder: &ImageEmbedder, name: &str) -> EmbeddingResult {
    embedder.embed(&image(name).frame().unwrap()).unwrap()
}

fn similarity(left: &EmbeddingResult, right: &EmbeddingResult) -> f64 {
    cosine_similarity(left.feature_vector(), right.feature_vector()).unwrap()
}

#[test]
fn the_bytes_are_aligned() {
    assert_eq!(bundled_model().as_ptr() as usize % 16, 0);
}

#[test]
fn the_same_subject_is_nearer_than_another() {
    let embedder = embedder();
    let (left, right) = (embed(&embedder, "cat_left.jpg"), embed(&embedder, "cat_right.jpg"));
    let others = ["astronaut.jpg", "coffee.jpg", "rocket.jpg"].map(|name| embed(&embedder, name));
    assert_eq!(left.feature_vector().len(), 1280);
    let near = similarity(&left, &right);
    assert!(near > 0.8, "{near}");
    for other in &others {
        let far = similarity(&left, other);
        assert!(far < near - 0.3, "{far} and {near}");
    }
}

#[test]
fn exif_orientation_makes_a_turned_photo_alike() {
    let embedder = embedder();
    let upright = embed(&embedder, "cat.jpg");
    let turned = image("cat_orientation6.jpg");
    let heeded = embedder.embed(&turned.frame().unwrap()).unwrap();
    let ignored = turned.with_orientation(image("cat.jpg").orientation());
    let ignored = embedder.embed(&ignored.frame().unwrap()).unwrap();
    let (heeded, ignored) = (similarity(&upright, &heeded), similarity(&upright, &ignored));
    assert!(heeded > 0.95, "{heeded}");
    assert!(ignored < heeded - 0.05, "{ignored} and {heeded}");
}

#[test]
fn a_region_is_like_its_crop() {
    let embedder = embedder();
    let whole = image("cat.jpg");
    let region = BoundingBox::new(0, 0, 350, whole.height());
    let region = embedder.embed_region(&whole.frame().unwrap(), region).unwrap();
    let crop = embed(&embedder, "cat_left.jpg");
    let near = similarity(&region, &crop);
    assert!(near > 0.95, "{near}");
}

#[test]
fn threads_get_identical_embeddings() {
    let embedder = embedder();
    let image = image("coffee.jpg");
    let expected = embedder.embed(&image.frame().unwrap()).unwrap();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| embedder.embed(&image.frame().unwrap()).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.len(), 4);
    for result in results {
        assert_eq!(result, expected);
    }
}
