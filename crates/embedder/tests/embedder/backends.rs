//! Each backend that is compiled in, by its feature: the same vectors from the same pixels.

use std::path::PathBuf;
use std::sync::Arc;

use image_embedder::backend::Backend;
use image_embedder::frame::FrameBuffer;
use image_embedder::{ErrorKind, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_test_support::model;
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

use crate::echo::Echo;

/// Every backend, and the test's own, which is there without any feature. Libraries for TensorFlow
/// Lite and LiteRT are not to be had for 32-bit ARM.
pub(crate) fn backends() -> Vec<Arc<dyn Backend>> {
    vec![
        Arc::new(Echo::default()),
        #[cfg(feature = "native")]
        Arc::new(image_embedder::native::NativeBackend::new()),
        #[cfg(all(feature = "tflite", not(target_arch = "arm")))]
        {
            use image_embedder::tflite::{TfliteBackend, TfliteOptions};

            let mut options = TfliteOptions::default();
            options.library_path = Some(image_embedder_test_support::tflite_library());
            Arc::new(TfliteBackend::new(options))
        },
        #[cfg(all(feature = "litert", not(target_arch = "arm")))]
        {
            use image_embedder::litert::{LitertBackend, LitertOptions};

            let mut options = LitertOptions::default();
            options.library_path = Some(image_embedder_test_support::litert_library());
            Arc::new(LitertBackend::new(options))
        },
        #[cfg(feature = "tract")]
        Arc::new(image_embedder::tract::TractBackend),
    ]
}

#[test]
fn a_feature_adds_its_backend_and_no_other() {
    let names: Vec<String> = backends().iter().map(|backend| backend.name().to_owned()).collect();
    let mut expected = vec!["echo"];
    for (name, enabled) in [
        ("native", cfg!(feature = "native")),
        ("tflite", cfg!(all(feature = "tflite", not(target_arch = "arm")))),
        ("litert", cfg!(all(feature = "litert", not(target_arch = "arm")))),
        ("tract", cfg!(feature = "tract")),
    ] {
        if enabled {
            expected.push(name);
        }
    }
    assert_eq!(names, expected);
    for backend in backends() {
        backend.check().unwrap();
    }
}

#[test]
fn every_backend_hands_the_pixels_through() {
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let model = PassThrough::default().to_bytes();
    let expected: Vec<f32> = pixels.iter().copied().map(f32::from).collect();
    for backend in backends() {
        let name = backend.name().to_owned();
        let mut options = ImageEmbedderOptions::with_backend(backend);
        options.num_threads = 2;
        let embedder = ImageEmbedder::from_bytes(model.clone(), options).unwrap();
        for _ in 0..2 {
            let result = embedder.embed(&frame).unwrap();
            assert_eq!(result.feature_vector().as_float(), Some(&expected[..]), "{name}");
        }
        embedder.cancel();
        assert!(embedder.embed(&frame).is_ok(), "{name}");
    }
}

#[test]
fn every_backend_refuses_a_broken_model_alike() {
    let model = PassThrough::default().to_bytes();
    let mut two = PassThrough { input_count: 2, ..PassThrough::default() };
    two.outputs = vec![TensorKind::uint8(&[1, 192])];
    for backend in backends() {
        let name = backend.name().to_owned();
        let open = |bytes: Vec<u8>| {
            let options = ImageEmbedderOptions::with_backend(Arc::clone(&backend));
            ImageEmbedder::from_bytes(bytes, options).unwrap_err().kind()
        };
        assert_eq!(open(model[..model.len() / 2].to_vec()), ErrorKind::Model, "{name}");
        assert_eq!(open(two.to_bytes()), ErrorKind::Unsupported, "{name}");
    }
}

/// Quantised models that this checkout has.
fn quantized_models() -> Vec<PathBuf> {
    ["efficientnet_lite0_feature_vector_uint8.tflite", "mobilenet_v1_0.25_224_quant.tflite"]
        .map(|name| model(name))
        .to_vec()
}

#[test]
fn backends_of_one_arithmetic_give_the_same_vectors() {
    let pixels: Vec<u8> = (0..96 * 64 * 3).map(|index| (index * index / 97) as u8).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 96, 64).unwrap();
    let mut compared = 0;
    for path in quantized_models() {
        let mut vectors = std::collections::BTreeMap::new();
        for backend in backends().into_iter().skip(1) {
            let name = backend.name().to_owned();
            let arithmetic = backend.arithmetic();
            if arithmetic.integer == arithmetic.float {
                continue;
            }
            let options = ImageEmbedderOptions::with_backend(backend);
            let embedder = ImageEmbedder::from_file(&path, options).unwrap();
            let result = embedder.embed(&frame).unwrap();
            let vector = result.feature_vector().as_float().unwrap().to_vec();
            assert!(vector.iter().any(|&value| value != vector[0]), "{name}");
            let first = vectors
                .entry(arithmetic.integer)
                .or_insert_with(|| (vector.clone(), embedder.fingerprint()));
            assert_eq!(*first, (vector, embedder.fingerprint()), "{name}: {}", path.display());
            compared += 1;
        }
    }
    let shared = usize::from(cfg!(feature = "native"))
        + usize::from(cfg!(all(feature = "tflite", target_arch = "x86_64")));
    assert_eq!(compared, 2 * shared);
}
