//! Models of any input size whose output grows with the image.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use image_embedder::frame::FrameBuffer;
use image_embedder::preprocess::{PreprocessMode, PreprocessOptions};
use image_embedder::{ErrorKind, ImageEmbedder, ImageEmbedderOptions};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

use crate::echo::Echo;
use crate::models::explain;

fn open_model() -> Vec<u8> {
    let mut model =
        PassThrough::new(TensorKind::uint8(&[1, 1, 1, 3]), vec![TensorKind::uint8(&[1, 1, 1, 3])]);
    model.input_signature = Some(vec![1, -1, -1, 3]);
    model.to_bytes()
}

fn growing(mode: PreprocessMode) -> (Echo, ImageEmbedderOptions) {
    let echo = Echo::default();
    echo.state.grows.store(true, Ordering::SeqCst);
    let mut options = ImageEmbedderOptions::with_backend(Arc::new(echo.clone()));
    options.preprocess = PreprocessOptions::with_mode(mode);
    (echo, options)
}

#[test]
fn the_task_library_mode_embeds_the_corner() {
    let (_, options) = growing(PreprocessMode::TaskLibrary);
    let embedder = ImageEmbedder::from_bytes(open_model(), options).unwrap();
    let pixels: Vec<u8> = (0..4 * 5 * 3).collect();
    let result = embedder.embed(&FrameBuffer::from_rgb(&pixels, 4, 5).unwrap()).unwrap();
    assert_eq!(result.feature_vector().as_float(), Some(&[0.0, 1.0, 2.0][..]));
}

#[test]
fn other_modes_refuse_it_at_creation() {
    for mode in [PreprocessMode::MediaPipe, PreprocessMode::Quality] {
        let (_, options) = growing(mode);
        let error = ImageEmbedder::from_bytes(open_model(), options).unwrap_err();
        let (kind, message) = explain(&error);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(message.contains("expected 3 elements whatever the image's size"), "{message}");
        assert!(message.contains("found 12288"), "{message}");
        assert_eq!(error.task_library_status().unwrap().code(), 400);
    }
}

#[test]
fn a_model_that_cannot_be_tried_is_refused_with_the_frame() {
    let (echo, options) = growing(PreprocessMode::Quality);
    echo.state.is_rigid.store(true, Ordering::SeqCst);
    let embedder = ImageEmbedder::from_bytes(open_model(), options).unwrap();
    echo.state.is_rigid.store(false, Ordering::SeqCst);
    let pixels = vec![7; 6 * 6 * 3];
    let error = embedder.embed(&FrameBuffer::from_rgb(&pixels, 6, 6).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("found 108"), "{error}");
    let result = embedder.embed(&FrameBuffer::from_rgb(&pixels[..3], 1, 1).unwrap()).unwrap();
    assert_eq!(result.feature_vector().len(), 3);
}

#[test]
fn outputs_of_one_size_are_taken_in_every_mode() {
    for mode in [PreprocessMode::TaskLibrary, PreprocessMode::MediaPipe, PreprocessMode::Quality] {
        let mut options = ImageEmbedderOptions::with_backend(Arc::new(Echo::default()));
        options.preprocess = PreprocessOptions::with_mode(mode);
        let embedder = ImageEmbedder::from_bytes(open_model(), options).unwrap();
        let pixels = vec![9; 20 * 10 * 3];
        let result = embedder.embed(&FrameBuffer::from_rgb(&pixels, 20, 10).unwrap()).unwrap();
        assert_eq!(result.feature_vector().as_float(), Some(&[9.0; 3][..]), "{mode}");
    }
}
