//! TensorFlow Lite itself against the frozen results, which are its own, and the native engine
//! against TensorFlow Lite on data that is not frozen.
//!
//! Frozen results, and the native engine's own, are those of x86-64; XNNPACK's rounding of 8-bit
//! results is another on other processors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use image_embedder_backend_conformance::golden::FOLDER;
use image_embedder_backend_conformance::{FROZEN_SEED, Golden, Tolerance, cases, run};
use image_embedder_backend_native::NativeBackend;
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{fixture, tflite_library};

fn tflite() -> TfliteBackend {
    let mut options = TfliteOptions::default();
    options.library_path = Some(tflite_library());
    let backend = TfliteBackend::new(options);
    assert!(backend.uses_xnnpack().unwrap());
    backend
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn live_results_are_the_frozen_ones() {
    let golden = Golden::read(&fixture(FOLDER)).unwrap();
    let cases = cases::all(FROZEN_SEED);
    assert_eq!(golden.names().count(), cases.len());
    let report = run(&tflite(), &cases, &golden, Tolerance::EXACT, &[]);
    report.assert(2313, 2313);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "needs an x86-64 processor")]
fn native_computes_what_tflite_does_on_fresh_data() {
    let mut ran = 0;
    for seed in (FROZEN_SEED + 1)..(FROZEN_SEED + 4) {
        let cases = cases::all(seed);
        let golden = Golden::compute(&tflite(), &cases).unwrap();
        let report = run(&NativeBackend::new(), &cases, &golden, Tolerance::EXACT, &[]);
        assert!(report.failures.is_empty(), "seed {seed}: {report}");
        ran += report.passed;
    }
    assert_eq!(ran, 3 * 2313);
}
