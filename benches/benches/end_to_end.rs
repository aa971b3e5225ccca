//! From a photograph in a file to its feature vector, with the bundled model: whole and by stage.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use image_embedder::decode::{DecodeOptions, Image};
use image_embedder::{ImageEmbedder, ImageEmbedderOptions, bundled_model};
use image_embedder_test_support::fixture;

/// The similarity of two crops of one photograph, as the README has it.
const EXPECTED: &str = "0.967307";

fn end_to_end(criterion: &mut Criterion) {
    let options = ImageEmbedderOptions::default();
    let embedder =
        ImageEmbedder::from_bytes(bundled_model(), options.clone()).expect("the model is bundled");
    let file = |name: &str| std::fs::read(fixture("images").join(name)).expect("a fixture");
    let decode = |bytes: &[u8]| {
        Image::from_bytes(bytes, &DecodeOptions::default()).expect("the fixture is an image")
    };
    let embed = |image: &Image| {
        let frame = image.frame().expect("a decoded image has pixels");
        embedder.embed(&frame).expect("the model takes every upright frame")
    };

    let bytes = file("cat_left.jpg");
    let image = decode(&bytes);
    let similarity = embed(&image)
        .cosine_similarity(&embed(&decode(&file("cat_right.jpg"))), 0)
        .expect("both are of one embedder");
    assert_eq!(format!("{similarity:.6}"), EXPECTED);

    let mut group = criterion.benchmark_group("end_to_end");
    group.bench_function("load", |bencher| {
        bencher.iter(|| {
            ImageEmbedder::from_bytes(black_box(bundled_model()), options.clone())
                .expect("it worked before")
        });
    });
    group.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&bytes))));
    group.bench_function("embed", |bencher| bencher.iter(|| embed(black_box(&image))));
    group.bench_function("decode_and_embed", |bencher| {
        bencher.iter(|| embed(&decode(black_box(&bytes))));
    });
    group.finish();
}

criterion_group!(benches, end_to_end);
criterion_main!(benches);
