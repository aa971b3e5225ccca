//! One embedder, many threads, and life after a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;

use image_embedder::frame::{BoundingBox, FrameBuffer};
use image_embedder::{
    Embedding, EmbeddingResult, Error, ErrorKind, ImageEmbedder, ImageEmbedderOptions,
};
use image_embedder_test_support::model_builder::{PassThrough, TensorKind};

use crate::echo::Echo;
use crate::models::explain;

const fn is_shared<T: Send + Sync>() {}
const _: () = is_shared::<ImageEmbedder>();
const _: () = is_shared::<ImageEmbedderOptions>();
const _: () = is_shared::<EmbeddingResult>();
const _: () = is_shared::<Embedding>();
const _: () = is_shared::<Error>();

fn embedder() -> (ImageEmbedder, Echo) {
    let echo = Echo::default();
    let options = ImageEmbedderOptions::with_backend(Arc::new(echo.clone()));
    let embedder = ImageEmbedder::from_bytes(PassThrough::default().to_bytes(), options).unwrap();
    (embedder, echo)
}

fn sessions(echo: &Echo) -> usize {
    echo.state.sessions.load(Ordering::SeqCst)
}

#[test]
fn a_session_is_used_again() {
    let (embedder, echo) = embedder();
    let pixels = vec![3; 3 * 20 * 20];
    let frame = FrameBuffer::from_rgb(&pixels, 20, 20).unwrap();
    for size in 1..20 {
        embedder.embed(&frame).unwrap();
        embedder.embed_region(&frame, BoundingBox::new(0, 0, size, size)).unwrap();
    }
    assert_eq!(sessions(&echo), 1);
}

#[test]
fn after_a_failure_the_next_call_works() {
    let (embedder, echo) = embedder();
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let good = embedder.embed(&frame).unwrap();

    echo.state.fails.store(true, Ordering::SeqCst);
    let (kind, message) = explain(&embedder.embed(&frame).unwrap_err());
    assert_eq!(kind, ErrorKind::Backend);
    assert_eq!(message, "cannot run the model: backend echo: told to fail");
    assert_eq!(embedder.embed(&frame).unwrap(), good);

    let outside = BoundingBox::new(1, 1, 8, 8);
    assert_eq!(embedder.embed_region(&frame, outside).unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(embedder.embed(&frame).unwrap(), good);
}

#[test]
fn calls_of_other_threads_are_stopped() {
    let (embedder, echo) = embedder();
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let good = embedder.embed(&frame).unwrap();
    embedder.cancel();
    assert_eq!(embedder.embed(&frame).unwrap(), good);

    echo.state.waits.store(true, Ordering::SeqCst);
    let errors: Vec<Error> = thread::scope(|scope| {
        let calls: Vec<_> =
            (0..3).map(|_| scope.spawn(|| embedder.embed(&frame).unwrap_err())).collect();
        while echo.state.waiting.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        embedder.cancel();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(errors.len(), 3);
    for error in errors {
        assert_eq!(error.task_library_status(), None);
        let (kind, message) = explain(&error);
        assert_eq!(kind, ErrorKind::Cancelled);
        assert!(message.starts_with("the inference was cancelled: backend echo"), "{message}");
    }
    echo.state.waits.store(false, Ordering::SeqCst);
    assert_eq!(embedder.embed(&frame).unwrap(), good);
}

#[test]
fn after_a_panic_the_next_call_works() {
    let (embedder, echo) = embedder();
    let pixels: Vec<u8> = (0..192).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 8, 8).unwrap();
    let good = embedder.embed(&frame).unwrap();
    echo.state.panics.store(true, Ordering::SeqCst);
    assert!(catch_unwind(AssertUnwindSafe(|| embedder.embed(&frame))).is_err());
    assert_eq!(embedder.embed(&frame).unwrap(), good);
}

#[test]
fn a_model_that_cannot_be_resized() {
    let echo = Echo::default();
    let mut model =
        PassThrough::new(TensorKind::uint8(&[1, 1, 1, 3]), vec![TensorKind::uint8(&[1, 24])]);
    model.input_signature = Some(vec![1, -1, -1, 3]);
    let options = ImageEmbedderOptions::with_backend(Arc::new(echo.clone()));
    let embedder = ImageEmbedder::from_bytes(model.to_bytes(), options).unwrap();
    let pixels = vec![3; 3 * 20 * 10];
    let frame = FrameBuffer::from_rgb(&pixels, 20, 10).unwrap();
    echo.state.is_rigid.store(true, Ordering::SeqCst);
    let (kind, message) = explain(&embedder.embed(&frame).unwrap_err());
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("20 x 10 pixels"), "{message}");
    echo.state.is_rigid.store(false, Ordering::SeqCst);
    assert!(embedder.embed(&frame).is_ok());
}

#[test]
fn threads_share_an_embedder() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 50;
    let (embedder, echo) = embedder();
    let images: Vec<Vec<u8>> = (0..THREADS)
        .map(|thread| (0..3 * 16 * 16).map(|byte| (byte * (thread + 3)) as u8).collect())
        .collect();
    let alone: Vec<_> = images
        .iter()
        .map(|image| embedder.embed(&FrameBuffer::from_rgb(image, 16, 16).unwrap()).unwrap())
        .collect();
    let start = Barrier::new(THREADS);
    let rounds: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (embedder, images, alone, start) = (&embedder, &images, &alone, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..ROUNDS {
                        let index = (thread + round) % THREADS;
                        let frame = FrameBuffer::from_rgb(&images[index], 16, 16).unwrap();
                        assert_eq!(embedder.embed(&frame).unwrap(), alone[index]);
                    }
                    ROUNDS
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(rounds, THREADS * ROUNDS);
    assert!(sessions(&echo) <= THREADS, "{} sessions", sessions(&echo));
}
