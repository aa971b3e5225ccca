//! What is allocated when: nothing while a session runs, and no weights for a further session.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use image_embedder_backend::{
    Backend, CompileOptions, ModelData, Session, TensorView, TensorViewMut,
};
use image_embedder_backend_native::NativeBackend;
use image_embedder_test_support::model;

/// The system's allocator, which counts.
struct Counting;

/// Allocations so far, on all threads, and their bytes.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised to this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised to this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `action` allocates: how often and how many bytes.
fn allocated<T>(action: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let result = action();
    let (count, bytes) = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    (result, count - before.0, bytes - before.1)
}

/// Runs the bundled model's session and returns its result.
fn run(session: &mut dyn Session, image: &[u8], vector: &mut [u8]) {
    session.run(&[TensorView::UInt8(image)], &mut [TensorViewMut::UInt8(vector)]).unwrap();
}

fn main() {
    let path = model("efficientnet_lite0_feature_vector_uint8.tflite");
    let data = ModelData::from(std::fs::read(path).unwrap());
    let image: Vec<u8> = (0..224 * 224 * 3).map(|index| (index % 251) as u8).collect();
    let mut results = Vec::new();
    for threads in [1, 2, 3] {
        let options = CompileOptions::with_num_threads(threads);
        let (compiled_model, _, compiled) = allocated(|| {
            NativeBackend::new().share_everything().compile(data.clone(), &options).unwrap()
        });
        let (mut session, _, _) = allocated(|| compiled_model.session().unwrap());
        let (mut other, _, opened) = allocated(|| compiled_model.session().unwrap());
        // The activations of the widest layers are over a megabyte; all weights are over three.
        assert!(compiled > 3_000_000, "compiling allocates {compiled} bytes");
        assert!(opened < 3_000_000, "a further session allocates {opened} bytes");

        let mut vector = vec![0; 1280];
        // What a thread allocates when it starts is not the run's.
        run(&mut *session, &image, &mut vector);
        run(&mut *other, &image, &mut vector);
        let ((), count, bytes) = allocated(|| {
            for _ in 0..3 {
                run(&mut *session, &image, &mut vector);
                run(&mut *other, &image, &mut vector);
            }
        });
        assert_eq!((count, bytes), (0, 0), "runs on {threads} threads allocate");
        results.push(vector);
    }
    assert!(results.iter().all(|vector| *vector == results[0]));
    assert!(results[0].iter().any(|&value| value != results[0][0]));
}
